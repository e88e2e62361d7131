// Making subgraphs of nodes and nodes of subgraphs, and what a subgraph takes and gives.

import { addNode, connect, entryOf, freeId, inputsOf, layoutOf, linkOf, nodesOf, pointOf, placeOf, put, removeNodes } from "./document.js";
import { merge } from "./merging.js";
import { definitionOf, freeName, GIVEN, givenBy, innerOf, PREFIX, subgraphOf } from "./subgraphs.js";

/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {(id: string, slot: number) => string} TypeOf the type of an output of the document */

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
        outputs.set(freeName(typeOf(link.node, link.slot).toLowerCase(), outputs), [link.node, link.slot]);
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
  return put(root, ["subgraphs", name, "outputs"], new Map([...outputs, [freeName(type.toLowerCase(), outputs), [id, slot]]]));
}
