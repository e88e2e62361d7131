// Putting what a panel shows into the open graph.

import { addNode, connect, entryOf, freeId, inputsOf, linkOf, nodesOf } from "../editor/document.js";
import { hasWidget } from "../editor/catalogue.js";
import { t } from "../editor/words.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {import("../editor/document.js").Doc} Doc */
/** @typedef {import("../editor/catalogue.js").InputInfo} InputInfo */

/** The first chosen node, else the first one at all, that has an input of a kind. @param {App} app @param {(input: InputInfo) => boolean} fits
 * @returns {{node: string, input: string} | null} */
function place({ editor }, fits) {
  for (const id of [...editor.selection, ...nodesOf(editor.doc).keys()]) {
    const input = editor.scene.nodes.get(id)?.face.inputs.find((item) => hasWidget(item) && fits(item));
    if (input) return { node: id, input: input.name };
  }
  return null;
}

/** A picture of the input folder into a chosen node that opens pictures, or into a new one. @param {App} app @param {import("../editor/api.js").FileRecord} record */
export async function useImage(app, record) {
  await app.refresh();
  const name = record.subfolder ? `${record.subfolder}/${record.filename}` : record.filename;
  const found = place(app, (input) => input.folder?.startsWith("input") ?? false);
  if (found && app.editor.selection.has(found.node)) app.setInput(found.node, found.input, name);
  else app.addNode("LoadImage", { image: name });
}

const LORA = "LoraLoader";

/** The node that a LoRA is put behind: the chosen one, else the first that opens a checkpoint, and behind that the last LoRA in a row.
 * @param {import("../editor/editor.js").Editor} editor @param {Doc} doc @returns {string | undefined} */
function source(editor, doc) {
  const gives = (/** @type {string} */ id) => ["MODEL", "CLIP"].every((type, slot) => editor.scene.nodes.get(id)?.outputs[slot]?.type === type);
  const found = [...editor.selection].find(gives) ?? [...nodesOf(doc).keys()].find((id) => gives(id) && entryOf(doc, id).get("class_type") !== LORA);
  const next = (/** @type {string} */ id) => [...nodesOf(doc)].find(([, node]) => node.get("class_type") === LORA && linkOf(inputsOf(node).get("model"))?.node === id)?.[0];
  let last = found;
  for (let at = found, turns = 0; at !== undefined && turns < nodesOf(doc).size; at = next(at), turns += 1) last = at;
  return last;
}

/** A LoRA between a model and all that uses it; alone, where no node gives a model. @param {import("../editor/editor.js").Editor} editor @param {Doc} doc
 * @param {string} file @returns {{doc: Doc, id: string}} id: of the new node */
export function withLora(editor, doc, file) {
  const before = source(editor, doc);
  const at = before === undefined ? undefined : editor.scene.nodes.get(before);
  const id = freeId(doc, LORA);
  const place = at ? [at.x, at.y + at.h + 40] : editor.view.toWorld(editor.view.width / 2 - 100, editor.view.height / 2 - 60);
  const inputs = new Map(Object.entries({ lora_name: file, strength_model: 1, strength_clip: 1 }));
  let next = addNode(doc, id, LORA, inputs, /** @type {[number, number]} */ (place));
  if (before === undefined) return { doc: next, id };
  for (const [user, node] of nodesOf(doc)) {
    for (const [input, value] of inputsOf(node)) {
      const link = linkOf(value);
      if (link?.node === before && link.slot < 2) next = connect(next, id, link.slot, user, input);
    }
  }
  return { doc: connect(connect(next, before, 0, id, "model"), before, 1, id, "clip"), id };
}

/** Put a LoRA into the open graph. @param {App} app @param {string} file */
export function addLora({ editor }, file) {
  const { doc, id } = withLora(editor, editor.doc, file);
  editor.edit(doc, "Add a LoRA");
  editor.raise([id]);
  editor.select([id]);
}

/** Words at the end of a prompt: the chosen one, else the first. @param {App} app @param {string} words */
export function intoPrompt(app, words) {
  const found = place(app, (input) => input.multiline);
  if (!found) {
    app.say(t("models.no-prompt"), "error", t("models.no-prompt.hint"));
    return;
  }
  const value = inputsOf(entryOf(app.editor.doc, found.node)).get(found.input);
  if (typeof value !== "string") app.say(t("models.linked-prompt"), "error", t("models.linked-prompt.hint"));
  else app.setInput(found.node, found.input, value.trim() ? `${value.trimEnd()}, ${words}` : words);
}

/** Open the graph of a job and show how it goes. @param {App} app @param {string} id */
export async function showJob(app, id) {
  await app.openJob(id);
  app.jobs.follow(id, app.editor.doc);
}
