// Everything that a person can do with the document, once: the keys, the palette, the menus and the sheet of shortcuts are made from this table.
// "Mod" is Ctrl, and Cmd on a Mac.

import { align, distribute, layOut, nudge, walk } from "./arranging.js";
import { copyNodes, pasteNodes } from "./clipboard.js";
import { nodesOf, toggleMode } from "./document.js";
import { chooseFile, download, newFile, saveAs, saveFile } from "./files.js";
import { openMenuAtChoice, rename } from "./node_menu.js";
import {
  addNote, collapse, connectChosen, downstream, duplicate, enterSubgraph, group, heal, leave, makeSubgraph, pin, remove, runGroup, unpackSubgraph,
} from "./node_commands.js";
import { find, palette, search } from "./search.js";
import { sheet } from "./sheet.js";
import { subgraphOf } from "./subgraphs.js";
import { useFirst } from "./use_widget.js";

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

/** @param {"minimap" | "snap" | "locked"} name @param {boolean} [value] @returns {(app: App) => void} */
const turn = (name, value) => ({ editor }) => {
  editor[name] = value ?? !editor[name];
  editor.renderer.draw();
  editor.canvas.classList.toggle("locked", editor.locked);
};

/** @param {App} app */
const searchHere = (app) => search(app, app.editor.view.toWorld(app.editor.view.width / 2 - 100, app.editor.view.height / 2 - 60));
/** @param {App} app */
const first = ({ editor }) => editor.scene.nodes.get([...editor.selection][0] ?? "");

