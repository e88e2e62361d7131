// Jobs on the server, and what each node does in the one that is followed. A stream that breaks is taken up after the last event heard.

import { nodesOf } from "./document.js";

export class Run {
  /** @param {Map<string, any>} doc @param {() => void} changed */
  constructor(doc, changed) {
    this.nodes = nodesOf(doc);
    this.changed = changed;
    this.id = "";
    this.last = 0;
    /** @type {Map<string, any>} */
    this.states = new Map();
    /** @type {Map<string, HTMLImageElement[]>} */
    this.pictures = new Map();
    this.state = "queued";
  }

  /** @param {string} id @param {() => void} over */
  follow(id, over) {
    this.id = id;
    const source = new EventSource(`api/v1/jobs/${encodeURIComponent(id)}/events?after=${this.last}`);
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
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.follow(id, over), 1000);
    };
  }

  /** @param {any} event */
  hear(event) {
    const flat = event.display_id || event.node_id || "";
    const id = this.nodes.has(flat) ? flat : flat.split(":")[0];
    const state = this.states.get(id) ?? {};
    if (event.type === "job_started") this.state = "running";
    if (event.type === "job_finished" || event.type === "job_interrupted") this.state = event.state;
    if (event.type === "nodes_cached") for (const node of event.nodes) this.states.set(node, { state: "cached" });
    if (event.type === "node_started") this.states.set(id, { state: "running", value: 0, total: 0, from: event.time });
    if (event.type === "node_progress") {
      const eta = event.value ? Math.round(((event.time - state.from) / event.value) * (event.total - event.value)) : 0;
      this.states.set(id, { ...state, state: "running", value: event.value, total: event.total, eta });
    }
    if (event.type === "node_finished") {
      this.states.set(id, { state: event.cached ? "cached" : "done", seconds: event.seconds, reason: event.reason });
      const images = event.ui?.images;
      if (images) this.show(id, images.map((/** @type {any} */ file) => `view?${new URLSearchParams({ filename: file.filename, subfolder: file.subfolder ?? "", type: file.type ?? "output" })}`));
    }
    if (event.type === "node_failed") this.states.set(id, { state: "failed", message: event.error?.message ?? event.exception_type });
    if (event.type === "node_blocked") this.states.set(id, { state: "blocked" });
    if (event.type === "preview") this.show(id, [`data:${event.mime};base64,${event.data}`]);
    this.changed();
  }

  /** @param {string} id @param {string[]} sources */
  show(id, sources) {
    const images = sources.map((source) => {
      const image = new Image();
      image.onload = () => this.changed();
      image.src = source;
      return image;
    });
    this.pictures.set(id, images);
  }
}
