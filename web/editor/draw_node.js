// One node on the canvas: title, sockets, widgets, state of its run, pictures.

import { seedPolicy } from "./document.js";
import { isNumber, numberText } from "./json.js";
import { TITLE } from "./scene.js";
import { colourOf, shapeOf } from "./types.js";

/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./renderer.js").Stage} Stage */
/** @typedef {CanvasRenderingContext2D} Canvas */
/** @typedef {Record<string, string>} Colours */

const FONT = "system-ui, sans-serif";
const PLAIN_BELOW = 0.45;

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {Colours} colours */
export function drawNode(c, node, stage, colours) {
  const { scale } = stage.view;
  const state = stage.states.get(node.id);
  const problems = stage.problems.get(node.id);
  const plain = scale < PLAIN_BELOW;
  if (node.mode === "mute") c.globalAlpha = 0.4;
  body(c, node, colours, plain);
  outline(c, node, stage, state, problems, colours, scale);
  if (scale > 0.12) title(c, node, colours, plain);
  if (!plain) {
    if (!node.collapsed) widgets(c, node, stage, problems, colours);
    sockets(c, node, stage, colours);
  }
  c.globalAlpha = 1;
  if (node.picture) pictures(c, node, stage, colours);
  if (state) progress(c, node, state, colours, plain);
  if (!plain && problems?.length) problem(c, node, problems, colours, scale);
}

/** @param {Canvas} c @param {NodeView} node @param {Colours} colours @param {boolean} plain */
function body(c, node, colours, plain) {
  c.fillStyle = node.mode === "bypass" ? colours.bypass : node.color || colours.node;
  if (plain) {
    c.fillRect(node.x, node.y, node.w, node.h);
    c.fillStyle = colours.title;
    if (!node.collapsed) c.fillRect(node.x, node.y, node.w, TITLE);
    return;
  }
  c.beginPath();
  c.roundRect(node.x, node.y, node.w, node.h, 9);
  c.fill();
  if (node.collapsed || node.mode === "bypass") return;
  c.fillStyle = colours.title;
  c.globalAlpha *= node.color ? 0.45 : 1;
  c.beginPath();
  c.roundRect(node.x, node.y, node.w, TITLE, [9, 9, 0, 0]);
  c.fill();
  c.globalAlpha = node.mode === "mute" ? 0.4 : 1;
}

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {any} state @param {any[] | undefined} problems @param {Colours} colours
 * @param {number} scale */
function outline(c, node, stage, state, problems, colours, scale) {
  const chosen = stage.selection.has(node.id);
  const colour = problems?.length || state?.state === "failed" || !node.face.known ? colours.error : state?.state === "running" ? colours.running : chosen ? colours.select : colours.line;
  const thick = chosen || colour !== colours.line;
  c.strokeStyle = colour;
  c.lineWidth = thick ? Math.max(2, 1.6 / scale) : 1;
  c.beginPath();
  c.roundRect(node.x, node.y, node.w, node.h, 9);
  c.stroke();
  if (chosen && colour !== colours.select) {
    c.strokeStyle = colours.select;
    c.beginPath();
    c.roundRect(node.x - 4, node.y - 4, node.w + 8, node.h + 8, 12);
    c.stroke();
  }
}

/** @param {Canvas} c @param {NodeView} node @param {Colours} colours @param {boolean} plain */
function title(c, node, colours, plain) {
  const middle = node.y + (node.collapsed ? node.h : TITLE) / 2;
  c.fillStyle = colours.text;
  c.textAlign = "left";
  c.textBaseline = "middle";
  c.font = `600 14px ${FONT}`;
  const marks = `${node.pinned ? " ⚲" : ""}${node.mode === "mute" ? "  muted" : node.mode === "bypass" ? "  bypassed" : ""}${node.face.known ? "" : "  missing"}`;
  c.fillText(fitted(c, node.title + marks, node.w - 44), node.x + 28, middle + 1);
  if (plain) return;
  c.fillStyle = colours.dim;
  c.beginPath();
  if (node.collapsed) [[11, -4], [17, 0], [11, 4]].forEach(([x, y]) => c.lineTo(node.x + x, middle + y));
  else [[10, -3], [14, 3], [18, -3]].forEach(([x, y]) => c.lineTo(node.x + x, middle + y));
  c.fill();
}

