// Subgraphs: several nodes as one. An open subgraph is edited as a document of its own, whose changes go back into its definition.

import { addNode, connect, entryOf, freeId, inputsOf, layoutOf, linkOf, merge, nodesOf, pointOf, placeOf, put, removeNodes } from "./document.js";

/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {(id: string, slot: number) => string} TypeOf the type of an output of the document */

export const PREFIX = "subgraph:";
export const GIVEN = "__input__";

/** @param {any} value @returns {string | null} the input of the subgraph that a value stands for */
export const givenBy = (value) => (value instanceof Map && value.size === 1 && typeof value.get(GIVEN) === "string" ? value.get(GIVEN) : null);

/** @param {Doc} root @param {string} name @returns {Map<string, any> | null} */
export function definitionOf(root, name) {
  const definition = root.get("subgraphs")?.get?.(name);
  return definition instanceof Map ? definition : null;
}

/** The name of the subgraph that a node is an instance of; null for other nodes. @param {Doc} doc @param {string} id */
export function subgraphOf(doc, id) {
  const classType = String(entryOf(doc, id).get("class_type") ?? "");
  const name = classType.startsWith(PREFIX) ? classType.slice(PREFIX.length) : "";
  return name && definitionOf(doc, name) ? name : null;
}

/** The way to a node by the id that it has when everything is laid flat ("bigger:scale"): the instances of subgraphs that it lies in, and its own id
 * there; empty where there is no such node. @param {Doc} root @param {string} flat @returns {{entered: {name: string, id: string}[], id: string}} */
export function wayTo(root, flat) {
  const entered = [];
  let doc = root;
  let rest = flat;
  while (!nodesOf(doc).has(rest)) {
    const cut = cutAt(doc, rest);
    if (cut < 0) return { entered, id: "" };
    const id = rest.slice(0, cut);
    const name = /** @type {string} */ (subgraphOf(doc, id));
    entered.push({ name, id });
    doc = innerOf(root, name);
    rest = rest.slice(cut + 1);
  }
  return { entered, id: rest };
}

/** Where the id of an instance ends that a flat id begins with; -1 for none. @param {Doc} doc @param {string} flat */
function cutAt(doc, flat) {
  let at = flat.indexOf(":");
  while (at >= 0 && subgraphOf(doc, flat.slice(0, at)) === null) at = flat.indexOf(":", at + 1);
  return at;
}

/** @type {WeakMap<object, {subgraphs: any, inner: Doc}>} */
const inners = new WeakMap();

/** The inside of a subgraph as a document; the same one for as long as nothing changed. @param {Doc} root @param {string} name @returns {Doc} */
export function innerOf(root, name) {
  const definition = /** @type {Map<string, any>} */ (definitionOf(root, name));
  const subgraphs = root.get("subgraphs");
  const kept = inners.get(definition);
  if (kept && kept.subgraphs === subgraphs) return kept.inner;
  const inner = new Map(/** @type {[string, any][]} */ ([["format", root.get("format")], ["nodes", definition.get("nodes") ?? new Map()], ["subgraphs", subgraphs]]));
  if (definition.has("layout")) inner.set("layout", definition.get("layout"));
  inners.set(definition, { subgraphs, inner });
  return inner;
}

/** The document with an edited inside of a subgraph put back. @param {Doc} root @param {string} name @param {Doc} inner @returns {Doc} */
export function outerOf(root, name, inner) {
  const definition = new Map(definitionOf(root, name) ?? []);
  definition.set("nodes", inner.get("nodes"));
  if (inner.has("layout")) definition.set("layout", inner.get("layout"));
  else definition.delete("layout");
  const subgraphs = new Map(inner.get("subgraphs"));
  subgraphs.set(name, definition);
  return put(root, ["subgraphs"], subgraphs);
}

/** A name that is not taken: image, image_2. @param {string} wanted @param {{has: (name: string) => boolean}} taken */
export function freeName(wanted, taken) {
  const name = wanted.replace(/[^\p{L}\p{N}_ -]/gu, "_").trim().toLowerCase() || "value";
  for (let number = 1; ; number += 1) {
    const free = number === 1 ? name : `${name}_${number}`;
    if (!taken.has(free)) return free;
  }
}

/** Put nodes into a new subgraph, with one instance of it in their place. @param {Doc} doc with a place for each of them @param {string[]} ids
 * @param {string} wanted its name @param {TypeOf} typeOf @returns {{doc: Doc, id: string, name: string}} */
