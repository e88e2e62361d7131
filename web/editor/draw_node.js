// One node on the canvas: title, sockets, widgets, state of its run, pictures.

import { drawPictures, drawProblems, drawProgress } from "./draw_state.js";
import { seedPolicy } from "./document.js";
import { isNumber, numberText } from "./json.js";
import { TITLE } from "./scene.js";
import { colourOf, shapeOf } from "./types.js";
import { t } from "./words.js";

/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./scene.js").Widget} Widget */
/** @typedef {import("./renderer.js").Stage} Stage */
/** @typedef {CanvasRenderingContext2D} Canvas */
/** @typedef {Record<string, string>} Colours */

const FONT = "system-ui, sans-serif";
const TITLES = `600 14px ${FONT}`;
const WORDS = `13px ${FONT}`;
const SMALL = `11px ${FONT}`;
const PLAIN_BELOW = 0.45;
/** Smaller than this a title cannot be read, and an outline is thinner than a pixel. */
const BARE_BELOW = 0.25;

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {Colours} colours */
export function drawNode(c, node, stage, colours) {
  const { scale } = stage.view;
  const state = stage.states.get(node.id);
  const problems = stage.problemsOf(node.id);
  const plain = scale < PLAIN_BELOW;
  const bare = scale < BARE_BELOW;
  if (node.mode === "mute") c.globalAlpha = 0.4;
  body(c, node, colours, plain);
  outline(c, node, stage, state, problems, colours);
  if (!bare) title(c, node, colours, plain);
  if (!plain) {
    if (!node.collapsed) widgets(c, node, stage, problems, colours);
    sockets(c, node, stage, colours);
  }
  c.globalAlpha = 1;
  if (node.picture) drawPictures(c, node, stage);
  const text = node.picture && stage.text(node.id);
  if (node.picture && text) paragraph(c, text, node.x + 14, node.y + node.picture.y + 4, node.w - 28, node.picture.h - 4, colours, "");
  if (state) drawProgress(c, node, state, colours, plain);
  if (!plain && problems.length) drawProblems(c, node, problems, colours, scale);
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

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {any} state @param {any[]} problems @param {Colours} colours */
function outline(c, node, stage, state, problems, colours) {
  const { scale } = stage.view;
  const chosen = stage.selection.has(node.id);
  const colour = problems.length || state?.state === "failed" || !node.face.known ? colours.error : state?.state === "running" ? colours.running : chosen ? colours.select : colours.line;
  const thick = chosen || colour !== colours.line;
  if (!thick && scale < BARE_BELOW) return;
  c.strokeStyle = colour;
  c.lineWidth = thick ? Math.max(2, 1.6 / scale) : 1;
  if (scale < PLAIN_BELOW) return c.strokeRect(node.x, node.y, node.w, node.h);
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
  c.font = TITLES;
  const marks = `${node.pinned ? " ⚲" : ""}${node.mode === "mute" ? `  ${t("node.muted")}` : node.mode === "bypass" ? `  ${t("node.bypassed")}` : ""}${node.face.known ? "" : `  ${t("node.missing")}`}`;
  c.fillText(fitted(c, TITLES, node.title + marks, node.w - 44), node.x + 28, middle + 1);
  if (plain) return;
  c.fillStyle = colours.dim;
  if (node.face.state && !node.collapsed) state(c, node, middle);
  c.beginPath();
  if (node.collapsed) [[11, -4], [17, 0], [11, 4]].forEach(([x, y]) => c.lineTo(node.x + x, middle + y));
  else [[10, -3], [14, 3], [18, -3]].forEach(([x, y]) => c.lineTo(node.x + x, middle + y));
  c.fill();
}

/** @type {Map<string, string>} */
const cuts = new Map();

/** What becomes of its class, where there is room for it. @param {Canvas} c @param {NodeView} node @param {number} middle */
function state(c, node, middle) {
  const word = t(node.face.state === "deprecated" ? "help.deprecated" : "help.experimental");
  const room = node.w - 44 - widthOf(c, TITLES, node.title);
  c.font = SMALL;
  if (widthOf(c, SMALL, word) > room - 10) return;
  c.textAlign = "right";
  c.fillText(word, node.x + node.w - 12, middle + 1);
}

/** @type {Map<string, number>} */
const widths = new Map();

/** @param {Canvas} c @param {string} font that is set @param {string} text */
function widthOf(c, font, text) {
  const key = `${font}|${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size > 5000) widths.clear();
    widths.set(key, (width = c.measureText(text).width));
  }
  return width;
}

/** A text that fits, with an ellipsis if need be. @param {Canvas} c @param {string} font that is set: asking the canvas for it is slow
 * @param {string} text @param {number} width */
export function fitted(c, font, text, width) {
  const short = text.length > 300 ? text.slice(0, 300) : text;
  const key = `${font}|${Math.round(width)}|${short}`;
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
  c.font = WORDS;
  c.textBaseline = "middle";
  const { open } = stage;
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
    if (socket.widget && !socket.link && !(open && !refused) && stage.under !== node) continue;
    mark(c, socket.type, node.x, node.y + socket.y, socket.link !== null || socket.given !== null || !socket.widget, socket.widget ? 4 : 5);
    if (node.collapsed || socket.widget) continue;
    c.fillStyle = socket.link || socket.info.required ? colours.text : colours.dim;
    c.textAlign = "left";
    c.fillText(socket.given === null ? socket.label : `${socket.label} ← ${socket.given}`, node.x + 13, node.y + socket.y);
  }
  c.globalAlpha = quiet;
  const over = stage.drag?.over;
  if (over?.view !== node || stage.drag?.refused) return;
  const [x, y] = "output" in over ? [node.w, node.outputs[over.output].y] : [0, over.socket.y];
  c.strokeStyle = colours.select;
  c.lineWidth = 2;
  c.beginPath();
  c.arc(node.x + x, node.y + y, 10, 0, 7);
  c.stroke();
}

/** @param {Canvas} c @param {NodeView} node @param {Stage} stage @param {any[]} problems @param {Colours} colours */
function widgets(c, node, stage, problems, colours) {
  const hidden = stage.editing?.id === node.id ? stage.editing.name : null;
  const all = node.widgets.filter((widget) => !(widget.name === hidden && widget.info.multiline));
  const wrong = new Set(all.filter((widget) => problems.some((item) => item.input === widget.name) || isMissing(stage, widget)));
  boxes(c, node, all.filter((widget) => !wrong.has(widget)), colours.widget, colours.widgetLine, 1);
  if (wrong.size) boxes(c, node, [...wrong], colours.widget, colours.error, 2);
  arrows(c, node, all, colours);
  c.font = WORDS;
  c.textBaseline = "middle";
  for (const widget of all) {
    const [x, y, w, h] = [node.x + 12, node.y + widget.y, node.w - 24, widget.h];
    if (isTall(widget)) paragraph(c, String(widget.value ?? ""), x + 7, y + 6, w - 14, h - 10, colours, widget.info.name);
    else words(c, stage, node, widget, wrong.has(widget) ? colours.error : colours.text, colours);
  }
}

/** @param {Widget} widget */
const isTall = (widget) => widget.info.multiline && !widget.linked;
/** @param {Widget} widget */
const hasArrows = (widget) => !widget.linked && !widget.info.seed && isNumber(widget.value);
/** @param {Widget} widget */
const isChoice = (widget) => !widget.linked && widget.info.type.includes("COMBO");

/** The ground of widgets, as one shape: many small ones take longer. @param {Canvas} c @param {NodeView} node @param {Widget[]} all @param {string} fill
 * @param {string} line @param {number} width */
function boxes(c, node, all, fill, line, width) {
  c.beginPath();
  for (const widget of all) c.roundRect(node.x + 12, node.y + widget.y, node.w - 24, widget.h, isTall(widget) ? 5 : widget.h / 2);
  c.fillStyle = fill;
  c.fill();
  c.strokeStyle = line;
  c.lineWidth = width;
  c.stroke();
}

/** The arrows beside numbers, and those of choices. @param {Canvas} c @param {NodeView} node @param {Widget[]} all @param {Colours} colours */
function arrows(c, node, all, colours) {
  c.beginPath();
  for (const widget of all) {
    const [x, middle, w] = [node.x + 12, node.y + widget.y + widget.h / 2 + 0.5, node.w - 24];
    if (hasArrows(widget)) {
      triangle(c, x + 13, middle - 4, x + 8, middle, x + 13, middle + 4);
      triangle(c, x + w - 13, middle - 4, x + w - 8, middle, x + w - 13, middle + 4);
    } else if (isChoice(widget)) triangle(c, x + w - 14, middle - 2, x + w - 10, middle + 3, x + w - 6, middle - 2);
  }
  c.fillStyle = colours.dim;
  c.fill();
}

/** @param {Canvas} c @param {number[]} points */
function triangle(c, ...[ax, ay, bx, by, cx, cy]) {
  c.moveTo(ax, ay);
  c.lineTo(bx, by);
  c.lineTo(cx, cy);
}

/** Name and value of a widget in one line. @param {Canvas} c @param {Stage} stage @param {NodeView} node @param {Widget} widget @param {string} colour
 * @param {Colours} colours */
function words(c, stage, node, widget, colour, colours) {
  const [x, middle, w] = [node.x + 12, node.y + widget.y + widget.h / 2 + 0.5, node.w - 24];
  const numeric = hasArrows(widget);
  const label = fitted(c, WORDS, widget.name.replaceAll("_", " "), w * 0.6);
  c.textAlign = "left";
  c.fillStyle = colours.dim;
  c.fillText(label, x + (numeric ? 20 : 12), middle);
  c.textAlign = "right";
  if (widget.given !== null) c.fillText(fitted(c, WORDS, `← ${widget.given}`, w * 0.5), x + w - 12, middle);
  if (widget.linked) return;
  const seed = widget.info.seed;
  if (seed) policy(c, seedPolicy(stage.doc, node.id, widget.name), x + w - 14, middle, colours);
  c.fillStyle = colour;
  const room = w - widthOf(c, WORDS, label) - 48;
  c.fillText(fitted(c, WORDS, shown(widget), room), x + w - (seed ? 28 : numeric || isChoice(widget) ? 20 : 12), middle);
  if (typeof widget.value === "boolean") toggle(c, x + w - 60, middle, widget.value, colours);
}

/** What becomes of a seed at each run: a lock, an arrow, or a die. @param {Canvas} c @param {string} name @param {number} x @param {number} y @param {Colours} colours */
function policy(c, name, x, y, colours) {
  c.strokeStyle = c.fillStyle = name === "fixed" ? colours.dim : colours.accent;
  c.lineWidth = 1.4;
  c.beginPath();
  if (name === "fixed") {
    c.rect(x - 4.5, y - 1, 9, 6);
    c.moveTo(x - 3, y - 1);
    c.arc(x, y - 2, 3, Math.PI, 0);
  } else if (name === "random") {
    c.roundRect(x - 6, y - 6, 12, 12, 3);
    for (const [dx, dy] of [[-2.5, -2.5], [2.5, 2.5], [0, 0]]) c.rect(x + dx - 0.4, y + dy - 0.4, 0.8, 0.8);
  } else {
    const up = name === "increment" ? -1 : 1;
    c.moveTo(x, y - 5 * up);
    c.lineTo(x, y + 5 * up);
    c.moveTo(x - 4, y + up);
    c.lineTo(x, y + 5 * up);
    c.lineTo(x + 4, y + up);
  }
  c.stroke();
}

/** @param {Widget} widget */
function shown(widget) {
  const value = widget.value;
  if (value === undefined || value === null) return "";
  if (typeof value === "boolean") return value ? t("node.on") : t("node.off");
  if (!isNumber(value)) return typeof value === "string" ? value.replaceAll("\n", " ") : "…";
  return numberText(value);
}

/** A choice that is not there (any more): kept, and shown red. @param {Stage} stage @param {Widget} widget */
const isMissing = (stage, widget) => isChoice(widget) && widget.value !== undefined && !stage.catalogue.offers(widget.info, widget.value);

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
export function paragraph(c, text, x, y, w, h, colours, hint) {
  const rows = Math.max(1, Math.floor(h / 17));
  const key = `${Math.round(w)}|${rows}|${text.slice(0, 2000)}`;
  let lines = wrapped.get(key);
  if (!lines) {
    c.font = WORDS;
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
  c.font = WORDS;
  c.textAlign = "left";
  c.fillStyle = text ? colours.text : colours.dim;
  if (!text) c.fillText(hint, x, y + 8);
  lines.slice(0, rows).forEach((line, row) => c.fillText(fitted(c, WORDS, line, w), x, y + 8 + row * 17));
}
