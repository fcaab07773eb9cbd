// The table behind each chart: the numbers as they are in the data.

const FEW = 60;

const cellText = (value) => (value === null || value === undefined ? "" : String(value));

/** {caption, head: [texts], isHeat, count, row: index => [values]} for each table of a chart; heat maps with so many columns. */
function tablesOf(chart, runs, phase, bands = Infinity) {
  if (chart.kind === "heat") return runs.flatMap((run) => heatTable(run, runs, phase, bands));
  const view = chart.kind === "curve" ? curveView(chart, runs, phase) : lineView(chart, runs, phase);
  if (chart.kind === "curve") return curveTables(view, runs);
  const unit = chart.unit ? ` (${chart.unit})` : "";
  return runs.flatMap((run, runIndex) => {
    const lines = view.lines.filter((line) => line.run === runIndex);
    if (!lines.length) return [];
    const caption = runs.length > 1 ? run.label : "";
    const head = ["time (s)", ...lines.map((line) => line.label + unit)];
    return [{ caption, head, count: lines[0].times.length, row: (index) => [lines[0].times[index], ...lines.map((line) => line.values[index])] }];
  });
}

function curveTables(view, runs) {
  return runs.flatMap((run, runIndex) => {
    const lines = view.lines.filter((line) => line.run === runIndex);
    if (!lines.length) return [];
    const percentiles = [...new Set(lines.flatMap((line) => line.points.map(([percentile]) => percentile)))].sort((a, b) => a - b);
    const values = lines.map((line) => new Map(line.points));
    const head = ["percentile (%)", ...lines.map((line) => `${line.label} (s)`)];
    return [{ caption: runs.length > 1 ? run.label : "", head, count: percentiles.length, row: (index) => [percentiles[index], ...values.map((of) => of.get(percentiles[index]))] }];
  });
}

function heatTable(run, runs, phase, bands) {
  const view = heatView(run, phase);
  if (!view) return [];
  const [first, last] = view.rows;
  const together = Math.max(1, Math.ceil((last - first + 1) / bands));
  const starts = [];
  for (let row = first; row <= last; row += together) starts.push(row);
  const head = ["time (s)", ...starts.map((row) => `from ${seconds(rowStart(row))}`)];
  const counted = (step, start) => {
    let sum = 0;
    for (let row = start; row < start + together; row++) sum += step.get(row) ?? 0;
    return sum || null;
  };
  const caption = runs.length > 1 ? run.label : "";
  return [{ caption, head, isHeat: true, count: view.times.length, row: (index) => [view.times[index], ...starts.map((start) => counted(view.steps[index], start))] }];
}

/** Fill the element of a chart's tables; those that are there get new rows. */
function fillTables(details, tables, title, most) {
  const captions = tables.map((table) => (table.caption ? `${title}: ${table.caption}` : title));
  const key = JSON.stringify([captions, tables.map((table) => table.head)]);
  if (details.dataset.tables !== key) {
    details.dataset.tables = key;
    details.querySelectorAll(".scroll").forEach((element) => element.remove());
    details.append(...tables.map((table, index) => emptyTable(captions[index], table.head)));
  }
  details.querySelectorAll("table").forEach((element, index) => {
    const rows = rowsOf(tables[index], most);
    const { count } = tables[index];
    element.caption.textContent = captions[index] + (rows.length < count ? `, ${rows.length} of ${count} rows` : "");
    element.tBodies[0].replaceChildren(...rows.map(tableRow));
  });
  details.querySelector(".more")?.remove();
  const count = Math.max(0, ...tables.map((table) => table.count));
  if (count <= most) return;
  const button = make("button", { type: "button", className: "more" }, `all ${count} rows`);
  button.addEventListener("click", () => {
    details.dataset.all = "yes";
    fillTables(details, tables, title, Infinity);
  });
  details.append(button);
}

/** At most so many rows of a table, at even distances but for those that one looks for: each takes its neighbor's place. */
function rowsOf(table, most) {
  const rows = Array.from({ length: table.count }, (_, index) => table.row(index));
  const places = evenly(table.count, most);
  if (places.length === table.count) return rows;
  const free = new Set(places.slice(1, -1));
  const chosen = new Set([places[0], places.at(-1)]);
  for (const wanted of extremesOf(rows, table.isHeat)) {
    if (chosen.has(wanted)) continue;
    if (!free.size) break;
    free.delete([...free].reduce((one, other) => (Math.abs(other - wanted) < Math.abs(one - wanted) ? other : one)));
    chosen.add(wanted);
  }
  return [...chosen, ...free].sort((one, other) => one - other).map((index) => rows[index]);
}

/** Where the highest value of each line is, and then the lowest; of a heat map the former only, longest latencies first. */
function extremesOf(rows, isHeat) {
  const columns = rows[0].map((_, index) => index).slice(1).reverse();
  const found = (column, isMore) =>
    rows.reduce((best, row, index) => (isNumber(row[column]) && (best < 0 || isMore(row[column], rows[best][column])) ? index : best), -1);
  const highest = columns.map((column) => found(column, (one, other) => one > other));
  const lowest = isHeat ? [] : columns.map((column) => found(column, (one, other) => one < other));
  return [...highest, ...lowest].filter((index) => index >= 0);
}

function emptyTable(caption, head) {
  const names = make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)));
  const table = make("table", {}, make("caption", {}, caption), make("thead", {}, names), make("tbody"));
  return make("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": `Table: ${caption}` }, table);
}

function tableRow(values) {
  const [first, ...others] = values.map(cellText);
  return make("tr", {}, make("th", { scope: "row" }, first), ...others.map((text) => make("td", {}, text)));
}
