// Points that a link passes on its way. They are geometry only: nothing that runs knows of them.

import { reroutes, setReroutes } from "./document.js";
import { linksAt } from "./linking.js";
import { curvesOf, inputPoint, outputPoint } from "./links.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {{link: import("./scene.js").LinkView, index: number}} Bend */

/** How far from a socket its reroute stands. */
const AWAY = 40;

/** A new point on a link. @param {Editor} editor @param {import("./scene.js").LinkView} link @param {{x: number, y: number}} at @returns {Bend} */
export function splitLink(editor, link, at) {
  const index = nearest(link, at);
  const points = [...reroutes(editor.doc, link.to.id, link.socket.name)];
  points.splice(index, 0, [at.x, at.y]);
  editor.edit(setReroutes(editor.doc, link.to.id, link.socket.name, points), "Add reroute", `reroute ${link.to.id} ${link.socket.name}`);
  const fresh = editor.scene.links.find((item) => item.to.id === link.to.id && item.socket.name === link.socket.name) ?? link;
  return { link: fresh, index };
}

/** Which piece of a link a point lies on. @param {import("./scene.js").LinkView} link @param {{x: number, y: number}} at */
function nearest(link, { x, y }) {
  let [best, found] = [Infinity, 0];
  curvesOf(link).forEach(([ax, ay, bx, by, cx, cy, dx, dy], index) => {
    for (let step = 0; step <= 20; step += 1) {
      const [t, u] = [step / 20, 1 - step / 20];
      const px = u * u * u * ax + 3 * u * u * t * bx + 3 * u * t * t * cx + t * t * t * dx;
      const py = u * u * u * ay + 3 * u * u * t * by + 3 * u * t * t * cy + t * t * t * dy;
      const far = Math.hypot(px - x, py - y);
      if (far < best) [best, found] = [far, index];
    }
  });
  return found;
}

/** Links of one output that bend at one place are a bundle there: what is done to one of the points is done to all of them.
 * @param {import("./scene.js").Scene} scene @param {Bend} bend @returns {Bend[]} */
export function bundle(scene, { link, index }) {
  const [x, y] = link.points[index];
  return scene.links.filter(({ from, slot }) => from === link.from && slot === link.slot).flatMap((other) => {
    const at = other.points.findIndex((point) => point[0] === x && point[1] === y);
    return at < 0 ? [] : [{ link: other, index: at }];
  });
}

/** @param {Editor} editor @param {Bend} bend */
export function removeReroute(editor, bend) {
  const doc = bundle(editor.scene, bend).reduce((now, { link, index }) => setReroutes(now, link.to.id, link.socket.name, link.points.filter((_, at) => at !== index)), editor.doc);
  editor.edit(doc, "Remove reroute");
}

/** The document with a reroute beside a socket, on all its links; as it was where there is none. @param {Editor} editor
 * @param {import("./document.js").Doc} doc @param {import("./linking.js").Found} found */
function besideSocket(editor, doc, found) {
  const links = linksAt(editor, found);
  const isOutput = "output" in found;
  const [x, y] = isOutput ? outputPoint(found.view, found.output) : inputPoint(found.view, found.socket);
  const next = links.flatMap(({ points }) => (points.length ? [points[isOutput ? 0 : points.length - 1]] : []));
  const near = next.find((point) => Math.hypot(point[0] - x, point[1] - y) < 2 * AWAY);
  /** @type {[number, number]} */
  const place = near ? [(x + near[0]) / 2, (y + near[1]) / 2] : [x + (isOutput ? AWAY : -AWAY), y];
  return links.reduce((now, { to, socket, points }) => setReroutes(now, to.id, socket.name, isOutput ? [place, ...points] : [...points, place]), doc);
}

/** @param {Editor} editor @param {import("./linking.js").Found} found @returns {boolean} whether it has a link to bend */
export function rerouteSocket(editor, found) {
  const doc = besideSocket(editor, editor.doc, found);
  if (doc === editor.doc) return false;
  editor.edit(doc, "Add reroute");
  return true;
}

/** A reroute beside each output of the chosen nodes. @param {import("./app.js").App} app */
export function rerouteChosen({ editor }) {
  const outputs = editor.views(editor.selection).flatMap((view) => view.outputs.map((_, output) => ({ view, output })));
  editor.edit(outputs.reduce((doc, found) => besideSocket(editor, doc, found), editor.doc), "Add reroutes");
}

/** Take the reroutes off all links of the chosen nodes. @param {import("./app.js").App} app */
export function straighten({ editor }) {
  const links = editor.scene.links.filter(({ from, to }) => editor.selection.has(from.id) || editor.selection.has(to.id));
  editor.edit(links.reduce((doc, { to, socket }) => setReroutes(doc, to.id, socket.name, []), editor.doc), "Remove reroutes");
}
