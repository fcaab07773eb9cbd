// What is read of the data block, and how its values are written.

const PHASE = "{phase}";

/** The value that a dotted path leads to; a key may have dots of its own, as p99.9 has. */
function at(path, value) {
  if (value === null || value === undefined || path === "") return value;
  if (typeof value !== "object") return undefined;
  if (Object.hasOwn(value, path)) return value[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const key = path.slice(0, dot);
    if (Object.hasOwn(value, key)) return at(path.slice(dot + 1), value[key]);
  }
  return undefined;
}

/** The numbers of a line in a run, or undefined. */
function column(run, chart, line, phase) {
  const found = at(line.column.replaceAll(PHASE, phase ?? ""), run[chart.source]);
  return Array.isArray(found) ? found : undefined;
}

/** When the samples, or steps, of a run ended: in seconds. */
const timesOf = (run, source) => run[source]?.time ?? [];

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Three digits: more is not to be seen in a picture. */
function digits(value) {
  const size = Math.abs(value);
  if (size >= 999.5 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function prefixed(value, unit) {
  const [size, prefix] = PREFIXES.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return `${digits(value / size)} ${prefix}${unit}`;
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 0.9995e-3) return `${digits(value * 1e6)} us`;
  if (size < 0.9995) return `${digits(value * 1e3)} ms`;
  return `${digits(value)} s`;
}

/** A value with its unit. */
function quantity(value, unit) {
  if (!isNumber(value)) return "none";
  if (unit === "s") return seconds(value);
  if (/^B(\/s)?$/.test(unit)) return prefixed(value, unit);
  if (unit === "%") return `${digits(value)} %`;
  if (unit === "" || unit.startsWith("/")) return digits(value) + unit;
  return `${digits(value)} ${unit}`;
}

/** A time of a run that lasts so long: 75 s, 2:05 or 1:02:05; if parts of a second matter, 2:05.25. */
function clock(time, longest, isFine = false) {
  if (longest <= 180) return `${Number(time.toFixed(2))} s`;
  const hundredths = isFine ? Math.round(time * 100) : Math.round(time) * 100;
  const whole = Math.floor(hundredths / 100);
  const part = hundredths % 100 ? String((hundredths % 100) / 100).slice(1) : "";
  const rest = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return (hours || longest >= 3600 ? `${hours}:${rest.join(":")}` : `${Number(rest[0])}:${rest[1]}`) + part;
}

/** The smallest and the largest of some columns; null if there is no number. */
function extremes(columns) {
  let least = Infinity, most = -Infinity;
  for (const values of columns) {
    for (const value of values) {
      if (!isNumber(value)) continue;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  return least <= most ? [least, most] : null;
}

/** At most so many of 0 to count - 1, at even distances, the first and the last among them. */
function evenly(count, most) {
  if (count <= most) return Array.from({ length: count }, (_, index) => index);
  return Array.from({ length: most }, (_, index) => Math.round((index * (count - 1)) / (most - 1)));
}

/** An element with properties, attributes (those with a dash, role and for) and children. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "for" || key === "scope") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}
