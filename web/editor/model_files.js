// Model files of a workflow by what is in them: their SHA-256 is written down when it is saved, so that one that is not here under its name is
// found under another.

import { openDialog } from "./dialogs.js";
import { mapOf, nodesOf, put } from "./document.js";
import { digestsOf } from "./requires.js";
import { counted, t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {import("./catalogue.js").Catalogue} Catalogue */
/** @typedef {{graph: string | null, id: string, input: string, folder: string, name: string, here: boolean}} Use graph: the definition that the node stands in */
/** @typedef {{folder: string, name: string, sha256: string}} Missing */

const NO_MODELS = /^(input|output|temp|datasets|workflows|wildcards|styles)\b/;
const SHA256 = /^sha256:[0-9a-f]{10,64}$/;
const PATIENCE = 1000;

/** Every input that names a model file. @param {Doc} doc @param {Catalogue} catalogue @returns {Use[]} */
export function usesOf(doc, catalogue) {
  const graphs = /** @type {[string | null, Doc][]} */ ([[null, doc], ...[...mapOf(doc.get("subgraphs"))].map(([name, definition]) => [name, mapOf(definition)])]);
  return graphs.flatMap(([graph, inside]) => [...nodesOf(inside)].flatMap(([id, entry]) => {
    const given = mapOf(mapOf(entry).get("inputs"));
    return given.size ? catalogue.face(doc, entry).inputs.flatMap((info) => {
      const name = given.get(info.name);
      if (!info.folder || NO_MODELS.test(info.folder) || typeof name !== "string" || (info.choices ?? []).includes(name)) return [];
      return [{ graph, id, input: info.name, folder: info.folder, name, here: catalogue.offers(info, name) }];
    }) : [];
  }));
}

/** The files that are not here under their names and whose SHA-256 the document tells, each once. @param {Doc} doc @param {Catalogue} catalogue @returns {Missing[]} */
export function missingOf(doc, catalogue) {
  const digests = digestsOf(doc);
  if (!digests.size || catalogue.loading) return [];
  const found = new Map();
  for (const { folder, name, here } of usesOf(doc, catalogue)) {
    const sha256 = digests.get(`${folder}/${name}`);
    if (!here && typeof sha256 === "string" && SHA256.test(sha256)) found.set(`${folder}/${name}`, { folder, name, sha256 });
  }
  return [...found.values()];
}

/** Take another file wherever one is named. @param {Doc} doc @param {Catalogue} catalogue @param {Missing} missing @param {string} to @returns {Doc} */
export function withFile(doc, catalogue, { folder, name }, to) {
  let next = doc;
  for (const use of usesOf(doc, catalogue)) {
    if (use.folder !== folder || use.name !== name) continue;
    next = put(next, [...(use.graph === null ? [] : ["subgraphs", use.graph]), "nodes", use.id, "inputs", use.input], to);
  }
  const digests = [...digestsOf(doc)].map(([key, value]) => [key === `${folder}/${name}` ? `${folder}/${to}` : key, value]);
  return put(next, ["requires", "models"], new Map(/** @type {[string, any][]} */ (digests)));
}

/** The document with the SHA-256 of its model files, as far as a run has read them. @param {App} app @param {Doc} doc @returns {Promise<Doc>} */
export async function signed(app, doc) {
  const uses = usesOf(doc, app.editor.catalogue);
  const before = digestsOf(doc);
  const files = [...new Map(uses.filter((use) => use.here).map(({ folder, name }) => [`${folder}/${name}`, { folder, name }])).values()];
  if (!files.length && !before.size) return doc;
  /** @type {{folder: string, name: string, sha256: string}[]} */
  const told = files.length ? (await app.api.post("models/digests", { files: files.slice(0, 1000) })).files : [];
  const known = new Map(told.map(({ folder, name, sha256 }) => [`${folder}/${name}`, sha256]));
  const digests = new Map(uses.map(({ folder, name }) => `${folder}/${name}`).sort().flatMap((key) => {
    const digest = known.get(key) || before.get(key);
    return digest ? [/** @type {[string, any]} */ ([key, digest])] : [];
  }));
  if (!digests.size && !before.size) return doc;
  return put(doc, ["requires", "models"], digests.size ? digests : undefined);
}

/** Say that files are missing that may be here under other names. @param {App} app */
export function offerFiles(app) {
  const { root, catalogue } = app.editor;
  const missing = missingOf(root, catalogue);
  if (!missing.length) return;
  const text = counted("missing.some", missing.length, { name: missing[0].name });
  app.notices.say({ text, actions: [{ title: t("missing.look"), act: () => app.guard(() => showMissing(app)) }] });
}

/** Look for each missing file by its SHA-256, and offer what is found. @param {App} app */
export function showMissing(app) {
  const { editor } = app;
  const missing = missingOf(editor.root, editor.catalogue);
  if (!missing.length) return app.say(t("missing.none"));
  const { dialog, form } = openDialog(t("missing.title"));
  dialog.classList.add("missing-models");
  const list = Object.assign(document.createElement("ul"), { className: "entries" });
  list.append(...missing.map((file) => lineOf(app, file, dialog)));
  const row = Object.assign(document.createElement("div"), { className: "answers" });
  row.append(Object.assign(document.createElement("button"), { textContent: t("page.close"), className: "primary" }));
  form.append(
    Object.assign(document.createElement("h2"), { textContent: t("missing.title") }),
    Object.assign(document.createElement("p"), { className: "dim", textContent: t("missing.about") }), list, row,
  );
}

/** @param {App} app @param {Missing} file @param {HTMLDialogElement} dialog */
function lineOf(app, file, dialog) {
  const line = document.createElement("li");
  const words = Object.assign(document.createElement("span"), { className: "what" });
  words.append(Object.assign(document.createElement("span"), { textContent: file.name }), document.createElement("small"));
  const state = /** @type {HTMLElement} */ (words.lastElementChild);
  state.setAttribute("role", "status");
  const act = Object.assign(document.createElement("button"), { type: "button", hidden: true });
  line.append(words, act);
  const look = async (read = false) => {
    if (!dialog.open) return;
    const { names, left } = await app.api.post("models/find", { folder: file.folder, sha256: file.sha256, read });
    const [name] = names;
    act.hidden = name === undefined && (left === 0 || read);
    if (name !== undefined) {
      state.textContent = t("missing.here", { name });
      act.textContent = t("missing.take");
      act.onclick = () => take(app, file, name, line);
    } else if (left === 0) state.textContent = t("missing.nowhere", { folder: file.folder });
    else {
      state.textContent = counted(read ? "missing.reading" : "missing.unread", left);
      act.textContent = t("missing.read");
      act.onclick = () => app.guard(() => look(true));
      if (read) setTimeout(() => app.guard(() => look(true)), PATIENCE);
    }
  };
  app.guard(look);
  return line;
}

/** @param {App} app @param {Missing} file @param {string} name @param {HTMLLIElement} line */
function take(app, file, name, line) {
  const { editor } = app;
  if (editor.inside) editor.enter([]);
  editor.editRoot(withFile(editor.root, editor.catalogue, file, name), "Take another file");
  const told = Object.assign(document.createElement("span"), { textContent: t("missing.taken", { from: file.name, to: name }) });
  line.replaceChildren(told);
}