/** @type {Command[]} */
export const COMMANDS = [
  { id: "run", title: "Run", group: "Jobs", keys: ["Mod+Enter"], icon: "run", run: (app) => app.jobs.run({ count: app.count }) },
  { id: "run-first", title: "Run before all that waits", group: "Jobs", keys: ["Mod+Shift+Enter"], run: (app) => app.jobs.run({ front: true }) },
  { id: "run-to", title: "Run up to here", group: "Jobs", keys: ["Shift+Enter"], icon: "run", run: (app) => app.jobs.run({ targets: [...app.editor.selection] }), when: chosen },
  { id: "cancel", title: "Cancel what runs", group: "Jobs", keys: ["Mod+Alt+Enter"], icon: "stop", run: (app) => app.jobs.cancel(), when: (app) => app.jobs.busy },

  { id: "undo", title: "Undo", group: "Edit", keys: ["Mod+z"], icon: "undo", run: ({ editor }) => editor.undo(), when: ({ editor }) => editor.history.past.length > 0 },
  { id: "redo", title: "Redo", group: "Edit", keys: ["Mod+y", "Mod+Shift+z"], icon: "redo", run: ({ editor }) => editor.redo(), when: ({ editor }) => editor.history.future.length > 0 },
  { id: "copy", title: "Copy", group: "Edit", keys: ["Mod+c"], icon: "copy", run: copyNodes, when: chosen },
  { id: "paste", title: "Paste", group: "Edit", keys: ["Mod+v"], run: (app) => pasteNodes(app, false) },
  { id: "paste-linked", title: "Paste with the links to what is here", group: "Edit", keys: ["Mod+Shift+v"], run: (app) => pasteNodes(app, true) },
  { id: "duplicate", title: "Duplicate", group: "Edit", keys: ["Mod+d"], icon: "copy", run: duplicate, when: chosen },
  { id: "select-all", title: "Choose all nodes", group: "Edit", keys: ["Mod+a"], run: ({ editor }) => editor.select(nodesOf(editor.doc).keys()) },
  { id: "select-none", title: "Choose nothing; leave the subgraph", group: "Edit", keys: ["Escape"], run: leave },
  { id: "select-downstream", title: "Choose all that follows", group: "Edit", keys: ["Shift+l"], run: downstream, when: chosen },
  { id: "delete", title: "Delete", group: "Edit", keys: ["Delete", "Backspace"], icon: "trash", run: remove, when: chosen },
  { id: "cut", title: "Cut", group: "Edit", keys: ["Mod+x"], run: async (app) => {
    await copyNodes(app);
    remove(app);
  }, when: chosen },
  { id: "heal", title: "Delete and join the links", group: "Edit", keys: ["Shift+Delete"], run: heal, when: chosen },

  { id: "add", title: "Add a node", group: "Nodes", keys: ["Shift+a"], icon: "add", run: searchHere },
  { id: "note", title: "Add a note", group: "Nodes", keys: [], run: (app) => addNote(app) },
  { id: "edit-values", title: "Edit the values", group: "Nodes", keys: ["Enter"], run: (app) => useFirst(app, /** @type {any} */ (first(app))), when: (app) => first(app) !== undefined },
  { id: "rename", title: "Rename", group: "Nodes", keys: ["F2"], run: (app) => rename(app, [...app.editor.selection][0]), when: chosen },
  { id: "menu", title: "Menu of the node", group: "Nodes", keys: ["Shift+F10", "ContextMenu"], icon: "more", run: openMenuAtChoice },
  { id: "connect", title: "Connect the two chosen nodes", group: "Nodes", keys: ["f"], run: connectChosen, when: several },
  { id: "mute", title: "Mute", group: "Nodes", keys: ["Mod+m"], icon: "mute", run: ({ editor }) => editor.edit(toggleMode(editor.doc, editor.selection, "mute"), "Mute"), when: chosen },
  { id: "bypass", title: "Bypass", group: "Nodes", keys: ["Mod+b"], icon: "bypass", run: ({ editor }) => editor.edit(toggleMode(editor.doc, editor.selection, "bypass"), "Bypass"), when: chosen },
  { id: "about", title: "About the node", group: "Nodes", keys: ["i"], icon: "help", run: async (app) => (await import("./node_help.js")).showHelp(app, [...app.editor.selection][0]), when: chosen },
  { id: "collapse", title: "Collapse", group: "Nodes", keys: ["Alt+c"], icon: "collapse", run: collapse, when: chosen },
  { id: "pin", title: "Pin to its place", group: "Nodes", keys: ["p"], run: pin, when: chosen },
  { id: "group", title: "Group", group: "Nodes", keys: ["Mod+g"], icon: "group", run: group, when: chosen },
  { id: "subgraph", title: "Make a subgraph", group: "Nodes", keys: ["Mod+Shift+e"], run: makeSubgraph, when: chosen },
  { id: "enter", title: "Open the subgraph", group: "Nodes", keys: ["e"], run: enterSubgraph, when: instance },
  { id: "unpack", title: "Unpack the subgraph", group: "Nodes", keys: [], run: unpackSubgraph, when: instance },
  { id: "run-group", title: "Run the group of what is chosen", group: "Nodes", keys: [], run: runGroup, when: chosen },

  { id: "align-left", title: "Align left edges", group: "Arrange", keys: [], run: ({ editor }) => align(editor, "left"), when: several },
  { id: "align-right", title: "Align right edges", group: "Arrange", keys: [], run: ({ editor }) => align(editor, "right"), when: several },
  { id: "align-top", title: "Align upper edges", group: "Arrange", keys: [], run: ({ editor }) => align(editor, "top"), when: several },
  { id: "align-bottom", title: "Align lower edges", group: "Arrange", keys: [], run: ({ editor }) => align(editor, "bottom"), when: several },
  { id: "distribute-x", title: "Equal gaps from left to right", group: "Arrange", keys: [], run: ({ editor }) => distribute(editor, "x"), when: several },
  { id: "distribute-y", title: "Equal gaps from top to bottom", group: "Arrange", keys: [], run: ({ editor }) => distribute(editor, "y"), when: several },
  { id: "layout", title: "Lay out along the links", group: "Arrange", keys: [], run: ({ editor }) => layOut(editor) },
  { id: "snap", title: "Snap to the grid", group: "Arrange", keys: [], run: turn("snap") },
  .../** @type {[string, string, number, number][]} */ ([["Left", "left", -1, 0], ["Right", "right", 1, 0], ["Up", "up", 0, -1], ["Down", "down", 0, 1]]).flatMap(([key, word, dx, dy]) => [
    { id: `nudge-${word}`, title: `Move ${word}`, group: "Arrange", keys: [`Arrow${key}`], run: (/** @type {App} */ { editor }) => nudge(editor, 10 * dx, 10 * dy), when: chosen },
    { id: `walk-${word}`, title: `Go to the node ${dx ? `on the ${word}` : dy < 0 ? "above" : "below"}`, group: "View", keys: [`Alt+Arrow${key}`], run: (/** @type {App} */ { editor }) => walk(editor, dx, dy) },
  ]),

  { id: "fit", title: "Show all, or what is chosen", group: "View", keys: ["."], icon: "fit", run: ({ editor }) => editor.fit() },
  { id: "zoom-in", title: "Zoom in", group: "View", keys: ["Alt+="], run: (app) => zoom(app, 1.1) },
  { id: "zoom-out", title: "Zoom out", group: "View", keys: ["Alt+-"], run: (app) => zoom(app, 1 / 1.1) },
  { id: "minimap", title: "Mini-map", group: "View", keys: ["Alt+m"], icon: "minimap", run: turn("minimap") },
  { id: "lock", title: "Dragging moves the view only", group: "View", keys: ["h"], run: turn("locked", true) },
  { id: "unlock", title: "Dragging moves nodes", group: "View", keys: ["v"], run: turn("locked", false) },
  .../** @type {[import("./links.js").Shape, string][]} */ ([["curve", "curves"], ["straight", "straight lines"], ["square", "right angles"], ["hidden", "only of chosen nodes"]]).map(([shape, word]) => (
    { id: `links-${shape}`, title: `Links: ${word}`, group: "View", keys: [], run: (/** @type {App} */ { editor }) => editor.shapeLinks(shape) }
  )),
  { id: "find", title: "Find a node", group: "View", keys: ["Mod+f"], icon: "find", run: find },
  { id: "theme", title: "Dark or light", group: "View", keys: [], icon: "theme", run: (app) => app.themes.toggle() },

  { id: "new", title: "New workflow", group: "File", keys: [], icon: "add", run: newFile },
  { id: "open", title: "Open a file", group: "File", keys: ["Mod+o"], icon: "open", run: chooseFile },
  { id: "save", title: "Save", group: "File", keys: ["Mod+s"], icon: "save", run: saveFile },
  { id: "save-as", title: "Save as", group: "File", keys: ["Mod+Shift+s"], run: saveAs },
  { id: "download", title: "Download as a file", group: "File", keys: [], icon: "download", run: download },
  { id: "refresh", title: "Read nodes and model files again", group: "File", keys: ["r"], icon: "retry", run: (app) => app.refresh() },

  { id: "palette", title: "All commands", group: "Help", keys: ["Mod+k", "F1"], icon: "keyboard", run: palette },
  { id: "sheet", title: "Keys", group: "Help", keys: ["Mod+Shift+k", "?"], icon: "help", run: sheet },
];

/** Panels can be reached as every other command. @param {import("./dock.js").Panel[]} panels @returns {Command[]} */
export const panelCommands = (panels) =>
  panels.map((panel) => ({ id: `panel-${panel.id}`, title: `Panel: ${panel.title}`, group: "Panels", keys: panel.key ? [panel.key] : [], icon: panel.icon, run: (app) => app.dock.toggle(panel.id) }));
