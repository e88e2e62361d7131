// Pictures from this machine: chosen, pasted or dropped, they are stored in the server's input folder and set on a node.

import { nodesOf, setInput } from "./document.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */

const ACCEPTED = "image/png,image/jpeg,image/webp,image/gif,image/bmp";

/** @param {App} app @param {string} id @param {string} name of the input */
export function chooseImage(app, id, name) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: ACCEPTED });
  input.addEventListener("change", () => input.files?.[0] && app.guard(() => setImage(app, /** @type {File} */ (input.files?.[0]), id, name)));
  input.click();
}

/** @param {File} file */
const nameOf = (file) => (/^image\.\w+$/.test(file.name) || !file.name ? `pasted.${file.type.split("/")[1] || "png"}` : file.name.replace(/[/\\]/g, "_").slice(-120));

/** @param {App} app @param {File} file @param {string} id @param {string} name */
async function setImage(app, file, id, name) {
  const stored = await app.api.upload(file, nameOf(file));
  const value = stored.subfolder ? `${stored.subfolder}/${stored.filename}` : stored.filename;
  await app.refresh();
  if (nodesOf(app.editor.doc).has(id)) app.editor.edit(setInput(app.editor.doc, id, name, value), "Set picture");
  app.events.emit("files", null);
}

/** The input of a node that takes a file of the input folder. @param {import("./scene.js").NodeView | undefined} node */
const imageInput = (node) => node?.widgets.find((widget) => widget.info.folder?.startsWith("input"))?.name;

/** Put a picture on the node at a place (or the chosen one), or on a new one that loads it. @param {App} app @param {File} file @param {[number, number]} [at] */
export async function placeImage(app, file, at) {
  const { editor } = app;
  const under = at ? editor.scene.nodeAt(...at) : editor.scene.nodes.get([...editor.selection][0] ?? "");
  const name = imageInput(under ?? undefined);
  if (under && name) return setImage(app, file, under.id, name);
  const loader = [...editor.catalogue.nodes.values()].find((info) => info.inputs.some((input) => input.folder?.startsWith("input")) && info.outputs.some((output) => output.type === "IMAGE"));
  if (!loader) return app.say(t("file.no-picture-node"), "error");
  const id = app.addNode(loader.id, {}, at);
  const input = imageInput(editor.scene.nodes.get(id));
  if (input) await setImage(app, file, id, input);
}
