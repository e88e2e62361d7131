// What commands do to the chosen nodes.

import { connect, entryOf, framesOf, inputsOf, linkOf, metaOf, nodesOf, removeNodes, setFrames, setMetas, setPlaces, wouldLoop } from "./document.js";
import { extract, merge } from "./merging.js";
import { membersOf } from "./moving.js";
import { askText } from "./dialogs.js";
import { subgraphOf } from "./subgraphs.js";
import { fits } from "./types.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./scene.js").NodeView} NodeView */

/** All of them get it, or lose it if all had it. @param {App} app @param {"collapsed" | "pinned"} key @param {string} label */
function togglePlace({ editor }, key, label) {
  const all = [...editor.selection];
  const had = all.every((id) => editor.scene.nodes.get(id)?.[key]);
  editor.edit(setPlaces(editor.doc, all, key, had ? undefined : true), label);
}

/** @param {App} app */
export const collapse = (app) => togglePlace(app, "collapsed", "Collapse");
/** @param {App} app */
export const pin = (app) => togglePlace(app, "pinned", "Pin");
/** @param {App} app */
export const remove = ({ editor }) => editor.edit(removeNodes(editor.doc, editor.selection), "Delete");

/** @param {App} app */
export function duplicate({ editor }) {
  const { doc, ids } = merge(editor.doc, extract(editor.placed(), editor.selection), [40, 40], true);
  editor.edit(doc, "Duplicate");
  editor.raise(ids);
  editor.select(ids);
}

/** Delete nodes; what followed them is linked to what came before, where the types allow it. @param {App} app */
export function heal({ editor }) {
  const { scene, selection } = editor;
  const healed = scene.links.filter((link) => selection.has(link.from.id) && !selection.has(link.to.id)).flatMap((link) => {
    const source = before(editor, link.from, link.type);
    return source ? [{ source, link }] : [];
  });
  const left = removeNodes(editor.doc, selection);
  editor.edit(healed.reduce((doc, { source, link }) => connect(doc, source.node, source.slot, link.to.id, link.socket.name), left), "Delete and join");
}

/** What of a type comes into a node from outside the choice. @param {import("./editor.js").Editor} editor @param {NodeView} node @param {string} type
 * @returns {import("./document.js").Link | null} */
function before(editor, node, type) {
  const seen = new Set();
  const waiting = [node];
  for (let at = waiting.pop(); at; at = waiting.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    for (const socket of at.inputs) {
      const source = socket.link && editor.scene.nodes.get(socket.link.node);
      if (!socket.link || !source || !fits(source.outputs[socket.link.slot]?.type ?? "*", type)) continue;
      if (!editor.selection.has(source.id)) return socket.link;
      waiting.push(source);
    }
  }
  return null;
}

/** @param {App} app */
export function downstream({ editor }) {
  const found = new Set(editor.selection);
  const following = new Map();
  for (const link of editor.scene.links) following.set(link.from.id, [...(following.get(link.from.id) ?? []), link.to.id]);
  const waiting = [...found];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const next of following.get(id) ?? []) {
      if (found.has(next)) continue;
      found.add(next);
      waiting.push(next);
    }
  }
  editor.select(found);
}

/** The left one of two nodes gives what the right one still needs. @param {App} app */
export function connectChosen(app) {
  const { editor } = app;
  const nodes = [...editor.selection].flatMap((id) => editor.scene.nodes.get(id) ?? []).sort((a, b) => a.x - b.x);
  for (const [at, from] of nodes.entries()) {
    for (const to of nodes.slice(at + 1)) {
      if (wouldLoop(editor.doc, from.id, to.id)) continue;
      for (const socket of to.inputs.filter((item) => !item.link && !item.widget)) {
        const slot = from.outputs.findIndex((output) => fits(output.type, socket.type));
        if (slot >= 0) return editor.edit(connect(editor.doc, from.id, slot, to.id, socket.name), "Connect");
      }
    }
  }
  app.say(t("link.none-free"));
}

