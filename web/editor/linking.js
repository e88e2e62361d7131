// Links by drag: from an output, from an input backwards, or the end of a link taken to another place.

import { connect, entryOf, inputsOf, linkOf, setInput, wouldLoop } from "./document.js";
import { inputPoint, outputPoint } from "./links.js";
import { widgetAt } from "./scene.js";
import { fits } from "./types.js";
import { t } from "./words.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {import("./pointer.js").At} At */
/** @typedef {import("./pointer.js").Gesture} Gesture */
/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./scene.js").Socket} Socket */
/** @typedef {{view: NodeView, output: number} | {view: NodeView, socket: Socket}} Found */
/**
 * @typedef {object} Drag
 * @property {NodeView} node where the link begins: at its output `slot`, or backwards at its input `socket`
 * @property {number} slot
 * @property {Socket | null} socket
 * @property {boolean} backwards
 * @property {string} type
 * @property {[number, number]} from
 * @property {[number, number]} to
 * @property {Socket | null} replaces the input whose link was taken off
 * @property {NodeView | null} owner of that input
 * @property {string} refused why it may not end where it is
 * @property {Found | null} over where it would end
 */

/** @param {Editor} editor @param {Found} found @param {At} at @param {(at: [number, number], drag?: Drag) => void} search @returns {Gesture} */
export function link(editor, found, at, search) {
  const pending = editor.drag;
  if (pending) return { up: (to) => end(editor, pending, to, search), cancel: () => void (editor.drag = null) };
  const drag = begin(editor, found, [at.x, at.y]);
  editor.drag = drag;
  return {
    move: (to) => follow(editor, drag, [to.x, to.y]),
    up: (to, moved) => {
      if (!moved && at.event.pointerType === "touch") return; // a tap on a socket: the next tap on another ends the link
      if (moved) end(editor, drag, to, search);
      else editor.drag = null;
    },
    cancel: () => void (editor.drag = null),
  };
}

/** @param {Editor} editor @param {Found} found @param {[number, number]} at @returns {Drag} */
function begin(editor, found, at) {
  const socket = "socket" in found ? found.socket : null;
  const source = socket?.link ? editor.scene.nodes.get(socket.link.node) : undefined;
  const common = { to: at, refused: "", over: null };
  if (socket && !source) return { ...common, node: found.view, slot: 0, socket, backwards: true, type: socket.type, from: inputPoint(found.view, socket), replaces: null, owner: null };
  const node = source ?? found.view;
  const slot = socket?.link ? socket.link.slot : "output" in found ? found.output : 0;
  return { ...common, node, slot, socket: null, backwards: false, type: node.outputs[slot]?.type ?? "*", from: outputPoint(node, slot), replaces: socket, owner: socket ? found.view : null };
}

/** @param {Editor} editor @param {Drag} drag @param {[number, number]} at */
function follow(editor, drag, at) {
  drag.to = at;
  drag.over = target(editor, drag, at);
  drag.refused = drag.over ? reason(editor, drag, drag.over) : "";
}

/** What a link would end at: a socket near the pointer, the row of a widget, or the first socket that fits of the node under it.
 * @param {Editor} editor @param {Drag} drag @param {[number, number]} at @returns {Found | null} */
function target({ scene, view }, drag, [x, y]) {
  const near = scene.socketAt(x, y, 12 / Math.min(1, view.scale));
  if (near && "socket" in near !== drag.backwards) return near;
  const node = scene.nodeAt(x, y);
  if (!node || node === drag.node) return null;
  if (drag.backwards) {
    const output = node.outputs.findIndex((item) => fits(item.type, drag.type));
    return output < 0 ? null : { view: node, output };
  }
  const row = widgetAt(node, x - node.x, y - node.y);
  const socket = row ? node.inputs.find((item) => item.name === row.name) : firstFree(node, drag.type);
  return socket ? { view: node, socket } : null;
}

/** @param {NodeView} node @param {string} type */
function firstFree(node, type) {
  const fitting = node.inputs.filter((item) => !item.widget && fits(type, item.type));
  return fitting.find((item) => !item.link) ?? fitting[0];
}

