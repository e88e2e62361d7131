// Where links run: from an output to an input, through their reroutes, in the shape that the person chose.

/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./scene.js").Socket} Socket */
/** @typedef {import("./scene.js").LinkView} LinkView */
/** @typedef {"curve" | "straight" | "square" | "hidden"} Shape hidden: only links of chosen nodes are drawn, as curves */

/** @type {Shape[]} */
export const SHAPES = ["curve", "straight", "square", "hidden"];
/** How far a curve may leave the box of its ends. */
export const REACH = 180;
const STUB = 20;
/** Half the thickness of a link, or of a point on it. */
const EDGE = 8;

/** @param {NodeView} view @param {number} slot @returns {[number, number]} */
export const outputPoint = (view, slot) => [view.x + view.w, view.y + (view.outputs[slot]?.y ?? Math.min(view.h, 30) / 2)];
/** @param {NodeView} view @param {Socket} socket @returns {[number, number]} */
export const inputPoint = (view, socket) => [view.x, view.y + socket.y];

/** @param {number} ax @param {number} ay @param {number} dx @param {number} dy */
function curve(ax, ay, dx, dy) {
  const pull = Math.min(REACH, Math.max(24, Math.hypot(dx - ax, dy - ay) * 0.3));
  return [ax, ay, ax + pull, ay, dx - pull, dy, dx, dy];
}

/** A straight line as a cubic curve, so that all pieces are alike. @param {number} ax @param {number} ay @param {number} dx @param {number} dy */
const line = (ax, ay, dx, dy) => [ax, ay, ax + (dx - ax) / 3, ay + (dy - ay) / 3, dx - (dx - ax) / 3, dy - (dy - ay) / 3, dx, dy];

/** Cubic Bezier curves from one point to another. @param {Shape} shape @param {number} ax @param {number} ay @param {number} dx @param {number} dy
 * @returns {number[][]} */
export function piecesBetween(shape, ax, ay, dx, dy) {
  if (shape === "straight") return [line(ax, ay, dx, dy)];
  if (shape !== "square") return [curve(ax, ay, dx, dy)];
  const [mx, my] = [(ax + dx) / 2, (ay + dy) / 2];
  const corners = dx > ax + 2 * STUB ? [[mx, ay], [mx, dy]] : [[ax + STUB, ay], [ax + STUB, my], [dx - STUB, my], [dx - STUB, dy]];
  const points = [[ax, ay], ...corners, [dx, dy]];
  return points.slice(1).map(([x, y], at) => line(points[at][0], points[at][1], x, y));
}

/** The pieces of a link. @param {LinkView} link @returns {number[][]} */
export function curvesOf(link) {
  let at = outputPoint(link.from, link.slot);
  return [...link.points, inputPoint(link.to, link.socket)].flatMap((next) => {
    const pieces = piecesBetween(link.shape, at[0], at[1], next[0], next[1]);
    at = next;
    return pieces;
  });
}

/** The part of the world that a link is drawn in. @param {LinkView} link @returns {import("./draw_links.js").Seen} */
export function hull(link) {
  const points = [outputPoint(link.from, link.slot), inputPoint(link.to, link.socket), ...link.points];
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return { left: Math.min(...xs) - REACH, top: Math.min(...ys) - EDGE, right: Math.max(...xs) + REACH, bottom: Math.max(...ys) + EDGE };
}
