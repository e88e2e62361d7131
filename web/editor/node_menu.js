// Menus on the canvas: of a node, a link, a group, and of the empty ground.

import { setInput } from "./document.js";
import { openMenu } from "./menu.js";
import { changeGroup, membersOf } from "./moving.js";
import { addNote, removeGroup, resetValues, setColour } from "./node_commands.js";
import { renameGroup } from "./renaming.js";
import { splitLink } from "./rerouting.js";
import { TITLE } from "./scene.js";
import { replace, search } from "./search.js";
import { definitionOf, GIVEN, subgraphOf } from "./subgraphs.js";
import { fits } from "./types.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./menu.js").Item} Item */

/** @type {[string, string][]} */
const COLOURS = [[t("colour.none"), ""], [t("colour.red"), "#5a2d2d"], [t("colour.brown"), "#5a4630"], [t("colour.green"), "#2d5236"], [t("colour.blue"), "#2d4460"], [t("colour.purple"), "#4a3560"]];

/** @type {[string, string][]} */
const GROUP_COLOURS = [[t("colour.blue"), "#3f789e"], [t("colour.red"), "#8a4a4a"], [t("colour.green"), "#4a8a5a"], [t("colour.yellow"), "#b59a3a"]];

/** Commands of the table as items. @param {App} app @param {string[]} ids @returns {Item[]} */
const items = (app, ids) => ids.flatMap((id) => {
  const command = app.commands.get(id);
  return command ? [{ title: command.title, keys: app.keysOf(command).slice(0, 1).map(app.keyText).join(), run: () => command.run(app), disabled: !(command.when?.(app) ?? true) }] : [];
});

/** @param {App} app @param {import("./pointer.js").At} at */
export function openCanvasMenu(app, at) {
  const { editor } = app;
  const { scene } = editor;
  const place = /** @type {[number, number]} */ ([at.event.clientX, at.event.clientY]);
  const node = scene.nodeAt(at.x, at.y);
  if (node) {
    if (!editor.selection.has(node.id)) editor.select([node.id]);
    return openMenu(app, place, nodeItems(app, node.id, place));
  }
  const link = scene.linkAt(at.x, at.y);
  if (link) {
    return openMenu(app, place, [
      { title: t("menu.reroute"), run: () => void splitLink(editor, link, at) },
      { title: t("menu.cut-link"), run: () => editor.edit(setInput(editor.doc, link.to.id, link.socket.name, undefined), "Cut link") },
    ]);
  }
  const group = scene.groupAt(at.x, at.y)?.group ?? scene.groups.find((item) => at.x > item.x && at.y > item.y && at.x < item.x + item.w && at.y < item.y + item.h);
  return openMenu(app, place, [
    { title: t("menu.add"), keys: t("menu.double-click"), run: () => search(app, [at.x, at.y]) },
    { title: t("menu.note"), run: () => addNote(app, [at.x, at.y]) },
    ...(group ? groupItems(app, group) : []),
    ...(editor.inside ? [{ title: t("menu.ports"), run: async () => (await import("./subgraph_ports.js")).openPorts(app) }] : []),
    null,
    ...items(app, ["paste", "select-all", "fit", "layout", "find"]),
    null,
    ...items(app, ["run", "save", "palette"]),
  ]);
}

/** @param {App} app @param {string} id @param {[number, number]} at @returns {Item[]} */
const nodeItems = (app, id, at) => [
  ...items(app, ["run-to", "rename", "edit-values", "about", "node-log"]),
  ...(app.editor.scene.nodes.get(id)?.face.known ? [] : [{ title: t("menu.replace"), run: () => replace(app, id) }]),
  ...subgraphItems(app, id, at),
  null,
  ...items(app, ["copy", "duplicate", "mute", "bypass", "collapse", "pin", "group"]),
  { title: t("menu.reset"), run: () => resetValues(app, id) },
  { title: t("menu.colour"), run: () => openMenu(app, at, COLOURS.map(([title, color]) => ({ title, run: () => setColour(app, id, color) }))) },
  null,
  ...items(app, ["heal", "delete"]),
];

const edits = () => import("./subgraph_edits.js");

