// Where everything of a document stands: boxes of nodes, their sockets and widgets, curves of links. Geometry only; drawn by the renderer.

import { fileUrl, recordOf } from "./api.js";
import { hasWidget } from "./catalogue.js";
import { framesOf, inputsOf, layoutOf, linkOf, metaOf, modeOf, nodesOf, pointOf, reroutes } from "./document.js";
import { arrange } from "./layout.js";
import { curvesOf, hull, inputPoint, outputPoint } from "./links.js";
import { givenBy } from "./subgraphs.js";
import { colourOf } from "./types.js";

/** @typedef {import("./catalogue.js").InputInfo} InputInfo */
/** @typedef {import("./draw_links.js").Seen} Seen */
/** @typedef {{name: string, label: string, type: string, info: InputInfo, y: number, link: import("./document.js").Link | null, value: any, widget: boolean,
 *   given: string | null}} Socket given: the input of the open subgraph that it takes */
/** @typedef {{name: string, info: InputInfo, y: number, h: number, value: any, linked: boolean, given: string | null}} Widget */
/** @typedef {{name: string, type: string, y: number}} Output */
/** @typedef {{id: string, x: number, y: number, w: number, h: number, title: string, face: import("./catalogue.js").Face, mode: string, collapsed: boolean,
 *   pinned: boolean, color: string, inputs: Socket[], outputs: Output[], widgets: Widget[], picture: {y: number, h: number} | null, minH: number,
 *   loadedFrom?: string, loaded?: HTMLImageElement[]}} NodeView */
/** @typedef {{from: NodeView, slot: number, to: NodeView, socket: Socket, type: string, points: [number, number][], colour: string,
 *   shape: import("./links.js").Shape}} LinkView */
/** @typedef {{entry: any, place: any, extra: number, used: number, subgraphs: any, catalogue: any, loads: string, unknown: boolean, view: NodeView,
 *   pos: [number, number] | null, linked: Socket[], sources: (NodeView | undefined)[], links: LinkView[] | null, bends: any,
 *   shape: import("./links.js").Shape}} Made what a node was made of; linked: its sockets with a link, and sources: where these come from */
/** @typedef {{kind: import("./document.js").Kind, index: number, x: number, y: number, w: number, h: number, title: string, color: string}} GroupView a group,
 * or a note, whose title is its text */

export const TITLE = 30;
export const ROW = 21;
export const GAP = 4;
export const PAD = 10;
const TEXT_HEIGHT = 84;
const LETTER = 6.6;
export const PICTURE = 220;
const COLLAPSED = 26;
const CORNER = 16;
/** @type {Map<string, any>} */
const NO_PLACE = new Map();

/** How far what belongs to a node is drawn outside of it: outlines, its state above, its problems below; `pixels` of the screen besides. */
export const AROUND = { left: 14, right: 130, top: 30, bottom: 70, pixels: 8 };
/** More changes than this, and all is drawn anew. */
const MANY = 8;

export class Scene {
  /** @param {import("./links.js").Shape} shape of links */
  constructor(shape = "curve") {
    this.shape = shape;
    /** @type {Map<string, NodeView>} */
    this.nodes = new Map();
    /** @type {NodeView[]} */
    this.order = [];
    /** @type {LinkView[]} */
    this.links = [];
    /** @type {GroupView[]} */
    this.groups = [];
    /** What all of it depends on, when it was built. @type {any[]} */
    this.ground = [];
    /** Places of nodes that have none in the document. @type {Map<string, [number, number]>} */
    this.auto = new Map();
    /** Nodes that were brought to the front, and in which order. @type {Map<string, number>} */
    this.raised = new Map();
    /** What each node was made of. @type {Map<string, Made>} */
    this.made = new Map();
  }

