// The server's /api/v1. Paths are relative, so that a proxy may put the page anywhere. Documents travel as text: a seed of 2^64 - 1 is no
// JavaScript number.

import { write } from "./json.js";
import { t } from "./words.js";

/** @typedef {{message: string, hint?: string, node_id?: string | null, code?: string, details?: any, input?: string, job?: string}} Problem details.log_id: where
 *   it stands in the log; job: in which it happened */
/** @typedef {{id: string, state: string, number: number, created: number, started: number | null, finished: number | null, reason: string, total: number,
 *   targets: string[], attempt: number, progress?: any, outputs?: Record<string, any> | null, failures?: any[] | null}} Job */
/** @typedef {{filename: string, subfolder?: string, type?: string}} FileRecord */

/** The server said no: `problems` says what is wrong, each with its node where it has one. */
export class Refused extends Error {
  /** @param {Problem} error @param {number} status */
  constructor(error, status) {
    super(error.message);
    this.status = status;
    this.hint = error.hint ?? "";
    /** @type {Problem[]} */
    this.problems = error.details?.problems ?? [error];
  }
}

/** The server cannot be reached. */
export class Unreachable extends Error {
  constructor() {
    super(t("server.unreachable"));
  }
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<string>} */
export async function ask(path, options) {
  let response;
  let text;
  try {
    response = await fetch(`api/v1/${path}`, options);
    text = await response.text();
  } catch (error) {
    if (error instanceof TypeError) throw new Unreachable();
    throw error;
  }
  if (response.ok) return text;
  let error = null;
  try {
    error = JSON.parse(text).error;
  } catch (fault) {
    if (!(fault instanceof SyntaxError)) throw fault;
  }
  throw new Refused(error ?? { message: t("server.refused", { status: response.status }) }, response.status);
}

const PATIENCE = 1500;
const KEPT_ALIVE = 16_000; // characters of a body that a browser still sends when the page goes away: 64 kB in all

