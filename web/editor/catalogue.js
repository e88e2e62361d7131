// What nodes exist, and what a node of a workflow looks like: its inputs and outputs under the names that its class_type has for them.

import { linkOf, refersTo } from "./document.js";
import { definitionOf, givenBy, PREFIX } from "./subgraphs.js";
import { isLiteral } from "./types.js";
import { t } from "./words.js";

/**
 * @typedef {{name: string, type: string, required: boolean, default: any, has_default: boolean, minimum: any, maximum: any, step: any,
 *   choices: any[] | null, folder: string | null, max_length: number | null, multiline: boolean, lazy: boolean,
 *   series: boolean, variadic: boolean, seed: boolean, socket_only: boolean, widget: Record<string, any>, help: string}} InputInfo
 * @typedef {{name: string, type: string, series: boolean, help: string}} OutputInfo
 * @typedef {{id: string, display_name: string, category: string, help: string, inputs: InputInfo[], outputs: OutputInfo[], aliases: any[],
 *   module: string, version: string, output_node: boolean, deprecated: boolean, experimental: boolean}} NodeInfo
 * @typedef {{nodes: Record<string, any>, inputs: any[], outputs: any[], files: Record<string, string[]>}} Brief what the server sends:
 *   values that are their defaults are left out, and nodes name their inputs and outputs by places in the two lists
 * @typedef {Record<string, {help: string, module: string, inputs: Record<string, string>, outputs: string[]}>} Helps
 * @typedef {{known: boolean, title: string, help: string, category: string, inputs: InputInfo[], outputs: OutputInfo[], outputNode: boolean,
 *   id: string, state: string}} Face state: deprecated, experimental, or nothing
 */

const DEEPEST = 64;
const FIRST_VERSION = "1.0.0";
const INPUT = {
  required: true, default: null, has_default: false, minimum: null, maximum: null, step: null, choices: null, folder: null,
  max_length: null, multiline: false, lazy: false, series: false, variadic: false, seed: false, socket_only: false, widget: {}, help: "",
};
const OUTPUT = { series: false, help: "" };
const ALIAS = { display_name: "", inputs: {}, outputs: null, order: null, defaults: {} };

/** @param {string} name @param {string} type @returns {InputInfo} */
const plainInput = (name, type) => ({ ...INPUT, name, type, required: false });

/** @param {string} id @param {Brief} data @param {Helps[string]} [told] @returns {NodeInfo} */
function nodeInfo(id, data, told) {
  const brief = data.nodes[id];
  const inputs = (brief.inputs ?? []).map((/** @type {number} */ place) => {
    const input = data.inputs[place];
    return { ...INPUT, has_default: "default" in input, ...input, help: told?.inputs[input.name] ?? "" };
  });
  const outputs = (brief.outputs ?? []).map((/** @type {number} */ place, /** @type {number} */ slot) => ({ ...OUTPUT, ...data.outputs[place], help: told?.outputs[slot] ?? "" }));
  const aliases = (brief.aliases ?? []).map((/** @type {any} */ alias) => ({ ...ALIAS, ...alias }));
  return { id, display_name: id, version: FIRST_VERSION, output_node: false, deprecated: false, experimental: false, ...brief, help: told?.help ?? "", module: told?.module ?? "", inputs, outputs, aliases };
}

export class Catalogue {
  /** @param {Brief} data @param {Helps} [helps] what nodes and their sockets are for; read when a person first wants to know */
  constructor(data, helps) {
    this.data = data;
    this.helps = helps;
    /** @type {Map<string, NodeInfo>} */
    this.nodes = new Map(Object.keys(data.nodes).map((id) => [id, nodeInfo(id, data, helps?.[id])]));
    this.files = data.files;
    /** Nothing is known yet: the server has not answered. */
    this.loading = this.nodes.size === 0;
    /** @type {Map<string, {info: NodeInfo, alias: any}>} */
    this.aliases = new Map();
    for (const info of this.nodes.values()) for (const alias of info.aliases) this.aliases.set(alias.id, { info, alias });
    /** @type {Map<string, Face>} */
    this.faces = new Map();
    /** @type {WeakMap<InputInfo, Set<string> | null>} */
    this.offered = new WeakMap();
    /** @type {WeakMap<Map<string, any>, {subgraphs: any, found: Map<string, InputInfo>}>} */
    this.insides = new WeakMap();
  }

  /** The version of the node that a class_type names here; undefined for one that is not installed. @param {string} classType */
  versionOf(classType) {
    return (this.nodes.get(classType) ?? this.aliases.get(classType)?.info)?.version;
  }

