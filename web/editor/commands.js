// Everything that a person can do with the document, once: the keys, the palette, the menus and the sheet of shortcuts are made from this table.
// "Mod" is Ctrl, and Cmd on a Mac.

import { extract, groupsOf, merge, nodesOf, removeNodes, setGroups, setPlace, toggleMode } from "./document.js";

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

const chosen = (/** @type {App} */ { editor }) => editor.selection.size > 0;

/** @param {App} app */
function collapse({ editor }) {
  const all = [...editor.selection];
  const folded = all.every((id) => editor.scene.nodes.get(id)?.collapsed);
  editor.edit(all.reduce((doc, id) => setPlace(doc, id, "collapsed", folded ? undefined : true), editor.doc), "Collapse");
}

/** @param {App} app @param {number} factor */
function zoom({ editor }, factor) {
  editor.view.zoom(factor);
  editor.renderer.draw();
}

/** @param {App} app */
function duplicate({ editor }) {
  const { doc, ids } = merge(editor.doc, extract(editor.placed(), editor.selection), [40, 40], true);
  editor.edit(doc, "Duplicate");
  editor.select(ids);
}

/** @param {App} app */
function group({ editor }) {
  const box = editor.scene.bounds([...editor.selection].flatMap((id) => editor.scene.nodes.get(id) ?? []));
  if (!box) return;
  const frame = new Map(/** @type {[string, any][]} */ ([
    ["title", "Group"], ["pos", [Math.round(box.x - 20), Math.round(box.y - 50)]], ["size", [Math.round(box.w + 40), Math.round(box.h + 70)]],
  ]));
  editor.edit(setGroups(editor.doc, [...groupsOf(editor.doc), frame]), "Group");
}

/** @type {Command[]} */
export const COMMANDS = [
  { id: "run", title: "Run", group: "Jobs", keys: ["Mod+Enter"], icon: "run", run: (app) => app.jobs.run() },
  { id: "run-first", title: "Run before all that waits", group: "Jobs", keys: ["Mod+Shift+Enter"], run: (app) => app.jobs.run({ front: true }) },
  { id: "cancel", title: "Cancel what runs", group: "Jobs", keys: ["Mod+Alt+Enter"], icon: "stop", run: (app) => app.jobs.cancel() },
  { id: "undo", title: "Undo", group: "Edit", keys: ["Mod+z"], icon: "undo", run: ({ editor }) => editor.undo(), when: ({ editor }) => editor.history.past.length > 0 },
  { id: "redo", title: "Redo", group: "Edit", keys: ["Mod+y", "Mod+Shift+z"], icon: "redo", run: ({ editor }) => editor.redo(), when: ({ editor }) => editor.history.future.length > 0 },
  { id: "select-all", title: "Choose all nodes", group: "Edit", keys: ["Mod+a"], run: ({ editor }) => editor.select(nodesOf(editor.doc).keys()) },
  { id: "delete", title: "Delete", group: "Edit", keys: ["Delete", "Backspace"], icon: "trash", run: ({ editor }) => editor.edit(removeNodes(editor.doc, editor.selection), "Delete"), when: chosen },
  { id: "duplicate", title: "Duplicate", group: "Edit", keys: ["Mod+d"], icon: "copy", run: duplicate, when: chosen },
  { id: "mute", title: "Mute", group: "Nodes", keys: ["Mod+m"], icon: "mute", run: ({ editor }) => editor.edit(toggleMode(editor.doc, editor.selection, "mute"), "Mute"), when: chosen },
  { id: "bypass", title: "Bypass", group: "Nodes", keys: ["Mod+b"], icon: "bypass", run: ({ editor }) => editor.edit(toggleMode(editor.doc, editor.selection, "bypass"), "Bypass"), when: chosen },
  { id: "collapse", title: "Collapse", group: "Nodes", keys: ["Alt+c"], icon: "collapse", run: collapse, when: chosen },
  { id: "group", title: "Group", group: "Nodes", keys: ["Mod+g"], icon: "group", run: group, when: chosen },
  { id: "fit", title: "Show all, or what is chosen", group: "View", keys: ["."], icon: "fit", run: ({ editor }) => editor.fit() },
  { id: "zoom-in", title: "Zoom in", group: "View", keys: ["Alt+="], run: (app) => zoom(app, 1.1) },
  { id: "zoom-out", title: "Zoom out", group: "View", keys: ["Alt+-"], run: (app) => zoom(app, 1 / 1.1) },
  { id: "minimap", title: "Mini-map", group: "View", keys: ["Alt+m"], icon: "minimap", run: ({ editor }) => {
    editor.minimap = !editor.minimap;
    editor.renderer.draw();
  } },
  { id: "refresh", title: "Read nodes and model files again", group: "File", keys: ["r"], run: (app) => app.refresh() },
];

/** Panels can be reached as every other command. @param {import("./dock.js").Panel[]} panels @returns {Command[]} */
export const panelCommands = (panels) =>
  panels.map((panel) => ({ id: `panel-${panel.id}`, title: `Panel: ${panel.title}`, group: "Panels", keys: panel.key ? [panel.key] : [], icon: panel.icon, run: (app) => app.dock.toggle(panel.id) }));
