// The jobs of this page: queue the document, follow one job at a time (a browser opens few streams at once), cancel. What was queued is
// kept, so that a page that is loaded again goes on to follow it.

import * as api from "./api.js";
import { nodesOf } from "./document.js";
import { settleField } from "./field.js";
import { recallObject, texts } from "./kept.js";
import { stamped } from "./requires.js";
import { Run } from "./runs.js";
import { advanceSeeds } from "./seeds.js";
import { t } from "./words.js";

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
    /** Jobs of the open document. @type {Set<string>} */
    this.shown = new Set();
    /** Runs that were asked for and are not queued yet, because the server cannot take them. */
    this.asked = 0;
    this.clock = 0;
    /** What the page knew before it was loaded again, until `resume` has taken it up. @type {Record<string, any> | null} */
    this.before = recallObject(sessionStorage, KEPT);
    app.events.on("opened", () => {
      this.shown.clear();
      if (!this.before) this.keep();
    });
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
    const { history } = app.editor;
    let { doc } = history;
    for (let turn = 0; turn < Math.min(MOST, Math.max(1, count)); turn += 1) {
      const job = await this.submit(doc, { front, targets });
      const open = app.editor.history === history; // else another document was opened meanwhile
      this.waiting.push(job.id);
      if (open) this.shown.add(job.id);
      this.keep();
      if (!this.followed?.busy) this.follow(job.id, doc, open);
      if (open) this.nextSeeds(turn);
      doc = open ? history.doc : advanceSeeds(doc, app.editor.catalogue);
      app.events.emit("jobs", null);
    }
    history.settle();
  }

  /** Seeds that change by themselves are no work to be saved, and no answer to a problem. @param {number} turn all turns are one step of undo */
  nextSeeds(turn) {
    const { app } = this;
    const { editor } = app;
    const next = advanceSeeds(editor.root, editor.catalogue);
    if (next !== editor.root) {
      const clean = !app.dirty;
      app.byItself(() => editor.editRoot(next, "New seed", turn ? "seeds" : ""));
      if (clean) app.saved = editor.root;
    }
    if (turn === 0) editor.history.merging = "seeds";
  }

  /** Waits for a server that is just starting. @param {Map<string, any>} doc @param {{front: boolean, targets?: string[]}} given */
  async submit(doc, given) {
    const options = this.app.settings.get("metadata") ? given : { ...given, extra: new Map([["metadata", false]]) };
    this.asked += 1;
    this.app.events.emit("run", this.current);
    try {
      return await api.patient(() => api.submit(stamped(doc, this.app.editor.catalogue), options));
    } finally {
      this.asked -= 1;
      this.app.events.emit("run", this.current);
    }
  }

  keep() {
    sessionStorage.setItem(KEPT, JSON.stringify({ waiting: this.waiting, shown: [...this.shown], last: this.current?.id ?? "" }));
  }

  /** Show how a job goes on the canvas. @param {string} id @param {Map<string, any>} doc the document it ran @param {boolean} shown */
  follow(id, doc, shown = true) {
    const { editor, events } = this.app;
    this.followed?.stop();
    const run = new Run(id, doc, (pictures, ids) => {
      if (editor.run !== run) return;
      if (pictures) editor.layout();
      editor.drawRun(ids);
      events.emit("run", run);
    });
    run.warned = (id, message, hint) => this.app.say(t("run.warning", { node: editor.titleOf(id) || id, what: message }), "error", hint);
    this.followed = run;
    if (shown) {
      this.shown.add(id);
      editor.run = run;
    }
    editor.layout();
    editor.drawRun(null);
    events.emit("run", editor.run);
    this.keep();
    clearInterval(this.clock);
    this.clock = window.setInterval(() => run.busy ? run.tick() : clearInterval(this.clock), 1000);
    run.follow(() => this.app.guard(() => this.over(run)));
  }

  /** What is shown of the end comes from the events alone, so that it does not depend on what else is asked for, and when. @param {Run} run */
  async over(run) {
    const { app } = this;
    this.waiting = this.waiting.filter((id) => id !== run.id);
    this.shown.delete(run.id);
    this.keep();
    if (run.failures.length && app.editor.run === run) app.showProblems(run.failures);
    else if (run.failures.length) app.say(t("run.job-failed", { why: run.failures[0].message }), "error");
    for (const name of /** @type {const} */ (["jobs", "files"])) app.events.emit(name, null);
    app.events.emit("run", app.editor.run);
    const next = this.waiting[0];
    if (next && this.followed === run) this.follow(next, app.editor.root, this.shown.has(next));
    if (run.state !== "gone") run.explain(await api.jobNodes(run.id));
  }

  async cancel() {
    const id = this.followed?.busy ? this.followed.id : this.waiting[0];
    if (id) await api.cancel(id);
  }

  /** After the page was loaded again: follow what was queued here, else what was seen last, else a running job of this very graph. */
  async resume() {
    const [waiting, shown, last] = [texts(this.before?.waiting), texts(this.before?.shown), String(this.before?.last ?? "")];
    const going = (await api.jobs({ state: "queued,running,paused,interrupted" })).reverse();
    this.before = null;
    const ids = new Set(going.map((job) => job.id));
    const own = this.waiting; // a person may have been faster
    this.waiting = [...new Set([...waiting.filter((id) => ids.has(id)), ...own])];
    this.shown = new Set([...shown, ...this.shown]);
    this.keep();
    if (this.followed) return undefined;
    const doc = this.app.editor.root;
    const first = going.find((job) => job.state === "running" && this.waiting.includes(job.id))?.id ?? this.waiting[0];
    if (first) return this.follow(first, doc, this.shown.has(first));
    if (last) return this.follow(last, doc);
    const running = going.find((job) => job.state === "running");
    if (!running) return undefined;
    const graph = JSON.parse(await api.jobWorkflow(running.id));
    const nodes = Object.keys(graph.nodes ?? graph);
    if (!this.followed && nodes.length === nodesOf(doc).size && nodes.every((id) => nodesOf(doc).has(id))) this.follow(running.id, doc);
    return undefined;
  }
}
