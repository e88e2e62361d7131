// The jobs of this page: queue the document, follow one job at a time (a browser opens few streams at once), cancel. What was queued is
// kept, so that a page that is loaded again goes on to follow it.

import * as api from "./api.js";
import { nodesOf } from "./document.js";
import { settleField } from "./field.js";
import { Run } from "./runs.js";
import { advanceSeeds } from "./seeds.js";

const KEPT = "easel.jobs";
const MOST = 100;

export class Jobs {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    /** Jobs that were queued here and are not over. @type {string[]} */
    this.waiting = [];
    /** The job whose events are heard. It is shown on the canvas while the document that it ran is open. @type {Run | null} */
    this.followed = null;
    app.events.on("opened", () => this.shown.clear());
    /** Jobs of the open document. @type {Set<string>} */
    this.shown = new Set();
    /** Runs that were asked for and are not queued yet, because the server cannot take them. */
    this.asked = 0;
    this.clock = 0;
  }

  /** The job on the canvas: its nodes' states and pictures are drawn there. @returns {Run | null} */
  get current() {
    return this.app.editor.run;
  }

  get busy() {
    return this.waiting.length > 0 || (this.followed?.busy ?? false);
  }

  /** Queue the document. Seeds that change from run to run change after it. @param {{front?: boolean, targets?: string[], count?: number}} [options]
   * targets: ids of the nodes to run up to */
  async run({ front = false, targets, count = 1 } = {}) {
    const { app } = this;
    settleField();
    app.showProblems([]);
    for (let turn = 0; turn < Math.min(MOST, Math.max(1, count)); turn += 1) {
      const doc = app.editor.root;
      const job = await this.submit(doc, { front, targets });
      this.waiting.push(job.id);
      this.shown.add(job.id);
      this.keep();
      if (!this.followed?.busy) this.follow(job.id, doc);
      const clean = !app.dirty;
      const next = advanceSeeds(app.editor.root, app.editor.catalogue);
      if (next !== doc) app.editor.editRoot(next, "New seed", turn ? "seeds" : "");
      if (clean) app.saved = app.editor.root; // a seed that changed by itself is no work to be saved
      if (turn === 0) app.editor.history.merging = "seeds";
      app.events.emit("jobs", null);
    }
    app.editor.history.settle();
  }

  /** Waits for a server that is just starting. @param {Map<string, any>} doc @param {{front: boolean, targets?: string[]}} options */
  async submit(doc, options) {
    this.asked += 1;
    this.app.events.emit("run", this.current);
    try {
      return await api.patient(() => api.submit(doc, options));
    } finally {
      this.asked -= 1;
      this.app.events.emit("run", this.current);
    }
  }

  keep() {
    sessionStorage.setItem(KEPT, JSON.stringify({ waiting: this.waiting, last: this.current?.id ?? "" }));
  }

  /** Show how a job goes on the canvas. @param {string} id @param {Map<string, any>} doc the document it ran @param {boolean} shown */
  follow(id, doc, shown = true) {
    const { editor, events } = this.app;
    this.followed?.stop();
    const run = new Run(id, doc, (pictures) => {
      if (editor.run !== run) return;
      if (pictures) editor.layout();
      else editor.renderer.draw();
      events.emit("run", run);
    });
    run.warned = (id, message, hint) => this.app.say(`${editor.titleOf(id) || id}: ${message}`, "error", hint);
    this.followed = run;
    if (shown) {
      this.shown.add(id);
      editor.run = run;
    }
    editor.layout();
    events.emit("run", editor.run);
    this.keep();
    clearInterval(this.clock);
    this.clock = window.setInterval(() => run.busy ? run.changed(false) : clearInterval(this.clock), 1000);
    run.follow(() => this.app.guard(() => this.over(run)));
  }

  /** @param {Run} run */
  async over(run) {
    const { app } = this;
    this.waiting = this.waiting.filter((id) => id !== run.id);
    this.keep();
    if (run.state !== "gone") {
      const [job, records] = await Promise.all([api.job(run.id), api.jobNodes(run.id)]);
      run.explain(records);
      const problems = (job.failures ?? []).map((item) => ({ ...item.error, message: item.error?.message ?? item.exception_type, node_id: item.display_id }));
      if (!problems.length && ["failed", "parked"].includes(job.state)) problems.push({ message: job.reason || "The job failed." });
      if (problems.length && app.editor.run === run) app.showProblems(problems);
      else if (problems.length) app.say(`A job failed: ${problems[0].message}`, "error");
    }
    app.events.emit("run", app.editor.run);
    app.events.emit("jobs", null);
    app.events.emit("files", null);
    if (this.followed !== run) return;
    const next = this.waiting[0];
    if (next) this.follow(next, app.editor.root, this.shown.has(next));
  }

  async cancel() {
    const id = this.followed?.busy ? this.followed.id : this.waiting[0];
    if (id) await api.cancel(id);
  }

  /** After the page was loaded again: follow what was queued here, else what was seen last, else a running job of this very graph. */
  async resume() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    const going = (await api.jobs({ state: "queued,running,paused,interrupted" })).reverse();
    const ids = new Set(going.map((job) => job.id));
    this.waiting = (kept.waiting ?? []).filter((/** @type {string} */ id) => ids.has(id));
    const doc = this.app.editor.root;
    const first = going.find((job) => job.state === "running" && this.waiting.includes(job.id))?.id ?? this.waiting[0];
    if (first ?? kept.last) return this.follow(first ?? kept.last, doc);
    const running = going.find((job) => job.state === "running");
    if (!running) return;
    const graph = JSON.parse(await api.jobWorkflow(running.id));
    if (Object.keys(graph.nodes ?? graph).every((id) => nodesOf(doc).has(id))) this.follow(running.id, doc);
  }
}
