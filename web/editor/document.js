// A workflow document (docs/workflow_format.md) as immutable exact data: reading parts of it, and edits that give a new document which
// shares all that did not change. Undo is then a list of documents. Nothing here knows of the canvas or of the page.

/** @typedef {Map<string, any>} Doc */
/** @typedef {Map<string, any>} Entry */
/** @typedef {{node: string, slot: number}} Link */

/** @type {Map<string, any>} */
const EMPTY = new Map();

/** @param {any} value @returns {Map<string, any>} */
export const mapOf = (value) => (value instanceof Map ? value : EMPTY);

/** @param {Doc} doc @returns {Map<string, Entry>} */
export const nodesOf = (doc) => mapOf(doc.get("nodes"));
/** @param {Doc} doc @param {string} id @returns {Entry} */
export const entryOf = (doc, id) => mapOf(nodesOf(doc).get(id));
/** @param {Entry} entry */
export const inputsOf = (entry) => mapOf(entry.get("inputs"));
/** @param {Entry} entry */
export const metaOf = (entry) => mapOf(entry.get("_meta"));
/** @param {Doc} doc @param {string} part */
export const layoutOf = (doc, part) => mapOf(mapOf(doc.get("layout")).get(part));
/** @param {Doc} doc @param {string} id */
export const placeOf = (doc, id) => mapOf(layoutOf(doc, "nodes").get(id));
/** @typedef {"groups" | "notes"} Kind of what stands on the canvas beside the nodes */
/** @param {Doc} doc @param {Kind} kind @returns {Map<string, any>[]} */
export function framesOf(doc, kind) {
  const frames = mapOf(doc.get("layout")).get(kind);
  return Array.isArray(frames) ? frames.filter((frame) => frame instanceof Map) : [];
}
/** @param {Entry} entry @returns {"run" | "mute" | "bypass"} */
export function modeOf(entry) {
  const mode = metaOf(entry).get("mode");
  return mode === "mute" || mode === "bypass" ? mode : "run";
}

/** @param {any} value @returns {Link | null} */
export function linkOf(value) {
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== "string") return null;
  return Number.isInteger(value[1]) && value[1] >= 0 ? { node: value[0], slot: value[1] } : null;
}
/** Whether a value is no literal. @param {any} value */
export const refersTo = (value) => Array.isArray(value) || value instanceof Map;

/** A map with the value at a path changed; `undefined` removes it, and maps on the way are made. @param {Map<string, any>} map
 * @param {string[]} path @param {any} value @returns {Map<string, any>} */
export function put(map, path, value) {
  const [key, ...rest] = path;
  const copy = new Map(map);
  const next = rest.length ? put(mapOf(map.get(key)), rest, value) : value;
  if (next === undefined || (rest.length && value === undefined && next.size === 0 && !map.has(key))) copy.delete(key);
  else copy.set(key, next);
  return copy;
}

/** As `put`, but maps of the editor's own blocks that are left empty go too. @param {Doc} doc @param {string[]} path @param {any} value */
export function putLayout(doc, path, value) {
  let next = put(doc, ["layout", ...path], value);
  if (!doc.has("layout") && doc.has("requires")) {
    const requires = next.get("requires");
    next.delete("requires");
    next.set("requires", requires);
  }
  for (let length = path.length - 1; value === undefined && length >= 0; length -= 1) {
    const at = ["layout", ...path.slice(0, length)];
    const there = at.reduce((/** @type {any} */ map, key) => mapOf(map).get(key), next);
    if (there instanceof Map && there.size === 0) next = put(next, at, undefined);
    else break;
  }
  return next;
}

/** An id of its own for a new node, made from its class: ksampler, ksampler_2. @param {Doc} doc @param {string} classType
 * @param {Set<string>} [taken] */
export function freeId(doc, classType, taken = new Set()) {
  const name = classType.replace(/^subgraph:/, "").replace(/([a-z0-9])([A-Z])/g, "$1_$2").replace(/[^A-Za-z0-9]+/g, "_").toLowerCase().replace(/^_+|_+$/g, "") || "node";
  const nodes = nodesOf(doc);
  for (let number = 1; ; number += 1) {
    const id = number === 1 ? name : `${name}_${number}`;
    if (!nodes.has(id) && !taken.has(id)) return id;
  }
}

/** @param {Doc} doc @param {string} id @param {string} classType @param {Map<string, any>} inputs @param {[number, number]} pos @returns {Doc} */
export function addNode(doc, id, classType, inputs, pos) {
  const entry = new Map(/** @type {[string, any][]} */ ([["class_type", classType], ["inputs", inputs]]));
  return move(put(doc, ["nodes", id], entry), new Map([[id, pos]]));
}

/** Remove nodes, the links to them and where they stood. @param {Doc} doc @param {Iterable<string>} ids @returns {Doc} */
export function removeNodes(doc, ids) {
  const gone = new Set(ids);
  const nodes = new Map();
  for (const [id, entry] of nodesOf(doc)) if (!gone.has(id)) nodes.set(id, withoutLinks(entry, (link) => gone.has(link.node)));
  let next = put(doc, ["nodes"], nodes);
  for (const part of ["nodes", "links"]) {
    const kept = new Map([...layoutOf(doc, part)].filter(([id]) => !gone.has(id)));
    if (kept.size < layoutOf(doc, part).size) next = putLayout(next, [part], kept.size ? kept : undefined);
  }
  return next;
}

