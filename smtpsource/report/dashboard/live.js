// What comes of a run that goes on, for page.js, which draws it.
"use strict";
(() => {
  /** When there are so many steps, twice as many as the program keeps, all is taken anew: old ones are joined there. */
  const MANY = 1440;
  /** What there is to say of some states. */
  const NOTES = { starting: "the server is looked for", "warm-up": "what is counted now will not be kept" };
  const data = JSON.parse(document.getElementById("data").textContent);
  const run = data.runs[0];
  const watched = run.watched ?? [];
  const form = document.getElementById("mark");
  let columns = [];

  function say(text, over = false) {
    document.getElementById("state").textContent = text;
    document.documentElement.dataset.state = over ? "over" : "running";
  }

  function forget() {
    run.series = Object.fromEntries([...columns, ...watched.map((name, place) => `watched${place}`)].map((name) => [name, []]));
    run.timeline = { time: [], phases: {}, replies: {}, errors: {} };
    run.marks = [];
  }

  /** Add samples and steps to those that are known. */
  function add(rows, steps) {
    for (const row of rows) {
      columns.forEach((name, place) => run.series[name].push(row[place]));
      const figures = row[columns.length];
      watched.forEach((name, place) => run.series[`watched${place}`].push(figures[name] ?? null));
      if (Object.keys(figures).some((name) => !watched.includes(name))) askAgain();
    }
    for (const step of steps) addStep(run.timeline, step);
  }

  function addStep(table, step) {
    const before = table.time.length;
    table.time.push(step.time);
    const none = { count: 0, p50: null, p95: null, p99: null, max: null, heat: [] };
    addTo(table.phases, step.phases, before, (all, one) => addTo(all, one ?? {}, before, null, none), () => ({}));
    // Some phases come later than others, but are named before them.
    table.phases = Object.fromEntries(data.phases.filter((name) => name in table.phases).map((name) => [name, table.phases[name]]));
    addTo(table.replies, step.replies, before, (all, one) => addTo(all, one ?? {}, before, null, null), () => ({}));
    addTo(table.errors, step.errors, before, null, null);
  }

  /** Columns by their names, of which some may be new, and some may have nothing this time. */
  function addTo(all, one, before, within, absent) {
    for (const name of new Set([...Object.keys(all), ...Object.keys(one), ...Object.keys(within ? {} : absent ?? {})])) {
      if (within) {
        within((all[name] ??= absent()), one[name]);
      } else {
        const empty = absent ? absent[name] : 0;
        all[name] ??= Array.from({ length: before }, () => empty);
        all[name].push(one[name] ?? empty);
      }
    }
  }

  const show = () => window.smtpsource.replace(data);

  let drawn = null;
  /** Draw what has changed, once for all that comes together. */
  function showSoon() {
    drawn ??= requestAnimationFrame(() => {
      drawn = null;
      show();
    });
  }

  /** There are charts to be that this page has no place for. */
  function askAgain() {
    const last = Number(sessionStorage.getItem("asked") ?? 0);
    if (Date.now() - last < 10000) return;
    sessionStorage.setItem("asked", String(Date.now()));
    location.reload();
  }

  const places = new Map();
  function section({ place, html }) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    const id = fresh?.id ?? places.get(place);
    if (!id) return;
    const known = document.getElementById(id);
    if (!fresh) {
      known.hidden = true;
      return;
    }
    places.set(place, id);
    if (known) {
      known.hidden = false;
      known.dataset.place = place;
      window.smtpsource.section(id, html);
      return;
    }
    fresh.dataset.place = place;
    const others = [...document.querySelectorAll("main > section[data-place]")];
    const before = others.filter((one) => Number(one.dataset.place) < place).at(-1);
    // Of those that come after the charts, the first ones have nobody before them.
    const anchor = before && before.id !== "verdict" ? before : document.getElementById("charts");
    anchor.after(document.adoptNode(fresh));
  }

  const events = {
    reset(found) {
      columns = found.columns;
      forget();
    },
    history({ rows, steps }) {
      add(rows, steps);
      showSoon();
    },
    known: showSoon,
    state({ state, startsIn }) {
      const more = startsIn === null ? NOTES[state] : `it begins in ${startsIn} s`;
      say(`${state[0].toUpperCase()}${state.slice(1)}${more ? `: ${more}` : ""}.`);
    },
    frame({ row, step }) {
      add([row], [step]);
      showSoon();
      if (run.timeline.time.length > MANY) source.again();
    },
    marks(found) {
      run.marks.splice(found.from, Infinity, ...found.marks);
      showSoon();
    },
    charts(found) {
      data.charts = found;
      if (found.some((chart) => !document.querySelector(`figure[data-chart="${CSS.escape(chart.id)}"]`))) askAgain();
      showSoon();
    },
    curve({ phase, curve }) {
      run.curves[phase] = curve;
      showSoon();
    },
    header({ html, title }) {
      const fresh = new DOMParser().parseFromString(html, "text/html").body;
      document.querySelector("header").replaceChildren(...fresh.childNodes);
      document.title = title;
    },
    section,
    over(found) {
      source.end();
      say(`The run is over: exit status ${found.exit}.`, true);
      form?.toggleAttribute("hidden", true);
      document.getElementById("report").textContent = "The report";
      showSoon();
    },
  };

  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = document.getElementById("mark-text");
    const told = document.getElementById("marked");
    try {
      const answer = await fetch("mark", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text: input.value }) });
      const found = await answer.json();
      told.value = answer.ok ? `Marked at ${found.at.toFixed(1)} s.` : found.detail;
      if (answer.ok) input.value = "";
    } catch {
      told.value = "It could not be marked: nobody answers.";
    }
  });

  // The result first, then what can be done.
  document.getElementById("verdict").after(document.getElementById("live"));
  const source = new SharedEvents(
    Object.keys(events),
    (kind, found) => events[kind](found),
    () => say("Nobody answers: trying again."),
  );
})();
