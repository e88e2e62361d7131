// The one table of keys. "Mod" is Ctrl, and Cmd on a Mac.

import { extract, merge, nodesOf, removeNodes, setPlace, toggleMode } from "./document.js";
import { read, write } from "./json.js";

/** @typedef {{editor: import("./editor.js").Editor, run: (front: boolean) => void, cancel: () => void}} App */

const collapse = (/** @type {App} */ { editor }) => {
  const all = [...editor.selection];
  const folded = all.every((id) => editor.scene.nodes.get(id)?.collapsed);
  editor.edit(all.reduce((doc, id) => setPlace(doc, id, "collapsed", folded ? undefined : true), editor.doc), "Collapse");
};
const remove = (/** @type {App} */ { editor }) => editor.selection.size && editor.edit(removeNodes(editor.doc, editor.selection), "Delete");
const mode = (/** @type {"mute" | "bypass"} */ name) => (/** @type {App} */ { editor }) => editor.edit(toggleMode(editor.doc, editor.selection, name), name);
const zoom = (/** @type {number} */ factor) => (/** @type {App} */ { editor }) => {
  editor.view.zoom(factor);
  editor.renderer.draw();
};

/** @type {[string, (app: App) => unknown][]} */
export const KEYS = [
  ["Mod+Enter", (app) => app.run(false)],
  ["Mod+Shift+Enter", (app) => app.run(true)],
  ["Mod+Alt+Enter", (app) => app.cancel()],
  ["Mod+z", ({ editor }) => editor.undo()],
  ["Mod+y", ({ editor }) => editor.redo()],
  ["Mod+Shift+z", ({ editor }) => editor.redo()],
  ["Mod+a", ({ editor }) => {
    editor.selection = new Set(nodesOf(editor.doc).keys());
    editor.renderer.draw();
  }],
  ["Delete", remove],
  ["Backspace", remove],
  ["Mod+m", mode("mute")],
  ["Mod+b", mode("bypass")],
  ["Alt+c", collapse],
  [".", ({ editor }) => editor.fit()],
  ["Alt+=", zoom(1.1)],
  ["Alt+-", zoom(1 / 1.1)],
  ["Alt+m", ({ editor }) => {
    editor.minimap = !editor.minimap;
    editor.renderer.draw();
  }],
];

/** @param {App} app */
export function bind(app) {
  const { editor } = app;
  const typing = () => document.activeElement?.matches("input, textarea, select, dialog *") ?? false;
  window.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const name = `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
    if (typing() && !name.endsWith("Enter")) return;
    const found = KEYS.find(([key]) => key === name);
    if (!found) return;
    event.preventDefault();
    found[1](app);
  });
  let inward = false;
  window.addEventListener("keydown", (event) => (inward = event.shiftKey));
  document.addEventListener("copy", (event) => {
    if (typing() || !editor.selection.size) return;
    const part = extract(editor.doc, editor.selection);
    const spots = new Map([...editor.selection].flatMap((id) => (editor.scene.nodes.has(id) ? [[id, editor.scene.nodes.get(id)]] : [])));
    for (const [id, node] of /** @type {any} */ (spots)) part.get("layout").get("nodes").set(id, new Map([...(part.get("layout").get("nodes").get(id) ?? []), ["pos", [Math.round(node.x), Math.round(node.y)]]]));
    event.clipboardData?.setData("text/plain", write(part));
    event.preventDefault();
  });
  document.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (typing() || !text.trimStart().startsWith("{")) return;
    event.preventDefault();
    const other = read(text);
    if (!(other instanceof Map) || !(other.get("nodes") instanceof Map)) return;
    const { doc, ids } = merge(editor.doc, other, [40, 40], inward);
    editor.selection = new Set(ids);
    editor.edit(doc, "Paste");
  });
}
