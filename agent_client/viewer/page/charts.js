"use strict";
// Drawings of a run's numbers. Every bar is a button with its numbers in words, or has them beside.
// Needs dom.js. Defines: intervalChart, countChart, histogram, quantile.

const WIDTH = 100;
const BAR_HEIGHT = 10;
/** Bars of a distribution, at most; beyond its 99th percentile there is one for all. */
const MOST_BINS = 24;
const HISTOGRAM = { width: 320, height: 120, top: 18, bottom: 18 };
const NICE_STEPS = [1, 2, 2.5, 5, 10];

/**
 * Shares with their intervals, one line each.
 * @param {{label: string, share: Share, onPick: () => void, isOn: boolean}[]} groups
 */
function intervalChart(groups) {
  const lines = groups.map(({ label, share, onPick, isOn }) => {
    const interval = share.low === null || share.high === null ? ""
      : `${formatShare(share.low)} to ${formatShare(share.high)}`;
    return el("li", null, el("button", {
      type: "button", className: "bar-line prints", "aria-pressed": String(isOn),
      on: { click: onPick },
    },
    el("span", { className: "name", dir: "auto" }, label), intervalMark(share),
    el("span", { className: "value" }, formatShare(share.share),
      el("span", { className: "dim" }, ` ${formatNumber(share.correct)}/${formatNumber(share.of)}`),
      el("span", { className: "off-screen" }, interval && `, 95 % interval ${interval}`))));
  });
  return el("ul", { className: "bars" }, ...lines);
}

/**
 * A point on a line from 0 to 1, with its interval.
 * @param {Share} share
 */
function intervalMark(share) {
  const y = BAR_HEIGHT / 2;
  const drawing = bareDrawing(BAR_HEIGHT);
  for (const at of [0, 25, 50, 75, 100]) {
    drawing.append(svg("line", { className: "grid-line", x1: at, x2: at, y1: 0, y2: BAR_HEIGHT }));
  }
  if (share.low !== null && share.high !== null) {
    const x = WIDTH * share.low;
    const width = Math.max(0.6, WIDTH * (share.high - share.low));
    drawing.append(svg("rect", { className: "interval", x, width, y: y - 2.5, height: 5 }));
  }
  if (share.share !== null) {
    const x = Math.min(WIDTH - 1, Math.max(0, WIDTH * share.share - 0.5));
    drawing.append(svg("rect", { className: "point", x, width: 1, y: 0, height: BAR_HEIGHT }));
  }
  return drawing;
}

/**
 * Counts, one line each.
 * @param {{label: string, count: number, of: number, title?: string,
 *   onPick: () => void, isOn: boolean}[]} counts `of`: what the whole width stands for
 */
function countChart(counts) {
  const lines = counts.map(({ label, count, of, title, onPick, isOn }) => {
    const drawing = bareDrawing(BAR_HEIGHT);
    const width = of > 0 ? Math.max(count ? 0.6 : 0, WIDTH * count / of) : 0;
    drawing.append(
      svg("rect", { className: "ground", x: 0, y: 1, width: WIDTH, height: BAR_HEIGHT - 2 }),
      svg("rect", { className: "amount", x: 0, y: 1, width, height: BAR_HEIGHT - 2 }));
    return el("li", null, el("button", {
      type: "button", className: "bar-line prints", title, "aria-pressed": String(isOn),
      on: { click: onPick },
    }, el("span", { className: "name", dir: "auto" }, label), drawing,
    el("span", { className: "value" }, formatNumber(count))));
  });
  return el("ul", { className: "bars" }, ...lines);
}

/** @param {number} height */
function bareDrawing(height) {
  const shape = { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none" };
  return svg("svg", { className: "bar", ...shape, "aria-hidden": "true", focusable: "false" });
}

/**
 * A distribution with its median and 95th percentile. Arrow keys walk along the bars.
 * @param {object} options
 * @param {string} options.label
 * @param {number[]} options.values
 * @param {(value: number) => string} options.format
 * @param {boolean} [options.isWhole] whether the values are whole numbers
 * @param {[number, number] | undefined} options.picked
 * @param {(low: number, high: number) => void} options.onPick
 */
function histogram(options) {
  const values = options.values.toSorted((a, b) => a - b);
  if (values.length === 0) return el("p", { className: "dim" }, "Nothing is known of it.");
  const median = quantile(values, 0.5);
  const p95 = quantile(values, 0.95);
  const bins = binsOf(values, options.isWhole ?? false);
  const { width, height, top, bottom } = HISTOGRAM;
  const summary = `median ${options.format(median)}, 95th percentile ${options.format(p95)}, ` +
    `from ${options.format(values[0])} to ${options.format(values[values.length - 1])}`;
  const drawing = svg("svg", {
    className: "histogram", viewBox: `0 0 ${width} ${height}`, role: "group",
    "aria-label": `${options.label}: ${summary}. Each bar filters the table.`,
  });
  const most = Math.max(...bins.map((bin) => bin.count));
  const floor = height - bottom;
  const step = width / bins.length;
  bins.forEach((bin, place) => {
    const tall = bin.count ? Math.max(1.5, (floor - top) * bin.count / most) : 0;
    drawing.append(histogramBar(bin, options, place === 0,
      { x: place * step, width: step, floor, tall }));
  });
  drawing.append(svg("line", { className: "axis", x1: 0, x2: width, y1: floor, y2: floor }));
  drawing.append(...axisLabels(bins, step, options));
  const at = (/** @type {number} */ value) => placeOf(value, bins, step);
  drawing.append(...quantileMark("median", at(median), floor, 0),
    ...quantileMark("p95", at(p95), floor, Math.abs(at(p95) - at(median)) < 44 ? 1 : 0));
  drawing.addEventListener("keydown", walkBars);
  return el("figure", null, drawing, el("figcaption", { className: "dim" }, summary));
}

/** @typedef {{low: number, high: number, count: number}} Bin */

/**
 * Equal bins up to the 99th percentile; the last one takes the rest.
 * @param {number[]} values in ascending order
 * @param {boolean} isWhole
 * @returns {Bin[]}
 */
function binsOf(values, isWhole) {
  const top = Math.max(quantile(values, 0.99), isWhole ? 1 : 0.001);
  let step = niceStep(top / MOST_BINS);
  if (isWhole) step = Math.max(1, Math.ceil(step));
  const count = Math.floor(top / step) + 1;
  const bins = Array.from({ length: count }, (_, place) =>
    ({ low: place * step, high: (place + 1) * step, count: 0 }));
  for (const value of values) bins[Math.min(count - 1, Math.floor(value / step))].count++;
  const last = values[values.length - 1];
  if (last >= bins[count - 1].high) bins[count - 1].high = Infinity;
  return bins;
}

/** @param {number} rough */
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * (NICE_STEPS.find((nice) => nice * power >= rough) ?? 10);
}

