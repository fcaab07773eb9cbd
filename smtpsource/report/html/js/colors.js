// Colors, which the page's style sheet decides: canvases must be told.

let probe = null;
const resolved = new Map();

/** A color that a custom property stands for, as canvases take it. */
function color(property) {
  if (!resolved.has(property)) {
    if (probe === null) {
      probe = make("span", { hidden: true });
      document.body.append(probe);
    }
    probe.style.color = `var(${property})`;
    resolved.set(property, getComputedStyle(probe).color);
  }
  return resolved.get(property);
}

/** The scheme is another one now. */
function forgetColors() {
  resolved.clear();
}

const SHADES = 5;

/** Colors from few to many, for a share from 0 to 1. */
function shade(share) {
  const place = Math.min(1, Math.max(0, share)) * (SHADES - 1);
  const below = Math.min(SHADES - 2, Math.floor(place));
  const [from, to] = [below, below + 1].map((index) => color(`--h${index}`).match(/[\d.]+/g).map(Number));
  const mixed = [0, 1, 2].map((part) => Math.round(from[part] + (to[part] - from[part]) * (place - below)));
  return `rgb(${mixed.join(" ")})`;
}

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [5, 2, 1, 2, 1, 2]];

/** How a line looks: of several runs each has a color, of one run each line. */
function look(line, lineIndex, runIndex, runs) {
  if (runs > 1) return { property: `--c${runIndex % 8}`, dash: DASHES[lineIndex % DASHES.length] };
  return { property: `--c${(line.color ?? lineIndex) % 8}`, dash: line.dash ? DASHES[1] : DASHES[0] };
}