  /** @param {Map<string, any>} doc @param {import("./catalogue.js").Catalogue} catalogue @param {(id: string) => number} extra height of pictures
   * @param {() => void} arrived a picture of an input file is there
   * @returns {Seen[] | null} the parts of the world that look different now; null for all of it */
  build(doc, catalogue, extra = () => 0, arrived = () => {}) {
    const before = { nodes: this.nodes, links: this.links, ground: this.ground };
    /** @type {Set<string>} */
    const changed = new Set();
    const places = layoutOf(doc, "nodes");
    const subgraphs = doc.get("subgraphs");
    /** @type {Map<string, number> | null} */
    let used = null;
    this.nodes = new Map();
    for (const [id, entry] of nodesOf(doc)) {
      if (!(entry instanceof Map)) continue;
      const old = this.made.get(id);
      const same = old?.entry === entry && old.catalogue === catalogue;
      const loads = same ? old.loads : loadedFile(entry, catalogue);
      const place = /** @type {any} */ (places.get(id)) instanceof Map ? places.get(id) : NO_PLACE;
      const unknown = same ? old.unknown : !catalogue.declared(String(entry.get("class_type") ?? ""));
      if (unknown) used ??= usedOutputs(doc);
      const room = extra(id) || (loads ? PICTURE : 0);
      const outputs = unknown ? (used?.get(id) ?? 0) : 0;
      let made = old;
      if (!same || old.place !== place || old.extra !== room || old.used !== outputs || old.subgraphs !== subgraphs) {
        const key = { entry, place, extra: room, used: outputs, subgraphs, catalogue, loads, unknown };
        const view = makeView(id, doc, key);
        made = { ...key, view, pos: pointOf(place.get("pos")), linked: view.inputs.filter((socket) => socket.link), sources: [], links: null, bends: undefined, shape: this.shape };
        this.made.set(id, made);
        changed.add(id);
      }
      const { view, pos } = /** @type {Made} */ (made);
      if (pos) {
        view.x = pos[0];
        view.y = pos[1];
      }
      if (loads && view.loadedFrom !== loads) Object.assign(view, { loadedFrom: loads, loaded: [picture(loads, arrived)] });
      this.nodes.set(id, view);
    }
    if (this.made.size > this.nodes.size) for (const id of this.made.keys()) if (!this.nodes.has(id)) this.made.delete(id);
    this.placeRest();
    this.order = [...this.nodes.values()];
    this.sort();
    this.link(doc);
    for (const id of before.nodes.keys()) if (!this.nodes.has(id)) changed.add(id);
    this.ground = [this.shape, doc.get("layout")?.get?.("links"), doc.get("layout")?.get?.("groups"), doc.get("layout")?.get?.("notes")];
    this.groups = /** @type {const} */ (["groups", "notes"]).flatMap((kind) => framesOf(doc, kind).map((frame, index) => frameView(frame, index, kind)));
    if (changed.size > MANY || this.ground.some((part, at) => part !== before.ground[at])) return null;
    return [...partsOf(changed, before.nodes, before.links), ...partsOf(changed, this.nodes, this.links)];
  }

  /** The links; those into a node stay the objects they were where nothing that they are made of changed. @param {Map<string, any>} doc */
  link(doc) {
    const bends = layoutOf(doc, "links");
    this.links = [];
    for (const id of this.nodes.keys()) {
      const made = /** @type {Made} */ (this.made.get(id));
      if (!made.linked.length) continue;
      if (!made.links || made.shape !== this.shape || made.bends !== bends.get(id) || made.sources.some((source, at) => source !== this.nodes.get(made.linked[at].link?.node ?? ""))) {
        made.sources = made.linked.map((socket) => this.nodes.get(socket.link?.node ?? ""));
        Object.assign(made, { links: linksInto(doc, made, bends.has(id), this.shape), bends: bends.get(id), shape: this.shape });
      }
      for (const item of made.links ?? []) this.links.push(item);
    }
  }

  /** The order of drawing: what was brought to the front comes last. */
  sort() {
    const lifted = (/** @type {NodeView} */ view) => this.raised.get(view.id) ?? 0;
    if (this.raised.size) this.order.sort((a, b) => lifted(a) - lifted(b));
  }

