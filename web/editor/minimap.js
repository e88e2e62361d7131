// The mini-map in the corner: where everything stands, what state it is in, and what of it is seen.

/** @typedef {import("./renderer.js").Stage} Stage */
/** @typedef {{x: number, y: number, w: number, h: number, scale: number, left: number, top: number}} Area */

/** @param {CanvasRenderingContext2D} c @param {Record<string, string>} colours @param {Stage} stage */
export function drawMinimap(c, colours, stage) {
  const area = minimapArea(stage);
  if (!area) return;
  c.fillStyle = colours.node;
  c.globalAlpha = 0.92;
  c.fillRect(area.x, area.y, area.w, area.h);
  c.globalAlpha = 1;
  c.strokeStyle = colours.line;
  c.lineWidth = 1;
  c.strokeRect(area.x + 0.5, area.y + 0.5, area.w, area.h);
  c.save();
  c.beginPath();
  c.rect(area.x, area.y, area.w, area.h);
  c.clip();
  for (const node of stage.scene.order) {
    const state = stage.states.get(node.id)?.state;
    c.fillStyle = stage.problems.has(node.id) || state === "failed" ? colours.error : state === "running" ? colours.running : colours.dim;
    c.fillRect(area.left + node.x * area.scale, area.top + node.y * area.scale, Math.max(2, node.w * area.scale), Math.max(1.5, node.h * area.scale));
  }
  const [x, y] = stage.view.toWorld(0, 0);
  c.strokeStyle = colours.select;
  c.strokeRect(area.left + x * area.scale, area.top + y * area.scale, (stage.view.width / stage.view.scale) * area.scale, (stage.view.height / stage.view.scale) * area.scale);
  c.restore();
}

/** Where the mini-map stands, and how it maps the world: screen = left + world * scale. @param {{scene: import("./scene.js").Scene, view: import("./view.js").View}} stage @returns {Area | null} */
export function minimapArea({ scene, view }) {
  const box = scene.bounds();
  if (!box || view.width < 500) return null;
  const [w, h] = [190, 120];
  const scale = Math.min((w - 16) / box.w, (h - 16) / box.h);
  const [x, y] = [view.width - w - 14, view.height - h - 14];
  return { x, y, w, h, scale, left: x + (w - box.w * scale) / 2 - box.x * scale, top: y + (h - box.h * scale) / 2 - box.y * scale };
}