  /** The declared face of a class, null for one that is not installed. @param {string} classType @returns {Face | null} */
  declared(classType) {
    const kept = this.faces.get(classType);
    if (kept) return kept;
    const info = this.nodes.get(classType);
    const named = this.aliases.get(classType);
    if (!info && !named) return null;
    const face = info ? faceOf(info, null) : faceOf(/** @type {any} */ (named).info, /** @type {any} */ (named).alias);
    this.faces.set(classType, face);
    return face;
  }

  /** What an input offers to choose from, null when it offers nothing. @param {InputInfo} input @returns {any[] | null} */
  choices(input) {
    const files = input.folder ? (this.files[input.folder] ?? []) : null;
    if (!files && !input.choices) return null;
    return [...(input.choices ?? []), ...(files ?? [])];
  }

  /** Whether a value is among the choices of an input, or the input offers none. @param {InputInfo} input @param {any} value */
  offers(input, value) {
    let offered = this.offered.get(input);
    if (offered === undefined) {
      const choices = this.choices(input);
      this.offered.set(input, (offered = choices && new Set(choices.map(String))));
    }
    return offered === null || offered.has(String(value));
  }

  /** The face of a node as it stands in a document: variadic sockets counted out, subgraphs and unknown classes read from the document.
   * @param {Map<string, any>} doc @param {Map<string, any>} entry @param {number} outputsUsed @param {number} depth how many subgraphs lie around it
   * @returns {Face} */
  face(doc, entry, outputsUsed = 0, depth = 0) {
    const classType = String(entry.get("class_type") ?? "");
    const given = entry.get("inputs");
    const inputs = given instanceof Map ? given : new Map();
    const subgraph = classType.startsWith("subgraph:") ? doc.get("subgraphs")?.get?.(classType.slice(9)) : null;
    if (subgraph instanceof Map) return this.subgraphFace(doc, classType, subgraph, depth);
    const face = this.declared(classType);
    if (!face) return { ...unknownFace(classType, inputs, outputsUsed), known: this.loading };
    if (!face.inputs.some((item) => item.variadic) && [...inputs.keys()].every((name) => face.inputs.some((item) => item.name === name))) return face;
    return { ...face, inputs: spread(face, inputs) };
  }

  /** Of each input of a subgraph the first one inside that it sets: what it takes, the other takes too.
   * @param {Map<string, any>} doc @param {Map<string, any>} subgraph @param {number} depth @returns {Map<string, InputInfo>} */
  setInside(doc, subgraph, depth) {
    const subgraphs = doc.get("subgraphs");
    const kept = this.insides.get(subgraph);
    if (kept && kept.subgraphs === subgraphs) return kept.found;
    /** @type {Map<string, InputInfo>} */
    const found = new Map();
    this.insides.set(subgraph, { subgraphs, found }); // now already, for one that contains itself
    const nodes = subgraph.get("nodes");
    for (const entry of nodes instanceof Map && depth < DEEPEST ? nodes.values() : []) {
      const given = entry instanceof Map && entry.get("inputs");
      for (const [name, value] of given instanceof Map ? given : []) {
        const wanted = givenBy(value);
        const info = wanted === null || found.has(wanted) ? undefined : this.face(doc, entry, 0, depth + 1).inputs.find((input) => input.name === name);
        if (wanted !== null && info) found.set(wanted, info);
      }
    }
    return found;
  }

  /** @param {Map<string, any>} doc @param {string} classType @param {Map<string, any>} subgraph @param {number} depth @returns {Face} */
  subgraphFace(doc, classType, subgraph, depth) {
    const declared = subgraph.get("inputs");
    const inside = this.setInside(doc, subgraph, depth);
    const inputs = [...(declared instanceof Map ? declared : new Map())].map(([name, info]) => {
      const first = inside.get(name);
      const input = { ...(first ?? plainInput(name, "*")), name, type: String(info?.get?.("type") ?? first?.type ?? "*") };
      return info?.has?.("default") ? { ...input, required: false, default: info.get("default"), has_default: true } : input;
    });
    const given = subgraph.get("outputs");
    const outputs = [...(given instanceof Map ? given : new Map())].map(([name, value]) => ({ name, type: this.outputType(doc, subgraph, value), series: false, help: "" }));
    return { known: true, id: classType, title: classType.slice(9), help: t("node.subgraph-help"), category: "subgraph", inputs, outputs, outputNode: false, state: "" };
  }

