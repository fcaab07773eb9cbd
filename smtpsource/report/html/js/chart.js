// A chart: what stands around its plots, and how they follow data, phase, colors and size.

class Chart {
  constructor(figure, spec, page) {
    this.figure = figure;
    this.spec = spec;
    this.page = page;
    this.title = figure.querySelector("figcaption")?.textContent.trim() || spec.title;
    this.log = Boolean(spec.log);
    this.isLeftOut = false;
    this.off = new Set();
    this.parts = [];
    this.axis = spec.kind === "curve" ? new Axis(spec.id, () => this.percentiles(), true) : page.time;
    this.holder = figure.querySelector(".plot");
    this.tools = make("div", { className: "tools" });
    this.body = make("div", { className: "cells" });
    this.legend = make("ul", { className: "legend" });
    this.holder.replaceChildren(this.tools, this.body, this.legend);
    this.addTools();
    this.details = figure.querySelector("details.behind");
    this.details?.addEventListener("toggle", () => this.details.open && this.fill());
    this.axis.listeners.push(() => this.showZoom());
    this.render();
    new ResizeObserver(() => this.resize()).observe(this.holder);
  }

  /** What it shows from now on; nothing, if there is none of it. */
  take(spec) {
    this.isLeftOut = !spec;
    this.spec = spec ?? this.spec;
  }

  addTools() {
    const { spec, page } = this;
    if (spec.pick === "phase") {
      this.select = make("select");
      this.select.addEventListener("change", () => page.pick(this.select.value));
      this.tools.append(make("label", {}, "phase ", this.select));
    }
    if (spec.unit === "s" && spec.kind !== "heat") {
      const box = make("input", { type: "checkbox", checked: this.log });
      box.addEventListener("change", () => {
        this.log = box.checked;
        this.render();
      });
      this.tools.append(make("label", {}, box, " logarithmic"));
    }
    this.whole = make("button", { type: "button", hidden: true }, spec.kind === "curve" ? "all" : "whole run");
    this.whole.addEventListener("click", () => this.axis.show(null));
    this.readout = make("span", { className: "readout" });
    this.tools.append(this.whole, this.readout);
  }

  /** Make the plots anew, or give them their new data where they show the same as before. */
  render() {
    if (this.select) this.fillSelect();
    const views = this.views();
    const alike = JSON.stringify([this.log, views.map((view) => view.lines?.map((line) => [line.label, line.property, line.dash]) ?? view.rows)]);
    this.figure.hidden = this.isLeftOut || (!views.length && !this.select);
    if (alike === this.alike) {
      this.parts.forEach((part, index) => this.renew(part, views[index]));
      if (this.spec.kind === "heat") this.showLegend(views);
    } else {
      this.clear();
      this.alike = alike;
      this.figure.classList.toggle("wide", views.length > 1);
      if (!views.length) this.body.replaceChildren(make("p", { className: "empty" }, "There is nothing of this phase."));
      else this.parts = views.map((view) => this.part(view));
      this.showLegend(views);
    }
    for (const part of this.parts) part.frame.setAttribute("aria-label", this.sentence(part.view));
    if (this.details?.open) this.fill();
    this.showZoom();
  }

  views() {
    const { spec, page } = this;
    if (spec.kind === "heat") {
      const views = page.runs.map((run) => heatView(run, page.phase)).map((view, run) => view && { ...view, run }).filter(Boolean);
      return comparable(views);
    }
    const view = spec.kind === "curve" ? curveView(spec, page.runs, page.phase) : lineView(spec, page.runs, page.phase);
    return view.data ? [view] : [];
  }

