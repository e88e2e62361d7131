// Unsaved work is kept in the browser a second after each change: a reload goes on where it was, a closed or crashed page can be recovered.

import { recall } from "./kept.js";
import { save } from "./workflow_file.js";

/** @typedef {{id: string, time: number, dirty: boolean, file: import("./app.js").FileOf, opened: number, text: string}} Draft */

const DELAY = 1000;
const MOST = 20;
const MINE = "easel.draft";
const LAST = "easel.last";
const LARGEST = 2_000_000;

/** @returns {Promise<IDBDatabase>} */
function database() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("easel", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("drafts", { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Done when it is on the disk. @template T @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} work @returns {Promise<T>} */
async function inStore(mode, work) {
  const opened = await database();
  return new Promise((resolve, reject) => {
    const transaction = opened.transaction("drafts", mode);
    const request = work(transaction.objectStore("drafts"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  }).finally(() => opened.close());
}

export class Drafts {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.timer = 0;
    this.id = sessionStorage.getItem(MINE) ?? "";
    app.events.on("document", () => this.later());
    window.addEventListener("pagehide", () => this.leave());
    document.addEventListener("visibilitychange", () => document.hidden && this.keep());
  }

  later() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.keep(), DELAY);
  }

  /** Another document was opened: it gets a draft of its own. */
  begin() {
    this.id = crypto.randomUUID();
    sessionStorage.setItem(MINE, this.id);
  }

  /** @returns {Draft | null} */
  now() {
    const { app } = this;
    if (!this.id || !app.editor.root.has("nodes")) return null;
    return { id: this.id, time: Date.now(), dirty: app.dirty, file: app.file, opened: app.opened, text: save(app.editor.root, app.editor.style) };
  }

  async keep() {
    clearTimeout(this.timer);
    const draft = this.now();
    if (draft) await inStore("readwrite", (store) => store.put(draft));
  }

  /** The page goes away: what is written later may not arrive, what the session keeps does. */
  leave() {
    const draft = this.now();
    if (draft && draft.text.length < LARGEST) sessionStorage.setItem(LAST, JSON.stringify(draft));
    this.keep();
  }

  /** What this page had open before it was loaded again. @returns {Promise<Draft | undefined>} */
  async mine() {
    const draft = /** @type {Draft | null} */ (recall(sessionStorage, LAST));
    sessionStorage.removeItem(LAST);
    if (draft && draft.id === this.id) return draft;
    return this.id ? inStore("readonly", (store) => store.get(this.id)) : undefined;
  }

  /** Unsaved work of other pages, newest first; what is old or saved is forgotten. @returns {Promise<Draft[]>} */
  async others() {
    const all = /** @type {Draft[]} */ (await inStore("readonly", (store) => store.getAll()));
    const found = all.filter((draft) => draft.id !== this.id && draft.dirty).sort((a, b) => b.time - a.time);
    const kept = new Set([this.id, ...found.slice(0, MOST).map((draft) => draft.id)]);
    for (const draft of all) if (!kept.has(draft.id)) await this.drop(draft.id);
    return found.slice(0, MOST);
  }

  /** @param {string} id */
  async drop(id) {
    await inStore("readwrite", (store) => store.delete(id));
  }
}