  /** Nodes without a place get one, and keep it for as long as the document is open. */
  placeRest() {
    const loose = [...this.nodes.values()].filter((view) => !this.made.get(view.id)?.pos);
    for (const id of this.auto.keys()) if (!this.nodes.has(id)) this.auto.delete(id);
    const fresh = loose.filter((view) => !this.auto.has(view.id));
    if (fresh.length) {
      const parents = (/** @type {NodeView} */ view) => view.inputs.flatMap((socket) => (socket.link ? [socket.link.node] : []));
      const unplaced = new Set(fresh);
      const placed = [...this.nodes.values()].filter((view) => !unplaced.has(view));
      const bottom = placed.length ? placed.reduce((most, view) => Math.max(most, view.y + view.h), -Infinity) + 400 : 0;
      for (const [id, pos] of arrange(fresh.map((view) => ({ id: view.id, w: view.w, h: view.h, parents: parents(view) })), [0, bottom])) this.auto.set(id, pos);
    }
    for (const view of loose) [view.x, view.y] = this.auto.get(view.id) ?? [0, 0];
  }

  /** What is drawn in front takes the pointer first. @param {number} x @param {number} y @returns {NodeView | null} */
  nodeAt(x, y) {
    for (let at = this.order.length - 1; at >= 0; at -= 1) {
      const view = this.order[at];
      if (x >= view.x - 6 && x <= view.x + view.w + 6 && y >= view.y && y <= view.y + view.h) return view;
    }
    return null;
  }

  /** The nearest socket within reach. @param {number} x @param {number} y @param {number} reach
   * @returns {{view: NodeView, output: number} | {view: NodeView, socket: Socket} | null} */
  socketAt(x, y, reach = 10) {
    let found = null;
    let best = reach;
    for (const view of this.order) {
      if (y < view.y - reach || y > view.y + view.h + reach || x < view.x - reach || x > view.x + view.w + reach) continue;
      for (let slot = 0; slot < view.outputs.length; slot += 1) {
        const [ox, oy] = outputPoint(view, slot);
        const far = Math.hypot(ox - x, oy - y);
        if (far <= best) [best, found] = [far, { view, output: slot }];
      }
      for (const socket of view.inputs) {
        const [ix, iy] = inputPoint(view, socket);
        const far = Math.hypot(ix - x, iy - y);
        if (far <= best) [best, found] = [far, { view, socket }];
      }
    }
    return found;
  }

  /** @param {number} x @param {number} y @param {number} reach @returns {LinkView | null} */
  linkAt(x, y, reach = 6) {
    for (const link of this.links) {
      for (const curve of curvesOf(link)) {
        const [ax, ay, bx, by, cx, cy, dx, dy] = curve;
        if (x < Math.min(ax, bx, cx, dx) - reach || x > Math.max(ax, bx, cx, dx) + reach) continue;
        if (y < Math.min(ay, dy) - reach || y > Math.max(ay, dy) + reach) continue;
        for (let step = 0; step <= 40; step += 1) {
          const t = step / 40;
          const u = 1 - t;
          const px = u * u * u * ax + 3 * u * u * t * bx + 3 * u * t * t * cx + t * t * t * dx;
          const py = u * u * u * ay + 3 * u * u * t * by + 3 * u * t * t * cy + t * t * t * dy;
          if (Math.hypot(px - x, py - y) <= reach + 4) return link;
        }
      }
    }
    return null;
  }

  /** @param {number} x @param {number} y @returns {{link: LinkView, index: number} | null} */
  rerouteAt(x, y) {
    for (const link of this.links) {
      const index = link.points.findIndex(([px, py]) => Math.hypot(px - x, py - y) <= 9);
      if (index >= 0) return { link, index };
    }
    return null;
  }

  /** A group by its title or its lower right corner; a note by all of it. @param {number} x @param {number} y @returns {{group: GroupView, part: "title" | "corner"} | null} */
  groupAt(x, y) {
    for (const group of [...this.groups].reverse()) {
      const [dx, dy] = [x - group.x, y - group.y];
      if (dx < 0 || dy < 0 || dx > group.w || dy > group.h) continue;
      if (dx > group.w - CORNER && dy > group.h - CORNER) return { group, part: "corner" };
      if (dy < TITLE || group.kind === "notes") return { group, part: "title" };
    }
    return null;
  }

