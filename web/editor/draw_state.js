// What is drawn on a node besides itself: how its run goes, what is wrong with it, its pictures.

import { fitted } from "./draw_node.js";
import { TITLE } from "./scene.js";
import { t } from "./words.js";

/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./renderer.js").Stage} Stage */
/** @typedef {CanvasRenderingContext2D} Canvas */
/** @typedef {Record<string, string>} Colours */

const FONT = "system-ui, sans-serif";
const SMALL = `12px ${FONT}`;

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage */
export function drawPictures(c, node, stage) {
  const found = stage.pictures(node.id).filter((image) => image.complete && image.naturalWidth);
  const area = /** @type {{y: number, h: number}} */ (node.picture);
  if (!found.length) return;
  const columns = Math.ceil(Math.sqrt(found.length));
  const rows = Math.ceil(found.length / columns);
  const [w, h] = [(node.w - 20) / columns, area.h / rows];
  found.forEach((image, at) => {
    const scale = Math.min((w - 4) / image.naturalWidth, (h - 4) / image.naturalHeight);
    const [iw, ih] = [image.naturalWidth * scale, image.naturalHeight * scale];
    c.imageSmoothingEnabled = scale < 3;
    c.drawImage(image, node.x + 10 + (at % columns) * w + (w - iw) / 2, node.y + area.y + Math.floor(at / columns) * h + (h - ih) / 2, iw, ih);
  });
}

/** @param {Canvas} c @param {NodeView} node @param {any} state @param {Colours} colours @param {boolean} plain */
export function drawProgress(c, node, state, colours, plain) {
  if (state.state === "running") {
    const part = state.total ? Math.min(1, state.value / state.total) : 0;
    c.fillStyle = colours.running;
    c.fillRect(node.x + 1, node.y + (node.collapsed ? node.h - 4 : TITLE - 3), Math.max(4, (node.w - 2) * part), 4);
  }
  if (plain) return;
  const text = badge(state);
  if (!text) return;
  c.font = `11px ${FONT}`;
  c.textBaseline = "middle";
  c.textAlign = "center";
  const width = c.measureText(text).width + 14;
  const [x, y] = [node.x + node.w - width, node.y - 20];
  c.fillStyle = colours.title;
  c.beginPath();
  c.roundRect(x, y, width, 17, 8);
  c.fill();
  c.fillStyle = state.state === "failed" ? colours.error : state.state === "running" ? colours.running : state.state === "cached" ? colours.cached : colours.done;
  c.fillText(text, x + width / 2, y + 9);
}

/** @param {any} state @param {number} now seconds since 1970 @returns {string} */
export function badge(state, now = Date.now() / 1000) {
  if (state.state === "running") {
    const gone = state.from ? Math.max(0, Math.round(now - state.from)) : 0;
    const steps = state.total > 1 ? `${state.value}/${state.total}` : state.text?.slice(0, 40) || t("node.running");
    return [steps, gone > 1 ? t("unit.seconds", { n: gone }) : "", state.eta ? t("node.left", { seconds: state.eta }) : ""].filter(Boolean).join(" · ");
  }
  if (state.state === "cached") return t("node.cached");
  if (state.state === "failed") return t("node.failed");
  if (state.state === "blocked") return t("node.skipped");
  return state.seconds === undefined ? "" : t("unit.seconds", { n: state.seconds < 10 ? state.seconds.toFixed(2) : state.seconds.toFixed(1) });
}

/** @param {Canvas} c @param {NodeView} node @param {any[]} problems @param {Colours} colours @param {number} scale */
export function drawProblems(c, node, problems, colours, scale) {
  if (scale < 0.4) return;
  c.font = SMALL;
  c.textAlign = "left";
  c.textBaseline = "middle";
  problems.slice(0, 3).forEach((item, at) => {
    c.fillStyle = colours.error;
    c.fillText(fitted(c, SMALL, `⚠ ${item.input ? `${item.input}: ` : ""}${item.message}`, Math.max(node.w, 260)), node.x, node.y + node.h + 13 + at * 16);
  });
}

