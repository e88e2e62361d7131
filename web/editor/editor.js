// One open document and all that the page knows of it. Every change of the document goes through `edit`, so everything can be undone.

import { Catalogue } from "./catalogue.js";
import { entryOf, metaOf, move, nodesOf } from "./document.js";
import { History } from "./history.js";
import { EASEL_STYLE } from "./json.js";
import { open as openSockets } from "./linking.js";
import { Renderer } from "./renderer.js";
import { PICTURE, Scene } from "./scene.js";
import { definitionOf, innerOf, outerOf, wayTo } from "./subgraphs.js";
import { Tips } from "./tips.js";
import { View } from "./view.js";

/** @typedef {{x: number, y: number, w: number, h: number}} Box */
/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {{name: string, id: string}} Entered name of a subgraph, id of the node that is an instance of it */

const NARROW = 700;
const READABLE = 0.75;

export class Editor {
  /** @param {HTMLCanvasElement} canvas @param {import("./events.js").Events} events @param {import("./settings.js").Settings} settings */
  constructor(canvas, events, settings) {
    this.canvas = canvas;
    this.settings = settings;
    this.catalogue = new Catalogue({ nodes: {}, inputs: [], outputs: [], files: {} });
    this.events = events;
    this.scene = new Scene(settings.get("links"));
    this.view = new View();
    this.history = new History(new Map());
    /** How the open file is written: its indentation and other habits. */
    this.style = EASEL_STYLE;
    /** Ids of the chosen nodes. @type {Set<string>} */
    this.selection = new Set();
    /** @type {Map<string, any[]>} */
    this.problems = new Map();
    /** The job that is followed. @type {import("./runs.js").Run | null} */
    this.run = null;
    /** The link that is dragged. @type {import("./linking.js").Drag | null} */
    this.drag = null;
    /** @type {Box | null} */
    this.box = null;
    /** @type {number[] | null} */
    this.knife = null;
    /** The link that a moved node would be put into. @type {import("./scene.js").LinkView | null} */
    this.overLink = null;
    /** The widget whose field is open. @type {{id: string, name: string} | null} */
    this.editing = null;
    /** @type {(() => void) | null} */
    this.placeField = null;
    /** The node under the pointer. @type {import("./scene.js").NodeView | null} */
    this.under = null;
    /** The subgraphs that are open, the innermost last, and through which of their instances. @type {Entered[]} */
    this.entered = [];
    /** Dragging pans, whatever it begins on. */
    this.locked = false;
    this.raises = 0;
    /** Sees to it that the catalogue says what nodes are for. @type {() => Promise<void>} */
    this.learn = async () => {};
    this.tips = new Tips(this);
    this.renderer = new Renderer(canvas, () => this);
    new ResizeObserver(() => {
      this.renderer.resize();
      if (!this.view.fitted) return;
      this.view.fit(this.scene.bounds());
      this.renderer.draw();
    }).observe(canvas);
    events.on("settings", () => {
      this.scene.shape = settings.get("links");
      this.layout();
    });
  }

  /** The document, or the inside of the subgraph that is open. */
  get doc() {
    return this.inside ? innerOf(this.root, this.inside) : this.root;
  }

  /** The whole document, as it is saved and run. */
  get root() {
    return this.history.doc;
  }

  /** The name of the subgraph that is open, empty for none. */
  get inside() {
    return this.entered[this.entered.length - 1]?.name ?? "";
  }

  /** What the ids of the open subgraph's nodes begin with when a job tells of them. */
  get path() {
    return this.entered.map(({ id }) => `${id}:`).join("");
  }

  /** Open subgraphs, from the outside to the inside. @param {Entered[]} entered */
  enter(entered) {
    this.entered = entered;
    this.selection.clear();
    this.scene = new Scene(this.scene.shape);
    this.rebuild();
    this.firstLook();
    this.events.emit("selection", null);
    this.events.emit("entered", null);
  }

  /** How far the run is, by the ids of what is open. @type {{get: (id: string) => import("./runs.js").NodeState | undefined}} */
  get states() {
    const { run, path } = this;
    return { get: (id) => run?.states.get(path + id) };
  }

  get open() {
    return this.drag ? openSockets(this.drag) : null;
  }

  /** Pictures that a node shows: results, previews, or the input that it loads. @param {string} id @returns {HTMLImageElement[]} */
  pictures(id) {
    return this.run?.pictures.get(this.path + id) ?? this.scene.nodes.get(id)?.loaded ?? [];
  }

  /** The run changed. @param {string[] | null} ids the nodes that it tells something else of, by their flat ids; null for all of them */
  drawRun(ids) {
    const { path, renderer } = this;
    renderer.draw(ids && []);
    if (ids) renderer.drawNodes(this.views(ids.flatMap((id) => (id.startsWith(path) ? [id.slice(path.length)] : []))));
  }

  /** What is wrong with a node of what is open. @param {string} id @returns {any[]} */
  problemsOf(id) {
    return this.problems.get(this.path + id) ?? [];
  }

  /** What a node says of its result. @param {string} id */
  text(id) {
    return this.run?.texts.get(this.path + id);
  }

  /** @param {import("./workflow_file.js").Opened} opened */
  load(opened) {
    this.history = new History(opened.doc);
    this.style = opened.style ?? EASEL_STYLE;
    this.selection.clear();
    this.problems = new Map();
    this.run = null;
    this.enter([]);
  }

  fit() {
    const chosen = [...this.selection].flatMap((id) => this.scene.nodes.get(id) ?? []);
    this.view.fit(this.scene.bounds(chosen.length ? chosen : this.scene.order));
    this.view.fitted &&= !chosen.length;
    this.renderer.draw();
  }