  /** The box around nodes; null without any. @param {Iterable<NodeView>} views */
  bounds(views = this.order) {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const view of views) {
      left = Math.min(left, view.x);
      top = Math.min(top, view.y);
      right = Math.max(right, view.x + view.w);
      bottom = Math.max(bottom, view.y + view.h);
    }
    return left < right ? { x: left, y: top, w: right - left, h: bottom - top } : null;
  }
}

/** The part of the world that a node is drawn in. @param {NodeView} node @param {number} scale @returns {Seen} */
export function around({ x, y, w, h }, scale) {
  const more = AROUND.pixels / scale;
  return { left: x - AROUND.left - more, top: y - AROUND.top - more, right: x + w + AROUND.right + more, bottom: y + h + AROUND.bottom + more };
}

/** The parts of the world that nodes and their links are drawn in. @param {Set<string>} ids @param {Map<string, NodeView>} nodes @param {LinkView[]} links
 * @returns {Seen[]} */
export function partsOf(ids, nodes, links) {
  const touched = links.filter(({ from, to }) => ids.has(from.id) || ids.has(to.id));
  return [...[...ids].flatMap((id) => nodes.get(id) ?? []).map((node) => around(node, 0.25)), ...touched.map(hull)];
}

/** The address of the picture that a node takes from the input folder, empty for all others. @param {any} entry @param {any} catalogue */
function loadedFile(entry, catalogue) {
  const face = catalogue.declared(String(entry.get("class_type") ?? ""));
  const info = face?.inputs.find((/** @type {InputInfo} */ input) => input.folder?.startsWith("input"));
  const value = info && inputsOf(entry).get(info.name);
  return typeof value === "string" && /\.(png|jpe?g|webp|gif|bmp)$/i.test(value) ? fileUrl(recordOf(value, "input"), "webp;90") : "";
}

/** @param {string} source @param {() => void} arrived */
function picture(source, arrived) {
  const image = new Image();
  image.onload = arrived;
  image.src = source;
  return image;
}

/** How many outputs of each node are linked to; what an unknown class must show. @param {Map<string, any>} doc */
function usedOutputs(doc) {
  /** @type {Map<string, number>} */
  const used = new Map();
  for (const entry of nodesOf(doc).values()) {
    if (!(entry instanceof Map)) continue;
    for (const value of inputsOf(entry).values()) {
      const link = linkOf(value);
      if (link) used.set(link.node, Math.max(used.get(link.node) ?? 0, Math.min(link.slot + 1, 100)));
    }
  }
  return used;
}

/** @param {string} id @param {Map<string, any>} doc @param {{entry: any, place: any, extra: number, used: number, catalogue: any}} key @returns {NodeView} */
function makeView(id, doc, { entry, place, extra, used, catalogue }) {
  const face = catalogue.face(doc, entry, used);
  const given = inputsOf(entry);
  const title = String(metaOf(entry).get("title") ?? face.title);
  const all = face.inputs.map((/** @type {InputInfo} */ info) => {
    const value = given.has(info.name) ? given.get(info.name) : info.has_default ? info.default : undefined;
    return { name: info.name, label: info.name.replaceAll("_", " "), type: info.type, info, y: 0, link: linkOf(value), value, widget: hasWidget(info), given: givenBy(value) };
  });
  const outputs = face.outputs.map((/** @type {any} */ output, /** @type {number} */ slot) => ({ name: output.name, type: output.type, y: TITLE + PAD + ROW * slot + ROW / 2 }));
  let y = TITLE + PAD;
  for (const socket of all.filter((/** @type {Socket} */ item) => !item.widget)) {
    socket.y = y + ROW / 2;
    y += ROW;
  }
  y = Math.max(y, TITLE + PAD + ROW * outputs.length) + (outputs.length || y > TITLE + PAD ? GAP : 0);
  const shown = all.filter((/** @type {Socket} */ item) => item.widget);
  const texts = shown.filter((/** @type {Socket} */ item) => item.info.multiline && !item.link && item.given === null).length;
  const least = y + shown.length * (ROW + GAP) + texts * (TEXT_HEIGHT - ROW) + 6;
  const size = pointOf(place.get("size"));
  const w = Math.max(140, size ? size[0] : wantedWidth(title, all, outputs, texts));
  const free = Math.max(0, (size ? size[1] : 0) - least - extra);
  const widgets = [];
  for (const socket of shown) {
    const tall = socket.info.multiline && !socket.link && socket.given === null;
    const h = tall ? TEXT_HEIGHT + free / texts : ROW;
    widgets.push({ name: socket.name, info: socket.info, y, h, value: socket.value, linked: socket.link !== null || socket.given !== null, given: socket.given });
    socket.y = y + Math.min(h, ROW) / 2;
    y += h + GAP;
  }
  const bottom = Math.max(y + 6, least);
  const h = Math.max(bottom + extra, size ? size[1] : 0);
  const picture = extra ? { y: bottom, h: Math.max(extra, h - bottom) - 8 } : null;
  const collapsed = place.get("collapsed") === true;
  const view = { id, x: 0, y: 0, w, h, title, face, mode: modeOf(entry), collapsed, pinned: place.get("pinned") === true, inputs: all, outputs, widgets, picture, minH: least + extra, color: colourText(place.get("color")) };
  if (collapsed) fold(view);
  return view;
}

