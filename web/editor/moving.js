// Gestures that move and resize nodes, groups and reroutes. The scene is moved while the pointer is down, the document when it is let go.

import { connect, framesOf, put, setFrames, setPlaces, setReroutes } from "./document.js";
import { extract, merge } from "./merging.js";
import { bundle } from "./rerouting.js";
import { partsOf } from "./scene.js";
import { fits } from "./types.js";

/** @typedef {import("./editor.js").Editor} Editor */
/** @typedef {import("./pointer.js").At} At */
/** @typedef {import("./pointer.js").Gesture} Gesture */
/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./scene.js").GroupView} GroupView */

/** Nodes that are drawn alone while they are moved; with more of them all is drawn. */
const FEW = 3;
let clones = 0;

/** @param {number} value @param {At} at @param {Editor} editor */
function snapped(value, at, { settings }) {
  const grid = at.event.shiftKey || settings.get("snap") ? settings.get("grid") : 1;
  return Math.round(Math.round(value / grid) * grid);
}

/** @param {Editor} editor @param {NodeView} node @param {At} from @param {() => void} click @returns {Gesture} */
export function moveNodes(editor, node, from, click) {
  const add = from.event.ctrlKey || from.event.shiftKey || from.event.metaKey;
  const chosen = editor.selection.has(node.id);
  if (!chosen) editor.select(add ? [...editor.selection, node.id] : [node.id]);
  editor.raise([...editor.selection]);
  /** @type {{view: NodeView, x: number, y: number}[] | null} */
  let origins = null;
  let step = "";
  const begin = () => {
    if (from.event.altKey) {
      step = `clone ${(clones += 1)}`;
      const { doc, ids } = merge(editor.doc, extract(editor.placed(), editor.selection), [0, 0], true);
      editor.edit(doc, "Clone", step);
      editor.select(ids);
      editor.raise(ids);
    }
    return [...editor.selection].flatMap((id) => editor.scene.nodes.get(id) ?? []).filter((view) => !view.pinned).map((view) => ({ view, x: view.x, y: view.y }));
  };
  const shown = () => {
    const ids = new Set((origins ?? []).map(({ view }) => view.id));
    editor.renderer.draw(ids.size > FEW ? null : partsOf(ids, editor.scene.nodes, editor.scene.links));
  };
  return {
    looks: true,
    move: (at, moved) => {
      if (!moved) return;
      origins ??= begin();
      shown();
      for (const { view, x, y } of origins) [view.x, view.y] = [snapped(x + at.x - from.x, at, editor), snapped(y + at.y - from.y, at, editor)];
      editor.overLink = origins.length === 1 ? insertion(editor, origins[0].view) : null;
      shown();
    },
    up: (_, moved) => {
      if (!moved) {
        if (add && chosen) editor.select([...editor.selection].filter((id) => id !== node.id));
        else if (!add && chosen && editor.selection.size > 1) editor.select([node.id]);
        return add ? undefined : click();
      }
      const over = editor.overLink;
      editor.overLink = null;
      if (!origins?.length) return;
      editor.place(new Map(origins.map(({ view }) => [view.id, [view.x, view.y]])), over ? "insert" : step);
      if (over) insert(editor, origins[0].view, over);
      editor.history.settle();
    },
    cancel: () => {
      editor.overLink = null;
      for (const { view, x, y } of origins ?? []) [view.x, view.y] = [x, y];
      editor.renderer.draw();
      if (step) editor.undo();
    },
  };
}

/** The link that a node without links lies on and fits into. @param {Editor} editor @param {NodeView} node */
function insertion({ scene }, node) {
  if (node.inputs.some((socket) => socket.link) || !node.outputs.length) return null;
  if (scene.links.some((link) => link.from === node)) return null;
  const link = scene.linkAt(node.x + node.w / 2, node.y + node.h / 2, 14);
  return link && sockets(node, link) ? link : null;
}

/** @param {NodeView} node @param {import("./scene.js").LinkView} link */
function sockets(node, link) {
  const given = link.from.outputs[link.slot]?.type ?? "*";
  const input = node.inputs.find((socket) => fits(given, socket.type) && !socket.widget);
  const output = node.outputs.findIndex((item) => fits(item.type, link.socket.type));
  return input && output >= 0 ? { input, output } : null;
}