  part(view) {
    const { spec, page } = this;
    const keys = "ArrowLeft ArrowRight Home End + - Escape";
    const frame = make("div", { className: "canvas", tabIndex: 0, role: "application", "aria-roledescription": "chart", "aria-keyshortcuts": keys });
    const cell = make("div", { className: "cell" }, frame);
    if (spec.kind === "heat" && page.runs.length > 1) cell.prepend(make("p", { className: "of" }, page.runs[view.run].label));
    this.body.append(cell);
    const part = { frame, view };
    const common = {
      axis: this.axis,
      longest: () => page.time.full()[1],
      place: this.size(cell),
      view,
      target: frame,
      onCursor: (plot) => this.follow(part, plot),
      onDraw: (plot) => spec.kind !== "curve" && drawMarks(plot, spec.kind === "heat" ? [page.runs[view.run]] : page.runs),
    };
    part.plot = spec.kind === "heat" ? heatPlot(common) : linePlot({ ...common, unit: spec.unit, kind: spec.kind, isLog: () => this.log, horizontal: spec.kind === "curve" ? percentileAxis() : timeAxis(common.longest) });
    this.axis.plots.add(part.plot);
    view.lines?.forEach((line, place) => this.off.has(line.label) && part.plot.setSeries(place + 1, { show: false }));
    frame.addEventListener("keydown", (event) => onKey(event, this, part));
    // Whoever takes the mouse does not want to go on from where keys had led.
    frame.addEventListener("pointermove", () => (part.index = part.plot.row = undefined));
    frame.addEventListener("pointerenter", () => (part.pointed = true));
    frame.addEventListener("pointerleave", () => (part.pointed = false));
    return part;
  }

  renew(part, view) {
    part.view = view;
    if (view.steps) {
      part.plot.heat = view;
      part.plot.setData(heatData(view));
    } else {
      part.plot.setData(view.data);
    }
  }

  clear() {
    for (const { plot } of this.parts) {
      this.axis.plots.delete(plot);
      plot.destroy();
    }
    this.parts = [];
    this.body.replaceChildren();
    this.legend.replaceChildren();
  }

  size(cell) {
    const width = this.page.printing ? 660 : Math.max(240, cell.clientWidth);
    return { width, height: (width < 560 ? 200 : 240) + (this.spec.kind === "heat" ? 30 : 0) };
  }

  resize() {
    for (const { plot, frame } of this.parts) {
      const { width, height } = this.size(frame.parentElement);
      if (plot.width !== width || plot.height !== height) plot.setSize({ width, height });
    }
  }

  fillSelect() {
    const names = phasesOf(this.page.runs);
    if ([...this.select.options].map((option) => option.value).join() !== names.join()) {
      this.select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    }
    this.select.value = this.page.phase ?? "";
  }

  showLegend(views) {
    const { spec } = this;
    if (spec.kind === "heat") {
      if (views.length) this.legend.replaceChildren(...heatLegend(Math.max(...views.map((view) => view.most))));
      return;
    }
    this.values = [];
    (views[0]?.lines ?? []).forEach((line, index) => {
      const value = make("span", { className: "value" });
      this.values.push(value);
      const button = make("button", { type: "button", "aria-pressed": String(!this.off.has(line.label)) }, swatch(line), make("span", {}, line.label), value);
      button.addEventListener("click", () => this.toggle(index, line.label, button));
      this.legend.append(make("li", {}, button));
    });
  }

  toggle(index, label, button) {
    const show = this.off.has(label);
    if (show) this.off.delete(label);
    else this.off.add(label);
    button.setAttribute("aria-pressed", String(show));
    for (const { plot } of this.parts) plot.setSeries(index + 1, { show });
  }

  /** The cursor is elsewhere now. */
  follow(part, plot) {
    part.said = plot.cursor.left >= 0 ? this.describe(part, plot) : null;
    this.readout.textContent = part.said?.where ?? "";
    this.values?.forEach((value, index) => (value.textContent = part.said?.values?.[index] ?? ""));
  }

  describe(part, plot) {
    const { spec, page } = this;
    if (spec.kind === "heat") return heatAt(part, page);
    const index = plot.cursor.idx;
    if (index === null || index === undefined) return null;
    const place = plot.data[0][index];
    const values = part.view.lines.map((_, line) => {
      const value = plot.data[line + 1][plot.cursor.idxs[line + 1]];
      return isNumber(value) ? quantity(value, spec.unit) : "none";
    });
    const mark = spec.kind === "curve" ? "" : markAt(plot, page.runs);
    const where = spec.kind === "curve" ? `${part.view.percentiles.get(place)} %` : clock(place, page.time.full()[1]) + mark;
    return { where, values };
  }

