"use strict";
// What a run is and how it went: its score, its facts, and charts that filter the table.
// Needs dom.js, state.js, rows.js, charts.js, filters.js. Defines: runCard, runCharts.

/** Lines that a chart of scores can show. */
const MOST_GROUPS = 12;
/** Trouble that is none: questions that were not begun, are at work, or were cut off. */
const OWED_TROUBLE = "ending/not_ended";

/**
 * @param {RunIndex} run
 * @returns {HTMLElement}
 */
function runCard(run) {
  const { score } = run;
  const interval = score.low === null || score.high === null ? null
    : `95 % interval ${formatShare(score.low)} to ${formatShare(score.high)}`;
  return el("section", { className: "card run-card", "aria-label": `Run ${run.name}` },
    el("div", { className: "score" },
      el("p", { className: "big" }, formatShare(score.share)),
      el("p", { dir: "auto" },
        `${formatNumber(score.correct)} of ${formatNumber(score.of)} correct`,
        el("span", { className: "dim" }, ` · grader: ${run.grader}`)),
      interval ? el("p", { className: "dim" }, interval) : null,
      standingStrip(run.standings),
      run.is_being_written ? el("p", null, el("span", { className: "badge busy" }, "running"))
        : null),
    el("div", { className: "run-facts" },
      // the first card says how many are correct
      pairs(run.table.filter(([label]) => label !== "correct"), "numbers"),
      noteList(run.warnings, "Why the numbers mean less than they seem to"),
      el("details", { className: "about-run" }, el("summary", null, "About this run"),
        pairs(run.about, "facts"),
        noteList(run.notes, "Notes on the numbers"))));
}

/**
 * @param {[string, string][]} entries
 * @param {string} className
 */
function pairs(entries, className) {
  return el("dl", { className }, ...entries.map(([label, value]) =>
    el("div", null, el("dt", null, label), el("dd", { dir: "auto" }, value))));
}

/**
 * @param {string[]} notes
 * @param {string} name
 */
function noteList(notes, name) {
  return notes.length === 0 ? null : el("ul", { className: "notes", "aria-label": name },
    ...notes.map((note) => el("li", { dir: "auto" }, note)));
}

/**
 * Whether the values of a field are few, and each a plain one: a list says little as a group.
 * @param {FieldScores} field
 */
function isChartable(field) {
  return field.groups.length <= MOST_GROUPS &&
    !field.groups.some((group) => group.value.startsWith("["));
}

/** @param {Count[]} standings */
function standingStrip(standings) {
  const all = standings.reduce((sum, one) => sum + one.count, 0);
  const shape = { viewBox: "0 0 100 8", preserveAspectRatio: "none" };
  const drawing = svg("svg", { className: "strip", ...shape, "aria-hidden": "true" });
  let x = 0;
  for (const one of standings) {
    const width = all ? 100 * one.count / all : 0;
    drawing.append(svg("rect", { className: `standing-${one.name}`, x, y: 0, width, height: 8 }));
    x += width;
  }
  const present = standings.filter((one) => one.count > 0);
  return el("div", null, drawing, el("p", { className: "legend" }, ...present.map((one) => {
    const look = STANDING_LOOKS[/** @type {Standing} */ (one.name)];
    return el("span", { className: `standing ${look?.kind ?? ""}` },
      `${look?.sign ?? "·"} ${formatNumber(one.count)} ${one.label}`);
  })));
}

/**
 * @param {RunIndex} run
 * @param {ViewState} state
 * @returns {HTMLElement}
 */
function runCharts(run, state) {
  const { rows } = run;
  const charts = run.by_field.filter(isChartable).map((field) => chart(`Score by ${words(field.field)}`,
    intervalChart(field.groups.map((group) => {
      const column = FIELD_PREFIX + field.field;
      const isOn = (state.values[column] ?? []).includes(group.value);
      return { label: group.value || "none", share: group.score, isOn,
        onPick: () => toggleValue(state, column, group.value) };
    }))));
  if (run.paths) charts.push(chart("How far the evidence came", pathTable(run.paths, state)));
  charts.push(troubleChart(run, state));
  const over = rows.id.map((_, row) => row).filter((row) => rows.standing[row] !== "owed");
  /** @type {[string, string, (value: number) => string, boolean][]} */
  const distributions = [
    ["tool_calls", "Tool calls per question", formatNumber, true],
    ["seconds", "Seconds per question", (value) => formatSeconds(value), false],
    ["tokens", "Tokens per question", compactNumber, false],
    ["turns", "Turns per question", formatNumber, true],
  ];
  for (const [column, title, format, isWhole] of distributions) {
    const values = over.map((row) => Number(cellValue(rows, column, row)));
    charts.push(chart(title, histogram({
      label: title, values, format, isWhole, picked: state.ranges[column],
      onPick: (low, high) => toggleRange(state, column, low, high),
    })));
  }
  return el("div", { className: "charts" }, ...charts);
}

