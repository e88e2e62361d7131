// Draws the scene on a canvas, on demand. `draw` when what is shown changed, `look` when only the view moved. What stands still is kept as
// pixels (layer.js); what follows the pointer is drawn over it in every frame.

import { drawLinks, trace } from "./draw_links.js";
import { drawNode, paragraph } from "./draw_node.js";
import { Layer } from "./layer.js";
import { piecesBetween } from "./links.js";
import { Minimap } from "./minimap.js";
import { around, AROUND, TITLE } from "./scene.js";
import { colourOf } from "./types.js";

/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./editor.js").Editor} Stage */
/** @typedef {import("./draw_links.js").Seen} Seen */
/** @typedef {CanvasRenderingContext2D} Canvas */

const DOTS = 20;
const CLOSEST_DOTS = 14;
const MOST_PARTS = 24;

export class Renderer {
  /** @param {HTMLCanvasElement} canvas @param {() => Stage} stage */
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = /** @type {Canvas} */ (canvas.getContext("2d", { alpha: false }));
    this.layer = new Layer();
    this.minimap = new Minimap();
    this.pending = false;
    /** All that is kept is out of date. */
    this.stale = true;
    /** Parts of the world that are. @type {Seen[]} */
    this.parts = [];
    /** The mini-map shows what there is. */
    this.mapped = false;
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

  /** What is shown changed: all of it, or parts. @param {Seen[] | null} [parts] */
  draw(parts) {
    this.mapped = false;
    this.drawAgain(parts);
  }

  /** These nodes look different, and nothing else does. @param {Iterable<NodeView>} nodes */
  drawNodes(nodes) {
    const { scale } = this.stage().view;
    this.drawAgain([...nodes].map((node) => around(node, scale)));
  }

  /** @param {Seen[] | null} [parts] */
  drawAgain(parts) {
    if (parts && this.parts.length + parts.length <= MOST_PARTS) this.parts.push(...parts);
    else this.stale = true;
    this.look();
  }

  /** The view moved. */
  look() {
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
    const { view } = stage;
    const { width, height } = this.canvas;
    const ratio = width / Math.max(1, view.width);
    const at = { scale: view.scale * ratio, x: Math.round(view.x * ratio), y: Math.round(view.y * ratio) };
    const { layer } = this;
    if (this.stale) layer.clear();
    const areas = layer.move(width, height, at);
    if (!this.stale) areas.push(...joined(largest(this.parts)).map((part) => layer.areaOf(part)));
    if (areas.reduce((sum, { w, h }) => sum + w * h, 0) > width * height) {
      layer.clear(); // parts that overlap so much are drawn sooner all at once
      areas.splice(0, areas.length, ...layer.move(width, height, at));
    }
    for (const area of areas) layer.paint(area, (c) => this.scene(c, stage, area));
    const c = this.context;
    layer.show(c, at);
    c.setTransform(at.scale, 0, 0, at.scale, at.x, at.y);
    this.overlays(c, stage);
    if (stage.settings.get("minimap")) {
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.minimap.draw(c, this.colours, stage, ratio, !this.mapped);
      this.mapped = true;
    }
    this.stale = false;
    this.parts = [];
    stage.placeField?.();
    this.painted();
  }

  /** All that stands still. @param {Canvas} c @param {Stage} stage @param {import("./layer.js").Area} area of the layer */
  scene(c, stage, area) {
    if (!area.w || !area.h) return;
    const { scene, view } = stage;
    const { scale, x, y } = this.layer.at;
    this.ground(c, area);
    c.setTransform(scale, 0, 0, scale, x, y);
    const seen = { left: (area.x - x) / scale, top: (area.y - y) / scale, right: (area.x + area.w - x) / scale, bottom: (area.y + area.h - y) / scale };
    for (const group of scene.groups) this.group(c, group, view.scale);
    drawLinks(c, stage, seen);
    const more = AROUND.pixels / view.scale;
    const [left, right, top, bottom] = [seen.left - AROUND.right - more, seen.right + AROUND.left + more, seen.top - AROUND.bottom - more, seen.bottom + AROUND.top + more];
    for (const node of scene.order) {
      if (node.x > right || node.x + node.w < left || node.y > bottom || node.y + node.h < top) continue;
      drawNode(c, node, stage, this.colours);
    }
  }

