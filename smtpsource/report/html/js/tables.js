// The table behind each chart: the numbers as they are in the data.

const FEW = 60;

const cellText = (value) => (value === null || value === undefined ? "" : String(value));

/** {caption, head: [texts], count, row: index => [values]} for each table of a chart; heat maps with so many columns. */
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
  return [{ caption, head, count: view.times.length, row: (index) => [view.times[index], ...starts.map((start) => counted(view.steps[index], start))] }];
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
  const rows = tables.map((table) => evenly(table.count, most).map((index) => tableRow(table.row(index))));
  details.querySelectorAll("tbody").forEach((body, index) => body.replaceChildren(...rows[index]));
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

function emptyTable(caption, head) {
  const names = make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)));
  const table = make("table", {}, make("caption", {}, caption), make("thead", {}, names), make("tbody"));
  return make("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": `Table: ${caption}` }, table);
}

function tableRow(values) {
  const [first, ...others] = values.map(cellText);
  return make("tr", {}, make("th", { scope: "row" }, first), ...others.map((text) => make("td", {}, text)));
}
