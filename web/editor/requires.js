// What a document was made with: versions of its nodes, written when it is saved or run, so that later ones know what to migrate; digests of models.

import { mapOf, nodesOf, put } from "./document.js";

/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {import("./catalogue.js").Catalogue} Catalogue */

/** @param {Doc} doc @returns {Map<string, any>} version by class_type */
export const versionsOf = (doc) => mapOf(mapOf(doc.get("requires")).get("nodes"));

/** @param {Doc} doc @returns {Map<string, any>} SHA-256 of model files by folder/name */
export const digestsOf = (doc) => mapOf(mapOf(doc.get("requires")).get("models"));

/** @param {Doc} doc @returns {Set<string>} the class_types of all its nodes, those of subgraphs too */
function classesOf(doc) {
  const graphs = [doc, ...mapOf(doc.get("subgraphs")).values()];
  return new Set(graphs.flatMap((graph) => [...nodesOf(mapOf(graph)).values()].map((entry) => mapOf(entry).get("class_type"))));
}

/** Whether it was saved with other versions of its nodes than those that are installed. @param {Doc} doc @param {Catalogue} catalogue */
export const isStale = (doc, catalogue) => [...versionsOf(doc)].some(([name, version]) => (catalogue.versionOf(name) ?? version) !== version);

/** The document with the versions of its nodes. One that it names already stays: its inputs are still those of that version.
 * @param {Doc} doc @param {Catalogue} catalogue @returns {Doc} */
export function stamped(doc, catalogue) {
  const before = versionsOf(doc);
  const versions = new Map([...classesOf(doc)].sort().flatMap((name) => {
    const version = before.get(name) ?? catalogue.versionOf(name);
    return version === undefined ? [] : [[name, version]];
  }));
  const same = versions.size === before.size && [...versions].every(([name, version]) => before.get(name) === version);
  return same ? doc : put(doc, ["requires", "nodes"], versions);
}
