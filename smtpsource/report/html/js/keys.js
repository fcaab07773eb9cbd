// The keyboard, and what is spoken.

let live = null;

function speak(text) {
  if (live === null) {
    live = make("p", { className: "spoken", role: "status", "aria-live": "polite" });
    document.body.append(live);
  }
  live.textContent = text;
}

/** A key in a chart: arrows move the cursor, plus and minus zoom, Escape shows all again. */
function onKey(event, chart, part) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { plot } = part;
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowLeft: -far, ArrowRight: far, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  const rows = { ArrowUp: 1, ArrowDown: -1 };
  if (event.key in moves) moveTo(chart, part, moves[event.key], 0);
  else if (event.key in rows && part.view.steps) moveTo(chart, part, 0, rows[event.key]);
  else if (event.key === "+" || event.key === "=") zoomBy(chart, plot, 0.5);
  else if (event.key === "-") zoomBy(chart, plot, 2);
  else if (event.key === "Escape") chart.axis.show(null);
  else return;
  event.preventDefault();
}

function moveTo(chart, part, by, rowsUp) {
  const { plot, view } = part;
  const [first, last] = plot.series[0].idxs;
  const current = part.index ?? plot.cursor.idx ?? (by < 0 ? last + 1 : first - 1);
  part.index = Math.max(first, Math.min(last, current + by));
  if (view.steps) {
    const filled = [...view.steps[part.index].entries()].sort((one, other) => other[1] - one[1]);
    plot.row = Math.max(view.rows[0], Math.min(view.rows[1], (plot.row ?? filled[0]?.[0] ?? view.rows[0]) + rowsUp));
    const middle = (view.starts[part.index] + view.times[part.index]) / 2;
    plot.setCursor({ left: plot.valToPos(middle, "x"), top: plot.valToPos(rowStart(plot.row + 0.5), "y") }, true, true);
  } else {
    const value = plot.data.slice(1).map((values) => values[part.index]).find(isNumber);
    const top = value === undefined ? 0 : plot.valToPos(value, "y");
    plot.setCursor({ left: plot.valToPos(plot.data[0][part.index], "x"), top }, true, true);
  }
  const said = part.said;
  if (!said) return;
  const lines = (view.lines ?? []).map((line, index) => (chart.off.has(line.label) ? null : `${line.label} ${said.values[index]}`));
  speak([said.where, ...lines.filter((line) => line !== null)].join("; "));
}

/** From when to when the charts are. */
function timesSpoken(from, to) {
  const longest = page.time.full()[1];
  return [from, to].map((time) => clock(time, longest, to - from < 20)).join(" to ");
}

function zoomBy(chart, plot, factor) {
  const [low, high] = chart.axis.range();
  const at = plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : (low + high) / 2;
  chart.axis.scale(factor, at);
  const [from, to] = chart.axis.range();
  speak(chart.spec.kind === "curve" ? [from, to].map((place) => `${toPercentile(place)} %`).join(" to ") : timesSpoken(from, to));
}
