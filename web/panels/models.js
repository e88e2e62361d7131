// The model browser: what lies in the model folders, what each file says about itself, and a click that puts it to work.

import { t } from "../editor/words.js";
import { path, thumbnailUrl } from "./addresses.js";
import { button, el, size } from "./dom.js";
import { addLora, intoPrompt } from "./placing.js";

/** @typedef {import("../editor/app.js").App} App */

const FOLDERS = ["loras", "checkpoints", "embeddings", "vae"];
const WORDS = 12;
/** The node that opens a file of a folder, and the input that names it. @type {Record<string, [string, string]>} */
const LOADERS = { checkpoints: ["LoadCheckpoint", "ckpt_name"], vae: ["VAELoader", "vae_name"] };

/** @param {HTMLElement} element @param {App} app */
export function mount(element, app) {
  const folder = el("select", { "aria-label": t("models.kind") });
  const search = el("input", { type: "search", placeholder: t("models.search"), "aria-label": t("models.search") });
  const list = el("div", { class: "cards", role: "list" });
  element.append(el("div", { class: "row" }, folder, search), list);

  let asked = 0;
  async function load() {
    asked += 1;
    const mine = asked;
    const { files } = await app.api.get(`models/${encodeURIComponent(folder.value)}?${new URLSearchParams({ search: search.value, limit: "200" })}`);
    if (mine !== asked) return; // another question was asked meanwhile
    const cards = files.map((/** @type {any} */ file) => card(app, folder.value, file));
    list.replaceChildren(...(cards.length ? cards : [el("p", { class: "dim", role: "listitem" }, t("models.none", { folder: folder.value }))]));
  }

  async function start() {
    const { folders } = await app.api.get("models");
    const rank = (/** @type {any} */ item) => (FOLDERS.indexOf(item.name) + FOLDERS.length + 1) % (FOLDERS.length + 1);
    const named = [...folders].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
    folder.replaceChildren(...named.map((item) => new Option(t("models.folder", { name: item.name, count: item.files }), item.name)));
    folder.value = named.find((item) => item.name === "loras" && item.files)?.name ?? "checkpoints";
    await load();
  }
  folder.addEventListener("change", () => app.guard(load));
  search.addEventListener("input", () => app.guard(load));
  app.guard(start);
}

/** @param {App} app @param {string} folder @param {any} file */
function card(app, folder, file) {
  const more = el("div", { class: "more" });
  const open = el("details", {}, el("summary", {}, file.name), more);
  open.addEventListener("toggle", () => {
    if (open.open && !more.childElementCount) app.guard(() => details(app, folder, file.name, more));
  });
  return el("div", { class: "card", role: "listitem" },
    file.preview && el("img", { src: thumbnailUrl(folder, file.name), alt: "", loading: "lazy" }),
    open, el("div", { class: "row" }, el("small", { class: "dim" }, size(file.size)), ...actions(app, folder, file.name)));
}

/** @param {App} app @param {string} folder @param {string} name */
function actions(app, folder, name) {
  const stem = name.replace(/\.[^./]*$/, "");
  const found = [];
  const loader = LOADERS[folder];
  if (folder === "loras") found.push(button(app, t("models.add"), () => addLora(app, name), { title: t("models.add-lora") }));
  else if (loader) found.push(button(app, t("models.add"), () => app.addNode(loader[0], { [loader[1]]: name })));
  if (folder === "loras") found.push(button(app, t("models.into-prompt"), () => intoPrompt(app, `<lora:${stem}:1>`), { title: t("models.as-lora") }));
  if (folder === "embeddings") found.push(button(app, t("models.into-prompt"), () => intoPrompt(app, `embedding:${stem}`)));
  return found;
}

/** @param {App} app @param {string} folder @param {string} name @param {HTMLElement} into */
async function details(app, folder, name, into) {
  const told = await app.api.get(`models/${encodeURIComponent(folder)}/${path(name)}`);
  const rows = [[t("models.title"), told.title], [t("models.architecture"), told.architecture], [t("models.resolution"), told.resolution], [t("models.rank"), told.rank],
    [t("models.author"), told.author], [t("models.license"), told.license], [t("models.dtypes"), told.dtypes.join(", ")], [t("models.fault"), told.fault]].filter(([, value]) => value);
  const words = [...told.trigger_words, ...told.tags.slice(0, WORDS).map((/** @type {any} */ tag) => tag.tag)];
  into.replaceChildren(
    ...[told.description, told.notes].filter(Boolean).map((text) => el("p", {}, text)),
    el("dl", {}, ...rows.flatMap(([label, value]) => [el("dt", {}, label), el("dd", {}, String(value))])),
    el("div", { class: "row wrap" }, ...[...new Set(words)].map((word) => button(app, word, () => intoPrompt(app, word), { class: "chip", title: t("models.word") }))));
}
