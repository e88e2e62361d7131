// Unsaved work is kept in the browser a second after each change, and on the server as often as its size allows: a reload goes on where it was, a
// closed or crashed page can be recovered, from another browser too (recovery.js).

import { recall } from "./kept.js";
import { save } from "./workflow_file.js";
import { t } from "./words.js";

/** @typedef {{id: string, time: number, dirty: boolean, file: import("./app.js").FileOf, opened: number, text: string}} Draft */
/** @typedef {{id: string, file: import("./app.js").FileOf, opened: number, time: number, text?: string}} Unsaved without its text it lies on the server */
/** @typedef {Draft & {patient: boolean}} Unsent patient: while it is edited on, it waits for the pause that its size asks for */

const DELAY = 1000;
const MOST = 20;
const MINE = "easel.draft";
const LAST = "easel.last";
const LARGEST = 2_000_000;
/** Characters that the server is sent for each millisecond of editing: a megabyte every ten seconds. */
const RATE = 100;

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

/** A UUID. `crypto.randomUUID` is there for pages of this machine and over https only. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Unsaved work but that of this page; of a draft that is in both places the browser's own, which is never older.
 * @param {Draft[]} here @param {import("./api.js").DraftEntry[]} there @param {string} mine @returns {Unsaved[]} newest first */
export function merged(here, there, mine) {
  const known = new Set([mine, ...here.map((draft) => draft.id)]);
  const elsewhere = there.filter((entry) => !known.has(entry.id)).map(({ id, title, name, writable, opened, modified }) => (
    { id, file: { name, title: title || t("page.untitled"), writable }, opened, time: modified * 1000 }
  ));
  return [...here, ...elsewhere].sort((a, b) => b.time - a.time);
}

/** How long the server hears nothing more of a document while it is edited, in milliseconds: the longer, the larger it is. @param {string} text */
export const pauseAfter = (text) => text.length / RATE;

export class Drafts {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.timer = 0;
    this.id = sessionStorage.getItem(MINE) ?? "";
    /** What the server has, by draft. @type {Map<string, string>} */
    this.sent = new Map();
    /** What the server is still to hear, by draft: the newest only. @type {Map<string, Unsent>} */
    this.unsent = new Map();
    /** Done when the server has heard of all that need not wait. @type {Promise<void> | null} */
    this.sending = null;
    /** When it may hear of a change again. */
    this.rested = 0;
    this.rest = 0;
    /** Why the server did not take a draft, as it was told last. */
    this.told = "";
    app.events.on("document", () => this.later());
    app.events.on("server", () => this.sendAll());
    window.addEventListener("pagehide", () => this.leave());
    document.addEventListener("visibilitychange", () => document.hidden && this.keep());
  }

  later() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.keep(true), DELAY);
  }

  /** Another document was opened: it gets a draft of its own. */
  begin() {
    this.sent.clear();
    this.id = uuid();
    sessionStorage.setItem(MINE, this.id);
  }

  /** @returns {Draft | null} */
  now() {
    const { app } = this;
    if (!this.id || !app.editor.root.has("nodes")) return null;
    return { id: this.id, time: Date.now(), dirty: app.dirty, file: app.file, opened: app.opened, text: save(app.editor.root, app.editor.style) };
  }

  /** @param {boolean} [patient] it will be kept again: the server need not hear of it at once */
  async keep(patient = false) {
    clearTimeout(this.timer);
    const draft = this.now();
    if (!draft) return;
    this.send(draft, patient);
    await inStore("readwrite", (store) => store.put(draft));
  }

  /** The server keeps what is unsaved; of what was saved it forgets the draft. @param {Draft} draft @param {boolean} [patient] */
  send(draft, patient = false) {
    const { id, dirty, text } = draft;
    if (!this.unsent.has(id) && (dirty ? this.sent.get(id) === text : !this.sent.has(id))) return;
    this.unsent.set(id, { ...draft, patient: patient && dirty });
    this.sendAll();
  }

  /** What the server may hear now; of what has to wait it is asked again in time. @returns {Unsent | undefined} */
  due() {
    const left = this.rested - Date.now();
    const found = [...this.unsent.values()].find(({ patient }) => !patient || left <= 0);
    if (!found && this.unsent.size) {
      clearTimeout(this.rest);
      this.rest = window.setTimeout(() => this.sendAll(), left);
    }
    return found;
  }

  /** One after the other, so that an older state never replaces a newer one. What the server cannot hear now it hears when it is back. */
  sendAll() {
    if (!this.sending && this.due()) this.sending = this.sendEach();
  }

  async sendEach() {
    const { api } = this.app;
    try {
      for (let next = this.due(); next; next = this.due()) {
        const { id, dirty, text, file, opened } = next;
        try {
          await (dirty ? api.keepDraft(id, text, { ...file, opened }) : api.dropDraft(id));
        } catch (error) {
          if (error instanceof api.Unreachable) return;
          if (!(error instanceof api.Refused)) throw error;
          this.refused(error.message);
        }
        this.rested = Date.now() + pauseAfter(text);
        if (dirty) this.sent.set(id, text);
        else this.sent.delete(id);
        if (this.unsent.get(id) === next) this.unsent.delete(id);
      }
    } finally {
      this.sending = null;
    }
  }

  /** @param {string} why said once for each reason */
  refused(why) {
    if (this.told !== why) this.app.say(t("draft.not-kept", { why }));
    this.told = why;
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

  /** Unsaved work that other pages of this browser left, newest first; what is old or saved is forgotten. @returns {Promise<Draft[]>} */
  async others() {
    const all = /** @type {Draft[]} */ (await inStore("readonly", (store) => store.getAll()));
    const found = all.filter((draft) => draft.id !== this.id && draft.dirty).sort((a, b) => b.time - a.time);
    const kept = new Set([this.id, ...found.slice(0, MOST).map((draft) => draft.id)]);
    for (const draft of all) if (!kept.has(draft.id)) await inStore("readwrite", (store) => store.delete(draft.id));
    return found.slice(0, MOST);
  }

  /** What other pages of this browser left, and what the server has from other browsers. @returns {Promise<Unsaved[]>} */
  async unsaved() {
    const { api } = this.app;
    const here = await this.others();
    try {
      return merged(here, await api.drafts(), this.id);
    } catch (error) {
      if (!(error instanceof api.Unreachable)) throw error;
      return here;
    }
  }

  /** Forget a draft, here and on the server. @param {string} id */
  async drop(id) {
    this.unsent.delete(id);
    await inStore("readwrite", (store) => store.delete(id));
    try {
      await this.app.api.dropDraft(id);
    } catch (error) {
      if (!(error instanceof this.app.api.Unreachable)) throw error; // it sweeps what is old by itself
    }
  }
}
