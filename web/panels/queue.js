// The queue panel: what runs, what waits and what is over. The server's list is the truth; this shows it.

import { thumbnailUrl } from "./addresses.js";
import { button, confirmed, duration, el, moment } from "./dom.js";
import { showJob } from "./placing.js";
import { showRecord } from "./record.js";

/** @typedef {import("../editor/app.js").App} App */

const PAGE = 30;
const OVER = "succeeded,failed,cancelled,parked";

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const state = el("p", { class: "dim", role: "status" });
  const pause = button(app, "Pause", () => app.api.post(`queue/${paused ? "resume" : "pause"}`), { title: "No further job starts; the one that runs goes on" });
  const clear = button(app, "Clear", async () => {
    if (await confirmed("Cancel all jobs that wait?", "Cancel them")) await app.api.post("queue/clear");
  });
  const waiting = el("ol", { class: "jobs", "aria-label": "Jobs that run or wait" });
  const over = el("ol", { class: "jobs", "aria-label": "Jobs that are over" });
  const more = button(app, "Earlier jobs", () => history(next));
  element.append(el("div", { class: "row" }, state, pause, clear), waiting, el("h3", {}, "History"), over, more);

  let paused = false;
  /** @type {number | null} */
  let next = null;

  /** @param {any} told */
  async function heard(told) {
    paused = told.paused;
    pause.textContent = paused ? "Resume" : "Pause";
    state.textContent = [told.running ? "1 runs" : "nothing runs", `${told.waiting.length} wait`, paused ? "paused" : ""].filter(Boolean).join(" · ");
    clear.disabled = !told.waiting.length;
    const { jobs } = await app.api.get("queue");
    waiting.replaceChildren(...jobs.map((/** @type {any} */ job) => (job.state === "running" ? runningRow(app, job) : waitingRow(app, job, told.waiting))));
  }

  /** @param {number | null} before */
  async function history(before = null) {
    const page = await app.api.get(`jobs?state=${OVER}&results=true&limit=${PAGE}${before === null ? "" : `&before=${before}`}`);
    const rows = page.jobs.map((/** @type {any} */ job) => overRow(app, job, () => history()));
    if (before === null) over.replaceChildren(...rows);
    else over.append(...rows);
    next = page.next;
    more.hidden = next === null;
  }

  const source = new EventSource("api/v1/events");
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    app.guard(() => (event.type === "queue" ? heard(event) : history()));
  };
  app.guard(() => history());
  return () => source.close();
}

/** @param {App} app @param {any} job */
function runningRow(app, job) {
  const { done = 0, total = job.total } = job.progress ?? {};
  return el("li", { class: "job running", data: { id: job.id } },
    el("span", { class: "name" }, job.preemptible ? "Training" : "Running"),
    el("progress", { max: Math.max(1, total), value: done, "aria-label": `${done} of ${total} nodes` }),
    job.attempt > 1 && el("span", { class: "dim" }, `attempt ${job.attempt}`),
    el("span", { class: "row" },
      button(app, "Show", () => showJob(app, job.id)),
      job.preemptible && button(app, "Stop and save", () => app.api.post(`jobs/${job.id}/finish`)),
      button(app, "Pause", () => app.api.post(`jobs/${job.id}/pause`)),
      button(app, "Cancel", () => app.api.post(`jobs/${job.id}/cancel`))));
}

/** @param {App} app @param {any} job @param {string[]} order */
function waitingRow(app, job, order) {
  /** @param {string | null} before */
  const move = (before) => app.api.post(`jobs/${job.id}/move`, { before });
  const at = order.indexOf(job.id);
  const held = job.state === "paused" || job.state === "parked";
  const row = el("li", { class: "job", draggable: !held, data: { id: job.id } },
    el("span", { class: "name" }, held ? job.state : `${at + 1}.`, " ", `${job.total} nodes`),
    el("span", { class: "dim" }, moment(job.created)),
    el("span", { class: "row" },
      held && button(app, "Go on", () => app.api.post(`jobs/${job.id}/release`)),
      !held && at > 0 && button(app, "First", () => move(order[0]), { title: "Run next" }),
      !held && at > 0 && button(app, "Up", () => move(order[at - 1])),
      !held && at < order.length - 1 && button(app, "Down", () => move(order[at + 2] ?? null)),
      button(app, "Cancel", () => app.api.post(`jobs/${job.id}/cancel`))));
  row.addEventListener("dragstart", (/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/x-easel-job", job.id));
  row.addEventListener("dragover", (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("text/x-easel-job") && event.preventDefault());
  row.addEventListener("drop", (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    const moved = event.dataTransfer?.getData("text/x-easel-job");
    if (moved && moved !== job.id) app.guard(() => app.api.post(`jobs/${encodeURIComponent(moved)}/move`, { before: job.id }));
  });
  return row;
}

/** @param {App} app @param {any} job @param {() => Promise<void>} refresh */
function overRow(app, job, refresh) {
  const files = (job.files ?? []).filter((/** @type {any} */ file) => file.kind === "image").slice(0, 4);
  const failure = job.failures?.[0]?.error?.message ?? job.reason;
  return el("li", { class: `job ${job.state}`, data: { id: job.id } },
    el("span", { class: "name" }, job.state),
    el("span", { class: "dim" }, job.finished ? moment(job.finished) : "", job.started && job.finished ? ` · ${duration(job.finished - job.started)}` : ""),
    job.state !== "succeeded" && failure ? el("p", { class: "fault" }, failure) : null,
    files.length ? el("span", { class: "thumbs" }, ...files.map((/** @type {any} */ file) => el("img", { src: thumbnailUrl(file.root, file.name), alt: file.name, loading: "lazy" }))) : null,
    el("span", { class: "row" },
      button(app, "Open", () => app.openJob(job.id), { title: "Open the graph of this job" }),
      button(app, "Record", () => showRecord(app, job.id), { title: "Why each node ran, and how long it took" }),
      job.state === "parked"
        ? button(app, "Try again", () => app.api.post(`jobs/${job.id}/release`))
        : button(app, "Run again", () => app.api.post(`jobs/${job.id}/retry`)),
      button(app, "Delete", async () => {
        await app.api.forget(job.id);
        await refresh();
      })));
}