  /** What a reader hears of the chart. */
  sentence(view) {
    const { spec, page } = this;
    const [from, to] = page.time.full();
    const over = spec.kind === "curve" ? "by percentile" : `from ${clock(from, to)} to ${clock(to, to)}`;
    if (spec.kind === "heat") {
      const [first, last] = view.rows;
      return `${this.title}: ${page.phase}, ${over}, latencies from ${seconds(rowStart(first))} to ${seconds(rowStart(last + 1))}.`;
    }
    const told = view.lines.map(({ label }, index) => {
      const [least, most] = extremes([view.data[index + 1]]) ?? [];
      return `${label} from ${quantity(least, spec.unit)} to ${quantity(most, spec.unit)}`;
    });
    const phase = this.select ? ` ${page.phase},` : "";
    return `${this.title}:${phase} ${over}: ${told.join("; ")}.`;
  }

  percentiles() {
    return [1, Math.max(10, extremes([this.parts[0]?.view.data[0] ?? this.views()[0]?.data[0] ?? []])?.[1] ?? 10)];
  }

  showZoom() {
    this.whole.hidden = this.axis.zoom === null;
  }

  fill(most = this.details.dataset.all ? Infinity : FEW, bands = Infinity) {
    const { spec, page, title } = this;
    fillTables(this.details, tablesOf(spec, page.runs, page.phase, bands), this.select ? `${title}: ${page.phase}` : title, most);
  }
}

/** A piece of a line, as it looks in the chart. */
function swatch({ property, dash }) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  for (const [name, value] of Object.entries({ width: 26, height: 8, "aria-hidden": "true" })) svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({ x1: 0, x2: 26, y1: 4, y2: 4, "stroke-width": 2.5 })) line.setAttribute(name, value);
  if (dash.length) line.setAttribute("stroke-dasharray", dash.join(" "));
  line.style.stroke = `var(${property})`;
  svg.append(line);
  return svg;
}

/** The colors of a heat map, with counts that they stand for. */
function heatLegend(most) {
  const counts = [1];
  while (counts.at(-1) * 10 < most) counts.push(counts.at(-1) * 10);
  if (counts.at(-1) < most) counts.push(most);
  const items = counts.map((count) => {
    const box = make("span", { className: "box" });
    box.style.background = shade(Math.log(count + 1) / Math.log(most + 1));
    return make("li", {}, box, digits(count));
  });
  return [make("li", {}, "how many:"), ...items];
}

function heatAt({ view, plot, pointed }, page) {
  if (!plot) return null;
  const time = plot.posToVal(plot.cursor.left, "x");
  const step = view.times.findIndex((end) => end >= time);
  if (step < 0) return null;
  const longest = page.time.full()[1];
  const when = `${clock(view.starts[step], longest)} to ${clock(view.times[step], longest)}`;
  const mark = markAt(plot, [page.runs[view.run]]);
  if (!pointed && plot.row === undefined) return { where: when + mark };
  const row = plot.row ?? Math.floor(ROWS * (Math.log10(plot.posToVal(plot.cursor.top, "y")) + 6) + 1e-6);
  const count = view.steps[step].get(row) ?? 0;
  return { where: `${when}, ${seconds(rowStart(row))} to ${seconds(rowStart(row + 1))}: ${digits(count)}${mark}` };
}

/** The mark that the cursor is at, as text. */
function markAt(plot, runs) {
  let near = null, least = 6;
  for (const one of marksOf(runs)) {
    const distance = Math.abs(plot.valToPos(one.mark.at, "x") - plot.cursor.left);
    if (distance < least) [near, least] = [one, distance];
  }
  return near ? `, mark ${labeled(runs[near.run], runs, near.number)}: ${near.mark.text}` : "";
}