/** Why a link may not end here; empty when it may. @param {Editor} editor @param {Drag} drag @param {Found} found */
export function reason(editor, drag, found) {
  const backwards = "output" in found;
  const [given, wanted] = backwards ? [found.view.outputs[found.output].type, drag.type] : [drag.type, found.socket.type];
  if (!fits(given, wanted)) return t("link.misfit", { given, input: backwards ? drag.socket?.label : found.socket.label, wanted });
  const [from, to] = backwards ? [found.view.id, drag.node.id] : [drag.node.id, found.view.id];
  return wouldLoop(editor.doc, from, to) ? t("link.ring") : "";
}

/** Which sockets are drawn bright while a link is dragged. @param {Drag} drag */
export const open = (drag) => ({
  input: (/** @type {NodeView} */ node, /** @type {Socket} */ socket) => !drag.backwards && node !== drag.node && fits(drag.type, socket.type),
  output: (/** @type {NodeView} */ node, /** @type {number} */ slot) => drag.backwards && node !== drag.node && fits(node.outputs[slot].type, drag.type),
});

/** @param {Editor} editor @param {Drag} drag @param {At} at @param {(at: [number, number], drag?: Drag) => void} search */
function end(editor, drag, at, search) {
  follow(editor, drag, [at.x, at.y]);
  editor.drag = null;
  const { over, owner, replaces } = drag;
  const cut = replaces && owner ? setInput(editor.doc, owner.id, replaces.name, undefined) : editor.doc;
  if (!over) {
    if (replaces) return editor.edit(cut, "Cut link");
    return editor.scene.nodeAt(at.x, at.y) ? undefined : search([at.x, at.y], drag);
  }
  if (drag.refused) return editor.events.emit("refused", drag.refused);
  if ("output" in over) return editor.edit(connect(editor.doc, over.view.id, over.output, drag.node.id, drag.socket?.name ?? ""), "Connect");
  const old = linkOf(inputsOf(entryOf(editor.doc, over.view.id)).get(over.socket.name));
  if (old && old.node === drag.node.id && old.slot === drag.slot) return;
  editor.edit(connect(cut, drag.node.id, drag.slot, over.view.id, over.socket.name), "Connect");
}

/** All links of a socket. @param {Editor} editor @param {Found} found */
export function linksAt({ scene }, found) {
  return scene.links.filter((item) => ("output" in found ? item.from === found.view && item.slot === found.output : item.to === found.view && item.socket.name === found.socket.name));
}

/** @param {Editor} editor @param {Found} found */
export function cutSocket(editor, found) {
  const links = linksAt(editor, found);
  if (links.length) editor.edit(links.reduce((doc, item) => setInput(doc, item.to.id, item.socket.name, undefined), editor.doc), "Cut links");
}

/** Take all links of an output to another output. @param {Editor} editor @param {{view: NodeView, output: number}} found @returns {Gesture} */
export function takeLinks(editor, found) {
  const links = linksAt(editor, found);
  const first = links[0];
  if (!first) return {};
  /** @type {Drag} */
  const drag = { node: first.to, slot: 0, socket: first.socket, backwards: true, type: first.socket.type, from: inputPoint(first.to, first.socket), to: outputPoint(found.view, found.output), replaces: null, owner: null, refused: "", over: null };
  editor.drag = drag;
  return {
    move: (at) => follow(editor, drag, [at.x, at.y]),
    up: () => {
      editor.drag = null;
      const { over } = drag;
      if (!over || !("output" in over)) return;
      const given = over.view.outputs[over.output].type;
      const moved = links.filter((item) => fits(given, item.socket.type) && !wouldLoop(editor.doc, over.view.id, item.to.id));
      if (moved.length) editor.edit(moved.reduce((doc, item) => connect(doc, over.view.id, over.output, item.to.id, item.socket.name), editor.doc), "Move links");
    },
    cancel: () => void (editor.drag = null),
  };
}