  /** @param {Canvas} c @param {import("./layer.js").Area} area of the layer */
  ground(c, { x, y, w, h }) {
    const { at } = this.layer;
    c.fillStyle = this.colours.canvas;
    c.fillRect(x, y, w, h);
    let gap = DOTS * at.scale;
    while (gap < CLOSEST_DOTS) gap *= 4;
    c.fillStyle = this.colours.dot;
    for (let column = Math.ceil((x - 1 - at.x) / gap); column * gap + at.x < x + w; column += 1) {
      const left = Math.round(column * gap) + at.x;
      for (let row = Math.ceil((y - 1 - at.y) / gap); row * gap + at.y < y + h; row += 1) c.fillRect(left, Math.round(row * gap) + at.y, 1, 1);
    }
  }

  /** @param {Canvas} c @param {import("./scene.js").GroupView} group @param {number} scale */
  group(c, group, scale) {
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

  /** What follows the pointer. @param {Canvas} c @param {Stage} stage */
  overlays(c, stage) {
    const { view, overLink, drag, knife, box } = stage;
    if (overLink) {
      c.strokeStyle = this.colours.select;
      c.lineWidth = 6;
      c.beginPath();
      trace(c, overLink);
      c.stroke();
    }
    if (drag) this.dragged(c, stage, drag);
    if (knife) this.line(c, knife, view.scale);
    if (box) this.box(c, box, view.scale);
  }

  /** @param {Canvas} c @param {number[]} line @param {number} scale */
  line(c, [ax, ay, bx, by], scale) {
    c.strokeStyle = this.colours.error;
    c.lineWidth = 2 / scale;
    c.setLineDash([6 / scale, 4 / scale]);
    c.beginPath();
    c.moveTo(ax, ay);
    c.lineTo(bx, by);
    c.stroke();
    c.setLineDash([]);
  }

  /** The link that follows the pointer. @param {Canvas} c @param {Stage} stage @param {import("./linking.js").Drag} drag */
  dragged(c, { view, scene }, drag) {
    const [ax, ay, dx, dy] = drag.backwards ? [...drag.to, ...drag.from] : [...drag.from, ...drag.to];
    c.strokeStyle = drag.refused ? this.colours.error : colourOf(drag.type);
    c.lineWidth = 3;
    c.beginPath();
    for (const piece of piecesBetween(scene.shape, ax, ay, dx, dy)) {
      c.moveTo(piece[0], piece[1]);
      c.bezierCurveTo(piece[2], piece[3], piece[4], piece[5], piece[6], piece[7]);
    }
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

  /** @param {Canvas} c @param {{x: number, y: number, w: number, h: number}} box @param {number} scale */
  box(c, box, scale) {
    c.fillStyle = this.colours.select;
    c.globalAlpha = 0.12;
    c.fillRect(box.x, box.y, box.w, box.h);
    c.globalAlpha = 1;
    c.strokeStyle = this.colours.select;
    c.lineWidth = 1 / scale;
    c.strokeRect(box.x, box.y, box.w, box.h);
  }
}

/** Parts that do not lie in another one. @param {Seen[]} parts @returns {Seen[]} */
const largest = (parts) => parts.filter((part, at) => !parts.some((other, order) => order !== at && within(part, other) && (order < at || !within(other, part))));

/** Parts that are drawn sooner together than each alone, since what lies in both would be drawn twice. @param {Seen[]} parts @returns {Seen[]} */
function joined(parts) {
  const found = [...parts];
  for (let at = 0; at < found.length; at += 1) {
    for (let other = at + 1; other < found.length; other += 1) {
      const both = hullOf(found[at], found[other]);
      if (size(both) > size(found[at]) + size(found[other])) continue;
      found.splice(other, 1);
      found[at] = both;
      other = at; // it may now reach another one
    }
  }
  return found;
}

/** @param {Seen} one @param {Seen} other @returns {Seen} */
const hullOf = (one, other) => ({ left: Math.min(one.left, other.left), top: Math.min(one.top, other.top), right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom) });

/** @param {Seen} part */
const size = ({ left, top, right, bottom }) => (right - left) * (bottom - top);

/** @param {Seen} part @param {Seen} other */
const within = (part, other) => part.left >= other.left && part.right <= other.right && part.top >= other.top && part.bottom <= other.bottom;
