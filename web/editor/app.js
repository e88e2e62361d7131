// The page as commands and panels see it: the open document, what can be done with it, the server, and what happens.

import * as api from "./api.js";
import { setInput } from "./document.js";
import { opened, revisionOf } from "./files.js";
import { exact, NotJson } from "./json.js";
import { keyText } from "./keys.js";
import { byNode } from "./problems.js";
import { digestsOf, isStale } from "./requires.js";
import { add } from "./search.js";
import { subgraphOf } from "./subgraphs.js";
import { t } from "./words.js";
import { NotAWorkflow } from "./workflow_file.js";

/** @typedef {{name: string, title: string, writable: boolean}} FileOf where the open document came from; name is empty for one that was never saved */

export class App {
  /** @param {{editor: import("./editor.js").Editor, notices: import("./notices.js").Notices, events: import("./events.js").Events}} parts */
  constructor({ editor, notices, events }) {
    /** What the person set. */
    this.settings = editor.settings;
    /** The open document (`editor.doc`, immutable), what is chosen (`editor.selection`, ids), the view, and `editor.edit(doc, label)`. */
    this.editor = editor;
    /** Who wants to hear of what: `app.events.on("document", ...)`. The names stand in events.js. */
    this.events = events;
    this.notices = notices;
    /** The server's /api/v1. */
    this.api = api;
    /** @type {FileOf} */
    this.file = { name: "", title: t("page.untitled"), writable: false };
    /** The document as it was opened or saved last, and its revision. @type {Map<string, any>} */
    this.saved = editor.root;
    this.opened = 0;
    /** How often Run queues. */
    this.count = 1;
    /** Everything a person can do, by id: `app.does("run")`. @type {Map<string, import("./commands.js").Command>} */
    this.commands = new Map();
    /** Side panels: open(id), toggle(id), close(side). @type {import("./dock.js").Dock} */
    this.dock = /** @type {any} */ (null);
    /** Jobs of this page: run, cancel, and the one that is followed. @type {import("./jobs.js").Jobs} */
    this.jobs = /** @type {any} */ (null);
    /** Unsaved work. @type {import("./drafts.js").Drafts | null} */
    this.drafts = null;
    /** @type {import("./themes.js").Themes} */
    this.themes = /** @type {any} */ (null);
    this.keyText = keyText;
    /** The helps of nodes are being read, or are. @type {Promise<void> | null} */
    this.learning = null;
    /** What nodes were made of when their problems were told. @type {Map<string, any[]>} */
    this.blamed = new Map();
    editor.learn = () => this.learn();
    events.on("document", () => this.forgive());
  }

  /** Whether there is work that is not saved. */
  get dirty() {
    return this.editor.root !== this.saved;
  }

  /** The keys of a command: those of the table, or the person's own. @param {import("./commands.js").Command} command @returns {string[]} */
  keysOf(command) {
    return this.settings.get("keys")[command.id] ?? command.keys;
  }

  /** Do a command of the table in commands.js. @param {string} id */
  does(id) {
    return this.guard(() => this.commands.get(id)?.run(this));
  }

