// Subgraphs: several nodes as one. An open subgraph is edited as a document of its own, whose changes go back into its definition.

import { entryOf, nodesOf, put } from "./document.js";

/** @typedef {import("./document.js").Doc} Doc */

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

/** The subgraph that the chosen node is an instance of, or that is open; empty for none. @param {import("./editor.js").Editor} editor */
export const chosenIn = ({ doc, selection, inside }) => subgraphOf(doc, [...selection][0] ?? "") ?? inside;

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
  const name = wanted.replace(/[^\p{L}\p{N}_ -]/gu, "_").trim() || "value";
  for (let number = 1; ; number += 1) {
    const free = number === 1 ? name : `${name}_${number}`;
    if (!taken.has(free)) return free;
  }
}
