// Nodes of a document as a document of their own, and such a document put into another.

import { neededBy, withDefinitions, withNames } from "./definitions.js";
import { freeId, inputsOf, layoutOf, linkOf, mapOf, nodesOf, placeOf, pointOf, put, putLayout, withoutLinks } from "./document.js";
import { t } from "./words.js";

/** @typedef {import("./document.js").Doc} Doc */

/** The nodes as a workflow document of their own, with the subgraphs that they need. @param {Doc} doc @param {Iterable<string>} ids @returns {Doc} */
export function extract(doc, ids) {
  const wanted = new Set(ids);
  const nodes = new Map([...nodesOf(doc)].filter(([id]) => wanted.has(id)));
  const places = new Map([...layoutOf(doc, "nodes")].filter(([id]) => wanted.has(id)));
  const subgraphs = neededBy(doc, nodes.values());
  return new Map(/** @type {[string, any][]} */ ([
    ["format", "easel/1"], ["revision", 0], ["nodes", nodes], .../** @type {[string, any][]} */ (subgraphs.size ? [["subgraphs", subgraphs]] : []), ["layout", new Map([["nodes", places]])],
  ]));
}

/** Put nodes of another document in, under free ids. Links among them stay; links to others stay only if `inward` and their node is here.
 * @param {Doc} doc @param {Doc} other @param {[number, number]} shift @param {boolean} inward @returns {{doc: Doc, ids: string[], apart: [string, string][]}}
 * apart: subgraphs that came under another name, since a different one has theirs here */
export function merge(doc, other, shift, inward) {
  const known = withDefinitions(doc, other);
  const given = withNames(nodesOf(other), known.names);
  const names = new Map();
  const taken = new Set();
  for (const [id, entry] of given) {
    const classType = String(mapOf(entry).get("class_type") ?? "node");
    const name = nodesOf(doc).has(id) || taken.has(id) ? freeId(doc, classType, taken) : id;
    taken.add(name);
    names.set(id, name);
  }
  const nodes = new Map(nodesOf(doc));
  const positions = new Map(layoutOf(doc, "nodes"));
  for (const [id, entry] of given) {
    const name = names.get(id);
    const kept = withoutLinks(mapOf(entry), (link) => !names.has(link.node) && !(inward && nodes.has(link.node)));
    const inputs = [...inputsOf(kept)].map(([key, value]) => {
      const link = linkOf(value);
      return [key, link && names.has(link.node) ? [names.get(link.node), link.slot] : value];
    });
    nodes.set(name, put(kept, ["inputs"], new Map(/** @type {[string, any][]} */ (inputs))));
    const place = placeOf(other, id);
    const [x, y] = pointOf(place.get("pos")) ?? [0, 0];
    positions.set(name, put(place, ["pos"], [Math.round(x + shift[0]), Math.round(y + shift[1])]));
  }
  const next = put(known.doc, ["nodes"], nodes);
  return { doc: positions.size ? putLayout(next, ["nodes"], positions) : next, ids: [...names.values()], apart: known.apart };
}

/** Put nodes of another document into what is open, as one step, and choose them. Nothing comes that would make the open subgraph hold itself.
 * @param {import("./app.js").App} app @param {Doc} other @param {[number, number]} shift @param {boolean} inward as for `merge` @param {string} label
 * @param {string} [key] steps with the same one in a row are one @returns {string[]} their ids */
export function bringIn(app, other, shift, inward, label, key) {
  const { editor } = app;
  const { doc, ids, apart } = merge(editor.doc, other, shift, inward);
  if (neededBy(doc, ids.map((id) => nodesOf(doc).get(id))).has(editor.inside)) {
    app.say(t("subgraph.ring", { name: editor.inside }));
    return [];
  }
  editor.edit(doc, label, key);
  editor.select(ids);
  for (const [name, as] of apart) app.say(t("subgraph.apart", { name, as }));
  return ids;
}
