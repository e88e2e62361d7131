// Copy and paste: the clipboard holds a workflow as JSON, so it works across tabs, chats and files.

import { placeImage } from "./images.js";
import { write } from "./json.js";
import { isTyping, keyText } from "./keys.js";
import { bringIn, extract } from "./merging.js";
import { t } from "./words.js";
import { open } from "./workflow_file.js";

/** @typedef {import("./app.js").App} App */

/** Where the pointer was last, in the world: pasted nodes come there. @type {[number, number] | null} */
let pointer = null;

/** @param {App} app */
const copied = ({ editor }) => write(extract(editor.placed(), editor.selection));

/** Browsers give the clipboard to pages of this machine and of https only; others may fill it when a person asks for a copy, which a click on a button is
 * too. Throws DOMException where not even that works. @param {string} text */
export async function copyText(text) {
  if (window.isSecureContext) return navigator.clipboard.writeText(text);
  const fill = (/** @type {ClipboardEvent} */ event) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  document.addEventListener("copy", fill, { capture: true });
  const copied = document.execCommand("copy");
  document.removeEventListener("copy", fill, { capture: true });
  if (!copied) throw new DOMException(t("browser.no-copy", { key: keyText("Mod+c") }));
}

/** @param {App} app */
export const copyNodes = (app) => copyText(copied(app));

/** @param {App} app @param {boolean} linked links to nodes that are here stay */
export async function pasteNodes(app, linked) {
  if (!window.isSecureContext) throw new DOMException(t("browser.no-paste", { key: keyText(linked ? "Mod+Shift+v" : "Mod+v") }));
  paste(app, await navigator.clipboard.readText(), linked);
}

/** @param {App} app @param {string} text @param {boolean} linked */
export function paste(app, text, linked) {
  const { editor } = app;
  const ids = bringIn(app, open(text).doc, [0, 0], linked, "Paste", "paste");
  const views = ids.flatMap((id) => editor.scene.nodes.get(id) ?? []);
  const box = editor.scene.bounds(views);
  const { view } = editor;
  const at = pointer ?? view.toWorld(view.width / 2, view.height / 2);
  if (box) editor.place(new Map(views.map((node) => [node.id, [node.x - box.x + at[0], node.y - box.y + at[1]]])), "paste");
  editor.history.settle();
  pointer = [at[0] + 30, at[1] + 30];
  editor.raise(ids);
}

/** @param {App} app */
export function bindClipboard(app) {
  const { editor } = app;
  let linked = false;
  editor.canvas.addEventListener("pointermove", (event) => {
    const corner = editor.canvas.getBoundingClientRect();
    pointer = editor.view.toWorld(event.clientX - corner.left, event.clientY - corner.top);
  });
  window.addEventListener("keydown", (event) => (linked = event.shiftKey), { capture: true });
  const copy = (/** @type {ClipboardEvent} */ event) => {
    if (isTyping() || !editor.selection.size || window.getSelection()?.toString()) return false;
    event.clipboardData?.setData("text/plain", copied(app));
    event.preventDefault();
    return true;
  };
  document.addEventListener("copy", copy);
  document.addEventListener("cut", (event) => copy(event) && app.does("delete"));
  document.addEventListener("paste", (event) => {
    if (isTyping()) return;
    const picture = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (picture) app.guard(() => placeImage(app, picture));
    else if (text.trimStart().startsWith("{")) app.guard(() => paste(app, text, linked));
    else return;
    event.preventDefault();
  });
}

