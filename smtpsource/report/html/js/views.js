// What a chart shows of the runs, made of the data block: lines over one axis, or the cells of a heat map.

const ROWS = 8;

/** A last step of fewer seconds says nothing of how often something came: in a picture it would look as if that fell to 0. */
const LEAST = 0.1;

/** Where a row of a heat map begins: in seconds. */
const rowStart = (row) => 10 ** (row / ROWS - 6);

const labeled = (run, runs, label) => (runs.length > 1 ? `${run.label} ${label}`.trim() : label || run.label);

/** Lines over time: {data, lines: [{label, values, times, run, property, dash}]}, data as uPlot takes it. */
function lineView(chart, runs, phase) {
  const tables = [], lines = [];
  runs.forEach((run, runIndex) => {
    const times = timesOf(run, chart.source);
    const found = chart.lines
      .map((line, index) => ({ line, index, values: column(run, chart, line, phase) }))
      .filter(({ values }) => values?.some(isNumber));
    if (!found.length || !times.length) return;
    const isCut = chart.kind === "bars" && times.length > 1 && times.at(-1) - times.at(-2) < LEAST;
    tables.push([times, ...found.map(({ values }) => (isCut ? [...values.slice(0, times.length - 1), null] : values))]);
    for (const { line, index, values } of found) {
      lines.push({ label: labeled(run, runs, line.label), values, times, run: runIndex, ...look(line, index, runIndex, runs.length) });
    }
  });
  return { data: tables.length ? uPlot.join(tables) : null, lines };
}

/** Curves over percentiles; the last point, of all, is as far behind the one before as that is from the end. */
function curveView(chart, runs, phase) {
  const tables = [], lines = [], percentiles = new Map();
  const asked = chart.lines?.length ? chart.lines : [...new Set(runs.flatMap((run) => Object.keys(run.curves ?? {})))]
    .map((name, index) => ({ label: name, column: `curves.${name}`, color: index }));
  runs.forEach((run, runIndex) => {
    asked.forEach((line, index) => {
      const path = line.column.replaceAll(PHASE, phase ?? "");
      const points = at(path, run) ?? at(path, run.curves);
      if (!Array.isArray(points) || !points.length) return;
      const finite = points.filter(([percentile]) => percentile < 100);
      const last = finite.length ? ofPercentile(finite.at(-1)[0]) : 1;
      const places = points.map(([percentile]) => (percentile < 100 ? ofPercentile(percentile) : last * 2));
      points.forEach(([percentile], index) => percentiles.set(places[index], percentile));
      tables.push([places, points.map(([, value]) => value)]);
      lines.push({ label: labeled(run, runs, line.label || (runs.length > 1 ? "" : phase)), points, run: runIndex, ...look(line, index, runIndex, runs.length) });
    });
  });
  return { data: tables.length ? uPlot.join(tables) : null, lines, percentiles };
}

/** The cells of a run's heat map: {times, starts, steps: [Map of row to count], rows: [first, last], most}. */
function heatView(run, phase) {
  const steps = at(`phases.${phase}.heat`, run.timeline);
  if (!steps?.some((step) => step.length)) return null;
  const times = run.timeline.time.slice(0, steps.length);
  let first = Infinity, last = -Infinity, most = 0;
  const cells = steps.map((step) => {
    const found = new Map();
    for (let index = 0; index + 1 < step.length; index += 2) {
      found.set(step[index], step[index + 1]);
      first = Math.min(first, step[index]);
      last = Math.max(last, step[index]);
      most = Math.max(most, step[index + 1]);
    }
    return found;
  });
  const length = times.length > 1 ? times[1] - times[0] : times[0];
  const starts = times.map((time, index) => (index ? times[index - 1] : Math.max(0, time - length)));
  return { times, starts, steps: cells, rows: [first, last], most };
}

/** The same heat maps with the same rows and colors, so that one can be compared with the other. */
function comparable(views) {
  const rows = [Math.min(...views.map(({ rows }) => rows[0])), Math.max(...views.map(({ rows }) => rows[1]))];
  const most = Math.max(...views.map((view) => view.most));
  return views.map((view) => ({ ...view, rows, most }));
}

/** The phases that one can pick, in the order of the data. */
const phasesOf = (runs) => [...new Set(runs.flatMap((run) => Object.keys(run.timeline?.phases ?? run.curves ?? {})))];

/** What most people want to see first. */
const firstPhase = (names) => ["response", "transaction", "noop", "connect"].find((name) => names.includes(name)) ?? names[0];
