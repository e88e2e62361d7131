// The mini-map in the corner: where everything stands, what state it is in, and what of it is seen.

/** @typedef {import("./renderer.js").Stage} Stage */
/** @typedef {{x: number, y: number, w: number, h: number, scale: number, left: number, top: number}} Area */

const [WIDTH, HEIGHT] = [190, 120];
/** @type {Record<string, string>} */
const COLOURS = { failed: "error", running: "running", done: "done", cached: "cached" };

export class Minimap {
  constructor() {
    /** Everything but the view, kept for as long as nothing changes. */
    this.canvas = document.createElement("canvas");
    /** @type {Area | null} */
    this.area = null;
  }

  /** @param {CanvasRenderingContext2D} c in pixels of the page @param {Record<string, string>} colours @param {Stage} stage @param {number} ratio pixels of
   * the canvas for one of the page @param {boolean} stale whether something changed */
  draw(c, colours, stage, ratio, stale) {
    const { view } = stage;
    if (stale || this.canvas.width !== Math.round(WIDTH * ratio)) this.keep(colours, stage, ratio);
    if (!this.area) return;
    const area = placed(this.area, view);
    c.globalAlpha = 0.92;
    c.drawImage(this.canvas, area.x, area.y, area.w, area.h);
    c.globalAlpha = 1;
    c.strokeStyle = colours.line;
    c.lineWidth = 1;
    c.strokeRect(area.x + 0.5, area.y + 0.5, area.w, area.h);
    const [x, y] = view.toWorld(0, 0);
    const [left, top] = [Math.max(area.x, area.left + x * area.scale), Math.max(area.y, area.top + y * area.scale)];
    const right = Math.min(area.x + area.w, area.left + (x + view.width / view.scale) * area.scale);
    const bottom = Math.min(area.y + area.h, area.top + (y + view.height / view.scale) * area.scale);
    if (right <= left || bottom <= top) return;
    c.strokeStyle = colours.select;
    c.strokeRect(left, top, right - left, bottom - top);
  }

  /** @param {Record<string, string>} colours @param {Stage} stage @param {number} ratio */
  keep(colours, stage, ratio) {
    this.area = minimapArea(stage);
    if (!this.area) return;
    const { scale, left, top, x, y } = this.area;
    Object.assign(this.canvas, { width: Math.round(WIDTH * ratio), height: Math.round(HEIGHT * ratio) });
    const c = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    c.fillStyle = colours.node;
    c.fillRect(0, 0, this.canvas.width, this.canvas.height);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { path, problems, run } = stage;
    const states = run?.states;
    const named = problems.size > 0 || Boolean(states?.size); // else no node needs its flat id
    for (const node of stage.scene.order) {
      const flat = named ? path + node.id : "";
      c.fillStyle = problems.has(flat) ? colours.error : (colours[COLOURS[states?.get(flat)?.state ?? ""]] ?? colours.dim);
      c.fillRect(left - x + node.x * scale, top - y + node.y * scale, Math.max(2, node.w * scale), Math.max(1.5, node.h * scale));
    }
  }
}

/** In the corner of the view as it is now. @param {Area} area @param {import("./view.js").View} view @returns {Area} */
function placed(area, view) {
  const [x, y] = [view.width - WIDTH - 14, view.height - HEIGHT - 14];
  return { ...area, x, y, left: area.left + x - area.x, top: area.top + y - area.y };
}

/** Where the mini-map stands, and how it maps the world: screen = left + world * scale. @param {{scene: import("./scene.js").Scene, view: import("./view.js").View}} stage @returns {Area | null} */
export function minimapArea({ scene, view }) {
  const box = scene.bounds();
  if (!box || view.width < 500) return null;
  const scale = Math.min((WIDTH - 16) / box.w, (HEIGHT - 16) / box.h);
  const [x, y] = [view.width - WIDTH - 14, view.height - HEIGHT - 14];
  return { x, y, w: WIDTH, h: HEIGHT, scale, left: x + (WIDTH - box.w * scale) / 2 - box.x * scale, top: y + (HEIGHT - box.h * scale) / 2 - box.y * scale };
}
