// Copy and paste: the clipboard holds a workflow as JSON, so it works across tabs, chats and files.

import { extract, merge } from "./document.js";
import { read, write } from "./json.js";
import { isTyping } from "./keys.js";

/** @param {import("./app.js").App} app */
export function bindClipboard(app) {
  const { editor } = app;
  let inward = false;
  window.addEventListener("keydown", (event) => (inward = event.shiftKey));
  const copy = (/** @type {ClipboardEvent} */ event) => {
    if (isTyping() || !editor.selection.size) return false;
    event.clipboardData?.setData("text/plain", write(extract(editor.placed(), editor.selection)));
    event.preventDefault();
    return true;
  };
  document.addEventListener("copy", copy);
  document.addEventListener("cut", (event) => copy(event) && app.does("delete"));
  document.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (isTyping() || !text.trimStart().startsWith("{")) return;
    event.preventDefault();
    app.guard(() => {
      const other = read(text);
      if (!(other instanceof Map) || !(other.get("nodes") instanceof Map)) return;
      const { doc, ids } = merge(editor.doc, other, [40, 40], inward);
      editor.edit(doc, "Paste");
      editor.select(ids);
    });
  });
}
