// The loss curve: one figure per step, its running mean, and the validation loss. Drawn as SVG, so that it is sharp at any size.

import { t } from "../editor/words.js";
import { el } from "./dom.js";

/** @typedef {{step: number, loss: number, validation: number | null}} Point */

const WIDTH = 320;
const HEIGHT = 140;
const EDGE = { left: 34, right: 6, top: 6, bottom: 18 };
const SMOOTHING = 0.95;
const MOST_POINTS = 600;
const NAMESPACE = "http://www.w3.org/2000/svg";

/** Exponential running mean, without the pull of its start. @param {number[]} values @returns {number[]} */
export function smoothed(values) {
  let mean = 0;
  let weight = 0;
  return values.map((value) => {
    mean = SMOOTHING * mean + (1 - SMOOTHING) * value;
    weight = SMOOTHING * weight + (1 - SMOOTHING);
    return mean / weight;
  });
}

/** At most `most` of the points, evenly. @template T @param {T[]} points @param {number} most @returns {T[]} */
export const thinned = (points, most = MOST_POINTS) => (points.length <= most ? points : Array.from({ length: most }, (_, at) => points[Math.floor((at * (points.length - 1)) / (most - 1))]));

/** @param {string} tag @param {Record<string, string | number>} attributes @param {string} [text] */
function shape(tag, attributes, text = "") {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}

/** @param {Point[]} points in order of their steps @param {number} until the last step planned @returns {SVGElement} */
export function lossChart(points, until) {
  const svg = /** @type {SVGElement} */ (shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img" }));
  const losses = points.map((point) => point.loss);
  const checks = points.filter((point) => point.validation !== null);
  const last = points.at(-1);
  svg.setAttribute("aria-label", last ? t("chart.now", { loss: last.loss.toFixed(4), step: last.step, until }) : t("chart.none"));
  if (!last) return svg;
  const means = smoothed(losses);
  const sorted = [...losses, ...checks.map((point) => Number(point.validation))].sort((a, b) => a - b);
  const top = Math.max(sorted[Math.floor(0.98 * (sorted.length - 1))], ...means) * 1.05 || 1;
  const x = (/** @type {number} */ step) => EDGE.left + ((WIDTH - EDGE.left - EDGE.right) * step) / Math.max(1, until);
  const y = (/** @type {number} */ loss) => EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom) * (1 - Math.min(1, loss / top));
  for (const share of [0, 0.5, 1]) {
    svg.append(shape("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(share * top), y2: y(share * top), class: "rule" }),
      shape("text", { x: EDGE.left - 4, y: y(share * top) + 3, "text-anchor": "end" }, (share * top).toPrecision(2)));
  }
  svg.append(shape("text", { x: EDGE.left, y: HEIGHT - 4 }, "0"), shape("text", { x: WIDTH - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" }, String(until)));
  /** @param {{step: number, value: number}[]} line @param {string} name */
  const curve = (line, name) => line.length && svg.append(shape("polyline", { points: line.map(({ step, value }) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" "), class: name }));
  curve(thinned(points).map((point) => ({ step: point.step, value: point.loss })), "each");
  curve(thinned(points.map((point, at) => ({ step: point.step, value: means[at] }))), "mean");
  curve(checks.map((point) => ({ step: point.step, value: Number(point.validation) })), "validation");
  for (const point of checks) svg.append(shape("circle", { cx: x(point.step), cy: y(Number(point.validation)), r: 2, class: "validation" }));
  return svg;
}

/** What the lines of the chart are. @param {Point[]} points @returns {HTMLElement} */
export function chartLegend(points) {
  const lines = /** @type {const} */ (["each", "mean", ...(points.some((point) => point.validation !== null) ? ["validation"] : [])]);
  return el("p", { class: "legend" }, ...lines.map((line) => el("span", { class: line }, t(/** @type {import("../editor/words.js").Key} */ (`chart.${line}`)))));
}
