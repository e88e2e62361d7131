// What newer versions of nodes make of a workflow: shown as a table, and taken over as one step of undo. The file changes only when it is saved.

import { openDialog } from "./dialogs.js";
import { layoutOf, linkOf, mapOf, nodesOf, put } from "./document.js";
import { read, write } from "./json.js";
import { isStale, versionsOf } from "./requires.js";
import { counted, t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {Map<string, any>} Upgrade as /api/v1/upgrades tells it: subgraph, node_id, class_type, saved, version, changes */

const MOST = 200;
const LONGEST = 120;
const COMPACT = { indent: 0, pairs: true, space: true, end: "" };

/** @param {Map<string, any>} map @param {Map<string, string>} names @returns {Map<string, any>} with keys renamed in their places */
const renamed = (map, names) => new Map([...map].map(([key, value]) => [names.get(key) ?? key, value]));

/** @param {Doc} graph the document, or a definition @param {Upgrade} upgrade @returns {Doc} */
function withUpgrade(graph, upgrade) {
  const id = upgrade.get("node_id");
  const entry = nodesOf(graph).get(id);
  if (!(entry instanceof Map)) return graph;
  const changes = /** @type {Map<string, any>[]} */ (upgrade.get("changes"));
  const names = new Map(changes.flatMap((change) => (change.get("saved") === null ? [] : [[change.get("saved"), change.get("name")]])));
  const inputs = renamed(mapOf(entry.get("inputs")), names);
  for (const change of changes) inputs.set(change.get("name"), change.get("new"));
  let next = put(graph, ["nodes", id, "inputs"], inputs);
  const policies = mapOf(entry.get("_meta")).get("seed_policy");
  if (policies instanceof Map) next = put(next, ["nodes", id, "_meta", "seed_policy"], renamed(policies, names));
  const bends = layoutOf(graph, "links").get(id);
  return bends instanceof Map ? put(next, ["layout", "links", id], renamed(bends, names)) : next;
}

/** The document as today's versions read it. @param {Doc} doc @param {Upgrade[]} upgrades @param {import("./catalogue.js").Catalogue} catalogue @returns {Doc} */
export function upgraded(doc, upgrades, catalogue) {
  let next = doc;
  for (const upgrade of upgrades) {
    const name = upgrade.get("subgraph");
    next = name === null ? withUpgrade(next, upgrade) : put(next, ["subgraphs", name], withUpgrade(mapOf(mapOf(next.get("subgraphs")).get(name)), upgrade));
  }
  const versions = [...versionsOf(doc)].map(([name, version]) => [name, catalogue.versionOf(name) ?? version]);
  return put(next, ["requires", "nodes"], new Map(/** @type {[string, any][]} */ (versions)));
}

/** A value in a table, in short. @param {any} value */
function shown(value) {
  if (value === null || value === undefined) return t("upgrade.nothing");
  if (linkOf(value)) return t("upgrade.link");
  const text = typeof value === "string" ? value : write(value, COMPACT);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** @param {App} app @param {Upgrade} upgrade */
function titleOf(app, upgrade) {
  const { root, catalogue } = app.editor;
  const name = upgrade.get("subgraph");
  const graph = name === null ? root : mapOf(mapOf(root.get("subgraphs")).get(name));
  const entry = mapOf(nodesOf(graph).get(upgrade.get("node_id")));
  const title = String(mapOf(entry.get("_meta")).get("title") ?? catalogue.declared(upgrade.get("class_type"))?.title ?? upgrade.get("class_type"));
  return name === null ? title : t("upgrade.inside", { title, name });
}

/** @param {string} tag @param {string[]} texts */
function row(tag, texts) {
  const line = document.createElement("tr");
  line.append(...texts.map((text) => Object.assign(document.createElement(tag), { textContent: text })));
  return line;
}

/** @param {App} app @param {Upgrade[]} upgrades */
function tableOf(app, upgrades) {
  const table = document.createElement("table");
  const head = row("th", [t("upgrade.node"), t("upgrade.input"), t("upgrade.was"), t("upgrade.becomes")]);
  head.querySelectorAll("th").forEach((cell) => (cell.scope = "col"));
  const lines = upgrades.flatMap((upgrade) => upgrade.get("changes").map((/** @type {Map<string, any>} */ change) => {
    const [saved, name] = [change.get("saved"), change.get("name")];
    const input = saved === null || saved === name ? name : t("upgrade.renamed", { saved, name });
    return [titleOf(app, upgrade), input, saved === null ? t("upgrade.new") : shown(change.get("old")), shown(change.get("new"))];
  }));
  table.append(head, ...lines.slice(0, MOST).map((texts) => row("td", texts)));
  return { table, more: lines.length - MOST };
}

/** @param {App} app @returns {Promise<Upgrade[]>} what the installed versions make of the document */
async function found(app) {
  const { root, catalogue } = app.editor;
  if (!isStale(root, catalogue)) return [];
  const answer = /** @type {Map<string, any>} */ (read(await app.api.ask("upgrades", { method: "POST", body: write(root) })));
  return answer.get("upgrades");
}

/** The command: as when it was opened. @param {App} app */
export async function showUpgrades(app) {
  if (!(await offerUpgrades(app))) app.say(t("upgrade.none"));
}

/** Show what the installed versions make of the document, and take it over if the person says so. @param {App} app @returns {Promise<boolean>} whether there is something */
export async function offerUpgrades(app) {
  const { editor } = app;
  const doc = editor.root;
  const upgrades = await found(app);
  if (!upgrades.length || editor.root !== doc) return upgrades.length > 0;
  const { dialog, form } = openDialog(t("upgrade.title"));
  dialog.classList.add("upgrades");
  const { table, more } = tableOf(app, upgrades);
  const part = Object.assign(document.createElement("div"), { className: "scrolled", tabIndex: 0 });
  part.append(table);
  const answers = Object.assign(document.createElement("div"), { className: "answers" });
  answers.append(
    Object.assign(document.createElement("button"), { textContent: t("upgrade.take"), value: "take", className: "primary" }),
    Object.assign(document.createElement("button"), { textContent: t("upgrade.keep"), value: "" }),
  );
  const words = (/** @type {string} */ text) => Object.assign(document.createElement("p"), { className: "dim", textContent: text });
  form.append(
    Object.assign(document.createElement("h2"), { textContent: t("upgrade.title") }),
    words(t("upgrade.about")), part, ...(more > 0 ? [words(counted("upgrade.more", more))] : []), answers,
  );
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "take") return;
    editor.enter([]);
    editor.editRoot(upgraded(editor.root, upgrades, editor.catalogue), "Upgrade nodes");
  });
  return true;
}