  /** The type of what a subgraph gives out: that of the node inside, through nested subgraphs. @param {Map<string, any>} doc @param {Map<string, any>} subgraph
   * @param {any} value @returns {string} */
  outputType(doc, subgraph, value) {
    for (let depth = 0; depth < DEEPEST; depth += 1) {
      const passed = givenBy(value);
      if (passed !== null) return String(subgraph.get("inputs")?.get?.(passed)?.get?.("type") ?? "*");
      const link = linkOf(value);
      const classType = link && String(subgraph.get("nodes")?.get?.(link.node)?.get?.("class_type") ?? "");
      if (!link || !classType) return "*";
      const nested = classType.startsWith(PREFIX) ? definitionOf(doc, classType.slice(PREFIX.length)) : null;
      if (!nested) return this.declared(classType)?.outputs[link.slot]?.type ?? "*";
      const outputs = nested.get("outputs");
      [subgraph, value] = [nested, outputs instanceof Map ? [...outputs.values()][link.slot] : null];
    }
    return "*";
  }
}

/** @param {NodeInfo} info @param {any} alias @returns {Face} */
function faceOf(info, alias) {
  let inputs = info.inputs;
  let outputs = info.outputs;
  if (alias) {
    const shown = new Map(Object.entries(alias.inputs).map(([mine, canonical]) => [canonical, mine]));
    inputs = inputs.map((input) => {
      const name = shown.get(input.name) ?? input.name;
      const other = Object.hasOwn(alias.defaults, name);
      return { ...input, name, default: other ? alias.defaults[name] : input.default, has_default: other || input.has_default };
    });
    const order = alias.order;
    if (order) inputs = [...inputs].sort((a, b) => place(order, a.name) - place(order, b.name));
    if (alias.outputs) outputs = outputs.map((output, slot) => ({ ...output, name: alias.outputs[slot] ?? output.name }));
  }
  const title = alias?.display_name || info.display_name || info.id;
  return { known: true, id: alias?.id ?? info.id, title, help: info.help, category: info.category, inputs, outputs, outputNode: info.output_node, state: info.deprecated ? "deprecated" : info.experimental ? "experimental" : "" };
}

/** @param {string[]} order @param {string} name */
const place = (order, name) => (order.includes(name) ? order.indexOf(name) : order.length);

/** Variadic inputs as their sockets, one more than is linked, and after all others those that the class does not declare.
 * @param {Face} face @param {Map<string, any>} given @returns {InputInfo[]} */
function spread(face, given) {
  const found = [];
  const rest = new Set(given.keys());
  for (const input of face.inputs) {
    rest.delete(input.name);
    if (!input.variadic) {
      found.push(input);
      continue;
    }
    let last = -1;
    for (const name of given.keys()) {
      const tail = name.startsWith(input.name) ? name.slice(input.name.length) : "";
      if (/^(0|[1-9]\d{0,4})$/.test(tail)) {
        last = Math.max(last, Number(tail));
        rest.delete(name);
      }
    }
    for (let number = 0; number <= Math.min(last + 1, 999); number += 1) {
      found.push({ ...input, name: `${input.name}${number}`, socket_only: true, variadic: false, required: false });
    }
  }
  for (const name of rest) found.push(plainInput(name, guess(given.get(name))));
  return found;
}

/** @param {any} value */
function guess(value) {
  if (linkOf(value)) return "*";
  if (typeof value === "string") return "STRING";
  if (typeof value === "boolean") return "BOOLEAN";
  return value === null || typeof value !== "object" || !(Array.isArray(value) || value instanceof Map) ? "FLOAT" : "*";
}

/** @param {string} classType @param {Map<string, any>} given @param {number} outputsUsed @returns {Face} */
function unknownFace(classType, given, outputsUsed) {
  const inputs = [...given].map(([name, value]) => plainInput(name, guess(value)));
  const outputs = Array.from({ length: outputsUsed }, (_, slot) => ({ name: `${slot}`, type: "*", series: false, help: "" }));
  return { known: false, id: classType, title: classType || "?", help: "", category: "", inputs, outputs, outputNode: false, state: "" };
}

/** Whether an input shows a widget. @param {InputInfo} input */
export const hasWidget = (input) => !input.socket_only && !input.lazy && isLiteral(input.type) && !refersTo(input.default);

/** The value a new node starts with; undefined for none. @param {Catalogue} catalogue @param {InputInfo} input */
export function startValue(catalogue, input) {
  if (!hasWidget(input) || input.variadic) return undefined;
  if (input.has_default) return input.default;
  if (!input.required) return undefined;
  const choices = catalogue.choices(input);
  if (choices?.length) return choices[0];
  const type = input.type.split(",")[0];
  if (type === "STRING") return "";
  if (type === "BOOLEAN") return false;
  if (type === "COMBO") return "";
  return input.minimum !== null && input.minimum > 0 ? input.minimum : 0;
}
