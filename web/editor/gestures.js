// Gestures that change the view or the choice of nodes.

import { setInput } from "./document.js";
import { curvesOf } from "./links.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {import("./pointer.js").At} At */
/** @typedef {import("./pointer.js").Gesture} Gesture */

/** Pixels of a line, in which some browsers count the wheel. */
const LINE = 16;

/** @param {Editor} editor @param {At} from @param {() => void} click @returns {Gesture} */
export function pan({ view }, from, click) {
  const { x, y } = view;
  return {
    looks: true,
    move: (at) => void Object.assign(view, { x: x + at.sx - from.sx, y: y + at.sy - from.sy, fitted: false }),
    up: (_, moved) => moved || click(),
    cancel: () => void Object.assign(view, { x, y }),
  };
}

/** Two fingers on a trackpad, or a wheel. @param {Editor} editor @param {WheelEvent} event */
export function wheelPan({ view }, { deltaX, deltaY, deltaMode }) {
  const unit = deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1;
  Object.assign(view, { x: view.x - deltaX * unit, y: view.y - deltaY * unit, fitted: false });
}

/** @param {Editor} editor @param {At} from @returns {Gesture} */
export function zoomDrag({ view }, from) {
  let last = from.sy;
  return {
    looks: true,
    move: (at) => {
      view.zoom(Math.exp((last - at.sy) / 150), from.sx, from.sy);
      last = at.sy;
    },
  };
}

/** Two fingers: what is under them stays under them. @param {Editor} editor @param {Map<number, At>} down @returns {Gesture} */
export function pinch({ view }, down) {
  const look = () => {
    const [a, b] = [...down.values()];
    return { x: (a.sx + b.sx) / 2, y: (a.sy + b.sy) / 2, apart: Math.max(10, Math.hypot(a.sx - b.sx, a.sy - b.sy)) };
  };
  let last = look();
  return {
    looks: true,
    move: () => {
      if (down.size < 2) return;
      const now = look();
      view.x += now.x - last.x;
      view.y += now.y - last.y;
      view.zoom(now.apart / last.apart, now.x, now.y);
      last = now;
    },
  };
}

/** @param {Editor} editor @param {At} at @param {import("./minimap.js").Area} area @returns {Gesture} */
export function minimapJump({ view, renderer }, at, area) {
  const jump = (/** @type {At} */ to) => view.centre((to.sx - area.left) / area.scale, (to.sy - area.top) / area.scale);
  jump(at);
  renderer.look();
  return { looks: true, move: jump };
}

/** @param {Editor} editor @param {At} from @returns {Gesture} */
export function boxSelect(editor, from) {
  const before = new Set(editor.selection);
  const end = () => (editor.box = null);
  return {
    move: (at) => {
      const box = { x: Math.min(at.x, from.x), y: Math.min(at.y, from.y), w: Math.abs(at.x - from.x), h: Math.abs(at.y - from.y) };
      editor.box = box;
      const inside = editor.scene.order.filter((node) => node.x < box.x + box.w && node.x + node.w > box.x && node.y < box.y + box.h && node.y + node.h > box.y);
      editor.select([...before, ...inside.map((node) => node.id)]);
    },
    up: end,
    cancel: () => {
      end();
      editor.select(before);
    },
  };
}

/** A line that cuts the links it crosses. @param {Editor} editor @param {At} from @returns {Gesture} */
export function knife(editor, from) {
  const end = () => (editor.knife = null);
  return {
    move: (at) => {
      editor.knife = [from.x, from.y, at.x, at.y];
    },
    up: () => {
      const line = editor.knife;
      end();
      if (!line) return;
      const cut = editor.scene.links.filter((link) => curvesOf(link).some((curve) => crosses(curve, line)));
      if (cut.length) editor.edit(cut.reduce((doc, link) => setInput(doc, link.to.id, link.socket.name, undefined), editor.doc), "Cut links");
    },
    cancel: end,
  };
}

/** Whether a cubic curve, as 24 straight pieces, meets a line. @param {number[]} curve @param {number[]} line */
export function crosses([ax, ay, bx, by, cx, cy, dx, dy], line) {
  let [px, py] = [ax, ay];
  for (let step = 1; step <= 24; step += 1) {
    const [t, u] = [step / 24, 1 - step / 24];
    const x = u * u * u * ax + 3 * u * u * t * bx + 3 * u * t * t * cx + t * t * t * dx;
    const y = u * u * u * ay + 3 * u * u * t * by + 3 * u * t * t * cy + t * t * t * dy;
    if (meet([px, py, x, y], line)) return true;
    [px, py] = [x, y];
  }
  return false;
}

/** @param {number[]} one @param {number[]} other */
function meet([ax, ay, bx, by], [cx, cy, dx, dy]) {
  const side = (/** @type {number} */ x, /** @type {number} */ y) => (bx - ax) * (y - ay) - (by - ay) * (x - ax);
  const other = (/** @type {number} */ x, /** @type {number} */ y) => (dx - cx) * (y - cy) - (dy - cy) * (x - cx);
  return side(cx, cy) * side(dx, dy) < 0 && other(ax, ay) * other(bx, by) <= 0;
}
