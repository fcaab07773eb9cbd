// Axes: where their values stand, and how far they go.

const FONT = "12px system-ui, sans-serif";
const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** From 0, or from the least of all, up to a bit more than the most. */
function linearRange(least, most) {
  if (!isNumber(most)) return [0, 1];
  const low = Math.min(0, least);
  return most === low ? [low, low + 1] : [low, most + (most - low) * 0.06];
}

/** The next of 1, 2, 5, 10 and so on, down or up. */
function roundLog(value, up) {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  const steps = [1, 2, 5, 10].map((step) => step * power);
  return up ? steps.find((step) => step >= value * 0.9999) : steps.findLast((step) => step <= value * 1.0001);
}

function logRange(least, most) {
  if (!isNumber(most) || most <= 0) return [1e-3, 1];
  const low = roundLog(Math.max(least, most * 1e-7), false);
  const high = roundLog(most, true);
  return low < high ? [low, high] : [low / 2, high * 2];
}

/** 1, 2, 5 and so on where there is room for them, else powers of ten. */
function logSplits(low, high) {
  const decades = Math.log10(high / low);
  const steps = decades > 3.2 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const step of steps) {
      const value = Number(`${step}e${power}`);
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found;
}

// uPlot leaves out values of logarithmic axes by itself: we have chosen ours.
const all = (plot, splits) => splits;
const gridLines = () => ({ stroke: () => color("--grid"), width: 1 });

function axis(options) {
  return { stroke: () => color("--fg"), font: FONT, grid: gridLines(), ticks: { ...gridLines(), size: 4 }, gap: 4, filter: all, ...options };
}

/** The axis of times: all charts write these as it befits the whole run, whatever part of it is shown. */
const timeAxis = (longest) =>
  axis({
    size: 26,
    incrs: STEPS,
    space: 64,
    values: (plot, splits, index, space, step) => splits.map((time) => clock(time, longest(), step < 1)),
  });

/** Units that stand at each value of an axis; others stand in the chart's title only. */
const AXIS_UNITS = /^(s|%|\/.*|B.*)$/;

/** The axis of values; C{isLog} says whether it is a logarithmic one now. */
const valueAxis = (unit, isLog) =>
  axis({
    size: 66,
    space: 34,
    splits: (plot, index, low, high, step) => {
      if (isLog()) return logSplits(low, high);
      const first = Math.ceil(low / step) * step;
      return Array.from({ length: Math.floor((high - first) / step + 1e-6) + 1 }, (_, i) => Number((first + i * step).toPrecision(12)));
    },
    values: (plot, splits) => splits.map((value) => quantity(value, AXIS_UNITS.test(unit) ? unit : "")),
  });

/** Of a percentile, where it stands: each nine is as far from the next. */
const ofPercentile = (percentile) => 1 / (1 - percentile / 100);
const toPercentile = (place) => Number((100 * (1 - 1 / place)).toPrecision(7));

/** Where its values stand: 0, 50, 75 and 90 per cent, and each further nine. */
const NINES = [1, 2, 4, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

const percentileAxis = () =>
  axis({
    size: 26,
    splits: (plot, index, low, high) => NINES.filter((place) => place >= low && place <= high),
    values: (plot, splits) => {
      let free = -Infinity;
      return splits.map((place) => {
        const text = `${toPercentile(place)}%`;
        const left = plot.valToPos(place, "x");
        if (left < free) return "";
        free = left + 12 + text.length * 7;
        return text;
      });
    },
  });
