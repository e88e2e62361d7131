// A dataset's pictures with their captions, editable in place; pictures are added by dropping them.

import { Refused } from "../editor/api.js";
import { t } from "../editor/words.js";
import { path, thumbnailUrl } from "./addresses.js";
import { button, confirmed, el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */

const PAGE = 100;
const SAVE_AFTER = 600;
const CAPTION = /\.(txt|caption)$/i;

/** What a picture and its caption file share. @param {string} name */
const stem = (name) => name.replace(/\.[^.]*$/, "");

/** @param {App} app @param {{name: string, made: boolean}} dataset made: its folder is there; a new one is made with its first picture
 * @param {() => void} changed pictures came or went
 * @returns {{view: HTMLElement, settled: () => Promise<void>}} settled: after it, all that was written is on the server's disk */
export function datasetView(app, { name: dataset, made }, changed) {
  const list = el("div", { class: "pictures", role: "list" });
  const more = button(app, t("page.more"), () => load(list.childElementCount));
  const input = el("input", { type: "file", accept: "image/*,.txt,.caption", multiple: true, hidden: true });
  const add = button(app, t("dataset.add"), () => input.click());
  const leftOut = el("p", { class: "fault", hidden: true });
  const view = el("div", { class: "dataset" }, el("div", { class: "row" }, add, input, el("span", { class: "dim" }, t("dataset.drop"))), list, more, leftOut);
  const base = `datasets/${encodeURIComponent(dataset)}`;
  /** What keeps each caption. @type {Map<HTMLElement, () => Promise<void>>} */
  const saves = new Map();
  /** The pictures' names. @type {Set<string>} */
  const shown = new Set();

  /** @param {number} start */
  async function load(start) {
    const page = await app.api.get(`${base}?${new URLSearchParams({ limit: String(PAGE), start: String(start) })}`);
    if (!start) for (const kept of [saves, shown]) kept.clear();
    for (const picture of page.pictures) shown.add(picture.name);
    const tiles = page.pictures.map(tile);
    if (start) list.append(...tiles);
    else list.replaceChildren(...tiles);
    more.hidden = list.childElementCount >= page.total;
    leftOut.hidden = !page.left_out.length;
    leftOut.textContent = t("dataset.left-out", { names: page.left_out.map((/** @type {any} */ item) => item.name).join(", ") });
    leftOut.title = page.left_out.map((/** @type {any} */ item) => item.reason).join("\n");
  }

  const settled = async () => void (await Promise.all([...saves.values()].map((save) => save())));

  /** What was written so far is kept before the list is read anew. */
  async function reload() {
    await settled();
    await load(0);
    changed();
  }

  /** Pictures, then the captions of these and of those that are shown. One that is refused keeps no other away. @param {File[]} files */
  async function put(files) {
    const owners = new Map([...shown].map((name) => [stem(name), name]));
    /** @type {import("../editor/api.js").Problem[]} */
    const refused = [];
    const captions = files.filter((file) => CAPTION.test(file.name));
    for (const file of [...files.filter((file) => !captions.includes(file)), ...captions]) {
      const owner = owners.get(stem(file.name));
      try {
        if (!captions.includes(file)) owners.set(stem(file.name), (await app.api.put(`${base}/pictures/${encodeURIComponent(file.name)}`, file)).text);
        else if (owner) await app.api.put(`${base}/captions/${path(owner)}`, JSON.stringify({ text: (await file.text()).trim() }));
        else refused.push({ message: t("dataset.no-picture", { name: file.name }), hint: t("dataset.with-picture") });
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refused.push(...error.problems.map((problem) => ({ ...problem, message: `${file.name}: ${problem.message}` })));
      }
    }
    await reload();
    if (refused.length) app.showProblems(refused);
  }

  /** @param {any} picture */
  function tile(picture) {
    const caption = el("textarea", { value: picture.caption ?? "", rows: 2, spellcheck: app.settings.get("spelling"), placeholder: t("dataset.no-caption"), "aria-label": t("dataset.caption", { name: picture.name }) });
    let saved = picture.caption ?? "";
    let timer = 0;
    let turn = Promise.resolve();
    const write = async () => {
      if (caption.value === saved) return;
      const text = caption.value;
      await app.api.put(`${base}/captions/${path(picture.name)}`, JSON.stringify({ text, previous: saved }));
      saved = text;
    };
    const save = () => {
      clearTimeout(timer);
      const mine = turn.then(write); // one after the other: each says what it read before
      turn = mine.catch(() => {});
      return mine;
    };
    saves.set(caption, save);
    caption.addEventListener("input", () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => app.guard(save), SAVE_AFTER);
    });
    caption.addEventListener("blur", () => app.guard(save));
    const remove = button(app, t("dataset.remove"), async () => {
      if (!(await confirmed(t("dataset.really", { name: picture.name }), t("page.delete")))) return;
      await app.api.remove(`${base}/pictures/${path(picture.name)}`);
      saves.delete(caption);
      await reload();
    });
    const { name, width, height } = picture;
    return el("div", { class: "picture", role: "listitem" },
      el("img", { src: thumbnailUrl(`datasets/${dataset}`, name), alt: name, loading: "lazy" }),
      el("div", {}, el("small", { class: "dim" }, width ? t("dataset.size", { name, width, height }) : t("dataset.broken", { name })), caption, remove));
  }

  view.addEventListener("dragover", (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
  view.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    event.stopPropagation();
    document.body.classList.remove("dropping");
    const files = [...event.dataTransfer.files];
    app.guard(() => put(files));
  });
  input.addEventListener("change", () => app.guard(() => put([...input.files])));
  if (made) app.guard(() => load(0));
  else more.hidden = true;
  return { view, settled };
}
