// The jobs of this page: queue the document, follow one job at a time, cancel.

import * as api from "./api.js";
import { Run } from "./runs.js";

export class Jobs {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    /** Jobs that were queued here and are not over. @type {{id: string, doc: Map<string, any>}[]} */
    this.waiting = [];
  }

  /** The followed job; its nodes' states and pictures are drawn on the canvas. @returns {Run | null} */
  get current() {
    return this.app.editor.run;
  }

  get busy() {
    return this.waiting.length > 0;
  }

  /** Queue the document. @param {{front?: boolean, targets?: string[]}} [options] targets: ids of the nodes to run up to */
  async run({ front = false, targets } = {}) {
    const { app } = this;
    app.showProblems([]);
    const doc = app.editor.doc;
    const job = await api.submit(doc, { front, targets });
    this.waiting.push({ id: job.id, doc });
    app.events.emit("jobs", null);
    if (this.waiting.length === 1) this.follow(job.id, doc);
  }

  /** @param {string} id @param {Map<string, any>} doc */
  follow(id, doc) {
    const { editor, events } = this.app;
    const run = new Run(doc, () => {
      editor.rebuild();
      events.emit("run", run);
    });
    run.id = id;
    editor.run = run;
    events.emit("run", run);
    run.follow(id, () => this.app.guard(() => this.over(run)));
  }

  /** @param {Run} run */
  async over(run) {
    const { app } = this;
    this.waiting = this.waiting.filter((item) => item.id !== run.id);
    const job = await api.job(run.id);
    const problems = (job.failures ?? []).map((item) => ({ ...item.error, message: item.error?.message ?? item.exception_type, node_id: item.display_id }));
    if (!problems.length && ["failed", "parked"].includes(job.state)) problems.push({ message: job.reason });
    if (problems.length) app.showProblems(problems);
    app.events.emit("run", run);
    app.events.emit("jobs", null);
    app.events.emit("files", null);
    const next = this.waiting[0];
    if (next) this.follow(next.id, next.doc);
  }

  async cancel() {
    if (this.current) await api.cancel(this.current.id);
  }
}
