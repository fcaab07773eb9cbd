// Plots, by uPlot: lines over time or percentiles, and heat maps; they share cursor and zoom with those of their axis.

/** What plots have in common whose horizontal axis is the same: how far it goes, and which part of it is shown. */
class Axis {
  constructor(key, full, isLog = false) {
    this.key = key;
    this.full = full;
    this.isLog = isLog;
    this.zoom = null;
    this.plots = new Set();
    this.listeners = [];
  }

  range() {
    return this.zoom ?? this.full();
  }

  /** Show a part only; null for all. */
  show(zoom) {
    this.zoom = zoom;
    const [min, max] = this.range();
    for (const plot of this.plots) plot.setScale("x", { min, max });
    for (const listener of this.listeners) listener();
  }

  /** Show so much of what is shown now, around a place of it. */
  scale(factor, middle) {
    const [there, back] = this.isLog ? [Math.log, Math.exp] : [Number, Number];
    const [least, most] = this.full();
    const [low, high] = this.range().map(there);
    const at = there(middle);
    const from = Math.max(least, back(at - (at - low) * factor));
    const to = Math.min(most, back(at + (high - at) * factor));
    this.show(from <= least && to >= most ? null : [from, to]);
  }
}

/** What all plots are made with. */
function plotOptions(axis, place, series, scales, axes, hooks) {
  return {
    ...place,
    legend: { show: false },
    series,
    axes,
    scales: { ...scales, x: { time: false, range: () => axis.range(), ...scales.x } },
    padding: [10, 14, 0, 0],
    cursor: {
      drag: { x: true, y: false, setScale: false, dist: 4 },
      y: scales.y.cross ?? false,
      points: { size: 7 },
      sync: { key: axis.key, scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      bind: { dblclick: () => () => { axis.show(null); return null; } },
    },
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width <= 0) return;
          axis.show([left, left + width].map((place) => plot.posToVal(place, "x")));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      ...hooks,
    },
  };
}

/** The points that no line shows, as there is nothing beside them: where not all points are shown. */
function alone(plot, series, all) {
  if (all) return null;
  const values = plot.data[series];
  const [first, last] = plot.series[0].idxs;
  const found = [];
  // What is undefined is another run's.
  const neighbor = (index, by) => {
    do index += by;
    while (index in values && values[index] === undefined);
    return values[index];
  };
  for (let index = first; index <= last; index++) {
    if (isNumber(values[index]) && !isNumber(neighbor(index, -1)) && !isNumber(neighbor(index, 1))) found.push(index);
  }
  return found;
}

/** A plot of lines. */
function linePlot({ axis, place, view, unit, isLog, kind, horizontal, onCursor, onDraw, target }) {
  const series = view.lines.map(({ property, dash, label }) => ({
    label,
    stroke: () => color(property),
    width: 1.6,
    dash: dash.length ? dash : undefined,
    spanGaps: kind === "curve",
    points: { size: 5, space: 60, fill: () => color(property), filter: alone },
    ...(kind === "bars" ? { paths: uPlot.paths.stepped({ align: -1 }) } : {}),
  }));
  const scales = {
    x: kind === "curve" ? { distr: 3, log: 10 } : {},
    y: isLog() ? { distr: 3, log: 10, range: (plot, least, most) => logRange(least, most) } : { range: (plot, least, most) => linearRange(least, most) },
  };
  const hooks = { setCursor: [onCursor], draw: [onDraw] };
  const options = plotOptions(axis, place, [{}, ...series], scales, [horizontal, valueAxis(unit, isLog)], hooks);
  return new uPlot(options, view.data, target);
}

/** A heat map: uPlot draws the axes, and we the cells. */
function heatPlot({ axis, longest, place, view, onCursor, onDraw, target }) {
  const [first, last] = view.rows;
  const range = () => [rowStart(first), rowStart(last + 1)];
  const scales = { y: { distr: 3, log: 10, range, cross: true } };
  const axes = [{ ...timeAxis(longest), grid: { show: false } }, { ...valueAxis("s", () => true), grid: { show: false } }];
  const cells = (plot) => drawCells(plot, plot.heat ?? view);
  const options = plotOptions(axis, place, [{}, { points: { show: false } }], scales, axes, { setCursor: [onCursor], draw: [cells, onDraw] });
  return new uPlot(options, heatData(view), target);
}

