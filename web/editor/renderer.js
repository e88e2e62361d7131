// Draws the scene on a canvas, on demand. Far away a node is a box; links of one colour are one stroke; what is outside is left out.

import { colourOf } from "./types.js";
import { drawNode, paragraph } from "./draw_node.js";
import { drawMinimap } from "./minimap.js";
import { curve, curvesOf, inputPoint, outputPoint, TITLE } from "./scene.js";

/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./editor.js").Editor} Stage */

export class Renderer {
  /** @param {HTMLCanvasElement} canvas @param {() => Stage} stage */
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.pending = false;
    this.frames = 0;
    this.painted = () => {};
    /** @type {Record<string, string>} */
    this.colours = {};
    this.readTheme();
  }

  /** Colours of the canvas are CSS variables, as those of the page. */
  readTheme() {
    const style = getComputedStyle(document.documentElement);
    const names = ["canvas", "dot", "node", "title", "text", "dim", "widget", "widget-line", "line", "select", "error", "running", "done", "cached", "bypass", "mute", "accent"];
    this.colours = Object.fromEntries(names.map((name) => [name.replace("-l", "L"), style.getPropertyValue(`--${name}`).trim()]));
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  resize() {
    const { view } = this.stage();
    const ratio = window.devicePixelRatio || 1;
    view.width = this.canvas.clientWidth;
    view.height = this.canvas.clientHeight;
    this.canvas.width = Math.max(1, Math.round(view.width * ratio));
    this.canvas.height = Math.max(1, Math.round(view.height * ratio));
    this.paint();
  }

  paint() {
    this.frames += 1;
    const stage = this.stage();
    const { scene, view } = stage;
    const c = this.context;
    const ratio = this.canvas.width / Math.max(1, view.width);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = this.colours.canvas;
    c.fillRect(0, 0, view.width, view.height);
    this.dots(view);
    c.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
    const [left, top] = view.toWorld(0, 0);
    const [right, bottom] = view.toWorld(view.width, view.height);
    const seen = { left, top, right, bottom };
    for (const group of scene.groups) this.group(group, view.scale);
    this.links(stage, seen);
    for (const node of scene.order) {
      if (node.x - 12 > right || node.x + node.w + 12 < left || node.y > bottom || node.y + node.h + 20 < top) continue;
      drawNode(c, node, stage, this.colours);
    }
    if (stage.overLink) this.highlight(stage.overLink);
    this.dragged(stage);
    if (stage.knife) this.line(stage.knife, view.scale);
    if (stage.box) this.box(stage.box, view.scale);
    if (stage.minimap) {
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
      drawMinimap(c, this.colours, stage);
    }
    stage.placeField?.();
    this.painted();
  }

  /** @param {View} view */
  dots(view) {
    let gap = 20 * view.scale;
    while (gap < 14) gap *= 4;
    const c = this.context;
    c.fillStyle = this.colours.dot;
    for (let x = ((view.x % gap) + gap) % gap; x < view.width; x += gap) {
      for (let y = ((view.y % gap) + gap) % gap; y < view.height; y += gap) c.fillRect(x, y, 1.2, 1.2);
    }
  }

  /** @param {import("./scene.js").GroupView} group @param {number} scale */
  group(group, scale) {
    const c = this.context;
    const note = group.kind === "notes";
    c.globalAlpha = note ? 0.3 : 0.16;
    c.fillStyle = group.color;
    c.fillRect(group.x, group.y, group.w, group.h);
    c.globalAlpha = 0.4;
    if (!note) c.fillRect(group.x, group.y, group.w, TITLE);
    c.globalAlpha = 1;
    c.strokeStyle = group.color;
    c.lineWidth = 1 / scale;
    c.strokeRect(group.x, group.y, group.w, group.h);
    c.fillStyle = this.colours.text;
    c.font = note ? "13px system-ui, sans-serif" : "600 16px system-ui, sans-serif";
    c.textBaseline = "middle";
    c.textAlign = "left";
    if (note) paragraph(c, group.title, group.x + 10, group.y + 8, group.w - 20, group.h - 14, this.colours, "");
    else c.fillText(group.title, group.x + 10, group.y + TITLE / 2, group.w - 20);
  }

  /** @param {Stage} stage @param {{left: number, top: number, right: number, bottom: number}} seen */
  links(stage, seen) {
    const c = this.context;
    const { scene, view } = stage;
    const straight = view.scale < 0.3;
    /** @type {Map<string, number[][]>} */
    const batches = new Map();
    for (const link of scene.links) {
      if (stage.drag?.replaces === link.socket) continue;
      const [ax, ay] = outputPoint(link.from, link.slot);
      const [dx, dy] = inputPoint(link.to, link.socket);
      if (!link.points.length) {
        if (Math.max(ax, dx) + 60 < seen.left || Math.min(ax, dx) - 60 > seen.right) continue;
        if (Math.max(ay, dy) < seen.top || Math.min(ay, dy) > seen.bottom) continue;
      }
      const dim = link.from.mode === "mute" || link.to.mode === "mute" ? "#77777788" : colourOf(link.type);
      let batch = batches.get(dim);
      if (!batch) batches.set(dim, (batch = []));
      if (link.points.length || !straight) batch.push(...curvesOf(link));
      else batch.push([ax, ay, dx, dy]);
    }
    c.lineWidth = straight ? 1 / view.scale : 3;
    c.lineCap = "butt";
    for (const [colour, pieces] of batches) {
      c.strokeStyle = colour;
      c.beginPath();
      for (const piece of pieces) {
        c.moveTo(piece[0], piece[1]);
        if (piece.length === 4) c.lineTo(piece[2], piece[3]);
        else c.bezierCurveTo(piece[2], piece[3], piece[4], piece[5], piece[6], piece[7]);
      }
      c.stroke();
    }
    for (const link of scene.links) {
      for (const [x, y] of link.points) {
        c.fillStyle = colourOf(link.type);
        c.beginPath();
        c.arc(x, y, 6, 0, 7);
        c.fill();
      }
    }
  }

  /** @param {import("./scene.js").LinkView} link */
  highlight(link) {
    const c = this.context;
    c.strokeStyle = this.colours.select;
    c.lineWidth = 6;
    c.beginPath();
    for (const piece of curvesOf(link)) {
      c.moveTo(piece[0], piece[1]);
      c.bezierCurveTo(piece[2], piece[3], piece[4], piece[5], piece[6], piece[7]);
    }
    c.stroke();
  }

  /** @param {number[]} line @param {number} scale */
  line([ax, ay, bx, by], scale) {
    const c = this.context;
    c.strokeStyle = this.colours.error;
    c.lineWidth = 2 / scale;
    c.setLineDash([6 / scale, 4 / scale]);
    c.beginPath();
    c.moveTo(ax, ay);
    c.lineTo(bx, by);
    c.stroke();
    c.setLineDash([]);
  }

  /** The link that follows the pointer. @param {Stage} stage */
  dragged({ drag, view }) {
    if (!drag) return;
    const c = this.context;
    const [ax, ay, dx, dy] = drag.backwards ? [...drag.to, ...drag.from] : [...drag.from, ...drag.to];
    const piece = curve(ax, ay, dx, dy);
    c.strokeStyle = drag.refused ? this.colours.error : colourOf(drag.type);
    c.lineWidth = 3;
    c.beginPath();
    c.moveTo(piece[0], piece[1]);
    c.bezierCurveTo(piece[2], piece[3], piece[4], piece[5], piece[6], piece[7]);
    c.stroke();
    if (!drag.refused) return;
    c.font = `${13 / view.scale}px system-ui, sans-serif`;
    c.textAlign = "left";
    c.textBaseline = "middle";
    const [x, y] = [drag.to[0] + 16 / view.scale, drag.to[1] + 18 / view.scale];
    const width = c.measureText(drag.refused).width;
    c.fillStyle = this.colours.title;
    c.fillRect(x - 6 / view.scale, y - 11 / view.scale, width + 12 / view.scale, 22 / view.scale);
    c.fillStyle = this.colours.error;
    c.fillText(drag.refused, x, y);
  }

  /** @param {{x: number, y: number, w: number, h: number}} box @param {number} scale */
  box(box, scale) {
    const c = this.context;
    c.fillStyle = this.colours.select;
    c.globalAlpha = 0.12;
    c.fillRect(box.x, box.y, box.w, box.h);
    c.globalAlpha = 1;
    c.strokeStyle = this.colours.select;
    c.lineWidth = 1 / scale;
    c.strokeRect(box.x, box.y, box.w, box.h);
  }
}