export function toSubgraph(doc, ids, wanted, typeOf) {
  const chosen = new Set(ids);
  const name = freeName(wanted, new Map(doc.get("subgraphs") ?? []));
  const declared = new Map();
  const outside = new Map();
  const inner = new Map();
  for (const id of ids) {
    const inputs = new Map(inputsOf(entryOf(doc, id)));
    for (const [input, value] of inputs) {
      const link = linkOf(value);
      if (!link || chosen.has(link.node)) continue;
      const key = `${link.slot} ${link.node}`;
      if (!outside.has(key)) {
        const given = freeName(input, declared);
        outside.set(key, { given, value });
        declared.set(given, new Map([["type", typeOf(link.node, link.slot)]]));
      }
      inputs.set(input, new Map([[GIVEN, outside.get(key).given]]));
    }
    inner.set(id, put(entryOf(doc, id), ["inputs"], inputs));
  }
  const outputs = new Map();
  /** @type {Map<string, number>} */
  const slots = new Map();
  /** @type {{to: string, input: string, slot: number}[]} */
  const consumers = [];
  for (const [to, entry] of nodesOf(doc)) {
    if (chosen.has(to) || !(entry instanceof Map)) continue;
    for (const [input, value] of inputsOf(entry)) {
      const link = linkOf(value);
      if (!link || !chosen.has(link.node)) continue;
      const key = `${link.slot} ${link.node}`;
      if (!slots.has(key)) {
        slots.set(key, outputs.size);
        outputs.set(freeName(typeOf(link.node, link.slot), outputs), [link.node, link.slot]);
      }
      consumers.push({ to, input, slot: slots.get(key) ?? 0 });
    }
  }
  const places = new Map([...layoutOf(doc, "nodes")].filter(([id]) => chosen.has(id)));
  const definition = new Map(/** @type {[string, any][]} */ ([["inputs", declared], ["outputs", outputs], ["nodes", inner], ["layout", new Map([["nodes", places]])]]));
  const points = ids.flatMap((id) => { const point = pointOf(placeOf(doc, id).get("pos")); return point ? [point] : []; });
  const middle = /** @type {[number, number]} */ ([0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / Math.max(1, points.length)));
  let next = put(removeNodes(doc, ids), ["subgraphs", name], definition);
  const id = freeId(next, PREFIX + name);
  next = addNode(next, id, PREFIX + name, new Map([...outside.values()].map(({ given, value }) => [given, value])), middle);
  for (const { to, input, slot } of consumers) next = connect(next, id, slot, to, input);
  return { doc: next, id, name };
}

/** Put the nodes of an instance in its place again; the definition stays for other instances. @param {Doc} doc @param {string} id @returns {{doc: Doc, ids: string[]}} */
export function unpack(doc, id) {
  const name = subgraphOf(doc, id);
  if (!name) return { doc, ids: [] };
  const definition = /** @type {Map<string, any>} */ (definitionOf(doc, name));
  const inside = innerOf(doc, name);
  const [x, y] = pointOf(placeOf(doc, id).get("pos")) ?? [0, 0];
  const points = [...nodesOf(inside).keys()].flatMap((one) => { const point = pointOf(placeOf(inside, one).get("pos")); return point ? [point] : []; });
  const corner = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis]), points.length ? Infinity : 0));
  const merged = merge(doc, inside, [x - corner[0], y - corner[1]], false);
  const names = new Map([...nodesOf(inside).keys()].map((one, at) => [one, merged.ids[at]]));
  let next = merged.doc;
  const given = inputsOf(entryOf(doc, id));
  for (const one of merged.ids) {
    for (const [input, value] of inputsOf(entryOf(next, one))) {
      const wanted = givenBy(value);
      if (wanted === null) continue;
      const declared = definition.get("inputs")?.get?.(wanted);
      next = put(next, ["nodes", one, "inputs", input], given.has(wanted) ? given.get(wanted) : declared?.get?.("default"));
    }
  }
  const sources = [...(definition.get("outputs") ?? new Map()).values()];
  for (const [to, entry] of nodesOf(doc)) {
    for (const [input, value] of inputsOf(/** @type {any} */ (entry) instanceof Map ? entry : new Map())) {
      const link = linkOf(value);
      const source = link?.node === id ? sources[link.slot] : null;
      const inner = linkOf(source);
      if (link?.node !== id) continue;
      const passed = givenBy(source);
      if (inner) next = connect(next, names.get(inner.node) ?? "", inner.slot, to, input);
      else if (passed !== null) next = put(next, ["nodes", to, "inputs", input], given.get(passed));
    }
  }
  return { doc: removeNodes(next, [id]), ids: merged.ids };
}

/** Let instances of an open subgraph set an input of one of its nodes. @param {Doc} root @param {string} name @param {string} id @param {string} input @param {string} type
 * @returns {Doc} */
export function promote(root, name, id, input, type) {
  const definition = /** @type {Map<string, any>} */ (definitionOf(root, name));
  const declared = definition.get("inputs") ?? new Map();
  const given = freeName(input, declared);
  const value = inputsOf(entryOf(innerOf(root, name), id)).get(input);
  const info = new Map([["type", type]]);
  if (value !== undefined && !linkOf(value)) info.set("default", value);
  const next = put(root, ["subgraphs", name, "inputs"], new Map([...declared, [given, info]]));
  return put(next, ["subgraphs", name, "nodes", id, "inputs", input], new Map([[GIVEN, given]]));
}

/** Give an output of a node to the outside. @param {Doc} root @param {string} name @param {string} id @param {number} slot @param {string} type @returns {Doc} */
export function expose(root, name, id, slot, type) {
  const outputs = definitionOf(root, name)?.get("outputs") ?? new Map();
  return put(root, ["subgraphs", name, "outputs"], new Map([...outputs, [freeName(type, outputs), [id, slot]]]));
}
