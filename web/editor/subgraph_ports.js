// Inputs and outputs of a subgraph: renamed and removed in its definition and wherever an instance of it stands.

import { inputsOf, linkOf, mapOf, nodesOf, put, refersTo } from "./document.js";
import { openDialog } from "./dialogs.js";
import { iconButton } from "./icons.js";
import { definitionOf, freeName, GIVEN, givenBy, PREFIX } from "./subgraphs.js";
import { t } from "./words.js";

/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {import("./document.js").Entry} Entry */
/** @typedef {"inputs" | "outputs"} Side */

/** @param {Map<string, any>} map @param {string} from @param {string} to @returns {Map<string, any>} with one key changed in its place */
const renamed = (map, from, to) => new Map([...map].map(([key, value]) => [key === from ? to : key, value]));

/** @param {Entry} entry @param {(name: string, value: any) => [string, any] | null} change what an input becomes; null for nothing @returns {Entry} */
function withInputs(entry, change) {
  const before = [...inputsOf(entry)];
  const after = before.flatMap(([name, value]) => [change(name, value) ?? []].filter((pair) => pair.length));
  const same = after.length === before.length && after.every(([name, value], at) => name === before[at][0] && value === before[at][1]);
  return same ? entry : put(entry, ["inputs"], new Map(/** @type {[string, any][]} */ (after)));
}

/** @param {Doc} graph @param {(entry: Entry, id: string) => Entry} change @returns {Map<string, any>} its nodes */
const changed = (graph, change) => new Map([...nodesOf(graph)].map(([id, entry]) => [id, /** @type {any} */ (entry) instanceof Map ? change(entry, id) : entry]));

/** Change the nodes of every graph of a document. @param {Doc} root @param {(entry: Entry, graph: Doc) => Entry} change @returns {Doc} */
function everywhere(root, change) {
  let next = put(root, ["nodes"], changed(root, (entry) => change(entry, root)));
  for (const name of (root.get("subgraphs") ?? new Map()).keys()) {
    const definition = definitionOf(root, name);
    if (definition) next = put(next, ["subgraphs", name, "nodes"], changed(definition, (entry) => change(entry, definition)));
  }
  return next;
}

/** Change the inputs of every instance of a subgraph. @param {Doc} root @param {string} name @param {(input: string, value: any) => [string, any] | null} change */
const instances = (root, name, change) => everywhere(root, (entry) => (entry.get("class_type") === PREFIX + name ? withInputs(entry, change) : entry));

/** @param {Doc} root @param {string} name @param {Side} side @returns {Map<string, any>} */
function portsOf(root, name, side) {
  const ports = definitionOf(root, name)?.get(side);
  return ports instanceof Map ? ports : new Map();
}

/** @param {Doc} root @param {string} name of the subgraph @param {Side} side @param {string} from @param {string} wanted @returns {Doc} */
export function renamePort(root, name, side, from, wanted) {
  const ports = portsOf(root, name, side);
  if (!wanted.trim() || wanted.trim() === from) return root;
  const to = freeName(wanted, ports);
  const next = put(root, ["subgraphs", name, side], renamed(ports, from, to));
  if (side === "outputs") return next;
  const value = new Map([[GIVEN, to]]);
  const inside = readers(next, name, (wants) => (wants === from ? value : undefined));
  return instances(inside, name, (input, given) => [input === from ? to : input, given]);
}

/** Without an input whoever reads it has its default, or nothing; without an output the links to it are gone.
 * @param {Doc} root @param {string} name of the subgraph @param {Side} side @param {string} port @returns {Doc} */
export function removePort(root, name, side, port) {
  const ports = portsOf(root, name, side);
  const left = new Map([...ports].filter(([key]) => key !== port));
  if (side === "outputs") {
    const gone = [...ports.keys()].indexOf(port);
    return withSlots(put(root, ["subgraphs", name, side], left), name, (slot) => (slot === gone ? null : slot - Number(slot > gone)));
  }
  const passing = [...portsOf(root, name, "outputs")].filter(([, value]) => givenBy(value) === port).map(([key]) => key);
  const before = passing.reduce((doc, output) => removePort(doc, name, "outputs", output), root);
  const standard = ports.get(port)?.get?.("default");
  const fallback = refersTo(standard) ? new Map([["__value__", standard]]) : standard;
  const inside = readers(put(before, ["subgraphs", name, side], left), name, (wants) => (wants === port ? (fallback ?? null) : undefined));
  return instances(inside, name, (input, value) => (input === port ? null : [input, value]));
}

