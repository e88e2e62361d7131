// All that a node's docstring says of it, its inputs and its outputs.

import { openDialog } from "./dialogs.js";
import { inputWords } from "./tips.js";
import { t } from "./words.js";

/** @param {string} tag @param {string} text @param {string} [name] of a class */
const word = (tag, text, name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });

/** @param {import("./app.js").App} app @param {string} id of the node */
export async function showHelp(app, id) {
  const { editor } = app;
  await app.learn();
  const node = editor.scene.nodes.get(id);
  if (!node) return;
  const { face } = node;
  const info = editor.catalogue.nodes.get(face.id) ?? editor.catalogue.aliases.get(face.id)?.info;
  const { dialog, form } = openDialog(t("help.about", { node: face.title }));
  dialog.classList.add("help");
  const kind = [face.id, face.category, info?.module, info?.deprecated ? t("help.deprecated") : "", info?.experimental ? t("help.experimental") : ""];
  form.append(word("h2", face.title), word("p", kind.filter(Boolean).join(" · "), "kind"));
  const text = face.known ? face.help : t("node.not-installed", { name: face.id });
  form.append(...text.split(/\n\n+/).filter(Boolean).map((part) => word("p", part)));
  const inputs = face.inputs.map((input) => /** @type {[string, string, string[]]} */ ([input.name, input.type, inputWords(input)]));
  const outputs = face.outputs.map((output) => /** @type {[string, string, string[]]} */ ([output.name, output.type, [output.help].filter(Boolean)]));
  if (inputs.length) form.append(word("h3", t("help.inputs")), list(inputs));
  if (outputs.length) form.append(word("h3", t("help.outputs")), list(outputs));
  form.append(word("button", t("page.close"), "primary"));
}

/** @param {[string, string, string[]][]} rows name, type, and what is said of it */
function list(rows) {
  const found = document.createElement("dl");
  for (const [name, type, lines] of rows) {
    found.append(word("dt", name), word("dd", type, "type"), ...lines.map((line) => word("dd", line)));
  }
  return found;
}
