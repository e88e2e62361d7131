// The log panel: what the server and its worker said last, of all jobs, of one, or of one node.

import { Refused, Unreachable } from "../editor/api.js";
import { copyText } from "../editor/clipboard.js";
import { t } from "../editor/words.js";
import { button, el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {{number: number, time: number, source: "server" | "worker", level: "debug" | "info" | "warning" | "error", name: string, job: string, node: string,
 *   text: string}} Line */
/** @typedef {import("../editor/events.js").LogPlace} LogPlace */
/** @typedef {{least: string, words: string, job: string, node: string}} Filter least: the least level; words: all of them are in the line; job and node:
 *   their ids, empty for all */

const LEVELS = /** @type {const} */ (["debug", "info", "warning", "error"]);
const KEPT = 2000;
const SHOWN = 500;
const PAUSE = 1500;

/** @type {LogPlace | null} what the panel was opened for */
let wanted = null;

/** Show what was said of a job or a node, or where a failure stands. @param {App} app @param {LogPlace} place */
export function showLog(app, place) {
  wanted = place;
  app.dock.open("log");
}

/** @param {Line[]} lines @param {Filter} filter */
export function chosen(lines, { least, words, job, node }) {
  const from = LEVELS.findIndex((level) => level === least);
  const sought = words.toLowerCase().split(/\s+/).filter(Boolean);
  return lines.filter((line) =>
    LEVELS.indexOf(line.level) >= from
    && (!job || line.job === job)
    && (!node || line.node === node || line.node.startsWith(`${node}:`))
    && sought.every((word) => `${line.source} ${line.name} ${line.text}`.toLowerCase().includes(word)));
}

/** The jobs, or of one job the nodes, that the lines are about; the last to be told of come first. @param {Line[]} lines @param {"job" | "node"} part */
export const told = (lines, part) => [...new Set(lines.map((line) => line[part]).filter(Boolean).reverse())];

/** @param {Line} line */
const asText = (line) => `${new Date(line.time * 1000).toISOString()} ${[line.source, line.level, line.name, line.job && `job=${line.job}`, line.node && `node=${line.node}`].filter(Boolean).join(" ")}: ${line.text}`;

/** Whether a line belongs to the one before, as those of a traceback do. @param {Line} line @param {Line | undefined} before */
export const goesOn = (line, before) => before !== undefined && line.text.startsWith("  ") && line.number === before.number + 1 && line.source === before.source;

/** A choice among ids. @param {string} label @param {string} all what stands for no id @param {(id: string) => string} title */
function idSelect(label, all, title) {
  const select = el("select", { "aria-label": label });
  /** @param {string[]} ids the one that is chosen stays a choice */
  const offer = (ids) => {
    const { value } = select;
    const offered = value && !ids.includes(value) ? [value, ...ids] : ids;
    const options = [new Option(all, ""), ...offered.map((id) => new Option(title(id), id))];
    const same = options.length === select.options.length && options.every((option, at) => option.value === select.options[at].value && option.text === select.options[at].text);
    if (same) return;
    select.replaceChildren(...options);
    select.value = value;
  };
  /** @param {string} id */
  const choose = (id) => {
    offer([id].filter(Boolean));
    select.value = id;
  };
  choose("");
  return { select, offer, choose };
}

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const place = wanted;
  wanted = null;
  /** @type {Line[]} */
  let lines = [];
  /** The number of the line that the panel was opened for. */
  let sought = 0;
  const level = el("select", { "aria-label": t("log.level") }, ...LEVELS.map((name) => new Option(t(`log.${name}`), name)));
  level.value = place ? "debug" : "info";
  const search = el("input", { type: "search", placeholder: t("log.search"), "aria-label": t("log.search") });
  const jobs = idSelect(t("log.job"), t("log.all-jobs"), (id) => (id === app.jobs.current?.id ? t("log.this-job") : `${clock(lines.find((line) => line.job === id))} ${id.slice(0, 8)}`.trim()));
  const nodes = idSelect(t("log.node"), t("log.all-nodes"), (id) => app.editor.titleOf(id) || id);
  const list = el("ol", { class: "log", "aria-label": t("log.lines"), tabIndex: 0 });
  const copy = button(app, t("log.copy"), async () => {
    await copyText(found().map(asText).join("\n"));
    app.say(t("log.copied"));
  });
  element.append(el("div", { class: "row" }, level, search, copy), el("div", { class: "row" }, jobs.select, nodes.select), list);
  const found = () => chosen(lines, { least: level.value, words: search.value, job: jobs.select.value, node: nodes.select.value });

  function show() {
    const low = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    jobs.offer(told(lines, "job"));
    nodes.offer(told(lines.filter((line) => !jobs.select.value || line.job === jobs.select.value), "node"));
    const rows = found().slice(-SHOWN).map((line, at, shown) => el("li", { class: [line.level, line.number === sought && "sought", goesOn(line, shown[at - 1]) && "goes-on"].filter(Boolean).join(" "), tabIndex: -1 },
      !goesOn(line, shown[at - 1]) && el("small", { class: "dim" }, [clock(line), line.source === "worker" ? t("log.worker") : t("log.server"), line.name, line.node && (app.editor.titleOf(line.node) || line.node)].filter(Boolean).join(" ")),
      el("span", {}, line.text)));
    list.replaceChildren(...(rows.length ? rows : [el("li", { class: "dim" }, t("log.none"))]));
    if (low) list.scrollTop = list.scrollHeight; // it stays at the end, unless somebody reads further up
  }
  for (const part of [level, jobs.select, nodes.select]) part.addEventListener("change", show);
  search.addEventListener("input", show);
  if (place) {
    jobs.choose(place.job ?? "");
    nodes.choose(place.node ?? "");
  }

  /** Go to the lines of a failure; the worker's come by another way than the news of it, and may be late. @param {string} id @param {boolean} late they should be there by now */
  function seek(id, late) {
    sought = lines.find(({ text }) => text.includes(id))?.number ?? 0;
    show();
    const row = list.querySelector(".sought");
    if (!row && late) list.prepend(el("li", { class: "gone" }, t("log.gone", { id, count: KEPT })));
    row?.scrollIntoView({ block: "start" });
    row?.focus({ preventScroll: true });
  }

  let looks = 0;
  let timer = 0;
  let left = false;
  async function look() {
    try {
      const last = lines.at(-1)?.number ?? 0;
      const answer = await app.api.get(`system/log?after=${last}`);
      if (left) return;
      if (answer.last < last) lines = []; // another server, which counts anew
      else lines = [...lines, ...answer.lines].slice(-KEPT);
      if (answer.lines.length || !list.childElementCount) show();
      looks += 1;
      if (place?.id && !sought && (answer.lines.length || looks === 2)) seek(place.id, looks >= 2);
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

/** @param {Line | undefined} line */
const clock = (line) => (line ? new Date(line.time * 1000).toLocaleTimeString() : "");
