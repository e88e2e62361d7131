// What each node does in the job that is followed. A stream that breaks is taken up after the last event heard.

import { fileUrl, job as jobOf, Refused, Unreachable } from "./api.js";
import { wayTo } from "./subgraphs.js";
import { t } from "./words.js";

/** @typedef {{state: string, value?: number, total?: number, from?: number, eta?: number, seconds?: number, reason?: string, message?: string, text?: string}} NodeState
 *   text: what the node says of its work */

const PATIENCE = 1000;
const LONGEST = 20_000;
const PICTURES = /\.(png|jpe?g|webp|gif|bmp|avif)$/i;

export class Run {
  /** @param {string} id of the job @param {Map<string, any>} doc @param {(pictures: boolean, ids: string[] | null) => void} changed with true when
   * nodes have other pictures; and which nodes changed, null for any */
  constructor(id, doc, changed) {
    this.id = id;
    this.doc = doc;
    /** @type {Map<string, string[]>} */
    this.ways = new Map();
    this.changed = changed;
    this.last = 0;
    /** @type {Map<string, NodeState>} */
    this.states = new Map();
    /** @type {Map<string, HTMLImageElement[]>} */
    this.pictures = new Map();
    /** @type {Map<string, string>} */
    this.texts = new Map();
    this.state = "queued";
    /** Why it failed: what the nodes that did said, else what the job did. @type {import("./api.js").Problem[]} */
    this.failures = [];
    /** Nodes in all, and those that are over. */
    this.total = 0;
    this.over = new Set();
    /** Seconds since 1970. */
    this.from = 0;
    this.until = 0;
    this.stopped = false;
    /** @type {EventSource | null} */
    this.source = null;
    /** The stream is broken and is being taken up again. */
    this.broken = false;
    /** Hears of what a node did otherwise than asked. @type {(id: string, message: string, hint: string) => void} */
    this.warned = () => {};
  }

  get busy() {
    return this.state === "queued" || this.state === "running" || this.state === "interrupted" || this.state === "paused";
  }

  /** How much of the job is done, from 0 to 1. */
  get part() {
    let sum = this.over.size;
    for (const state of this.states.values()) if (state.state === "running" && state.total) sum += Math.min(1, (state.value ?? 0) / state.total);
    return this.total ? Math.min(1, sum / this.total) : 0;
  }

