// Search a node and add it; after a link was dropped, only nodes that fit it, and the new one is linked.

import { startValue } from "./catalogue.js";
import { addNode, connect, freeId, put } from "./document.js";
import { exact, Num } from "./json.js";
import { recallObject } from "./kept.js";
import { openPicker, rank, wordsOf } from "./picker.js";
import { setPolicy } from "./seeds.js";
import { fits } from "./types.js";
import { t } from "./words.js";

/** @typedef {import("./catalogue.js").NodeInfo} NodeInfo */
/** @typedef {import("./linking.js").Drag} Drag */

const USED = "easel.used";
/** What most graphs are made of: first among equals until a person has used others. */
const USUAL = new Set(["LoadCheckpoint", "CLIPEncode", "KSampler", "EmptyLatent", "VAEDecode", "SaveImage", "LoadImage", "VAEEncode", "LoraLoader"]);

/** @returns {Record<string, number>} how often each node was added */
const used = () => recallObject(localStorage, USED);

/** @param {NodeInfo} info @param {string[]} words @returns {number} 0: does not match */
function score(info, words) {
  const names = [info.display_name, info.id, ...info.aliases.map((alias) => alias.id)].join(" ").toLowerCase();
  return rank(words, names, `${names} ${info.category} ${info.help}`.toLowerCase()) * (info.deprecated ? 0.2 : 1);
}

/** The socket of a node that a dropped link fits; undefined for none. @param {NodeInfo} info @param {Drag} drag */
function partner(info, drag) {
  if (drag.backwards) {
    const slot = info.outputs.findIndex((output) => fits(output.type, drag.type));
    return slot < 0 ? undefined : slot;
  }
  const exactly = info.inputs.find((input) => input.type === drag.type) ?? info.inputs.find((input) => fits(drag.type, input.type));
  return exactly && (exactly.variadic ? `${exactly.name}0` : exactly.name);
}

/** @param {import("./editor.js").Editor} editor @param {string} id @param {[number, number]} at @param {Drag} [drag]
 * @param {Record<string, any>} [given] values other than the defaults @returns {string} the id of the new node */
export function add(editor, id, at, drag, given = {}) {
  const info = /** @type {NodeInfo} */ (editor.catalogue.nodes.get(id) ?? editor.catalogue.aliases.get(id)?.info);
  const inputs = new Map();
  for (const input of info.inputs) {
    const value = startValue(editor.catalogue, input);
    if (value !== undefined) inputs.set(input.name, literal(value, input.type));
  }
  for (const [name, value] of Object.entries(given)) inputs.set(name, exact(value));
  const name = freeId(editor.doc, info.id);
  let doc = addNode(editor.doc, name, info.id, inputs, at);
  for (const input of info.inputs) if (input.seed) doc = setPolicy(doc, name, input.name, "random");
  if (drag) {
    const which = partner(info, drag);
    if (typeof which === "number") doc = connect(doc, name, which, drag.node.id, drag.socket?.name ?? "");
    else if (which) doc = connect(doc, drag.node.id, drag.slot, name, which);
  }
  editor.edit(doc, "Add node");
  editor.raise([name]);
  editor.select([name]);
  setTimeout(() => localStorage.setItem(USED, JSON.stringify({ ...used(), [info.id]: (used()[info.id] ?? 0) + 1 }))); // slow: not while a person waits
  return name;
}

/** @param {any} value @param {string} type */
function literal(value, type) {
  if (type === "FLOAT" && Number.isInteger(value)) return new Num(`${value}.0`);
  return Array.isArray(value) ? new Map([["__value__", exact(value)]]) : exact(value);
}

/** @param {NodeInfo} info */
const sockets = (info) => {
  const kinds = (/** @type {{type: string}[]} */ list) => [...new Set(list.map((item) => item.type.split(",")[0].replace(/^\$.*/, "*")).filter((type) => !["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"].includes(type)))].join(" ");
  return [kinds(info.inputs), kinds(info.outputs)].filter(Boolean).join(" → ");
};

