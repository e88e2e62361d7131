// The jobs of this page: queue the document, follow one job at a time (a browser opens few streams at once), cancel. What was queued is
// kept, so that a page that is loaded again goes on to follow it.

import * as api from "./api.js";
import { nodesOf } from "./document.js";
import { settleField } from "./field.js";
import { Run } from "./runs.js";
import { advanceSeeds } from "./seeds.js";

const KEPT = "easel.jobs";
const PATIENCE = 1500;
const MOST = 100;

export class Jobs {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    /** Jobs that were queued here and are not over. @type {string[]} */
    this.waiting = [];
    /** Runs that were asked for and are not queued yet, because the server cannot take them. */
    this.asked = 0;
    this.clock = 0;
  }

  /** The followed job; its nodes' states and pictures are drawn on the canvas. @returns {Run | null} */
  get current() {
    return this.app.editor.run;
  }

  get busy() {
    return this.waiting.length > 0 || (this.current?.busy ?? false);
  }

  /** Queue the document. Seeds that change from run to run change after it. @param {{front?: boolean, targets?: string[], count?: number}} [options]
   * targets: ids of the nodes to run up to */
  async run({ front = false, targets, count = 1 } = {}) {
    const { app } = this;
    settleField();
    app.showProblems([]);
    for (let turn = 0; turn < Math.min(MOST, Math.max(1, count)); turn += 1) {
      const doc = app.editor.doc;
      const job = await this.submit(doc, { front, targets });
      this.waiting.push(job.id);
      this.keep();
      if (!app.editor.run?.busy) this.follow(job.id, doc);
      app.editor.edit(advanceSeeds(app.editor.doc, app.editor.catalogue), "New seed", turn ? "seeds" : "");
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
      for (;;) {
        try {
          return await api.submit(doc, options);
        } catch (error) {
          if (!(error instanceof api.Refused && error.status === 503)) throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, PATIENCE));
      }
    } finally {
      this.asked -= 1;
      this.app.events.emit("run", this.current);
    }
  }

  keep() {
    sessionStorage.setItem(KEPT, JSON.stringify({ waiting: this.waiting, last: this.current?.id ?? "" }));
  }

  /** Show how a job goes on the canvas. @param {string} id @param {Map<string, any>} doc the document it ran */
  follow(id, doc) {
    const { editor, events } = this.app;
    editor.run?.stop?.();
    const run = new Run(id, doc, (pictures) => {
      if (editor.run !== run) return;
      if (pictures) editor.layout();
      else editor.renderer.draw();
      events.emit("run", run);
    });
    editor.run = run;
    editor.layout();
    events.emit("run", run);
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
    }
    app.events.emit("run", run);
    app.events.emit("jobs", null);
    app.events.emit("files", null);
    if (app.editor.run !== run) return;
    const next = this.waiting[0];
    if (next) this.follow(next, app.editor.doc);
  }

  async cancel() {
    const id = this.current?.busy ? this.current.id : this.waiting[0];
    if (id) await api.cancel(id);
  }

  /** After the page was loaded again: follow what was queued here, else what was seen last, else a running job of this very graph. */
  async resume() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    const going = (await api.jobs({ state: "queued,running,paused,interrupted" })).reverse();
    const ids = new Set(going.map((job) => job.id));
    this.waiting = (kept.waiting ?? []).filter((/** @type {string} */ id) => ids.has(id));
    const { doc } = this.app.editor;
    const first = going.find((job) => job.state === "running" && this.waiting.includes(job.id))?.id ?? this.waiting[0];
    if (first ?? kept.last) return this.follow(first ?? kept.last, doc);
    const running = going.find((job) => job.state === "running");
    if (!running) return;
    const graph = JSON.parse(await api.jobWorkflow(running.id));
    if (Object.keys(graph.nodes ?? graph).every((id) => nodesOf(doc).has(id))) this.follow(running.id, doc);
  }
}