/** @type {Map<string, string>} */
const cuts = new Map();

/** A text that fits, with an ellipsis if need be. @param {Canvas} c @param {string} text @param {number} width */
function fitted(c, text, width) {
  const short = text.length > 300 ? text.slice(0, 300) : text;
  const key = `${c.font}|${Math.round(width)}|${short}`;
  const kept = cuts.get(key);
  if (kept !== undefined) return kept;
  let found = short;
  if (c.measureText(found).width > width) {
    let [low, high] = [0, short.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (c.measureText(`${short.slice(0, middle)}…`).width <= width) low = middle;
      else high = middle - 1;
    }
    found = `${short.slice(0, low)}…`;
  }
  if (cuts.size > 5000) cuts.clear();
  cuts.set(key, found);
  return found;
}

/** @param {Canvas} c @param {string} type @param {number} x @param {number} y @param {boolean} filled @param {number} size */
function mark(c, type, x, y, filled, size = 5) {
  c.beginPath();
  const shape = shapeOf(type);
  if (shape === "square") c.rect(x - size + 0.5, y - size + 0.5, 2 * size - 1, 2 * size - 1);
  else if (shape === "diamond") [[0, -size - 1], [size + 1, 0], [0, size + 1], [-size - 1, 0]].forEach(([dx, dy]) => c.lineTo(x + dx, y + dy));
  else if (shape === "triangle") [[-size + 1, -size], [size + 1, 0], [-size + 1, size]].forEach(([dx, dy]) => c.lineTo(x + dx, y + dy));
  else c.arc(x, y, size, 0, 7);
  c.closePath();
  c.fillStyle = c.strokeStyle = colourOf(type);
  c.lineWidth = 1.5;
  if (filled && shape !== "ring") c.fill();
  else c.stroke();
}

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {Colours} colours */
function sockets(c, node, stage, colours) {
  c.font = `13px ${FONT}`;
  c.textBaseline = "middle";
  const open = stage.drag?.open;
  const quiet = c.globalAlpha;
  node.outputs.forEach((output, slot) => {
    c.globalAlpha = open && !open.output(node, slot) ? 0.25 : quiet;
    mark(c, output.type, node.x + node.w, node.y + output.y, true);
    if (node.collapsed) return;
    c.fillStyle = colours.text;
    c.textAlign = "right";
    c.fillText(output.name, node.x + node.w - 13, node.y + output.y);
  });
  for (const socket of node.inputs) {
    const refused = open && !open.input(node, socket);
    c.globalAlpha = refused ? 0.25 : quiet;
    if (socket.widget && !socket.link && !(open && !refused) && stage.hover?.id !== node.id) continue;
    mark(c, socket.type, node.x, node.y + socket.y, socket.link !== null || !socket.widget, socket.widget ? 4 : 5);
    if (node.collapsed || socket.widget) continue;
    c.fillStyle = socket.link || socket.info.required ? colours.text : colours.dim;
    c.textAlign = "left";
    c.fillText(socket.label, node.x + 13, node.y + socket.y);
  }
  c.globalAlpha = quiet;
}

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {any[] | undefined} problems @param {Colours} colours */
function widgets(c, node, stage, problems, colours) {
  c.font = `13px ${FONT}`;
  c.textBaseline = "middle";
  for (const widget of node.widgets) {
    if (stage.editing?.id === node.id && stage.editing.name === widget.name && widget.info.multiline) continue;
    const [x, y, w, h] = [node.x + 12, node.y + widget.y, node.w - 24, widget.h];
    const tall = widget.info.multiline && !widget.linked;
    c.fillStyle = colours.widget;
    c.beginPath();
    c.roundRect(x, y, w, h, tall ? 5 : h / 2);
    c.fill();
    const wrong = problems?.some((item) => item.input === widget.name) || isMissing(stage, widget);
    c.strokeStyle = wrong ? colours.error : colours.widgetLine;
    c.lineWidth = wrong ? 2 : 1;
    c.stroke();
    if (tall) {
      paragraph(c, String(widget.value ?? ""), x + 7, y + 6, w - 14, h - 10, colours, widget.info.name);
      continue;
    }
    const middle = y + h / 2 + 0.5;
    const arrows = !widget.linked && isNumber(widget.value);
    c.textAlign = "left";
    c.fillStyle = colours.dim;
    const label = fitted(c, widget.name.replaceAll("_", " "), w * 0.6);
    c.fillText(label, x + (arrows ? 20 : 12), middle);
    if (arrows) {
      c.beginPath();
      [[13, -4], [8, 0], [13, 4]].forEach(([dx, dy]) => c.lineTo(x + dx, middle + dy));
      c.closePath();
      [[w - 13, -4], [w - 8, 0], [w - 13, 4]].forEach(([dx, dy], at) => (at ? c.lineTo(x + dx, middle + dy) : c.moveTo(x + dx, middle + dy)));
      c.fill();
    }
    if (widget.linked) continue;
    c.textAlign = "right";
    c.fillStyle = wrong ? colours.error : colours.text;
    const room = w - c.measureText(label).width - 48;
    c.fillText(fitted(c, shown(stage, node, widget), room), x + w - (arrows || widget.info.type.includes("COMBO") ? 20 : 12), middle);
    if (widget.info.type.includes("COMBO")) {
      c.fillStyle = colours.dim;
      c.beginPath();
      [[w - 14, -2], [w - 10, 3], [w - 6, -2]].forEach(([dx, dy]) => c.lineTo(x + dx, middle + dy));
      c.fill();
    }
    if (typeof widget.value === "boolean") toggle(c, x + w - 60, middle, widget.value, colours);
  }
}