/** @param {NodeView} view */
function fold(view) {
  Object.assign(view, { w: Math.min(view.w, Math.max(120, view.title.length * 7.4 + 56)), h: COLLAPSED, widgets: [], picture: null });
  for (const socket of view.inputs) socket.y = COLLAPSED / 2;
  for (const output of view.outputs) output.y = COLLAPSED / 2;
}

/** Only plain colours from a file reach the canvas. @param {any} value */
const colourText = (value) => (typeof value === "string" && /^#[0-9a-fA-F]{3,8}$/.test(value) ? value : "");

/** @param {string} title @param {Socket[]} inputs @param {Output[]} outputs @param {number} texts */
function wantedWidth(title, inputs, outputs, texts) {
  const left = Math.max(0, ...inputs.filter((socket) => !socket.widget).map((socket) => socket.label.length));
  const right = Math.max(0, ...outputs.map((output) => output.name.length));
  const rows = inputs.filter((socket) => socket.widget).map((socket) => Math.min(46, socket.label.length + String(socket.link ? "" : (socket.value ?? "")).length + 7));
  return Math.round(Math.max(200, texts ? 320 : 0, title.length * 8.7 + 50, (left + right) * LETTER + 60, Math.max(0, ...rows) * LETTER + 30));
}

/** @param {Map<string, any>} doc @param {Made} made @param {boolean} bent @param {import("./links.js").Shape} shape @returns {LinkView[]} */
function linksInto(doc, { view: to, linked, sources }, bent, shape) {
  return linked.flatMap((socket, at) => {
    const from = sources[at];
    if (!socket.link || !from) return [];
    const type = from.outputs[socket.link.slot]?.type ?? "*";
    const shown = type === "*" || type.startsWith("$") ? socket.type : type;
    return [{ from, slot: socket.link.slot, to, socket, type: shown, points: bent ? reroutes(doc, to.id, socket.name) : [], colour: colourOf(shown), shape }];
  });
}

/** @param {Map<string, any>} frame @param {number} index @param {import("./document.js").Kind} kind @returns {GroupView} */
function frameView(frame, index, kind) {
  const [x, y] = pointOf(frame.get("pos")) ?? [0, 0];
  const [w, h] = pointOf(frame.get("size")) ?? (kind === "notes" ? [240, 120] : [300, 200]);
  const title = String(frame.get(kind === "notes" ? "text" : "title") ?? "");
  return { kind, index, x, y, w: Math.max(80, w), h: Math.max(60, h), title, color: colourText(frame.get("color")) || (kind === "notes" ? "#b59a3a" : "#3f789e") };
}

/** @param {NodeView} view @param {number} x @param {number} y relative to the node @returns {Widget | null} */
export const widgetAt = (view, x, y) => (x < 10 || x > view.w - 10 ? null : (view.widgets.find((widget) => y >= widget.y && y <= widget.y + widget.h) ?? null));
