// Everything that a person can do with the document, once: the keys, the palette, the menus and the sheet of shortcuts are made from this table.
// "Mod" is Ctrl, and Cmd on a Mac.

import { align, distribute, layOut, nudge, walk } from "./arranging.js";
import { copyNodes, pasteNodes } from "./clipboard.js";
import { nodesOf, toggleMode } from "./document.js";
import { chooseFile, download, newFile, saveAs, saveFile } from "./files.js";
import { rename } from "./renaming.js";
import {
  addNote, collapse, connectChosen, downstream, duplicate, enterSubgraph, group, heal, leave, makeSubgraph, pin, remove, runGroup, unpackSubgraph,
} from "./node_commands.js";
import { rerouteChosen, straighten } from "./rerouting.js";
import { find, palette, search } from "./search.js";
import { chosenIn, definitionOf, subgraphOf } from "./subgraphs.js";
import { useFirst } from "./use_widget.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/**
 * @typedef {object} Command
 * @property {string} id
 * @property {string} title
 * @property {string} group a heading of the sheet of shortcuts
 * @property {string[]} keys
 * @property {(app: App) => unknown} run
 * @property {(app: App) => boolean} [when] whether it can be done now; always, if it does not say
 * @property {string} [icon]
 */

/** @param {App} app */
const chosen = ({ editor }) => editor.selection.size > 0;
/** @param {App} app */
const several = ({ editor }) => editor.selection.size > 1;

/** @param {App} app */
const instance = ({ editor }) => subgraphOf(editor.doc, [...editor.selection][0] ?? "") !== null;

/** @param {App} app @param {number} factor */
function zoom({ editor }, factor) {
  editor.view.zoom(factor);
  editor.renderer.draw();
}

/** @param {boolean} locked @returns {(app: App) => void} */
const lock = (locked) => ({ editor }) => {
  editor.locked = locked;
  editor.canvas.classList.toggle("locked", locked);
};

/** @param {App} app */
const searchHere = (app) => search(app, app.editor.view.toWorld(app.editor.view.width / 2 - 100, app.editor.view.height / 2 - 60));
/** @param {App} app */
const first = ({ editor }) => editor.scene.nodes.get([...editor.selection][0] ?? "");

