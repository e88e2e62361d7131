// The queue panel: what runs, what waits and what is over. The server's list is the truth; this shows it.

import { counted, t } from "../editor/words.js";
import { thumbnailUrl } from "./addresses.js";
import { button, confirmed, duration, el, moment } from "./dom.js";
import { showLog } from "./log.js";
import { showJob } from "./placing.js";
import { showRecord } from "./record.js";
import { listen } from "./stream.js";

/** @typedef {import("../editor/app.js").App} App */

const PAGE = 30;
const OVER = "succeeded,failed,cancelled,parked";
const MEASURED = 10;
const LOOK = 2000;

/** @param {any} job @returns {string} */
const stateOf = (job) => t(/** @type {import("../editor/words.js").Key} */ (`state.${job.state}`));

/** Seconds until a waiting job begins: what is left of the one that runs, and those before it, if all take as long as the last ones did.
 * @param {number} before how many wait before it @param {number[]} spent seconds that jobs took @param {number | null} gone seconds that the running
 * job has taken @returns {number | null} null when nothing is known yet */
export function startsIn(before, spent, gone) {
  if (!spent.length) return null;
  const mean = spent.reduce((sum, seconds) => sum + seconds, 0) / spent.length;
  return before * mean + (gone === null ? 0 : Math.max(0, mean - gone));
}

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const state = el("p", { class: "dim grow", role: "status" });
  const pause = button(app, t("queue.pause"), () => app.api.post(`queue/${paused ? "resume" : "pause"}`), { title: t("queue.pause.hint") });
  const clear = button(app, t("queue.clear"), async () => {
    if (await confirmed(t("queue.clear.really"), t("queue.clear.yes"))) await app.api.post("queue/clear");
  });
  const waiting = el("ol", { class: "jobs", "aria-label": t("queue.now") });
  const over = el("ol", { class: "jobs", "aria-label": t("queue.over") });
  const more = button(app, t("queue.earlier"), () => history(next), { hidden: true });
  element.append(el("div", { class: "row" }, state, pause, clear), waiting, el("h3", {}, t("queue.history")), over, more);

  let paused = false;
  /** @type {number | null} */
  let next = null;
  /** Seconds that the last jobs took. @type {number[]} */
  let spent = [];
  const asked = { queue: 0, history: 0 };
  /** What the queue was last. @type {any} */
  let last = null;

  /** @param {any} told */
  async function heard(told) {
    last = told;
    paused = told.paused;
    pause.textContent = paused ? t("queue.resume") : t("queue.pause");
    state.textContent = [told.running ? t("queue.runs") : t("queue.rests"), t("queue.wait", { count: told.remaining - (told.running ? 1 : 0) }), paused ? t("queue.paused") : ""].filter(Boolean).join(" · ");
    clear.disabled = !told.waiting.length;
    const mine = (asked.queue += 1);
    const { jobs } = await app.api.get("queue");
    if (mine !== asked.queue) return; // it has changed again
    const running = jobs.find((/** @type {any} */ job) => job.state === "running");
    const gone = running?.started ? Date.now() / 1000 - running.started : null;
    waiting.replaceChildren(...jobs.map((/** @type {any} */ job) => {
      if (job.state === "running") return runningRow(app, job);
      const place = told.waiting.indexOf(job.id);
      return waitingRow(app, job, told.waiting, paused || place < 0 ? null : startsIn(place, spent, gone));
    }));
  }

  /** @param {number | null} before */
  async function history(before = null) {
    const mine = (asked.history += 1);
    const page = await app.api.get(`jobs?state=${OVER}&results=true&limit=${PAGE}${before === null ? "" : `&before=${before}`}`);
    if (mine !== asked.history) return;
    const rows = page.jobs.map((/** @type {any} */ job) => overRow(app, job, () => history()));
    if (before !== null) over.append(...rows);
    else {
      over.replaceChildren(...(rows.length ? rows : [el("li", { class: "dim" }, t("queue.none"))]));
      spent = page.jobs.filter((/** @type {any} */ job) => job.state === "succeeded" && job.started && !job.preemptible).slice(0, MEASURED)
        .map((/** @type {any} */ job) => job.finished - job.started);
    }
    next = page.next;
    more.hidden = next === null;
  }

  app.guard(() => history());
  const stop = listen("api/v1/events", (event) => app.guard(() => (event.type === "queue" ? heard(event) : history())));
  const clock = setInterval(() => last?.running && !document.hidden && app.guard(() => heard(last)), LOOK); // how far the running job is
  return () => {
    clearInterval(clock);
    stop();
  };
}