/** @param {App} app @param {string} id @param {[number, number]} at @returns {Item[]} */
function subgraphItems(app, id, at) {
  const { editor } = app;
  const found = subgraphOf(editor.doc, id) ? items(app, ["enter", "unpack", "publish-subgraph", "update-subgraph"]) : items(app, ["subgraph"]);
  const node = editor.scene.nodes.get(id);
  if (!editor.inside || !node) return found;
  const open = node.inputs.filter((socket) => !socket.link && socket.given === null);
  const given = node.inputs.filter((socket) => socket.given !== null);
  const ports = [...(definitionOf(editor.root, editor.inside)?.get("inputs") ?? new Map())].map(([name, info]) => ({ name, type: String(info?.get?.("type") ?? "*") }));
  const pairs = open.flatMap((socket) => ports.filter((port) => fits(port.type, socket.type)).map((port) => ({ socket, port: port.name })));
  const set = (/** @type {string} */ name, /** @type {any} */ value, /** @type {string} */ label) => editor.edit(setInput(editor.doc, id, name, value), label);
  return [
    ...found,
    { title: t("menu.take-input"), disabled: !pairs.length, run: () => openMenu(app, at, pairs.map(({ socket, port }) => ({
      title: `${socket.label} ← ${port}`, run: () => set(socket.name, new Map([[GIVEN, port]]), "Take an input"),
    }))) },
    ...(given.length ? [{ title: t("menu.own-input"), run: () => openMenu(app, at, given.map((socket) => ({
      title: `${socket.label} ← ${socket.given}`, run: () => set(socket.name, socket.info.has_default ? socket.info.default : undefined, "Own value"),
    }))) }] : []),
    { title: t("menu.promote"), disabled: !open.length, run: () => openMenu(app, at, open.map((socket) => ({
      title: socket.label, run: async () => editor.editRoot((await edits()).promote(editor.root, editor.inside, id, socket.name, socket.type), "Promote"),
    }))) },
    { title: t("menu.expose"), disabled: !node.outputs.length, run: () => openMenu(app, at, node.outputs.map((output, slot) => ({
      title: output.name, run: async () => editor.editRoot((await edits()).expose(editor.root, editor.inside, id, slot, output.type), "Expose"),
    }))) },
  ];
}

/** What is done with all nodes of a group. @param {App} app @param {string[]} ids @returns {Item[]} */
const memberItems = (app, ids) => [
  { title: t("menu.choose-group"), run: () => app.editor.select(ids) },
  ...["run-group", "mute", "bypass", "collapse"].map((id) => {
    const command = /** @type {import("./commands.js").Command} */ (app.commands.get(id));
    const title = id === "run-group" ? t("menu.run-group") : t("menu.do-to-group", { what: command.title });
    return { title, disabled: !ids.length, run: () => {
      app.editor.select(ids);
      return command.run(app);
    } };
  }),
];

/** @param {App} app @param {import("./scene.js").GroupView} group @returns {Item[]} */
function groupItems(app, group) {
  const note = group.kind === "notes";
  return [
    null,
    { title: note ? t("menu.write-note") : t("menu.rename-group"), run: () => renameGroup(app, group) },
    ...(note ? [] : memberItems(app, membersOf(app.editor, group).map((node) => node.id))),
    { title: note ? t("menu.remove-note") : t("menu.remove-group"), run: () => removeGroup(app, group) },
    ...GROUP_COLOURS.map(([title, color]) => ({ title, run: () => app.editor.edit(changeGroup(app.editor, group, "color", color), "Colour") })),
  ];
}

/** By key: the menu of the chosen node, or of the ground. @param {App} app */
export function openMenuAtChoice(app) {
  const { editor } = app;
  const node = editor.scene.nodes.get([...editor.selection][0] ?? "");
  const corner = editor.canvas.getBoundingClientRect();
  const [sx, sy] = node ? editor.view.toScreen(node.x + 20, node.y + TITLE) : [editor.view.width / 2, editor.view.height / 2];
  const at = /** @type {[number, number]} */ ([corner.left + sx, corner.top + sy]);
  if (node) return openMenu(app, at, nodeItems(app, node.id, at));
  return openMenu(app, at, items(app, ["add", "paste", "select-all", "fit", "layout", "find", "run", "save"]));
}
