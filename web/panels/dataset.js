// A dataset's pictures with their captions, editable in place; pictures are added by dropping them.

import { path, thumbnailUrl } from "./addresses.js";
import { button, confirmed, el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */

const PAGE = 100;
const SAVE_AFTER = 600;

/** @param {App} app @param {{name: string, made: boolean}} dataset made: its folder is there; a new one is made with its first picture
 * @param {() => void} changed pictures came or went @returns {HTMLElement} */
export function datasetView(app, { name: dataset, made }, changed) {
  const list = el("div", { class: "pictures", role: "list" });
  const more = button(app, "More", () => load(list.childElementCount));
  const input = el("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
  const add = button(app, "Add pictures…", () => input.click());
  const view = el("div", { class: "dataset" }, el("div", { class: "row" }, add, input, el("span", { class: "dim" }, "or drop them here")), list, more);
  const base = `datasets/${encodeURIComponent(dataset)}`;

  /** @param {number} start */
  async function load(start) {
    const page = await app.api.get(`${base}?${new URLSearchParams({ limit: String(PAGE), start: String(start) })}`);
    const tiles = page.pictures.map(tile);
    if (start) list.append(...tiles);
    else list.replaceChildren(...tiles);
    more.hidden = list.childElementCount >= page.total;
  }

  /** @param {Iterable<File>} files */
  async function put(files) {
    for (const file of files) await app.api.put(`${base}/pictures/${encodeURIComponent(file.name)}`, file);
    await load(0);
    changed();
  }

  /** @param {any} picture */
  function tile(picture) {
    const caption = el("textarea", { value: picture.caption ?? "", rows: 2, placeholder: "no caption: the trigger alone", "aria-label": `Caption of ${picture.name}` });
    let saved = picture.caption ?? "";
    let timer = 0;
    const save = async () => {
      clearTimeout(timer);
      if (caption.value === saved) return;
      const text = caption.value;
      await app.api.put(`${base}/captions/${path(picture.name)}`, JSON.stringify({ text, previous: saved }));
      saved = text;
    };
    caption.addEventListener("input", () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => app.guard(save), SAVE_AFTER);
    });
    caption.addEventListener("blur", () => app.guard(save));
    const remove = button(app, "Remove", async () => {
      if (!(await confirmed(`Delete ${picture.name} and its caption from the disk?`, "Delete"))) return;
      await app.api.remove(`${base}/pictures/${path(picture.name)}`);
      await load(0);
      changed();
    });
    return el("div", { class: "picture", role: "listitem" },
      el("img", { src: thumbnailUrl(`datasets/${dataset}`, picture.name), alt: picture.name, loading: "lazy" }),
      el("div", {}, el("small", { class: "dim" }, picture.width ? `${picture.name} · ${picture.width} × ${picture.height}` : `${picture.name} cannot be read`), caption, remove));
  }

  view.addEventListener("dragover", (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
  view.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    event.stopPropagation();
    const { files } = event.dataTransfer;
    app.guard(() => put(files));
  });
  input.addEventListener("change", () => app.guard(() => put(input.files)));
  if (made) app.guard(() => load(0));
  else more.hidden = true;
  return view;
}