/** Change what reads an input inside of a subgraph, its outputs too. @param {Doc} root @param {string} name @param {(wants: string) => any} change the value in its
 * place, null for none, undefined to leave it @returns {Doc} */
function readers(root, name, change) {
  const definition = /** @type {Map<string, any>} */ (definitionOf(root, name));
  const nodes = changed(definition, (entry) => withInputs(entry, (input, value) => {
    const wants = givenBy(value);
    const next = wants === null ? undefined : change(wants);
    return next === undefined ? [input, value] : next === null ? null : [input, next];
  }));
  const outputs = [...portsOf(root, name, "outputs")].map(([key, value]) => [key, change(givenBy(value) ?? "") ?? value]);
  return put(put(root, ["subgraphs", name, "nodes"], nodes), ["subgraphs", name, "outputs"], new Map(/** @type {[string, any][]} */ (outputs)));
}

/** Renumber the outputs of every instance: links follow them. @param {Doc} root @param {string} name @param {(slot: number) => number | null} change null: it is gone,
 * and the links to it are too @returns {Doc} */
function withSlots(root, name, change) {
  const moved = (/** @type {Doc} */ graph, /** @type {any} */ value) => {
    const link = linkOf(value);
    if (!link || nodesOf(graph).get(link.node)?.get?.("class_type") !== PREFIX + name) return value;
    const to = change(link.slot);
    return to === null ? null : to === link.slot ? value : [link.node, to];
  };
  let next = everywhere(root, (entry, graph) => withInputs(entry, (input, value) => {
    const to = moved(graph, value);
    return to === null ? null : [input, to];
  }));
  for (const other of (root.get("subgraphs") ?? new Map()).keys()) {
    const definition = definitionOf(root, other);
    for (const [output, value] of definition ? portsOf(root, other, "outputs") : []) {
      const to = moved(/** @type {Doc} */ (definition), value);
      if (to === null) next = removePort(next, other, "outputs", output);
      else if (to !== value) next = put(next, ["subgraphs", other, "outputs", output], to);
    }
  }
  return next;
}

/** Put another definition in the place of one. All its instances keep what the new one has too, by name. @param {Doc} root @param {string} name
 * @param {Map<string, any>} definition @returns {Doc} */
export function replaceDefinition(root, name, definition) {
  const before = [...portsOf(root, name, "outputs").keys()];
  const after = [...mapOf(definition.get("outputs")).keys()];
  const declared = mapOf(definition.get("inputs"));
  const linked = withSlots(root, name, (slot) => {
    const to = after.indexOf(before[slot]);
    return to < 0 ? null : to;
  });
  return instances(put(linked, ["subgraphs", name], definition), name, (input, value) => (declared.has(input) ? [input, value] : null));
}

/** The inputs and outputs of the open subgraph, to rename and to remove. @param {import("./app.js").App} app */
export function openPorts(app) {
  const { editor } = app;
  const name = editor.inside;
  if (!name) return;
  const { dialog, form } = openDialog(t("ports.title", { name }));
  dialog.classList.add("ports");
  const show = () => {
    const parts = /** @type {[Side, string][]} */ ([["inputs", t("help.inputs")], ["outputs", t("help.outputs")]]).flatMap(([side, title]) => {
      const list = document.createElement("ul");
      list.append(...[...portsOf(editor.root, name, side).keys()].map((port) => line(side, port)));
      const heading = Object.assign(document.createElement("h3"), { textContent: title });
      return list.childElementCount ? [heading, list] : [heading, Object.assign(document.createElement("p"), { textContent: t("ports.none") })];
    });
    form.replaceChildren(Object.assign(document.createElement("h2"), { textContent: name }), ...parts, Object.assign(document.createElement("button"), { textContent: t("page.close"), className: "primary" }));
  };
  const line = (/** @type {Side} */ side, /** @type {string} */ port) => {
    const found = document.createElement("li");
    const field = Object.assign(document.createElement("input"), { value: port, maxLength: 200 });
    field.setAttribute("aria-label", t("ports.name", { name: port }));
    field.addEventListener("change", () => {
      editor.editRoot(renamePort(editor.root, name, side, port, field.value), "Rename a socket");
      show();
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      field.blur();
    });
    found.append(field, iconButton("trash", t("ports.remove", { name: port }), () => {
      editor.editRoot(removePort(editor.root, name, side, port), "Remove a socket");
      show();
    }));
    return found;
  };
  show();
}