/** @param {Stage} stage @param {NodeView} node @param {import("./scene.js").Widget} widget */
function shown(stage, node, widget) {
  const value = widget.value;
  if (value === undefined || value === null) return "";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (!isNumber(value)) return typeof value === "string" ? value.replaceAll("\n", " ") : "…";
  const policy = widget.info.seed ? seedPolicy(stage.doc, node.id, widget.name) : "fixed";
  return `${policy === "fixed" ? "" : policy === "random" ? "⚄ " : policy === "increment" ? "↑ " : "↓ "}${numberText(value)}`;
}

/** A choice that is not there (any more): kept, and shown red. @param {Stage} stage @param {import("./scene.js").Widget} widget */
function isMissing(stage, widget) {
  if (widget.linked || !widget.info.type.includes("COMBO") || widget.value === undefined) return false;
  const choices = stage.catalogue.choices(widget.info);
  return choices !== null && !choices.some((/** @type {any} */ choice) => choice === widget.value || String(choice) === String(widget.value));
}

/** @param {Canvas} c @param {number} x @param {number} y @param {boolean} on @param {Colours} colours */
function toggle(c, x, y, on, colours) {
  c.fillStyle = on ? colours.accent : colours.widgetLine;
  c.beginPath();
  c.roundRect(x, y - 7, 26, 14, 7);
  c.fill();
  c.fillStyle = colours.text;
  c.beginPath();
  c.arc(x + (on ? 19 : 7), y, 5, 0, 7);
  c.fill();
}

/** @type {Map<string, string[]>} */
const wrapped = new Map();