  /** @param {() => void} over called once, when the job is over or gone */
  follow(over) {
    if (this.stopped) return;
    const source = new EventSource(`api/v1/jobs/${encodeURIComponent(this.id)}/events?after=${this.last}`);
    this.source = source;
    source.onopen = () => this.heal(false);
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      this.last = event.sequence;
      this.hear(event);
      if (event.type === "job_finished" || (event.type === "job_interrupted" && event.state === "parked")) {
        source.close();
        over();
      }
    };
    source.onerror = () => {
      this.heal(true);
      if (source.readyState === EventSource.CLOSED && !this.stopped) setTimeout(() => this.again(over), PATIENCE);
    };
  }

  stop() {
    this.stopped = true;
    this.source?.close();
  }

  /** @param {boolean} broken */
  heal(broken) {
    if (this.broken === broken) return;
    this.broken = broken;
    this.changed(false, []);
  }

  /** The server refused the stream: the job may be gone, or the server not up yet. @param {() => void} over */
  async again(over) {
    if (this.stopped) return;
    try {
      await jobOf(this.id);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) {
        this.state = "gone";
        return over();
      }
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    }
    this.follow(over);
  }

  /** The node that an event is about as it stands in its graph, behind the instances of subgraphs that it lies in, the outermost first; nothing for
   * one that the document does not have. @param {string} flat @returns {string[]} */
  shownAs(flat) {
    const kept = this.ways.get(flat);
    if (kept) return kept;
    const { entered, id } = wayTo(this.doc, flat);
    let path = "";
    const found = [...entered.map((step) => step.id), id].map((step) => {
      const whole = path + step;
      path = `${whole}:`;
      return whole;
    });
    this.ways.set(flat, id ? found : found.slice(0, -1));
    return this.shownAs(flat);
  }

  /** @param {any} event */
  hear(event) {
    const ids = this.shownAs(event.display_id || event.node_id || "");
    let pictures = false;
    switch (event.type) {
      case "job_started":
        Object.assign(this, { state: "running", total: event.total, from: event.time, over: new Set(), failures: [] });
        break;
      case "job_finished":
      case "job_interrupted":
        Object.assign(this, { state: event.state, until: event.time });
        if (["failed", "parked"].includes(event.state) && !this.failures.length) this.failures = [{ message: event.reason || t("run.failed-somehow"), ...event.error, job: this.id }];
        for (const [node, told] of this.states) if (told.state === "running") this.states.delete(node);
        break;
      case "nodes_cached":
        for (const node of event.nodes) {
          for (const id of this.shownAs(node)) if (id === node || !this.states.has(id)) this.states.set(id, { state: "cached" });
          this.over.add(node);
        }
        break;
      case "custom":
        if (event.name === "warning") this.warned(ids[0] ?? "", String(event.data?.message ?? ""), String(event.data?.hint ?? ""));
        break;
      case "preview":
        pictures = this.show(ids, [`data:${event.mime};base64,${event.data}`]);
        break;
      case "node_finished":
        pictures = this.result(ids, event.ui ?? {});
        break;
    }
    if (event.type === "node_failed") {
      const message = event.error?.message ?? event.exception_type;
      this.failures = [...this.failures, { ...event.error, message, node_id: event.display_id || event.node_id, job: this.id }];
    }
    if (["node_finished", "node_failed", "node_blocked"].includes(event.type)) this.over.add(event.node_id);
    for (const id of ids) {
      const next = told(event, this.states.get(id), event.node_id !== id);
      if (next) this.states.set(id, next);
    }
    this.changed(pictures, event.node_id ? ids : null);
  }

  /** What an output node shows: pictures, texts, and the names of other files. @param {string[]} ids @param {Record<string, any>} ui */
  result(ids, ui) {
    const items = Object.values(ui).filter(Array.isArray).flat();
    const isPicture = (/** @type {any} */ item) => typeof item?.filename === "string" && PICTURES.test(item.filename);
    const words = items.filter((item) => typeof item === "string" || (typeof item?.filename === "string" && !isPicture(item))).map((item) => (typeof item === "string" ? item : item.filename));
    for (const id of words.length ? ids : []) this.texts.set(id, words.join("\n").slice(0, LONGEST));
    return this.show(ids, items.filter(isPicture).map((file) => fileUrl(file))) || words.length > 0;
  }

  /** Each picture takes the place of the one before when it is loaded. @param {string[]} ids @param {string[]} sources @returns {boolean} whether one of the
   * nodes is new among those that show some */
  show(ids, sources) {
    if (!sources.length) return false;
    const fresh = ids.filter((id) => !this.pictures.has(id));
    const images = sources.map((source) => {
      const image = new Image();
      image.onload = () => {
        if (images.every((item) => item.complete)) for (const id of ids) this.pictures.set(id, images);
        this.changed(false, ids);
      };
      image.src = source;
      return image;
    });
    for (const id of fresh) this.pictures.set(id, images);
    return fresh.length > 0;
  }

  /** Why nodes ran or did not. @param {{node_id: string, reason: string}[]} records */
  explain(records) {
    for (const { node_id: id, reason } of records) {
      const state = this.states.get(id);
      if (state && !state.reason) state.reason = reason;
    }
    this.changed(false, []);
  }

  /** A second went by: what runs shows for how long. */
  tick() {
    this.changed(false, [...this.states].flatMap(([id, { state }]) => (state === "running" ? [id] : [])));
  }
}

/** The state of a node after an event; undefined where the event says nothing of it. @param {any} event @param {NodeState | undefined} state
 * @param {boolean} inner the event is about a part of it: a loop's turn, a subgraph's node @returns {NodeState | undefined} */
function told(event, state, inner) {
  switch (event.type) {
    case "node_started":
      return inner && state?.state === "running" ? undefined : { state: "running", value: 0, total: 0, from: event.time };
    case "node_progress": {
      const from = state?.from ?? event.time;
      const eta = event.value ? Math.round(((event.time - from) / event.value) * (event.total - event.value)) : 0;
      return { state: "running", from, value: event.value, total: event.total, eta, text: event.text };
    }
    case "node_finished":
      return inner && state?.state === "failed" ? undefined : { state: event.cached ? "cached" : "done", seconds: event.seconds, reason: event.reason };
    case "node_failed":
      return { state: "failed", message: event.error?.message ?? event.exception_type };
    case "node_blocked":
      return { state: "blocked", message: event.message };
    case "custom":
      return event.name === "progress_text" && state?.state === "running" ? { ...state, text: String(event.data?.text ?? "") } : undefined;
  }
  return undefined;
}