/** Choose an installed node. @param {import("./app.js").App} app @param {string} label @param {(info: NodeInfo) => boolean} fitting @param {(id: string) => void} take
 * @param {import("./picker.js").Entry[]} others what can be chosen too @returns {() => void} lists all again */
function chooseNode(app, label, fitting, take, others = []) {
  const { editor } = app;
  const often = used();
  const again = openPicker(app, {
    label,
    entries: (query) => {
      const words = wordsOf(query);
      const nodes = [...editor.catalogue.nodes.values()].filter(fitting).map((info) => ({
        points: score(info, words) * 10 + Math.min(9, often[info.id] ?? Number(USUAL.has(info.id))),
        entry: { id: info.id, title: info.display_name, detail: info.category, note: sockets(info), help: info.help.split("\n\n")[0], run: () => take(info.id) },
      }));
      const shared = others.map((entry) => ({ points: rank(words, entry.title.toLowerCase(), `${entry.title} ${entry.detail} ${entry.help}`.toLowerCase()) * 10, entry }));
      return [...nodes, ...shared].filter((item) => item.points >= 1).sort((a, b) => b.points - a.points || a.entry.title.localeCompare(b.entry.title)).map((item) => item.entry);
    },
  });
  if (!editor.catalogue.helps) app.learn().then(again);
  return again;
}

/** @param {import("./app.js").App} app @param {[number, number]} at of the world @param {Drag} [drag] */
export function search(app, at, drag) {
  const label = drag ? t(drag.backwards ? "search.gives" : "search.takes", { type: drag.type.startsWith("$") ? "*" : drag.type }) : t("search.add");
  /** @type {import("./picker.js").Entry[]} */
  const shared = [];
  const again = chooseNode(app, label, (info) => !drag || partner(info, drag) !== undefined, (id) => void add(app.editor, id, at, drag), shared);
  if (!drag) {
    app.guard(async () => {
      const { addPublished, published } = await import("./library.js");
      shared.push(...(await published(app)).map(({ name, title, description }) => ({ title, detail: t("library.kind"), help: description, run: () => addPublished(app, name, at) })));
      again();
    });
  }
}

/** Another node in the place of one that is not installed; its values and links stay. @param {import("./app.js").App} app @param {string} id */
export function replace(app, id) {
  const { editor } = app;
  chooseNode(app, t("search.instead"), () => true, (classType) => editor.edit(put(editor.doc, ["nodes", id, "class_type"], classType), "Replace"));
}

/** Find a node of the document by its title, id, class or problem. @param {import("./app.js").App} app */
export function find(app) {
  const { editor } = app;
  openPicker(app, {
    label: t("search.find"),
    entries: (query) => {
      const words = wordsOf(query);
      return editor.scene.order
        .map((node) => ({ node, wrong: editor.problemsOf(node.id)[0]?.message ?? "" }))
        .map(({ node, wrong }) => ({ node, wrong, points: rank(words, `${node.title} ${node.id}`.toLowerCase(), `${node.title} ${node.id} ${node.face.title} ${wrong} ${wrong ? "error" : ""}`.toLowerCase()) }))
        .filter((item) => item.points)
        .sort((a, b) => b.points - a.points)
        .map(({ node, wrong }) => ({ id: node.id, title: node.title, detail: wrong || node.face.title, note: node.id, run: () => editor.show(node.id) }));
    },
  });
}

/** @param {import("./app.js").App} app */
export function palette(app) {
  openPicker(app, {
    label: t("search.commands"),
    entries: (query) => {
      const words = wordsOf(query);
      return [...app.commands.values()]
        .filter((command) => command.id !== "palette" && (command.when?.(app) ?? true))
        .map((command) => ({ command, points: rank(words, command.title.toLowerCase(), `${command.title} ${command.group}`.toLowerCase()) }))
        .filter((item) => item.points)
        .sort((a, b) => b.points - a.points)
        .map(({ command }) => ({ id: command.id, title: command.title, detail: command.group, note: app.keysOf(command).map(app.keyText).join("  "), run: () => command.run(app) }));
    },
  });
}