/** @param {Canvas} c @param {string} text @param {number} x @param {number} y @param {number} w @param {number} h @param {Colours} colours @param {string} hint */
function paragraph(c, text, x, y, w, h, colours, hint) {
  const rows = Math.max(1, Math.floor(h / 17));
  const key = `${Math.round(w)}|${rows}|${text.slice(0, 2000)}`;
  let lines = wrapped.get(key);
  if (!lines) {
    lines = [];
    for (const line of text.slice(0, 2000).split("\n")) {
      let current = "";
      for (const word of line.split(/(?<= )/)) {
        if (current && c.measureText(current + word.trimEnd()).width > w) {
          lines.push(current);
          current = word;
        } else current += word;
      }
      lines.push(current);
      if (lines.length > rows) break;
    }
    if (wrapped.size > 2000) wrapped.clear();
    wrapped.set(key, lines);
  }
  c.textAlign = "left";
  c.fillStyle = text ? colours.text : colours.dim;
  if (!text) c.fillText(hint, x, y + 8);
  lines.slice(0, rows).forEach((line, row) => c.fillText(fitted(c, line, w), x, y + 8 + row * 17));
}

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {Colours} colours */
function pictures(c, node, stage, colours) {
  const found = stage.pictures(node.id).filter((image) => image.complete && image.naturalWidth);
  const area = /** @type {{y: number, h: number}} */ (node.picture);
  if (!found.length) return;
  const columns = Math.ceil(Math.sqrt(found.length));
  const rows = Math.ceil(found.length / columns);
  const [w, h] = [(node.w - 20) / columns, area.h / rows];
  found.forEach((image, at) => {
    const scale = Math.min((w - 4) / image.naturalWidth, (h - 4) / image.naturalHeight);
    const [iw, ih] = [image.naturalWidth * scale, image.naturalHeight * scale];
    c.imageSmoothingEnabled = scale < 3;
    c.drawImage(image, node.x + 10 + (at % columns) * w + (w - iw) / 2, node.y + area.y + Math.floor(at / columns) * h + (h - ih) / 2, iw, ih);
  });
  c.fillStyle = colours.dim;
}

/** @param {Canvas} c @param {NodeView} node @param {any} state @param {Colours} colours @param {boolean} plain */
function progress(c, node, state, colours, plain) {
  if (state.state === "running") {
    const part = state.total ? Math.min(1, state.value / state.total) : 0;
    c.fillStyle = colours.running;
    c.fillRect(node.x + 1, node.y + (node.collapsed ? node.h - 4 : TITLE - 3), Math.max(4, (node.w - 2) * part), 4);
  }
  if (plain) return;
  const text = badge(state);
  if (!text) return;
  c.font = `11px ${FONT}`;
  c.textBaseline = "middle";
  c.textAlign = "center";
  const width = c.measureText(text).width + 14;
  const [x, y] = [node.x + node.w - width, node.y - 20];
  c.fillStyle = colours.title;
  c.beginPath();
  c.roundRect(x, y, width, 17, 8);
  c.fill();
  c.fillStyle = state.state === "failed" ? colours.error : state.state === "running" ? colours.running : state.state === "cached" ? colours.cached : colours.done;
  c.fillText(text, x + width / 2, y + 9);
}

/** @param {any} state */
export function badge(state) {
  if (state.state === "running") return state.total > 1 ? `${state.value}/${state.total}${state.eta ? ` · ${state.eta} s left` : ""}` : "running";
  if (state.state === "cached") return "cached";
  if (state.state === "failed") return "failed";
  if (state.state === "blocked") return "skipped";
  return state.seconds === undefined ? "" : `${state.seconds < 10 ? state.seconds.toFixed(2) : state.seconds.toFixed(1)} s`;
}

/** @param {Canvas} c @param {NodeView} node @param {any[]} problems @param {Colours} colours @param {number} scale */
function problem(c, node, problems, colours, scale) {
  if (scale < 0.4) return;
  c.font = `12px ${FONT}`;
  c.textAlign = "left";
  c.textBaseline = "middle";
  problems.slice(0, 3).forEach((item, at) => {
    c.fillStyle = colours.error;
    c.fillText(fitted(c, `⚠ ${item.input ? `${item.input}: ` : ""}${item.message}`, Math.max(node.w, 260)), node.x, node.y + node.h + 13 + at * 16);
  });
}

