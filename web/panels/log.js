// The log panel: what the server and its worker said last.

import { Refused, Unreachable } from "../editor/api.js";
import { t } from "../editor/words.js";
import { button, el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {{number: number, time: number, source: "server" | "worker", level: "debug" | "info" | "warning" | "error", name: string, text: string}} Line */

const LEVELS = /** @type {const} */ (["debug", "info", "warning", "error"]);
const KEPT = 2000;
const SHOWN = 500;
const PAUSE = 1500;

/** @param {Line[]} lines @param {string} least the least level @param {string} words all of them are in the line */
export function chosen(lines, least, words) {
  const from = LEVELS.findIndex((level) => level === least);
  const sought = words.toLowerCase().split(/\s+/).filter(Boolean);
  return lines.filter((line) => LEVELS.indexOf(line.level) >= from && sought.every((word) => `${line.source} ${line.name} ${line.text}`.toLowerCase().includes(word)));
}

/** @param {Line} line */
const asText = (line) => `${new Date(line.time * 1000).toISOString()} ${line.source} ${line.level} ${line.name}: ${line.text}`;

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const level = el("select", { "aria-label": t("log.level") }, ...LEVELS.map((name) => new Option(t(`log.${name}`), name)));
  level.value = "info";
  const search = el("input", { type: "search", placeholder: t("log.search"), "aria-label": t("log.search") });
  const list = el("ol", { class: "log", "aria-label": t("log.lines"), tabIndex: 0 });
  const copy = button(app, t("log.copy"), async () => {
    await navigator.clipboard.writeText(found().map(asText).join("\n"));
    app.say(t("log.copied"));
  });
  element.append(el("div", { class: "row" }, level, search, copy), list);
  /** @type {Line[]} */
  let lines = [];
  const found = () => chosen(lines, level.value, search.value);

  function show() {
    const low = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const rows = found().slice(-SHOWN).map((line) => el("li", { class: line.level },
      el("small", { class: "dim" }, `${new Date(line.time * 1000).toLocaleTimeString()} ${line.source === "worker" ? t("log.worker") : t("log.server")} ${line.name}`),
      el("span", {}, line.text)));
    list.replaceChildren(...(rows.length ? rows : [el("li", { class: "dim" }, t("log.none"))]));
    if (low) list.scrollTop = list.scrollHeight; // it stays at the end, unless somebody reads further up
  }
  level.addEventListener("change", show);
  search.addEventListener("input", show);

  let timer = 0;
  let left = false;
  async function look() {
    try {
      const last = lines.at(-1)?.number ?? 0;
      const told = await app.api.get(`system/log?after=${last}`);
      if (left) return;
      if (told.last < last) lines = []; // another server, which counts anew
      else lines = [...lines, ...told.lines].slice(-KEPT);
      if (told.lines.length || !list.childElementCount) show();
    } catch (error) {
      if (!(error instanceof Unreachable || error instanceof Refused)) throw error; // the foot of the page tells of it
    }
    timer = window.setTimeout(again, PAUSE);
  }
  const again = () => app.guard(look);
  again();
  return () => {
    left = true;
    clearTimeout(timer);
  };
}