/** Ask again for as long as the server says that it is not ready yet. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
export async function patient(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refused && error.status === 503)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PATIENCE));
  }
}

/** @param {string} path @returns {Promise<any>} */
export const get = async (path) => JSON.parse(await ask(path));
/** @param {string} path @param {any} [body] @returns {Promise<any>} */
export const post = async (path, body) => {
  const text = await ask(path, { method: "POST", ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return text ? JSON.parse(text) : null;
};
/** @param {string} path @param {BodyInit} body a file, or JSON as text @returns {Promise<any>} */
export const put = async (path, body) => JSON.parse(await ask(path, { method: "PUT", body }));
/** @param {string} path */
export const remove = (path) => ask(path, { method: "DELETE" });

/** Names come from documents too: `..` would make another address of it. @param {string} name of a file, its folders included */
export function named(name) {
  const parts = name.split("/");
  if (parts.some((part) => part === "." || part === "..")) throw new Refused({ message: t("file.no-name", { name }) }, 400);
  return parts.map(encodeURIComponent).join("/");
}
const one = (/** @type {string} */ id) => `jobs/${encodeURIComponent(id)}`;

export const version = () => get("version");
/** @returns {Promise<import("./catalogue.js").Brief>} */
export const catalogue = () => get("nodes?part=brief");
/** @returns {Promise<import("./catalogue.js").Helps>} */
export const helps = async () => (await get("nodes?part=help")).nodes;
/** @param {Record<string, string>} query @returns {Promise<Job[]>} newest first */
export const jobs = async (query) => (await get(`jobs?${new URLSearchParams(query)}`)).jobs;
/** @param {string} id @returns {Promise<Job>} */
export const job = (id) => get(one(id));
/** @param {string} id what was asked for, as text */
export const jobWorkflow = (id) => ask(`${one(id)}/workflow`);
/** @param {string} id why each node ran or did not @returns {Promise<any[]>} */
export const jobNodes = async (id) => (await get(`${one(id)}/nodes`)).nodes;
/** @param {string} id */
export const cancel = (id) => post(`${one(id)}/cancel`);
/** @param {string} id */
export const release = (id) => post(`${one(id)}/release`);
/** @param {string} id */
export const forget = (id) => remove(one(id));

/** Queue a workflow. @param {Map<string, any>} doc @param {{front?: boolean, targets?: string[], extra?: Map<string, any>}} [options] @returns {Promise<Job>} */
export async function submit(doc, { front = false, targets, extra } = {}) {
  /** @type {Map<string, any>} */
  const body = new Map(/** @type {[string, any][]} */ ([["workflow", doc], ["front", front]]));
  if (targets) body.set("targets", targets);
  if (extra) body.set("extra", extra);
  return JSON.parse(await ask("jobs", { method: "POST", body: write(body) }));
}

/** @returns {Promise<{name: string, writable: boolean, title: string}[]>} */
export const workflows = async () => (await get("workflows")).workflows;
/** @param {string} name @returns {Promise<string>} the file as it is */
export const workflow = (name) => ask(`workflows/${named(name)}`);
/** @param {string} name @param {string} text @param {number | null} revision of the file that was opened, 409 if there is another one now; null
 * to replace whatever is there */
export const saveWorkflow = async (name, text, revision = null) =>
  JSON.parse(await ask(`workflows/${named(name)}${revision === null ? "" : `?revision=${revision}`}`, { method: "PUT", body: text }));
/** @param {string} name */
export const deleteWorkflow = (name) => remove(`workflows/${named(name)}`);

/** @typedef {{id: string, title: string, name: string, writable: boolean, opened: number, size: number, modified: number}} DraftEntry */
/** Unsaved work of every browser. @returns {Promise<DraftEntry[]>} newest first */
export const drafts = async () => (await get("drafts")).drafts;
/** @param {string} id @returns {Promise<string>} */
export const draft = (id) => ask(`drafts/${id}`);
/** @param {string} id @param {string} text @param {{title: string, name: string, writable: boolean, opened: number}} head */
export function keepDraft(id, text, { title, name, writable, opened }) {
  const head = new URLSearchParams({ title: title.slice(0, 200), name, writable: String(writable), opened: String(opened) });
  return ask([`drafts/${id}`, head].join("?"), { method: "PUT", body: text, keepalive: text.length < KEPT_ALIVE });
}
/** @param {string} id */
export const dropDraft = (id) => remove(`drafts/${id}`);

/** @param {"input" | "output" | "temp"} root @returns {Promise<{name: string, size: number, modified: number}[]>} */
export const files = async (root) => (await get(`files/${root}`)).files;
/** @param {Blob} file @param {string} name @returns {Promise<FileRecord>} under the name that it got */
export const upload = async (file, name) => JSON.parse(await ask(`files/input/${named(name)}`, { method: "PUT", body: file }));

/** @param {FileRecord} record @param {string} preview such as webp;80 */
export function fileUrl(record, preview = "") {
  const query = new URLSearchParams({ filename: record.filename, subfolder: record.subfolder ?? "", type: record.type ?? "output" });
  if (preview) query.set("preview", preview);
  return `view?${query}`;
}

/** Names of the model files that have a picture; none where the folder holds no models. @param {string} folder @returns {Promise<Set<string>>} */
export async function pictured(folder) {
  try {
    const { files: found } = await get(`models/${encodeURIComponent(folder)}`);
    return new Set(found.flatMap((/** @type {{name: string, preview: boolean}} */ file) => (file.preview ? [file.name] : [])));
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return new Set();
    throw error;
  }
}

/** @param {string} folder of models @param {string} name */
export const thumbnailUrl = (folder, name) => `api/v1/thumbnails/${encodeURIComponent(folder)}/${named(name)}`;

/** A name from a list of files as a record. @param {string} name @param {"input" | "output" | "temp"} type @returns {FileRecord} */
export function recordOf(name, type) {
  const cut = name.lastIndexOf("/");
  return { filename: name.slice(cut + 1), subfolder: cut < 0 ? "" : name.slice(0, cut), type };
}
