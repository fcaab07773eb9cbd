// The page: its data, its charts, what they follow, and what a run that goes on adds to them.

const page = {
  runs: [],
  charts: [],
  phase: null,
  picked: null,
  printing: false,
  time: new Axis("time", () => {
    const ends = page.runs.flatMap((run) => [timesOf(run, "series").at(-1), timesOf(run, "timeline").at(-1)]);
    return [0, Math.max(...ends.filter(isNumber), 0) || 1];
  }),

  take(data) {
    this.runs = data.runs;
    this.choosePhase();
    const specs = new Map(data.charts.map((spec) => [spec.id, spec]));
    for (const chart of this.charts) chart.take(specs.get(chart.spec.id));
    this.render();
    for (const figure of document.querySelectorAll("figure.chart[data-chart]")) {
      const spec = specs.get(figure.dataset.chart);
      if (!spec || this.charts.some((chart) => chart.figure === figure)) continue;
      this.charts.push(new Chart(figure, spec, this));
    }
  },

  choosePhase() {
    const names = phasesOf(this.runs);
    this.phase = names.includes(this.picked) ? this.picked : (firstPhase(names) ?? null);
  },

  pick(phase) {
    this.phase = this.picked = phase;
    for (const chart of this.charts) if (chart.spec.pick) chart.render();
  },

  render() {
    for (const chart of this.charts) chart.render();
  },

  recolor() {
    forgetColors();
    for (const chart of this.charts) {
      for (const { plot } of chart.parts) plot.redraw(false);
      if (chart.spec.kind === "heat") chart.showLegend(chart.parts.map((part) => part.view));
    }
  },

  print(printing) {
    this.printing = printing;
    document.documentElement.toggleAttribute("data-print", printing);
    this.recolor();
    for (const chart of this.charts) {
      chart.resize();
      if (printing && chart.details && !chart.details.open) chart.fill(ON_PAPER.rows, ON_PAPER.bands);
    }
  },
};

/** A table on paper. */
const ON_PAPER = { rows: 20, bands: 12 };

/** What the dashboard calls. */
const dashboard = {
  /** Show other data: as the data block has them. */
  replace(data) {
    page.take(data);
  },

  /** Show a section anew, by the HTML that the program has made of it. */
  section(id, html) {
    const old = document.getElementById(id);
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    if (old) renewChildren(old, fresh.firstElementChild?.id === id ? fresh.firstElementChild : fresh);
  },
};

/** Change only what is another: so what was opened, scrolled or selected elsewhere stays as it is, and charts do. */
function renew(old, fresh) {
  if (old.isEqualNode(fresh) || (old.nodeType === Node.ELEMENT_NODE && old.matches("figure.chart"))) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  renewChildren(old, fresh);
}

function renewChildren(old, fresh) {
  const nodes = [...fresh.childNodes];
  nodes.forEach((node, index) => (old.childNodes[index] ? renew(old.childNodes[index], node) : old.append(node)));
  while (old.childNodes.length > nodes.length) old.lastChild.remove();
}

/** The text of the data block: JSON, or the same compressed and in base64. */
async function textOf(block) {
  if (block.type === "application/json") return block.textContent;
  const bytes = Uint8Array.from(atob(block.textContent), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

async function start() {
  const block = document.getElementById("data");
  if (!block) return;
  page.take(JSON.parse(await textOf(block)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.recolor());
  addEventListener("beforeprint", () => page.print(true));
  addEventListener("afterprint", () => page.print(false));
  window.smtpsource = dashboard;
}

start();