const heatData = (view) => [view.times, view.times.map(() => null)];

function drawCells(plot, view) {
  const { ctx, bbox } = plot;
  const most = Math.log(view.most + 1);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const tops = new Map();
  const top = (row) => {
    if (!tops.has(row)) tops.set(row, Math.round(plot.valToPos(rowStart(row), "y", true)));
    return tops.get(row);
  };
  view.steps.forEach((step, index) => {
    const left = Math.round(plot.valToPos(view.starts[index], "x", true));
    const right = Math.round(plot.valToPos(view.times[index], "x", true));
    if (right < bbox.left || left > bbox.left + bbox.width) return;
    for (const [row, count] of step) {
      ctx.fillStyle = shade(Math.log(count + 1) / most);
      ctx.fillRect(left, top(row + 1), Math.max(1, right - left), top(row) - top(row + 1));
    }
  });
  ctx.restore();
}

/** The marks of the runs: dashed lines with their numbers; together, where there is no room for each. */
function drawMarks(plot, runs) {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
  ctx.clip();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.lineWidth = ratio;
  const colorOf = (run) => color(runs.length > 1 ? `--c${run % 8}` : "--fg");
  const marks = marksOf(runs)
    .map((mark) => ({ ...mark, left: Math.round(plot.valToPos(mark.mark.at, "x", true)) }))
    .filter(({ left }) => left >= bbox.left && left <= bbox.left + bbox.width);
  for (const { left, run } of marks) {
    ctx.strokeStyle = colorOf(run);
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.globalAlpha = 0.6;
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
  const widthOf = (text) => ctx.measureText(text).width + 4 * ratio;
  ctx.textAlign = "left";
  for (const { parts, start } of labelsOf(marks, widthOf, bbox.left, bbox.left + bbox.width)) {
    let left = start + 2 * ratio;
    for (const { text, run } of parts) {
      ctx.fillStyle = colorOf(run);
      ctx.fillText(text, left, bbox.top - 1.5 * ratio);
      left += ctx.measureText(text).width;
    }
  }
  ctx.restore();
}

/**
 * What stands above marks, and where, from the first place there is to the last: those whose numbers would not fit side by
 * side have one label, such as 1-3.
 */
function labelsOf(marks, widthOf, least, most) {
  const labels = [];
  for (const { left, run, number } of marks) {
    let label = labelOf(left, left, new Map([[run, [number, number]]]), widthOf, least, most);
    while (labels.length && labels.at(-1).end > label.start) {
      const before = labels.pop();
      const spans = new Map(before.spans);
      for (const [run, [low, high]] of label.spans) spans.set(run, [spans.get(run)?.[0] ?? low, high]);
      label = labelOf(before.first, label.last, spans, widthOf, least, most);
    }
    labels.push(label);
  }
  return labels;
}

/** The label of neighbors: from the first to the last one, and by run its first and last number. */
function labelOf(first, last, spans, widthOf, least, most) {
  const parts = [...spans].map(([run, [low, high]], index) => ({ run, text: (index ? ", " : "") + (low === high ? `${low}` : `${low}-${high}`) }));
  const width = widthOf(parts.map(({ text }) => text).join(""));
  const start = Math.max(least, Math.min((first + last - width) / 2, most - width));
  return { first, last, spans, parts, start, end: start + width };
}

/** All marks in the order of time, with the numbers that stand in the pictures. */
function marksOf(runs) {
  return runs
    .flatMap((run, index) => (run.marks ?? []).map((mark, place) => ({ mark, run: index, number: place + 1 })))
    .sort((one, other) => one.mark.at - other.mark.at);
}