/** @param {App} app */
export function group({ editor }) {
  const box = editor.scene.bounds([...editor.selection].flatMap((id) => editor.scene.nodes.get(id) ?? []));
  if (!box) return;
  const frame = new Map(/** @type {[string, any][]} */ ([
    ["title", t("group.new")], ["pos", [Math.round(box.x - 20), Math.round(box.y - 50)]], ["size", [Math.round(box.w + 40), Math.round(box.h + 70)]],
  ]));
  editor.edit(setFrames(editor.doc, "groups", [...framesOf(editor.doc, "groups"), frame]), "Group");
}

/** @param {App} app @param {import("./scene.js").GroupView} group */
export const removeGroup = ({ editor }, { kind, index }) => editor.edit(setFrames(editor.doc, kind, framesOf(editor.doc, kind).filter((_, at) => at !== index)), "Remove");

/** A note on the canvas, in the middle of the view or at a point of the world. @param {App} app @param {[number, number]} [at] */
export function addNote({ editor }, at) {
  const { view, doc } = editor;
  const [x, y] = at ?? view.toWorld(view.width / 2 - 120, view.height / 2 - 60);
  const note = new Map(/** @type {[string, any][]} */ ([["text", t("note.new")], ["pos", [Math.round(x), Math.round(y)]], ["size", [240, 120]]]));
  editor.edit(setFrames(doc, "notes", [...framesOf(doc, "notes"), note]), "Add a note");
}

/** Run up to the last nodes of the group that a chosen node lies in. @param {App} app */
export function runGroup(app) {
  const { editor } = app;
  const found = editor.scene.groups.find((item) => membersOf(editor, item).some((node) => editor.selection.has(node.id)));
  const members = new Set(found ? membersOf(editor, found).map((node) => node.id) : editor.selection);
  const inner = new Set(editor.scene.links.filter((link) => members.has(link.to.id)).map((link) => link.from.id));
  return app.jobs.run({ targets: [...members].filter((id) => !inner.has(id)) });
}

/** @param {App} app */
export async function makeSubgraph(app) {
  const { editor } = app;
  const wanted = await askText(t("subgraph.title"), t("subgraph.name"), t("subgraph.first"), t("subgraph.make"));
  if (!wanted?.trim()) return;
  const typeOf = (/** @type {string} */ id, /** @type {number} */ slot) => editor.scene.nodes.get(id)?.outputs[slot]?.type ?? "*";
  const { toSubgraph } = await import("./subgraph_edits.js");
  const { doc, id } = toSubgraph(editor.placed(), [...editor.selection], wanted, typeOf);
  editor.edit(doc, "Make a subgraph");
  editor.select([id]);
}

/** @param {App} app */
export function enterSubgraph({ editor }) {
  const id = [...editor.selection][0] ?? "";
  const name = subgraphOf(editor.doc, id);
  if (name) editor.enter([...editor.entered, { name, id }]);
}

/** @param {App} app */
export async function unpackSubgraph({ editor }) {
  const { unpack } = await import("./subgraph_edits.js");
  const { doc, ids } = unpack(editor.doc, [...editor.selection][0] ?? "");
  if (!ids.length) return;
  editor.edit(doc, "Unpack");
  editor.select(ids);
}

/** @param {App} app */
export function leave({ editor }) {
  if (editor.selection.size) editor.select([]);
  else if (editor.inside) editor.enter(editor.entered.slice(0, -1));
}

/** @param {App} app @param {string} id @param {string} title */
export function setTitle({ editor }, id, title) {
  if (title.trim() !== String(metaOf(entryOf(editor.doc, id)).get("title") ?? "")) editor.edit(setMetas(editor.doc, [id], "title", title.trim() || undefined), "Rename");
}

/** @param {App} app @param {string} id @param {string} color */
export const setColour = ({ editor }, id, color) => editor.edit(setPlaces(editor.doc, new Set([id, ...editor.selection]), "color", color || undefined), "Colour");

/** Values of all inputs back to what the node declares. @param {App} app @param {string} id */
export function resetValues({ editor }, id) {
  const entry = entryOf(editor.doc, id);
  const face = editor.catalogue.face(editor.doc, entry);
  const links = [...inputsOf(entry)].filter(([name, value]) => linkOf(value) || !face.inputs.find((input) => input.name === name)?.has_default);
  const nodes = new Map(nodesOf(editor.doc));
  nodes.set(id, new Map([...entry, ["inputs", new Map(links)]]));
  editor.edit(new Map([...editor.doc, ["nodes", nodes]]), "Reset values");
}
