import assert from "node:assert/strict";
import { test } from "node:test";

const { Catalogue } = await import("../../web/editor/catalogue.js");
const { saveFile } = await import("../../web/editor/files.js");
const { History } = await import("../../web/editor/history.js");
const { open } = await import("../../web/editor/workflow_file.js");

/** A page with a workflow of the server open. */
function page() {
  const { doc, style } = open('{"format": "easel/1", "revision": 3, "nodes": {}}');
  const editor = { history: new History(doc), style, catalogue: new Catalogue({ nodes: {}, inputs: [], outputs: [], files: {} }), get root() { return editor.history.doc; } };
  const app = { editor, file: { name: "mine.json", title: "Mine", writable: true }, opened: 3, saved: null, kept: 0, heard: [], told: [], drafts: { keep: () => (app.kept += 1) },
    say: (text) => app.told.push(text), events: { emit: (name) => app.heard.push(name) }, api: { Refused: class extends Error {}, saveWorkflow: async (name) => ({ name, title: name }) } };
  return app;
}

test("what is saved is what is open from then on", async () => {
  const app = page();
  const { root } = app.editor;
  await saveFile(app);
  assert.deepEqual([app.file.title, app.opened, app.saved === root, app.kept], ["mine.json", 4, true, 1]);
  assert.deepEqual([app.heard, app.told], [["saved", "files"], ["Saved as mine.json."]]);
});

test("a document that is opened while another one is saved does not get its name, under which it would replace it", async () => {
  const app = page();
  app.api.saveWorkflow = async (name) => {
    app.editor.history = new History(open('{"format": "easel/1", "nodes": {}}').doc);
    Object.assign(app, { file: { name: "other.json", title: "Other", writable: true }, opened: 7, saved: "other" });
    return { name, title: name };
  };
  await saveFile(app);
  assert.deepEqual([app.file.name, app.opened, app.saved, app.kept], ["other.json", 7, "other", 0]);
  assert.deepEqual([app.heard, app.told], [["files"], ["Saved as mine.json."]]);
});
