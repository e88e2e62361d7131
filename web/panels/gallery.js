// The gallery: pictures that were made, newest first; back to the graph that made one, and two side by side.

import { Refused } from "../editor/api.js";
import { counted, t } from "../editor/words.js";
import { fileUrl, path, thumbnailUrl } from "./addresses.js";
import { comparison } from "./compare.js";
import { button, confirmed, dialog, el, moment, size } from "./dom.js";
import { editMask } from "./mask_editor.js";
import { useImage } from "./placing.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {{root: string, name: string, size: number, modified: number}} Picture */

const PAGE = 60;

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  /** @type {Picture[]} */
  let pictures = [];
  let total = 0;
  let asked = 0;
  /** @type {Set<string>} */
  const chosen = new Set();
  const search = el("input", { type: "search", placeholder: t("gallery.search"), "aria-label": t("gallery.search") });
  const root = el("select", { "aria-label": t("gallery.folder") }, new Option(t("gallery.output"), "output"), new Option(t("gallery.input"), "input"), new Option(t("gallery.temp"), "temp"));
  const grid = el("div", { class: "grid", role: "list" });
  const more = button(app, t("page.more"), () => load(pictures.length));
  const compare = button(app, t("gallery.compare"), () => {
    const [first, second] = pictures.filter((picture) => chosen.has(picture.name)).map(source);
    dialog(t("gallery.compare"), { class: "viewer" }, comparison(first, second), closer());
  }, { title: t("gallery.compare.hint") });
  const remove = button(app, t("page.delete"), async () => {
    if (!(await confirmed(counted("gallery.delete", chosen.size), t("page.delete")))) return;
    for (const name of chosen) await app.api.remove(`files/${root.value}/${path(name)}`);
    await load(0);
  });
  element.append(el("div", { class: "row" }, root, search), el("div", { class: "row" }, compare, remove), grid, more);

  const told = () => {
    compare.disabled = chosen.size !== 2;
    remove.disabled = chosen.size === 0;
    more.hidden = pictures.length >= total;
  };

  /** @param {number} start */
  async function load(start) {
    asked += 1;
    const mine = asked;
    const query = new URLSearchParams({ kind: "image", order: "newest", limit: String(PAGE), start: String(start), search: search.value });
    const page = await app.api.get(`files/${root.value}?${query}`);
    if (mine !== asked) return; // another question was asked meanwhile
    const found = page.files.map((/** @type {any} */ file) => ({ ...file, root: root.value }));
    pictures = start ? [...pictures, ...found] : found;
    total = page.total;
    if (!start) for (const name of [...chosen]) if (!found.some((/** @type {Picture} */ picture) => picture.name === name)) chosen.delete(name);
    const tiles = found.map(tile);
    if (start) grid.append(...tiles);
    else grid.replaceChildren(...(tiles.length ? tiles : [el("p", { class: "dim", role: "listitem" }, t("gallery.none"))]));
    told();
  }

  /** @param {Picture} picture */
  function tile(picture) {
    const box = el("input", { type: "checkbox", "aria-label": t("gallery.choose", { name: picture.name }), checked: chosen.has(picture.name) });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(picture.name);
      else chosen.delete(picture.name);
      told();
    });
    const open = () => view(app, pictures, pictures.indexOf(picture), () => load(0));
    const image = el("img", { src: thumbnailUrl(picture.root, picture.name), alt: picture.name, loading: "lazy", draggable: true });
    image.addEventListener("dragstart", (/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/uri-list", new URL(fileUrl(picture.root, picture.name), location.href).href));
    return el("div", { class: "tile", role: "listitem" }, el("button", { type: "button", class: "plain", title: picture.name, on: { click: open } }, image), box);
  }

  const refresh = () => app.guard(() => load(0));
  search.addEventListener("input", refresh);
  root.addEventListener("change", () => {
    chosen.clear();
    refresh();
  });
  refresh();
  return app.events.on("files", refresh);
}

/** @param {Picture} picture */
const source = (picture) => ({ src: fileUrl(picture.root, picture.name), name: picture.name });

const closer = () => el("form", { method: "dialog", class: "row end" }, el("button", {}, t("page.close")));

/** One picture at a time; arrow keys go on. @param {App} app @param {Picture[]} pictures @param {number} at @param {() => Promise<void>} changed */
function view(app, pictures, at, changed) {
  const image = el("img", {});
  const about = el("p", { class: "dim" });
  const download = el("a", { class: "button" }, t("gallery.download"));
  const bare = el("a", { class: "button", title: t("gallery.bare.hint") }, t("gallery.bare"));
  const show = (/** @type {number} */ next) => {
    at = (next + pictures.length) % pictures.length;
    const { src, name } = source(pictures[at]);
    image.src = src;
    image.alt = name;
    about.textContent = `${name} · ${size(pictures[at].size)} · ${moment(pictures[at].modified)}`;
    for (const [link, query] of [[download, ""], [bare, "?metadata=false"]]) Object.assign(link, { href: src + query, download: name.split("/").pop() });
  };
  const bytes = async () => (await fetch(source(pictures[at]).src)).blob();
  const box = dialog(t("gallery.picture"), { class: "viewer" }, image, about, el("div", { class: "row" },
    button(app, t("gallery.graph"), async () => {
      const found = await app.api.post(`import?${new URLSearchParams({ root: pictures[at].root, name: pictures[at].name })}`);
      if (!found.workflow) throw new Refused({ message: t("gallery.no-graph") }, 404);
      app.openText(JSON.stringify(found.workflow), { name: "", title: pictures[at].name, writable: false });
      box.close();
    }, { class: "primary", title: t("gallery.graph.hint") }),
    button(app, t("gallery.use"), async () => {
      const name = pictures[at].name.split("/").pop() ?? "picture.png";
      await useImage(app, await app.api.put(`files/input/${encodeURIComponent(name)}?reuse=true`, await bytes()));
      box.close();
    }, { title: t("gallery.use.hint") }),
    button(app, t("gallery.mask"), async () => {
      const record = await editMask(app, source(pictures[at]));
      if (record) await useImage(app, record);
    }),
    download, bare,
    button(app, t("page.delete"), async () => {
      if (!(await confirmed(t("gallery.delete-this", { name: pictures[at].name }), t("page.delete")))) return;
      await app.api.remove(`files/${pictures[at].root}/${path(pictures[at].name)}`);
      box.close();
      await changed();
    })), closer());
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(at + 1);
    else if (event.key === "ArrowLeft") show(at - 1);
  });
  show(at);
}