  /** Do something that may be refused; what is wrong is shown, on its nodes too. @template T @param {() => T | Promise<T>} work @returns {Promise<T | undefined>} */
  async guard(work) {
    try {
      return await work();
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  /** @param {unknown} error */
  failed(error) {
    if (error instanceof api.Refused) this.showProblems(error.problems);
    else if (error instanceof api.Unreachable || error instanceof NotJson || error instanceof NotAWorkflow) this.say(error.message, "error");
    else if (error instanceof DOMException) this.say(t("browser.refused", { why: error.message }), "error");
    else throw error;
  }

  /** A message at the foot of the canvas. @param {string} text @param {"info" | "error"} [kind] @param {string} [hint] */
  say(text, kind = "info", hint = "") {
    this.notices.say({ text, kind, hint });
  }

  /** Problems of the document: on their nodes, and as a list that leads to them. @param {import("./api.js").Problem[]} problems */
  showProblems(problems) {
    this.editor.problems = byNode(problems);
    this.blame(this.editor.problems.keys());
    this.notices.problems(problems, this.editor);
    this.editor.renderer.draw();
  }

  /** What a node is made of: itself, and for an instance of a subgraph what may lie in it. @param {string} flat @returns {any[]} */
  state(flat) {
    const { doc, entry, id } = this.editor.find(flat);
    return [entry, subgraphOf(doc, id) ? this.editor.root.get("subgraphs") : null];
  }

  /** @param {Iterable<string>} ids */
  blame(ids) {
    this.blamed = new Map([...ids].map((id) => [id, this.state(id)]));
  }

  /** A change of the document that no person made: who is blamed stays blamed. @param {() => void} change */
  byItself(change) {
    const ids = [...this.blamed.keys()];
    this.blamed = new Map();
    change();
    this.blame(ids);
  }

  /** A node that was changed since is no longer blamed. */
  forgive() {
    for (const [id, state] of this.blamed) {
      if (this.state(id).every((part, at) => part === state[at])) continue;
      this.blamed.delete(id);
      this.editor.problems.delete(id);
      this.notices.forget(id);
    }
  }

  /** Open a text from outside. It is only read: nothing of it runs. Throws NotJson, NotAWorkflow or Refused. @param {string} text @param {FileOf} file */
  async openText(text, file) {
    this.openFound(await opened(this, text), file);
  }

  /** Open what a file holds; where older versions of its nodes wrote it, show what today's make of it. @param {import("./workflow_file.js").Opened} found @param {FileOf} file */
  openFound(found, file) {
    this.openDocument(found, file);
    if (isStale(this.editor.root, this.editor.catalogue)) this.guard(async () => (await import("./upgrades.js")).offerUpgrades(this));
    if (digestsOf(this.editor.root).size) this.guard(async () => (await import("./model_files.js")).offerFiles(this));
  }

  /** @param {import("./workflow_file.js").Opened} found @param {FileOf} file */
  openDocument(found, file) {
    this.drafts?.keep();
    this.drafts?.begin();
    this.editor.load(found);
    this.file = file;
    this.saved = this.editor.root;
    this.opened = revisionOf(found.doc);
    this.notices.clear();
    for (const note of found.notes) this.say(note);
    this.events.emit("opened", null);
    this.events.emit("selection", null);
    this.events.emit("run", null);
  }

  /** Open a workflow of the server. @param {string} name such as text_to_image.json */
  async openWorkflow(name) {
    const [text, listed] = await Promise.all([api.workflow(name), api.workflows()]);
    const entry = listed.find((item) => item.name === name);
    await this.openText(text, { name, title: entry?.title ?? name, writable: entry?.writable ?? false });
  }

  /** Open the graph that a job ran. @param {string} id */
  async openJob(id) {
    await this.openText(await api.jobWorkflow(id), { name: "", title: t("file.from-job"), writable: false });
  }

  /** Add a node in the middle of the view (or at a point of the world) as one step of undo, and choose it. @param {string} classType
   * @param {Record<string, any>} [inputs] literal values by name @param {[number, number]} [at] @returns {string} its id */
  addNode(classType, inputs = {}, at) {
    const { view } = this.editor;
    return add(this.editor, classType, at ?? view.toWorld(view.width / 2 - 100, view.height / 2 - 60), undefined, inputs);
  }

  /** Change the value of an input as one step of undo. @param {string} node @param {string} name @param {any} value */
  setInput(node, name, value) {
    this.editor.edit(setInput(this.editor.doc, node, name, exact(value)), `Set ${name}`);
  }

  /** Read the installed nodes and model files again. */
  async refresh() {
    this.learning = null;
    this.editor.setCatalogue(await api.patient(api.catalogue));
    this.events.emit("catalogue", null);
  }

  /** Read what nodes are for. The page comes up without it, since nobody asks at once. @returns {Promise<void>} */
  learn() {
    this.learning ??= this.guard(async () => {
      const { catalogue } = this.editor;
      const helps = await api.helps();
      if (this.editor.catalogue !== catalogue) return;
      this.editor.setCatalogue(catalogue.data, helps);
      this.events.emit("catalogue", null);
    }).then(() => {
      if (!this.editor.catalogue.helps) this.learning = null;
    });
    return this.learning;
  }
}
