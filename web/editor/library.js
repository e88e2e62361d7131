// Published subgraphs: each is a workflow of the server in the folder `subgraphs`, with one instance of it, whose revision is its version. A
// definition that came from there, or went there, says so in `published`.

import { ask, askText } from "./dialogs.js";
import { definitionsOf, namedBy, neededBy, withDefinitions, withNames } from "./definitions.js";
import { mapOf, nodesOf, put } from "./document.js";
import { revisionOf } from "./files.js";
import { bringIn } from "./merging.js";
import { replaceDefinition } from "./subgraph_ports.js";
import { chosenIn, PREFIX } from "./subgraphs.js";
import { t } from "./words.js";
import { NotAWorkflow, open, save } from "./workflow_file.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {{workflow: string, revision: number}} Published */

const FOLDER = "subgraphs/";

/** Where a definition was published, and which version of that it is; null for one that was not. @param {any} definition @returns {Published | null} */
export function publishedOf(definition) {
  const block = mapOf(mapOf(definition).get("published"));
  const [workflow, revision] = [block.get("workflow"), revisionOf(block)];
  return typeof workflow === "string" && workflow.startsWith(FOLDER) ? { workflow, revision } : null;
}

/** @param {Map<string, any>} definition @param {Published} published */
const marked = (definition, { workflow, revision }) => put(definition, ["published"], new Map(/** @type {[string, any][]} */ ([["workflow", workflow], ["revision", revision]])));

/** @param {Doc} library @returns {string} the name of the subgraph that a document of the library holds */
function heldBy(library) {
  for (const entry of nodesOf(library).values()) {
    const name = namedBy(entry);
    if (name !== null && definitionsOf(library).has(name)) return name;
  }
  throw new NotAWorkflow(t("library.none"));
}

/** @param {App} app @param {string} workflow @returns {Promise<{doc: Doc, name: string}>} its document, whose definition says where it is from */
async function read(app, workflow) {
  const { doc } = open(await app.api.workflow(workflow));
  const name = heldBy(doc);
  const definition = marked(mapOf(definitionsOf(doc).get(name)), { workflow, revision: revisionOf(doc) });
  return { doc: put(doc, ["subgraphs", name], definition), name };
}

/** @param {App} app @returns {Promise<{name: string, title: string, description: string}[]>} */
export const published = async (app) => /** @type {any[]} */ (await app.api.workflows()).filter((entry) => entry.name.startsWith(FOLDER));

/** Put an instance of a published subgraph on the canvas. @param {App} app @param {string} workflow @param {[number, number]} at */
export async function addPublished(app, workflow, at) {
  const { doc, name } = await read(app, workflow);
  const nodes = new Map([[name, new Map(/** @type {[string, any][]} */ ([["class_type", PREFIX + name], ["inputs", new Map()]]))]]);
  const one = new Map([...doc, ["nodes", nodes], ["layout", new Map()]]);
  bringIn(app, one, at, false, "Add a subgraph");
}

/** The document that is published: one instance, the definition, and those that it needs. @param {Doc} root @param {string} name @param {number} revision @returns {Doc} */
export function libraryDocument(root, name, revision) {
  const nodes = new Map([[name, new Map(/** @type {[string, any][]} */ ([["class_type", PREFIX + name], ["inputs", new Map()]]))]]);
  const definitions = neededBy(root, nodes.values());
  definitions.set(name, put(mapOf(definitions.get(name)), ["published"], undefined));
  return new Map(/** @type {[string, any][]} */ ([["format", "easel/1"], ["revision", revision], ["nodes", nodes], ["subgraphs", definitions]]));
}

/** @param {App} app */
export async function publish(app) {
  const { editor } = app;
  const name = chosenIn(editor);
  const before = publishedOf(definitionsOf(editor.root).get(name));
  const suggested = (before?.workflow.slice(FOLDER.length).replace(/\.json$/, "") ?? name).replace(/[\\:*?"<>|]/g, "_");
  const given = (await askText(t("library.publish"), t("file.name"), suggested, t("library.publish-it")))?.trim().replace(/\.json$/, "");
  if (!given) return;
  const workflow = `${FOLDER}${given}.json`;
  const there = (await published(app)).some((entry) => entry.name === workflow);
  const present = there ? revisionOf(open(await app.api.workflow(workflow)).doc) : 0;
  const mine = before?.workflow === workflow ? before.revision : 0;
  if (present !== mine && !(await ask(t("library.other-version", { name: given, version: present }), t("file.replace")))) return;
  const { history } = editor;
  const revision = present + 1;
  await app.api.saveWorkflow(workflow, save(libraryDocument(editor.root, name, revision)), present);
  const definition = definitionsOf(editor.root).get(name);
  if (definition && editor.history === history) editor.editRoot(put(editor.root, ["subgraphs", name], marked(definition, { workflow, revision })), "Publish");
  app.events.emit("saved", null);
  app.say(t("library.published", { name: given, version: revision }));
}

/** The document with the newest version of a published subgraph in the place of an older one; what that needs comes along. @param {Doc} root @param {string} name
 * @param {Doc} library @param {string} held its name there @returns {Doc} */
export function updated(root, name, library, held) {
  const definition = mapOf(definitionsOf(library).get(held));
  const needed = neededBy(library, nodesOf(definition).values());
  const replaced = replaceDefinition(root, name, definition); // first, so that what the new one holds is never taken for the old one, or for what holds that
  const { doc, names } = withDefinitions(replaced, new Map([["subgraphs", needed]]));
  return put(doc, ["subgraphs", name, "nodes"], withNames(nodesOf(definition), names));
}

/** @param {App} app */
export async function update(app) {
  const { editor } = app;
  const name = chosenIn(editor);
  const from = publishedOf(definitionsOf(editor.root).get(name));
  if (!from) return;
  const { doc, name: held } = await read(app, from.workflow);
  const version = revisionOf(doc);
  const answer = await ask(t(version === from.revision ? "library.same" : "library.newer", { name, mine: from.revision, version }), t("library.update"));
  if (answer !== 1) return;
  if (editor.inside) editor.enter([]);
  editor.editRoot(updated(editor.root, name, doc, held), "Update the subgraph");
}