/**
 * @param {Bin} bin
 * @param {Parameters<typeof histogram>[0]} options
 * @param {boolean} isFirst the one that Tab reaches
 * @param {{x: number, width: number, floor: number, tall: number}} box
 */
function histogramBar(bin, options, isFirst, box) {
  const span = bin.high === Infinity ? `${options.format(bin.low)} and more`
    : options.isWhole && bin.high - bin.low === 1 ? options.format(bin.low)
    : `${options.format(bin.low)} to ${options.format(bin.high)}`;
  const isOn = options.picked?.[0] === bin.low && options.picked[1] === bin.high;
  const label = `${span}: ${formatNumber(bin.count)}`;
  const pick = () => options.onPick(bin.low, bin.high);
  const gap = Math.min(1, box.width / 5);
  return svg("g", {
    role: "button", tabindex: isFirst ? 0 : -1, "aria-label": label, "aria-pressed": String(isOn),
    on: {
      click: pick,
      keydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        pick();
      },
    },
  },
  svg("title", null, label),
  svg("rect", { className: "reach", x: box.x, y: 0, width: box.width, height: box.floor }),
  svg("rect", { className: "amount", x: box.x + gap / 2, width: Math.max(0.5, box.width - gap),
    y: box.floor - box.tall, height: box.tall }));
}

/** @param {Event} event */
function walkBars(event) {
  const { key, currentTarget } = /** @type {KeyboardEvent} */ (event);
  if (key !== "ArrowLeft" && key !== "ArrowRight") return;
  const bars = [.../** @type {Element} */ (currentTarget).querySelectorAll("[role=button]")];
  const from = bars.indexOf(/** @type {Element} */ (document.activeElement));
  const next = bars[from + (key === "ArrowRight" ? 1 : -1)];
  if (!(next instanceof SVGElement)) return;
  event.preventDefault();
  event.stopPropagation();
  for (const bar of bars) bar.setAttribute("tabindex", bar === next ? "0" : "-1");
  next.focus();
}

/**
 * @param {Bin[]} bins
 * @param {number} step
 * @param {Parameters<typeof histogram>[0]} options
 */
function axisLabels(bins, step, options) {
  const every = Math.ceil(bins.length / 5);
  const labels = [];
  for (let place = 0; place < bins.length; place += every) {
    const isMiddle = options.isWhole && bins[place].high - bins[place].low === 1;
    labels.push(svg("text", {
      className: "tick", x: (place + (isMiddle ? 0.5 : 0)) * step, y: HISTOGRAM.height - 5,
      "text-anchor": isMiddle ? "middle" : place === 0 ? "start" : "middle",
    }, options.format(bins[place].low)));
  }
  return labels;
}

/**
 * @param {number} value
 * @param {Bin[]} bins
 * @param {number} step
 */
function placeOf(value, bins, step) {
  const width = bins[0].high === Infinity ? 1 : bins[0].high - bins[0].low;
  return Math.min(bins.length - 0.5, (value - bins[0].low) / width + (width === 1 ? 0.5 : 0)) *
    step;
}

/**
 * @param {string} name
 * @param {number} x
 * @param {number} floor
 * @param {number} line of text, where two names would touch
 */
function quantileMark(name, x, floor, line) {
  const isLate = x > HISTOGRAM.width - 40;
  return [
    svg("line", { className: "mark-line", x1: x, x2: x, y1: 4, y2: floor }),
    svg("text", { className: "mark-text", x: x + (isLate ? -3 : 3), y: 10 + 10 * line,
      "text-anchor": isLate ? "end" : "start" }, name),
  ];
}

/**
 * @param {number[]} values in ascending order, not empty
 * @param {number} share
 */
function quantile(values, share) {
  const place = (values.length - 1) * share;
  const below = Math.floor(place);
  const next = values[Math.min(values.length - 1, below + 1)];
  return values[below] + (place - below) * (next - values[below]);
}
