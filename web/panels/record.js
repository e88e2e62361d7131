// The record of a job: for each node why it ran or was taken from the cache, and what it cost.

import { t } from "../editor/words.js";
import { duration, el, size } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */

const SHOWN = 500;

/** @type {string} the job that was asked for; the one on the canvas where none was */
let wanted = "";

/** Show why the nodes of a job ran or did not. @param {App} app @param {string} jobId */
export function showRecord(app, jobId) {
  wanted = jobId;
  app.dock.open("record");
}

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const asked = wanted;
  wanted = "";
  let shown = "";
  const show = () => app.guard(async () => {
    const jobId = asked || app.jobs.current?.id || "";
    shown = jobId;
    if (!jobId) return element.replaceChildren(el("p", { class: "dim" }, t("record.none")));
    const [job, nodes] = await Promise.all([app.api.job(jobId), app.api.jobNodes(jobId)]);
    return jobId === shown && element.replaceChildren(...table(app, job, nodes));
  });
  show();
  return app.events.on("jobs", show);
}

/** @param {App} app @param {import("../editor/api.js").Job} job @param {any[]} nodes @returns {HTMLElement[]} */
function table(app, job, nodes) {
  const costly = [...nodes].sort((a, b) => b.seconds - a.seconds).slice(0, SHOWN);
  const cached = nodes.filter((node) => node.cached).length;
  const most = Math.max(0.001, ...nodes.map((node) => node.seconds));
  const told = { state: t(/** @type {import("../editor/words.js").Key} */ (`state.${job.state}`)), ran: nodes.length - cached, cached };
  const sum = job.finished && job.started ? t("record.sum-time", { ...told, time: duration(job.finished - job.started) }) : t("record.sum", told);
  return [
    el("p", {}, sum),
    el("table", { class: "record" },
      el("thead", {}, el("tr", {}, ...[t("record.node"), t("record.why"), t("record.time"), t("record.memory")].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...costly.map((node) => row(app, node, most)))),
    el("p", { class: "dim", hidden: nodes.length <= SHOWN }, t("record.longest", { most: SHOWN, count: nodes.length })),
  ];
}

/** @param {App} app @param {any} node @param {number} most */
function row(app, node, most) {
  const id = node.display_id || node.node_id;
  const time = el("td", { class: "number share" }, node.cached ? "" : duration(node.seconds));
  time.style.setProperty("--share", node.cached ? "0" : String(node.seconds / most));
  return el("tr", { class: node.cached ? "cached" : "ran" },
    el("td", {}, el("button", { type: "button", class: "plain", on: { click: () => app.editor.show(id) } }, app.editor.scene.nodes.get(id)?.title ?? id), el("small", { class: "dim" }, ` ${node.class_type}`)),
    el("td", {}, node.reason), time, el("td", { class: "number" }, node.memory ? size(node.memory) : ""));
}
