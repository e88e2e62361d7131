// Titles of nodes and groups, and texts of notes, are written where they stand.

import { openField } from "./field.js";
import { changeGroup } from "./moving.js";
import { setTitle } from "./node_commands.js";
import { TITLE, widgetAt } from "./scene.js";
import { subgraphOf } from "./subgraphs.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */

/** Double click on a title. @param {App} app @param {import("./pointer.js").At} at */
export function renameAt(app, at) {
  const { scene } = app.editor;
  const node = scene.nodeAt(at.x, at.y);
  if (node && at.y < node.y + TITLE && at.x > node.x + 24) {
    rename(app, node.id);
    return true;
  }
  const name = node && !widgetAt(node, at.x - node.x, at.y - node.y) ? subgraphOf(app.editor.doc, node.id) : null;
  if (name) {
    app.editor.enter([...app.editor.entered, { name, id: node?.id ?? "" }]);
    return true;
  }
  const group = node ? null : scene.groupAt(at.x, at.y);
  if (group?.part === "title") renameGroup(app, group.group);
  return group !== null;
}

/** @param {App} app @param {string} id */
export function rename(app, id) {
  const { scene } = app.editor;
  const node = scene.nodes.get(id);
  if (!node) return;
  const place = () => {
    const now = scene.nodes.get(id);
    return now ? { x: now.x + 24, y: now.y + 2, w: Math.max(100, now.w - 48), h: TITLE - 4 } : null;
  };
  openField(app.editor, { place, text: node.title, label: t("field.title"), done: (text) => setTitle(app, id, text) });
}

/** @param {App} app @param {import("./scene.js").GroupView} group */
export function renameGroup({ editor }, { kind, index }) {
  const note = kind === "notes";
  const now = () => editor.scene.groups.find((item) => item.kind === kind && item.index === index);
  const place = () => {
    const group = now();
    return group ? { x: group.x + 6, y: group.y + 2, w: group.w - 12, h: note ? group.h - 4 : TITLE - 4 } : null;
  };
  const done = (/** @type {string} */ text) => {
    const group = now();
    if (group) editor.edit(changeGroup(editor, group, note ? "text" : "title", text), note ? "Write note" : "Rename group");
  };
  openField(editor, { place, text: now()?.title ?? "", label: note ? t("field.note") : t("field.group-title"), multiline: note, done });
}
