// One open document and all that the page knows of it. Every change of the document goes through `edit`, so everything can be undone.

import { Catalogue } from "./catalogue.js";
import { move } from "./document.js";
import { History } from "./history.js";
import { EASEL_STYLE } from "./json.js";
import { Renderer } from "./renderer.js";
import { PICTURE, Scene } from "./scene.js";
import { View } from "./view.js";
import { open } from "./workflow_file.js";

export class Editor {
  /** @param {HTMLCanvasElement} canvas @param {import("./catalogue.js").Catalogue} catalogue @param {import("./events.js").Events} events */
  constructor(canvas, catalogue, events) {
    this.canvas = canvas;
    this.catalogue = catalogue;
    this.events = events;
    this.scene = new Scene();
    this.view = new View();
    this.history = new History(new Map());
    this.style = EASEL_STYLE;
    /** @type {Set<string>} */
    this.selection = new Set();
    /** @type {Map<string, any[]>} */
    this.problems = new Map();
    /** @type {import("./runs.js").Run | null} */
    this.run = null;
    /** @type {any} */
    this.drag = null;
    /** @type {any} */
    this.box = null;
    /** @type {{id: string, name: string} | null} */
    this.editing = null;
    this.hover = null;
    this.minimap = true;
    this.renderer = new Renderer(canvas, () => /** @type {any} */ (this));
    new ResizeObserver(() => this.renderer.resize()).observe(canvas);
  }

  get doc() {
    return this.history.doc;
  }

  get states() {
    return this.run?.states ?? new Map();
  }

  /** @param {string} id */
  pictures(id) {
    return this.run?.pictures.get(id) ?? [];
  }

  /** @param {string} text @returns {string[]} what a person should know of the file */
  open(text) {
    const { doc, style, notes } = open(text);
    this.history = new History(doc);
    this.style = style;
    this.selection.clear();
    this.problems = new Map();
    this.run = null;
    this.scene = new Scene();
    this.rebuild();
    this.fit();
    return notes;
  }

  fit() {
    this.view.fit(this.scene.bounds([...this.selection].flatMap((id) => this.scene.nodes.get(id) ?? [])) ?? this.scene.bounds());
    this.renderer.draw();
  }

  /** @param {Map<string, any>} doc @param {string} label @param {string} merge */
  edit(doc, label, merge = "") {
    this.history.push(doc, label, merge);
    this.rebuild();
  }

  /** Move nodes; those that have no place in the file yet get the one where they are shown. @param {Map<string, [number, number]>} positions */
  place(positions) {
    this.edit(move(this.doc, new Map([...this.scene.auto, ...positions])), "Move");
  }

  /** The document with a place for every node, also those whose place is only shown. */
  placed() {
    return this.scene.auto.size ? move(this.doc, this.scene.auto) : this.doc;
  }

  /** @param {Iterable<string>} ids */
  select(ids) {
    this.selection = new Set(ids);
    this.events.emit("selection", null);
    this.renderer.draw();
  }

  /** Choose a node and bring it to the middle of the view. @param {string} id */
  show(id) {
    const node = this.scene.nodes.get(id);
    if (!node) return;
    this.view.centre(node.x + node.w / 2, node.y + node.h / 2);
    this.select([id]);
  }

  /** @param {any} data what /api/v1/nodes gives */
  setCatalogue(data) {
    this.catalogue = new Catalogue(data);
    this.rebuild();
  }

  undo() {
    this.history.undo();
    this.rebuild();
  }

  redo() {
    this.history.redo();
    this.rebuild();
  }

  rebuild() {
    this.scene.build(this.doc, this.catalogue, (id) => (this.run?.pictures.has(id) ? PICTURE : 0));
    for (const id of this.selection) if (!this.scene.nodes.has(id)) this.selection.delete(id);
    this.renderer.draw();
    this.events.emit("document", null);
  }
}
