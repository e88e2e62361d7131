// Putting chosen nodes in order: along an edge, with equal gaps, or laid out anew along their links.

import { arrange } from "./layout.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {"left" | "right" | "top" | "bottom"} Edge */

/** @param {Editor} editor @returns {NodeView[]} */
const chosen = (editor) => [...editor.selection].flatMap((id) => editor.scene.nodes.get(id) ?? []);

/** @param {Editor} editor @param {Edge} edge */
export function align(editor, edge) {
  const nodes = chosen(editor);
  const box = editor.scene.bounds(nodes);
  if (!box || nodes.length < 2) return;
  /** @type {Record<Edge, (node: NodeView) => [number, number]>} */
  const places = {
    left: (node) => [box.x, node.y],
    right: (node) => [box.x + box.w - node.w, node.y],
    top: (node) => [node.x, box.y],
    bottom: (node) => [node.x, box.y + box.h - node.h],
  };
  editor.place(new Map(nodes.map((node) => [node.id, places[edge](node)])));
}

/** Equal gaps between neighbours; the outer two stay. @param {Editor} editor @param {"x" | "y"} axis */
export function distribute(editor, axis) {
  const size = axis === "x" ? "w" : "h";
  const nodes = chosen(editor).sort((a, b) => a[axis] - b[axis]);
  if (nodes.length < 3) return;
  const last = nodes[nodes.length - 1];
  const inner = nodes.reduce((sum, node) => sum + node[size], 0);
  const gap = (last[axis] + last[size] - nodes[0][axis] - inner) / (nodes.length - 1);
  let at = nodes[0][axis];
  /** @type {Map<string, [number, number]>} */
  const places = new Map();
  for (const node of nodes) {
    places.set(node.id, axis === "x" ? [at, node.y] : [node.x, at]);
    at += node[size] + gap;
  }
  editor.place(places);
}

/** Lay out the chosen nodes, or all, from left to right; their upper left corner stays. @param {Editor} editor */
export function layOut(editor) {
  const nodes = editor.selection.size > 1 ? chosen(editor) : editor.scene.order;
  const before = editor.scene.bounds(nodes);
  if (!before) return;
  const parents = (/** @type {NodeView} */ node) => node.inputs.flatMap((socket) => (socket.link ? [socket.link.node] : []));
  const places = arrange(nodes.map((node) => ({ id: node.id, w: node.w, h: node.h, parents: parents(node) })));
  const [left, top] = [...places.values()].reduce(([left, top], [x, y]) => [Math.min(left, x), Math.min(top, y)], [Infinity, Infinity]);
  editor.place(new Map([...places].map(([id, [x, y]]) => [id, [before.x + x - left, before.y + y - top]])));
}

/** Move the chosen nodes by key. @param {Editor} editor @param {number} dx steps of the grid @param {number} dy */
export function nudge(editor, dx, dy) {
  const grid = editor.settings.get("grid");
  const nodes = chosen(editor).filter((node) => !node.pinned);
  if (nodes.length) editor.place(new Map(nodes.map((node) => [node.id, [node.x + dx * grid, node.y + dy * grid]])), "nudge");
}

/** Farther than any node that lies in the direction asked for. */
const BESIDE = 1e6;

/** Go to the nearest node in a direction, by key; one that lies rather beside it only if there is no other. @param {Editor} editor @param {number} dx @param {number} dy */
export function walk(editor, dx, dy) {
  const from = chosen(editor)[0];
  const [x, y] = from ? [from.x + from.w / 2, from.y + from.h / 2] : editor.view.toWorld(editor.view.width / 2, editor.view.height / 2);
  let [best, found] = [Infinity, /** @type {NodeView | null} */ (null)];
  for (const node of editor.scene.order) {
    if (node === from) continue;
    const [vx, vy] = [node.x + node.w / 2 - x, node.y + node.h / 2 - y];
    const ahead = vx * dx + vy * dy;
    const aside = Math.abs(vx * dy) + Math.abs(vy * dx);
    if (from && ahead <= 0) continue;
    const far = from ? ahead + 2 * aside + (aside > 2 * ahead ? BESIDE : 0) : Math.hypot(vx, vy);
    if (far < best) [best, found] = [far, node];
  }
  if (found) editor.show(found.id);
}
