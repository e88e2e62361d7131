// Opening and saving. What comes from outside is only ever read: nothing of it runs until a person says so.

import { put } from "./document.js";
import { placeImage } from "./images.js";
import { NotJson, numberOf, read } from "./json.js";
import { ask, askText } from "./dialogs.js";
import { stamped } from "./requires.js";
import { t } from "./words.js";
import { NotAWorkflow, open, save } from "./workflow_file.js";

/** @typedef {import("./app.js").App} App */

const LARGEST = 100_000_000;
const EMPTY = '{\n  "format": "easel/1",\n  "revision": 0,\n  "nodes": {}\n}\n';

/** The document in a text; one of another kind is imported by the server. @param {App} app @param {string} text
 * @returns {Promise<import("./workflow_file.js").Opened>} */
export async function opened(app, text) {
  try {
    return open(text);
  } catch (error) {
    if (!(error instanceof NotAWorkflow && error.foreign)) throw error;
    return imported(app, text);
  }
}

/** @param {App} app @param {BodyInit} body @returns {Promise<import("./workflow_file.js").Opened>} */
async function imported(app, body) {
  const answer = /** @type {Map<string, any>} */ (read(await app.api.ask("import", { method: "POST", body })));
  const problems = (answer.get("problems") ?? []).map((/** @type {Map<string, any>} */ item) => `${item.get("message") ?? ""} ${item.get("hint") ?? ""}`.trim());
  const notes = (answer.get("notes") ?? []).map(String);
  const doc = answer.get("workflow");
  if (!(doc instanceof Map)) throw new NotAWorkflow(problems[0] ?? t("file.no-workflow"));
  return { doc, style: undefined, kind: "easel", notes: [...notes.slice(0, 5), ...problems.slice(0, 5)] };
}

/** A file that was chosen or dropped. @param {App} app @param {File} file @param {[number, number]} [at] the point of the world it was dropped at */
export async function openFile(app, file, at) {
  const title = file.name.replace(/\.\w+$/, "").slice(0, 100) || t("page.untitled");
  const picture = /^image\//.test(file.type) || /\.(png|webp|jpe?g|gif|bmp)$/i.test(file.name);
  if (file.size > LARGEST) throw new NotAWorkflow(t("file.too-large", { name: file.name.slice(0, 80) }));
  if (!picture) {
    try {
      return await app.openText(await file.text(), { name: "", title, writable: false });
    } catch (error) {
      if (!(error instanceof NotJson)) throw error;
      throw new NotAWorkflow(t("file.not-json", { name: file.name.slice(0, 80), why: error.message }));
    }
  }
  const { textOfPicture } = await import("./png.js");
  const text = textOfPicture(new Uint8Array(await file.arrayBuffer()));
  if (text !== null) return app.openText(await text, { name: "", title, writable: false });
  try {
    return app.openFound(await imported(app, file), { name: "", title, writable: false });
  } catch (error) {
    if (!(error instanceof NotAWorkflow || error instanceof app.api.Refused)) throw error;
  }
  app.say(t("file.kind"));
  return placeImage(app, file, at);
}

/** @param {App} app */
export function chooseFile(app) {
  const input = Object.assign(document.createElement("input"), { type: "file", accept: ".json,.png,.webp,.jpg,.jpeg" });
  input.addEventListener("change", () => input.files?.[0] && app.guard(() => openFile(app, /** @type {File} */ (input.files?.[0]))));
  input.click();
}

/** @param {App} app */
export const newFile = (app) => app.openText(EMPTY, { name: "", title: t("page.untitled"), writable: false });

/** @param {App} app */
export async function saveFile(app) {
  if (app.file.name && app.file.writable) await store(app, app.file.name, app.opened);
  else await saveAs(app);
}

/** @param {App} app */
export async function saveAs(app) {
  const suggested = (app.file.name || app.file.title).replace(/\.json$/, "").replace(/[\\:*?"<>|]/g, "_");
  const name = (await askText(t("file.save-title"), t("file.name"), suggested))?.trim().replace(/\.json$/, "");
  if (!name) return;
  const there = (await app.api.workflows()).some((item) => item.name === `${name}.json` && item.writable);
  if (there && !(await ask(t("file.there-already", { name: `${name}.json` }), t("file.replace")))) return;
  await store(app, `${name}.json`, null);
}

/** @param {App} app @param {string} name @param {number | null} revision that was opened; null to replace whatever is there */
async function store(app, name, revision) {
  const { root: shown, history } = app.editor;
  const doc = put(await complete(app), ["revision"], Math.max(revisionOf(shown), revision ?? 0) + 1);
  let entry;
  try {
    entry = await app.api.saveWorkflow(name, save(doc, app.editor.style), revision);
  } catch (error) {
    if (!(error instanceof app.api.Refused && error.status === 409)) throw error;
    const answer = await ask(t("file.changed", { name }), t("file.replace"), t("file.other-name"));
    if (answer === 1) return store(app, name, null);
    return answer === 2 ? saveAs(app) : undefined;
  }
  if (app.editor.history === history) { // else another document was opened meanwhile, which must not be taken for this one
    app.file = { name, title: entry.title, writable: true };
    app.opened = revisionOf(doc);
    app.saved = shown;
    app.drafts?.keep();
    app.events.emit("saved", null);
  }
  app.events.emit("files", null);
  app.say(t("file.saved", { name }));
}

/** @param {Map<string, any>} doc */
export function revisionOf(doc) {
  const revision = numberOf(doc.get("revision"));
  return Number.isSafeInteger(revision) && revision >= 0 ? revision : 0;
}

/** The document with what it needs: versions of nodes and digests of models. @param {App} app */
const complete = async (app) => (await import("./model_files.js")).signed(app, stamped(app.editor.root, app.editor.catalogue));

/** As a file of this machine. @param {App} app */
export async function download(app) {
  const text = save(await complete(app), app.editor.style);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `${(app.file.name || app.file.title).replace(/\.json$/, "").replace(/[/\\]/g, "_")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {App} app */
export function bindDrop(app) {
  const { editor } = app;
  window.addEventListener("dragover", (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  window.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (!file || event.defaultPrevented) return;
    event.preventDefault();
    const corner = editor.canvas.getBoundingClientRect();
    app.guard(() => openFile(app, file, editor.view.toWorld(event.clientX - corner.left, event.clientY - corner.top)));
  });
}
