// Points that a link passes on its way. They are geometry only: nothing that runs knows of them.

import { reroutes, setReroutes } from "./document.js";
import { curvesOf } from "./links.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {{link: import("./scene.js").LinkView, index: number}} Bend */

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

/** @param {Editor} editor @param {Bend} bend */
export function removeReroute(editor, { link, index }) {
  const points = reroutes(editor.doc, link.to.id, link.socket.name).filter((_, at) => at !== index);
  editor.edit(setReroutes(editor.doc, link.to.id, link.socket.name, points), "Remove reroute");
}
