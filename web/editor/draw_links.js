// Links on the canvas: those of one colour are one stroke, and what is outside is left out.

import { curvesOf, REACH } from "./links.js";

/** @typedef {import("./editor.js").Editor} Stage */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Seen a part of the world */

const FAR = 0.3;
const MUTED = "#77777788";
const WIDTH = 3;
const DOT = 6;

/** @param {CanvasRenderingContext2D} c @param {Stage} stage @param {Seen} seen */
export function drawLinks(c, stage, { left, top, right, bottom }) {
  const { scene, view, selection } = stage;
  const far = view.scale < FAR;
  /** @type {Map<string, Path2D>} */
  const paths = new Map();
  const dots = [];
  for (const link of scene.links) {
    const { from, to, socket, points } = link;
    if (stage.drag?.replaces === socket) continue;
    if (link.shape === "hidden" && !selection.has(from.id) && !selection.has(to.id)) continue;
    const ax = from.x + from.w; // no pairs: thousands of them in each frame are much to clear away
    const ay = from.y + (from.outputs[link.slot]?.y ?? 15);
    const dx = to.x;
    const dy = to.y + socket.y;
    if (!points.length) {
      if ((ax > dx ? ax : dx) + REACH < left || (ax < dx ? ax : dx) - REACH > right) continue;
      if ((ay > dy ? ay : dy) + WIDTH < top || (ay < dy ? ay : dy) - WIDTH > bottom) continue;
    }
    const colour = from.mode === "mute" || to.mode === "mute" ? MUTED : link.colour;
    let path = paths.get(colour);
    if (!path) paths.set(colour, (path = new Path2D()));
    if (points.length) dots.push(link);
    if (far && !points.length) {
      path.moveTo(ax, ay);
      path.lineTo(dx, dy);
    } else trace(path, link);
  }
  c.lineWidth = far ? 1 / view.scale : WIDTH;
  c.lineCap = scene.shape === "square" ? "square" : "butt"; // else corners have gaps
  for (const [colour, path] of paths) {
    c.strokeStyle = colour;
    c.stroke(path);
  }
  for (const link of dots) {
    c.fillStyle = link.colour;
    c.beginPath();
    for (const [x, y] of link.points) {
      c.moveTo(x + DOT, y);
      c.arc(x, y, DOT, 0, 7);
    }
    c.fill();
  }
}

/** @param {Path2D | CanvasRenderingContext2D} path @param {import("./scene.js").LinkView} link */
export function trace(path, link) {
  for (const [ax, ay, bx, by, cx, cy, dx, dy] of curvesOf(link)) {
    path.moveTo(ax, ay);
    path.bezierCurveTo(bx, by, cx, cy, dx, dy);
  }
}