/**
 * @param {string} title
 * @param {Child} content
 */
function chart(title, content) {
  return el("section", { className: "card chart" }, el("h3", null, title), content);
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** @param {number} value */
function compactNumber(value) {
  return COMPACT.format(value);
}

/**
 * @param {ViewState} state
 * @param {string} column
 * @param {number} low
 * @param {number} high
 */
function toggleRange(state, column, low, high) {
  const [from, below] = state.ranges[column] ?? [];
  const { [column]: gone, ...ranges } = state.ranges;
  const isOn = from === low && below === high;
  changeState({ ...state, ranges: isOn ? ranges : { ...ranges, [column]: [low, high] } });
}

/**
 * @param {RunIndex} run
 * @param {ViewState} state
 */
function troubleChart(run, state) {
  const troubles = run.troubles.filter((trouble) => trouble.name !== OWED_TROUBLE);
  if (troubles.length === 0) {
    return chart("What went wrong", el("p", { className: "dim" },
      "Nothing: no failures, no repairs, no guard that acted."));
  }
  const of = Math.max(...troubles.map((trouble) => trouble.count));
  return chart("What went wrong", countChart(troubles.map((trouble) => {
    const filtered = withTrouble(run.rows, state, trouble.name);
    const isOn = stateHash(filtered) === stateHash(state);
    const title = [trouble.label, trouble.example].filter(Boolean).join("\n");
    return { label: trouble.label, count: trouble.count, of, title, isOn,
      onPick: () => changeState(isOn ? withoutFilters(state) : filtered) };
  })));
}

/**
 * The state that shows the episodes with a trouble of `RunIndex.troubles`; of a guard or a repair
 * those with any.
 * @param {Rows} rows
 * @param {ViewState} state
 * @param {string} name
 * @returns {ViewState}
 */
function withTrouble(rows, state, name) {
  const [kind, ...parts] = name.split("/");
  const bare = withoutFilters(state);
  if (kind === "guard") return { ...bare, ranges: { guards: [1, Infinity] } };
  if (kind === "repair") return { ...bare, ranges: { repairs: [1, Infinity] } };
  if (kind === "failed_verdict") return { ...bare, values: { standing: ["ungraded"] } };
  /** @type {Record<string, string[]>} */
  const values = {};
  for (const part of parts) {
    const column = ["status", "stop_reason", "error"].find((one) =>
      !values[one] && /** @type {any} */ (rows)[one].includes(part));
    if (column) values[column] = [part];
  }
  if (Object.keys(values).length === 0) values.standing = ["owed"];  // nothing is stored of it
  return { ...bare, values };
}

/**
 * The stations at which the evidence was lost, crossed with the verdicts.
 * @param {NonNullable<RunIndex["paths"]>} paths
 * @param {ViewState} state
 */
function pathTable(paths, state) {
  const standings = /** @type {Standing[]} */ (Object.keys(STANDING_LOOKS)).filter((standing) =>
    Object.values(paths).some((counts) => counts?.[standing]));
  const names = /** @type {EvidencePath[]} */ (["not_retrieved", "not_opened", "not_cited",
    "all_cited"]);
  const head = el("tr", null, el("th", { scope: "col" }, "Evidence"),
    ...standings.map((standing) => el("th", { scope: "col", title: STANDING_LOOKS[standing].label },
      el("span", { "aria-hidden": "true" }, STANDING_LOOKS[standing].sign),
      el("span", { className: "off-screen" }, STANDING_LOOKS[standing].label))));
  const lines = names.map((path) => el("tr", null,
    el("th", { scope: "row" }, PATH_WORDS[path]),
    ...standings.map((standing) => pathCell(paths[path]?.[standing] ?? 0, path, standing, state))));
  return el("div", { className: "wide" },
    el("table", { className: "paths" }, el("thead", null, head), el("tbody", null, ...lines)));
}

/**
 * @param {number} count
 * @param {EvidencePath} path
 * @param {Standing} standing
 * @param {ViewState} state
 */
function pathCell(count, path, standing, state) {
  const isOn = state.values.path?.[0] === path && state.values.standing?.[0] === standing;
  const only = { path: [path], standing: [standing] };
  const bare = withoutFilters(state);
  return el("td", { className: `standing-${standing}` }, el("button", {
    type: "button", className: "prints", "aria-pressed": String(isOn), disabled: count === 0,
    "aria-label": `${formatNumber(count)} ${STANDING_LOOKS[standing].label}, ${PATH_WORDS[path]}`,
    on: { click: () => changeState(isOn ? bare : { ...bare, values: only }) },
  }, formatNumber(count)));
}