/** @param {Entry} entry @param {(link: Link) => boolean} unwanted @returns {Entry} */
export function withoutLinks(entry, unwanted) {
  if (!(entry instanceof Map)) return entry;
  const left = [...inputsOf(entry)].filter(([, value]) => {
    const link = linkOf(value);
    return !(link && unwanted(link));
  });
  return left.length === inputsOf(entry).size ? entry : put(entry, ["inputs"], new Map(left));
}

/** @param {Doc} doc @param {string} id @param {string} name @param {any} value undefined removes it @returns {Doc} */
export function setInput(doc, id, name, value) {
  const next = put(doc, ["nodes", id, "inputs", name], value);
  return linkOf(value) || !reroutes(doc, id, name).length ? next : setReroutes(next, id, name, []);
}

/** @param {Doc} doc @param {string} from @param {number} slot @param {string} to @param {string} name @returns {Doc} */
export function connect(doc, from, slot, to, name) {
  return setReroutes(setInput(doc, to, name, [from, slot]), to, name, []);
}

/** Whether a link from one node to the other would close a ring. @param {Doc} doc @param {string} from @param {string} to */
export function wouldLoop(doc, from, to) {
  const seen = new Set();
  const waiting = [from];
  while (waiting.length) {
    const id = /** @type {string} */ (waiting.pop());
    if (id === to) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    for (const value of inputsOf(entryOf(doc, id)).values()) {
      const link = linkOf(value);
      if (link) waiting.push(link.node);
    }
  }
  return false;
}

/** @param {Doc} doc @param {Map<string, [number, number]>} positions @returns {Doc} */
export function move(doc, positions) {
  const nodes = new Map(layoutOf(doc, "nodes"));
  for (const [id, pos] of positions) nodes.set(id, put(mapOf(nodes.get(id)), ["pos"], pos.map((part) => Math.round(part))));
  return putLayout(doc, ["nodes"], nodes);
}

/** @param {Doc} doc @param {Iterable<string>} ids @param {string} key size, collapsed, color, pinned @param {any} value @returns {Doc} */
export function setPlaces(doc, ids, key, value) {
  const places = new Map(layoutOf(doc, "nodes"));
  for (const id of ids) {
    const place = put(mapOf(places.get(id)), [key], value);
    if (place.size) places.set(id, place);
    else places.delete(id);
  }
  return putLayout(doc, ["nodes"], places.size ? places : undefined);
}

/** @param {Doc} doc @param {Iterable<string>} ids @param {string} key title, mode, seed_policy @param {any} value @returns {Doc} */
export function setMetas(doc, ids, key, value) {
  const nodes = new Map(nodesOf(doc));
  for (const id of ids) {
    const meta = put(metaOf(entryOf(doc, id)), [key], value);
    nodes.set(id, put(entryOf(doc, id), ["_meta"], meta.size ? meta : undefined));
  }
  return put(doc, ["nodes"], nodes);
}

/** @param {Doc} doc @param {Iterable<string>} ids @param {"mute" | "bypass"} mode @returns {Doc} all get the mode, or lose it if all had it */
export function toggleMode(doc, ids, mode) {
  const all = [...ids];
  const had = all.every((id) => modeOf(entryOf(doc, id)) === mode);
  return setMetas(doc, all, "mode", had ? undefined : mode);
}

/** @param {Doc} doc @param {string} id @param {string} name */
export function seedPolicy(doc, id, name) {
  const policy = mapOf(metaOf(entryOf(doc, id)).get("seed_policy")).get(name);
  return ["increment", "decrement", "random"].includes(policy) ? policy : "fixed";
}

/** @param {Doc} doc @param {string} id @param {string} input @returns {[number, number][]} points that a link passes */
export function reroutes(doc, id, input) {
  const points = mapOf(layoutOf(doc, "links").get(id)).get(input);
  return Array.isArray(points) ? points.filter((point) => Array.isArray(point) && point.every(Number.isFinite) && point.length === 2) : [];
}
/** @param {Doc} doc @param {string} id @param {string} input @param {[number, number][]} points @returns {Doc} */
export function setReroutes(doc, id, input, points) {
  if (!points.length && !reroutes(doc, id, input).length) return doc;
  return putLayout(doc, ["links", id, input], points.length ? points.map((point) => point.map(Math.round)) : undefined);
}

/** @param {Doc} doc @param {Kind} kind @param {Map<string, any>[]} frames @returns {Doc} */
export const setFrames = (doc, kind, frames) => putLayout(doc, [kind], frames.length ? frames : undefined);

/** @param {any} value @returns {[number, number] | null} */
export function pointOf(value) {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "number" && Math.abs(part) < 1e9) ? [value[0], value[1]] : null;
}
