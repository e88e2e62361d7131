// Definitions of subgraphs are told apart by what they hold, not by their names: what comes from another document and is the same is shared,
// what only has the same name keeps apart from the one that is here.

import { mapOf, nodesOf, put } from "./document.js";
import { write } from "./json.js";
import { PREFIX } from "./subgraphs.js";

/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {import("./document.js").Entry} Entry */

const DEEPEST = 64;
const COMPACT = { indent: 0, pairs: true, space: false, end: "" };

/** @param {Doc} doc @returns {Map<string, any>} */
export const definitionsOf = (doc) => mapOf(doc.get("subgraphs"));

/** The name of the subgraph that an entry says it is an instance of; null for other nodes. @param {any} entry @returns {string | null} */
export function namedBy(entry) {
  const classType = mapOf(entry).get("class_type");
  return typeof classType === "string" && classType.startsWith(PREFIX) ? classType.slice(PREFIX.length) : null;
}

/** The definitions that nodes need, those inside of others too. @param {Doc} doc @param {Iterable<any>} entries @returns {Map<string, any>} */
export function neededBy(doc, entries) {
  const all = definitionsOf(doc);
  const wanted = new Set();
  const waiting = [...entries];
  for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
    const name = namedBy(entry);
    if (name === null || wanted.has(name) || !all.has(name)) continue;
    wanted.add(name);
    for (const inner of nodesOf(mapOf(all.get(name))).values()) waiting.push(inner); // more than a call takes arguments
  }
  return new Map([...all].filter(([name]) => wanted.has(name)));
}

/** Numbers of definitions, the same for two exactly when they take, hold and give the same; where things stand and what they are called does not
 * count. @returns {(doc: Doc) => (name: string) => number} for documents that are to be compared */
function identities() {
  /** @type {Map<string, number>} */
  const known = new Map();
  return (doc) => {
    /** @type {Map<string, number>} */
    const found = new Map();
    const of = (/** @type {string} */ name, depth = 0) => {
      if (found.has(name) || depth > DEEPEST) return found.get(name) ?? -1;
      found.set(name, -1); // of one that holds itself
      const definition = mapOf(definitionsOf(doc).get(name));
      const nodes = [...nodesOf(definition)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, entry]) => {
        const inner = namedBy(entry);
        return [id, inner === null ? entry : put(entry, ["class_type"], `${PREFIX}#${of(inner, depth + 1)}`)];
      });
      const text = write([definition.get("inputs") ?? null, definition.get("outputs") ?? null, nodes], COMPACT);
      const number = known.get(text) ?? known.size;
      known.set(text, number);
      found.set(name, number);
      return number;
    };
    return of;
  };
}

/** @param {Map<string, any>} nodes @param {Map<string, string>} names new ones of subgraphs @returns {Map<string, any>} */
export const withNames = (nodes, names) => new Map([...nodes].map(([id, entry]) => {
  const name = namedBy(entry);
  const to = name === null ? name : (names.get(name) ?? name);
  return [id, to === name ? entry : put(entry, ["class_type"], PREFIX + to)];
}));

/** A document with the definitions of another one. @param {Doc} doc @param {Doc} other @returns {{doc: Doc, names: Map<string, string>, apart: [string, string][]}}
 * names: what each definition of the other is called here; apart: those that got another name, since a different one has theirs */
export function withDefinitions(doc, other) {
  const [here, theirs] = [definitionsOf(doc), definitionsOf(other)];
  const names = new Map([...theirs.keys()].map((name) => [name, name]));
  if ([...theirs].every(([name, definition]) => here.get(name) === definition)) return { doc, names, apart: [] };
  const identity = identities();
  const [ours, given] = [identity(doc), identity(other)];
  const byIdentity = new Map([...here.keys()].reverse().map((name) => [ours(name), name]));
  const fresh = [];
  const taken = new Set(here.keys());
  for (const name of theirs.keys()) {
    const number = given(name);
    const same = here.has(name) && ours(name) === number ? name : byIdentity.get(number);
    names.set(name, same ?? freeOf(name, taken));
    taken.add(/** @type {string} */ (names.get(name)));
    if (same === undefined) fresh.push(name);
  }
  let next = doc;
  for (const name of fresh) {
    const definition = mapOf(theirs.get(name));
    next = put(next, ["subgraphs", names.get(name) ?? name], put(definition, ["nodes"], withNames(nodesOf(definition), names)));
  }
  const apart = fresh.flatMap((name) => { const to = names.get(name) ?? name; return to === name ? [] : [/** @type {[string, string]} */ ([name, to])]; });
  return { doc: next, names, apart };
}

/** The name itself, or name_2. @param {string} name @param {Set<string>} taken */
function freeOf(name, taken) {
  let free = name;
  for (let number = 2; taken.has(free); number += 1) free = `${name}_${number}`;
  return free;
}