/** @type {Omit<Command, "title">[]} */
const TABLE = [
  { id: "run", group: "jobs", keys: ["Mod+Enter"], icon: "run", run: (app) => app.jobs.run({ count: app.count }) },
  { id: "run-first", group: "jobs", keys: ["Mod+Shift+Enter"], run: (app) => app.jobs.run({ front: true }) },
  { id: "run-to", group: "jobs", keys: ["Shift+Enter"], icon: "run", run: (app) => app.jobs.run({ targets: [...app.editor.selection] }), when: chosen },
  { id: "cancel", group: "jobs", keys: ["Mod+Alt+Enter"], icon: "stop", run: (app) => app.jobs.cancel(), when: (app) => app.jobs.busy },

  { id: "undo", group: "edit", keys: ["Mod+z"], icon: "undo", run: ({ editor }) => editor.undo(), when: ({ editor }) => editor.history.past.length > 0 },
  { id: "redo", group: "edit", keys: ["Mod+y", "Mod+Shift+z"], icon: "redo", run: ({ editor }) => editor.redo(), when: ({ editor }) => editor.history.future.length > 0 },
  { id: "copy", group: "edit", keys: ["Mod+c"], icon: "copy", run: copyNodes, when: chosen },
  { id: "paste", group: "edit", keys: ["Mod+v"], run: (app) => pasteNodes(app, false) },
  { id: "paste-linked", group: "edit", keys: ["Mod+Shift+v"], run: (app) => pasteNodes(app, true) },
  { id: "duplicate", group: "edit", keys: ["Mod+d"], icon: "copy", run: duplicate, when: chosen },
  { id: "select-all", group: "edit", keys: ["Mod+a"], run: ({ editor }) => editor.select(nodesOf(editor.doc).keys()) },
  { id: "select-none", group: "edit", keys: ["Escape"], run: leave },
  { id: "select-downstream", group: "edit", keys: ["Shift+l"], run: downstream, when: chosen },
  { id: "delete", group: "edit", keys: ["Delete", "Backspace"], icon: "trash", run: remove, when: chosen },
  { id: "cut", group: "edit", keys: ["Mod+x"], run: async (app) => {
    await copyNodes(app);
    remove(app);
  }, when: chosen },
  { id: "heal", group: "edit", keys: ["Shift+Delete"], run: heal, when: chosen },

  { id: "add", group: "nodes", keys: ["Shift+a"], icon: "add", run: searchHere },
  { id: "note", group: "nodes", keys: [], run: (app) => addNote(app) },
  { id: "edit-values", group: "nodes", keys: ["Enter"], run: (app) => useFirst(app, /** @type {any} */ (first(app))), when: (app) => first(app) !== undefined },
  { id: "rename", group: "nodes", keys: ["F2"], run: (app) => rename(app, [...app.editor.selection][0]), when: chosen },
  { id: "menu", group: "nodes", keys: ["Shift+F10", "ContextMenu"], icon: "more", run: async (app) => (await import("./node_menu.js")).openMenuAtChoice(app) },
  { id: "connect", group: "nodes", keys: ["f"], run: connectChosen, when: several },
  { id: "mute", group: "nodes", keys: ["Mod+m"], icon: "mute", run: ({ editor }) => editor.edit(toggleMode(editor.doc, editor.selection, "mute"), "Mute"), when: chosen },
  { id: "bypass", group: "nodes", keys: ["Mod+b"], icon: "bypass", run: ({ editor }) => editor.edit(toggleMode(editor.doc, editor.selection, "bypass"), "Bypass"), when: chosen },
  { id: "about", group: "nodes", keys: ["i"], icon: "help", run: async (app) => (await import("./node_help.js")).showHelp(app, [...app.editor.selection][0]), when: chosen },
  { id: "node-log", group: "nodes", keys: [], icon: "log", run: ({ editor }) => editor.events.emit("log", { node: editor.path + [...editor.selection][0] }), when: chosen },
  { id: "collapse", group: "nodes", keys: ["Alt+c"], icon: "collapse", run: collapse, when: chosen },
  { id: "pin", group: "nodes", keys: ["p"], run: pin, when: chosen },
  { id: "reroute", group: "nodes", keys: [], run: rerouteChosen, when: chosen },
  { id: "straighten", group: "nodes", keys: [], run: straighten, when: chosen },
  { id: "group", group: "nodes", keys: ["Mod+g"], icon: "group", run: group, when: chosen },
  { id: "subgraph", group: "nodes", keys: ["Mod+Shift+e"], run: makeSubgraph, when: chosen },
  { id: "enter", group: "nodes", keys: ["e"], run: enterSubgraph, when: instance },
  { id: "unpack", group: "nodes", keys: [], run: unpackSubgraph, when: instance },
  { id: "publish-subgraph", group: "nodes", keys: [], run: async (app) => (await import("./library.js")).publish(app), when: ({ editor }) => chosenIn(editor) !== "" },
  { id: "update-subgraph", group: "nodes", keys: [], run: async (app) => (await import("./library.js")).update(app), when: ({ editor }) => definitionOf(editor.root, chosenIn(editor))?.has("published") ?? false },
  { id: "run-group", group: "nodes", keys: [], run: runGroup, when: chosen },

  { id: "align-left", group: "arrange", keys: [], run: ({ editor }) => align(editor, "left"), when: several },
  { id: "align-right", group: "arrange", keys: [], run: ({ editor }) => align(editor, "right"), when: several },
  { id: "align-top", group: "arrange", keys: [], run: ({ editor }) => align(editor, "top"), when: several },
  { id: "align-bottom", group: "arrange", keys: [], run: ({ editor }) => align(editor, "bottom"), when: several },
  { id: "distribute-x", group: "arrange", keys: [], run: ({ editor }) => distribute(editor, "x"), when: several },
  { id: "distribute-y", group: "arrange", keys: [], run: ({ editor }) => distribute(editor, "y"), when: several },
  { id: "layout", group: "arrange", keys: [], run: ({ editor }) => layOut(editor) },
  { id: "snap", group: "arrange", keys: [], run: ({ settings }) => settings.toggle("snap") },
  .../** @type {[string, string, number, number][]} */ ([["Left", "left", -1, 0], ["Right", "right", 1, 0], ["Up", "up", 0, -1], ["Down", "down", 0, 1]]).flatMap(([key, word, dx, dy]) => [
    { id: `nudge-${word}`, group: "arrange", keys: [`Arrow${key}`], run: (/** @type {App} */ { editor }) => nudge(editor, dx, dy), when: chosen },
    { id: `walk-${word}`, group: "view", keys: [`Alt+Arrow${key}`], run: (/** @type {App} */ { editor }) => walk(editor, dx, dy) },
  ]),

  { id: "fit", group: "view", keys: ["."], icon: "fit", run: ({ editor }) => editor.fit() },
  { id: "zoom-in", group: "view", keys: ["Alt+="], run: (app) => zoom(app, 1.1) },
  { id: "zoom-out", group: "view", keys: ["Alt+-"], run: (app) => zoom(app, 1 / 1.1) },
  { id: "minimap", group: "view", keys: ["Alt+m"], icon: "minimap", run: ({ settings }) => settings.toggle("minimap") },
  { id: "lock", group: "view", keys: ["h"], run: lock(true) },
  { id: "unlock", group: "view", keys: ["v"], run: lock(false) },
  .../** @type {import("./links.js").Shape[]} */ (["curve", "straight", "square", "hidden"]).map((shape) => (
    { id: `links-${shape}`, group: "view", keys: [], run: (/** @type {App} */ { settings }) => settings.set("links", shape) }
  )),
  { id: "find", group: "view", keys: ["Mod+f"], icon: "find", run: find },
  { id: "theme", group: "view", keys: [], icon: "theme", run: (app) => app.themes.toggle() },

  { id: "new", group: "file", keys: [], icon: "add", run: newFile },
  { id: "open", group: "file", keys: ["Mod+o"], icon: "open", run: chooseFile },
  { id: "save", group: "file", keys: ["Mod+s"], icon: "save", run: saveFile },
  { id: "save-as", group: "file", keys: ["Mod+Shift+s"], run: saveAs },
  { id: "download", group: "file", keys: [], icon: "download", run: download },
  { id: "upgrade", group: "file", keys: [], run: async (app) => (await import("./upgrades.js")).showUpgrades(app) },
  { id: "missing-models", group: "file", keys: [], run: async (app) => (await import("./model_files.js")).showMissing(app) },
  { id: "recover", group: "file", keys: [], run: async (app) => (await import("./recovery.js")).showUnsaved(app) },
  { id: "refresh", group: "file", keys: ["r"], icon: "retry", run: (app) => app.refresh() },

  { id: "palette", group: "help", keys: ["Mod+k", "F1"], icon: "keyboard", run: palette },
  { id: "sheet", group: "help", keys: ["Mod+Shift+k", "?"], icon: "help", run: async (app) => (await import("./sheet.js")).sheet(app) },
];

/** @param {string} key of a word @returns {string} */
const said = (key) => t(/** @type {import("./words.js").Key} */ (key));

/** @type {Command[]} */
export const COMMANDS = TABLE.map((command) => ({ ...command, title: said(`command.${command.id}`), group: said(`group.${command.group}`) }));

/** Panels can be reached as every other command. @param {import("./dock.js").Panel[]} panels @returns {Command[]} */
export const panelCommands = (panels) => panels.map((panel) => ({
  id: `panel-${panel.id}`, title: t("command.panel", { panel: panel.title }), group: t("group.panels"), keys: panel.key ? [panel.key] : [], icon: panel.icon, run: (app) => app.dock.toggle(panel.id),
}));