/** Put a node into a link. @param {Editor} editor @param {NodeView} node @param {import("./scene.js").LinkView} link */
export function insert(editor, node, link) {
  const found = sockets(node, link);
  if (!found) return;
  const first = connect(editor.doc, link.from.id, link.slot, node.id, found.input.name);
  editor.edit(connect(first, node.id, found.output, link.to.id, link.socket.name), "Insert", "insert");
}

/** @param {Editor} editor @param {NodeView} node @param {At} from @returns {Gesture} */
export function resizeNode(editor, node, from) {
  const { w, h } = node;
  const before = editor.doc;
  editor.select([node.id]);
  const size = (/** @type {At} */ at) => [Math.max(140, snapped(w + at.x - from.x, at, editor)), Math.max(node.minH, snapped(h + at.y - from.y, at, editor))];
  return {
    move: (at, moved) => moved && editor.edit(setPlaces(editor.doc, [node.id], "size", size(at)), "Resize", `size ${node.id}`),
    up: () => editor.history.settle(),
    cancel: () => editor.doc !== before && editor.undo(),
  };
}

/** @param {Editor} editor @param {GroupView} group @param {string} key @param {any} value */
export function changeGroup({ doc }, { kind, index }, key, value) {
  return setFrames(doc, kind, framesOf(doc, kind).map((frame, at) => (at === index ? put(frame, [key], value) : frame)));
}

/** The nodes that lie in a group. @param {Editor} editor @param {GroupView} group */
export const membersOf = ({ scene }, group) =>
  group.kind === "notes" ? [] : scene.order.filter((node) => {
    const [x, y] = [node.x + node.w / 2, node.y + node.h / 2];
    return x > group.x && x < group.x + group.w && y > group.y && y < group.y + group.h;
  });

/** A group takes its nodes with it, and with Ctrl goes alone. @param {Editor} editor @param {GroupView} group @param {At} from @returns {Gesture} */
export function moveGroup(editor, group, from) {
  const { x, y } = group;
  const members = from.event.ctrlKey ? [] : membersOf(editor, group).filter((node) => !node.pinned).map((view) => ({ view, x: view.x, y: view.y }));
  const set = (/** @type {number} */ dx, /** @type {number} */ dy) => {
    [group.x, group.y] = [x + dx, y + dy];
    for (const item of members) [item.view.x, item.view.y] = [item.x + dx, item.y + dy];
  };
  return {
    move: (at, moved) => moved && set(snapped(at.x - from.x, at, editor), snapped(at.y - from.y, at, editor)),
    up: (_, moved) => {
      if (!moved) return editor.select(membersOf(editor, group).map((node) => node.id));
      const step = `group ${(clones += 1)}`;
      editor.edit(changeGroup(editor, group, "pos", [Math.round(group.x), Math.round(group.y)]), "Move group", step);
      if (members.length) editor.place(new Map(members.map(({ view }, at) => [view.id, [members[at].x + group.x - x, members[at].y + group.y - y]])), step);
    },
    cancel: () => set(0, 0),
  };
}

/** @param {Editor} editor @param {GroupView} group @param {At} from @returns {Gesture} */
export function resizeGroup(editor, group, from) {
  const { w, h } = group;
  return {
    move: (at) => void Object.assign(group, { w: Math.max(80, w + snapped(at.x - from.x, at, editor)), h: Math.max(60, h + snapped(at.y - from.y, at, editor)) }),
    up: (_, moved) => moved && editor.edit(changeGroup(editor, group, "size", [Math.round(group.w), Math.round(group.h)]), "Resize group"),
    cancel: () => void Object.assign(group, { w, h }),
  };
}

/** @param {Editor} editor @param {import("./rerouting.js").Bend} bend @returns {Gesture} */
export function moveReroute(editor, bend) {
  const moving = bundle(editor.scene, bend).map(({ link, index }) => ({ link, index, before: link.points }));
  return {
    move: (at, moved) => {
      if (!moved) return;
      const place = /** @type {[number, number]} */ ([snapped(at.x, at, editor), snapped(at.y, at, editor)]);
      for (const { link, index } of moving) link.points = link.points.map((point, order) => (order === index ? place : point));
    },
    up: (_, moved) => {
      const doc = moving.reduce((now, { link }) => setReroutes(now, link.to.id, link.socket.name, link.points), editor.doc);
      if (moved) editor.edit(doc, "Move reroute", `reroute ${bend.link.to.id} ${bend.link.socket.name}`);
      editor.history.settle();
    },
    cancel: () => {
      for (const { link, before } of moving) link.points = before;
    },
  };
}