/** @param {App} app @param {any} job */
function runningRow(app, job) {
  const { done = 0, total = job.total, nodes = {} } = job.progress ?? {};
  const begun = Object.values(nodes).reduce((sum, node) => sum + (node.total ? Math.min(1, node.value / node.total) : 0), 0);
  return el("li", { class: "job running", data: { id: job.id } },
    el("span", { class: "name" }, job.preemptible ? t("queue.training") : t("queue.running")),
    el("progress", { max: Math.max(1, total), value: done + begun, "aria-label": t("queue.done", { done, total }) }),
    job.attempt > 1 && el("span", { class: "dim" }, t("queue.attempt", { count: job.attempt })),
    el("span", { class: "row" },
      button(app, t("queue.show"), () => showJob(app, job.id)),
      job.preemptible && button(app, t("queue.stop-save"), () => app.api.post(`jobs/${job.id}/finish`)),
      button(app, t("queue.pause"), () => app.api.post(`jobs/${job.id}/pause`)),
      button(app, t("page.cancel"), () => app.api.post(`jobs/${job.id}/cancel`))));
}

/** @param {App} app @param {any} job @param {string[]} order @param {number | null} soon seconds until it begins */
function waitingRow(app, job, order, soon) {
  /** @param {string | null} before */
  const move = (before) => app.api.post(`jobs/${job.id}/move`, { before });
  const at = order.indexOf(job.id);
  const held = job.state === "paused" || job.state === "parked";
  const row = el("li", { class: "job", draggable: !held, data: { id: job.id } },
    el("span", { class: "name" }, held ? stateOf(job) : t("queue.place", { place: at + 1 }), " ", counted("page.nodes", job.total)),
    el("span", { class: "dim" }, moment(job.created), soon === null ? "" : ` · ${t("queue.starts", { time: duration(soon) })}`),
    el("span", { class: "row" },
      held && button(app, t("queue.go-on"), () => app.api.post(`jobs/${job.id}/release`)),
      !held && at > 0 && button(app, t("queue.first"), () => move(order[0]), { title: t("queue.first.hint") }),
      !held && at > 0 && button(app, t("queue.up"), () => move(order[at - 1])),
      !held && at < order.length - 1 && button(app, t("queue.down"), () => move(order[at + 2] ?? null)),
      button(app, t("page.cancel"), () => app.api.post(`jobs/${job.id}/cancel`))));
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
    el("span", { class: "name" }, stateOf(job)),
    el("span", { class: "dim" }, job.finished ? moment(job.finished) : "", job.started && job.finished ? ` · ${duration(job.finished - job.started)}` : ""),
    job.state !== "succeeded" && failure ? el("p", { class: "fault" }, failure) : null,
    files.length ? el("span", { class: "thumbs" }, ...files.map((/** @type {any} */ file) => el("img", { src: thumbnailUrl(file.root, file.name), alt: file.name, loading: "lazy" }))) : null,
    el("span", { class: "row" },
      button(app, t("queue.open"), () => app.openJob(job.id), { title: t("queue.open.hint") }),
      button(app, t("queue.record"), () => showRecord(app, job.id), { title: t("queue.record.hint") }),
      job.state !== "succeeded" && button(app, t("queue.log"), () => showLog(app, { job: job.id }), { title: t("queue.log.hint") }),
      job.state === "parked"
        ? button(app, t("queue.retry"), () => app.api.post(`jobs/${job.id}/release`))
        : button(app, t("queue.again"), () => app.api.post(`jobs/${job.id}/retry`)),
      button(app, t("page.delete"), async () => {
        await app.api.forget(job.id);
        await refresh();
      })));
}
