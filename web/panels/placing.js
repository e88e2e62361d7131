// Putting what a panel shows into the open graph.

import { entryOf, inputsOf, nodesOf } from "../editor/document.js";
import { hasWidget } from "../editor/catalogue.js";
import { t } from "../editor/words.js";

/** @typedef {import("../editor/app.js").App} App */
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
