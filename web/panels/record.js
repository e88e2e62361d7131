// The record of a job: for each node why it ran or was taken from the cache, and what it cost.

import { duration, el, size } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */

const SHOWN = 500;

/** @type {string} the job that was asked for; the last one that was followed where none was */
let wanted = "";

/** Show why the nodes of a job ran or did not. @param {App} app @param {string} jobId */
export function showRecord(app, jobId) {
  wanted = jobId;
  app.dock.open("record");
}

/** @param {HTMLElement} element @param {App} app */
export function mount(element, app) {
  const jobId = wanted || app.jobs.current?.id;
  wanted = "";
  if (!jobId) element.append(el("p", { class: "dim" }, "Run something first: here stands why each node ran or did not."));
  else app.guard(() => show(element, app, jobId));
}

/** @param {HTMLElement} element @param {App} app @param {string} jobId */
async function show(element, app, jobId) {
  const [job, nodes] = await Promise.all([app.api.job(jobId), app.api.jobNodes(jobId)]);
  const costly = [...nodes].sort((a, b) => b.seconds - a.seconds).slice(0, SHOWN);
  const cached = nodes.filter((/** @type {any} */ node) => node.cached).length;
  const most = Math.max(0.001, ...nodes.map((/** @type {any} */ node) => node.seconds));
  const spent = job.finished && job.started ? ` in ${duration(job.finished - job.started)}` : "";
  element.append(
    el("p", {}, `${job.state}${spent}: ${nodes.length - cached} ran, ${cached} cached.`),
    el("table", { class: "record" },
      el("thead", {}, el("tr", {}, ...["Node", "Why", "Time"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...costly.map((node) => row(app, node, most)))),
    el("p", { class: "dim", hidden: nodes.length <= SHOWN }, `The ${SHOWN} that took longest of ${nodes.length}.`));
}

/** @param {App} app @param {any} node @param {number} most */
function row(app, node, most) {
  const id = node.display_id || node.node_id;
  const time = el("td", { class: "number" }, node.cached ? "" : duration(node.seconds), node.memory ? el("small", { class: "dim" }, ` ${size(node.memory)}`) : null);
  time.style.setProperty("--share", node.cached ? "0" : String(node.seconds / most));
  return el("tr", { class: node.cached ? "cached" : "ran" },
    el("td", {}, el("button", { type: "button", class: "plain", on: { click: () => app.editor.show(id) } }, id), el("small", { class: "dim" }, ` ${node.class_type}`)),
    el("td", {}, node.reason), time);
}