  /** All of it; on a phone, where that would be too small to read, where the graph begins. */
  firstLook() {
    this.fit();
    const box = this.scene.bounds();
    if (!box || this.view.width > NARROW || this.view.scale > READABLE) return;
    Object.assign(this.view, { scale: READABLE, x: 16 - box.x * READABLE, y: (this.view.height - box.h * READABLE) / 2 - box.y * READABLE, fitted: false });
    this.renderer.draw();
  }

  /** Take the next document as one step of undo. @param {Map<string, any>} doc @param {string} label
   * @param {string} merge steps with the same key in a row are one */
  edit(doc, label, merge = "") {
    if (doc === this.doc) return;
    this.editRoot(this.inside ? outerOf(this.root, this.inside, doc) : doc, label, merge);
  }

  /** As `edit`, of the whole document. @param {Map<string, any>} root @param {string} label @param {string} merge */
  editRoot(root, label, merge = "") {
    this.history.push(root, label, merge);
    this.rebuild();
  }

  /** Move nodes; those that have no place in the file yet get the one where they are shown. @param {Map<string, [number, number]>} positions @param {string} merge */
  place(positions, merge = "") {
    this.edit(move(this.doc, new Map([...this.scene.auto, ...positions])), "Move", merge);
  }

  /** The document with a place for every node, also those whose place is only shown. */
  placed() {
    return this.scene.auto.size ? move(this.doc, this.scene.auto) : this.doc;
  }

  /** @param {Iterable<string>} ids */
  select(ids) {
    const before = this.selection;
    this.selection = new Set(ids);
    this.events.emit("selection", null);
    if (this.scene.shape === "hidden") this.renderer.draw();
    else this.renderer.drawNodes(this.views([...before, ...this.selection]));
  }

  /** Bring nodes to the front. @param {string[]} ids */
  raise(ids) {
    for (const id of ids) this.scene.raised.set(id, (this.raises += 1));
    this.scene.sort();
    this.renderer.drawNodes(this.views(ids));
  }

  /** @param {Iterable<string>} ids @returns {NodeView[]} */
  views(ids) {
    return [...ids].flatMap((id) => this.scene.nodes.get(id) ?? []);
  }

  /** A node by its flat id, or the innermost instance around it, and the graph that it stands in. @param {string} flat */
  find(flat) {
    const { entered, id } = wayTo(this.root, flat);
    const outer = id ? entered : entered.slice(0, -1);
    const last = outer[outer.length - 1];
    const doc = last ? innerOf(this.root, last.name) : this.root;
    const found = id || (entered[entered.length - 1]?.id ?? "");
    return { doc, outer, id: found, entry: entryOf(doc, found) };
  }

  /** The title of a node by its flat id; empty when there is none. @param {string} flat */
  titleOf(flat) {
    const { doc, entry } = this.find(flat);
    return entry.size ? String(metaOf(entry).get("title") ?? this.catalogue.face(doc, entry).title) : "";
  }

  /** Show a node wherever it is, by the id that it has when all subgraphs are laid flat. @param {string} flat */
  reveal(flat) {
    const { outer, id } = this.find(flat);
    if (outer.map((step) => `${step.id}:`).join("") !== this.path) this.enter(outer);
    this.show(id);
  }

  /** Choose a node and bring it to the middle of the view. @param {string} id */
  show(id) {
    const node = this.scene.nodes.get(id);
    if (!node) return;
    if (this.view.scale < 0.5) this.view.scale = 0.8;
    this.view.centre(node.x + node.w / 2, node.y + node.h / 2);
    this.raise([id]);
    this.select([id]);
  }

  /** @param {import("./pointer.js").At | null} at */
  hover(at) {
    const under = at ? this.scene.nodeAt(at.x, at.y) : null;
    this.tips.point(at, under);
    if (under === this.under) return;
    this.renderer.drawNodes([this.under, under].filter((node) => node !== null));
    this.under = under;
  }

  /** @param {import("./catalogue.js").Brief} data @param {import("./catalogue.js").Helps} [helps] */
  setCatalogue(data, helps) {
    this.catalogue = new Catalogue(data, helps);
    this.rebuild();
  }

  /** @param {"undo" | "redo"} way */
  step(way) {
    const label = this.history[way]();
    if (label === null) return;
    const there = this.entered.findIndex(({ name }) => !definitionOf(this.root, name));
    if (there >= 0) this.enter(this.entered.slice(0, there));
    else this.rebuild();
  }

  undo() {
    this.step("undo");
  }

  redo() {
    this.step("redo");
  }

  /** After the document, the catalogue or the pictures changed. */
  rebuild() {
    this.layout();
    const nodes = nodesOf(this.doc);
    const kept = [...this.selection].filter((id) => nodes.has(id));
    if (kept.length < this.selection.size) this.select(kept);
    this.events.emit("document", null);
  }

  /** How much room the results of a node need. @param {string} flat */
  shownHeight(flat) {
    if (this.run?.pictures.has(flat)) return PICTURE;
    const text = this.run?.texts.get(flat);
    return text === undefined ? 0 : Math.min(PICTURE, text.split("\n").length * 17 + 26);
  }

  /** Pictures came or went: nodes may have another size. */
  layout() {
    const { path } = this;
    const room = this.run ? (/** @type {string} */ id) => this.shownHeight(path + id) : undefined;
    this.renderer.draw(this.scene.build(this.doc, this.catalogue, room, () => this.renderer.draw()));
  }
}
