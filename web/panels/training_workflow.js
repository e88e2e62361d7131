// The training workflow as a form: which of its values a person is asked for, and the graph that uses what came out.

import { addNode, connect, entryOf, freeId, inputsOf, linkOf, nodesOf, setInput } from "../editor/document.js";
import { exact } from "../editor/json.js";
import { el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {import("../editor/document.js").Doc} Doc */
/** @typedef {{name: string, label: string, node: string, input: string, control: (app: App, value: any) => HTMLElement}} Field node: its class */

const DATASET = "DatasetFromFolder";
const FIRST = "text_to_image.json";

/** @param {string} name @param {Record<string, any>} properties @returns {Field["control"]} */
const entry = (name, properties) => (_, value) => el("input", { name, required: true, value: value ?? "", ...properties });

/** @type {Field[]} */
export const FIELDS = [
  { name: "model", label: "Base model", node: "LoadCheckpoint", input: "ckpt_name", control: (app, value) => {
    const choice = el("select", { name: "model" }, ...(app.editor.catalogue.files.checkpoints ?? []).map((file) => new Option(file, file)));
    choice.value = value;
    return choice;
  } },
  { name: "trigger", label: "Words that stand for the subject", node: DATASET, input: "trigger", control: entry("trigger", { placeholder: "sks shape" }) },
  { name: "name", label: "Name of the LoRA", node: "SaveLoRA", input: "name", control: entry("name", { pattern: "[A-Za-z0-9][A-Za-z0-9 _.\\-]{0,60}", title: "Letters, digits, space, _ . -" }) },
  { name: "steps", label: "Steps", node: "TrainPlan", input: "steps", control: entry("steps", { type: "number", min: "1", max: "1000000" }) },
  { name: "rank", label: "Rank (size of the LoRA)", node: "AdapterSpec", input: "rank", control: entry("rank", { type: "number", min: "1", max: "1024" }) },
  { name: "rate", label: "Learning rate", node: "Optimizer", input: "rate", control: entry("rate", { type: "number", min: "0", step: "any" }) },
];

/** @param {Doc} doc @param {string} classType @returns {string | undefined} the id of the first node of a class */
const first = (doc, classType) => [...nodesOf(doc)].find(([, node]) => node.get("class_type") === classType)?.[0];

/** What the template has for a field. @param {Doc} doc @param {Field} field */
export const planned = (doc, field) => inputsOf(entryOf(doc, first(doc, field.node) ?? "")).get(field.input);

/** A file's name as the server takes it. @param {string} name */
export const clean = (name) => name.trim().replace(/\.safetensors$/, "");

/** The template with a dataset and the form's values. Prompts that have the template's trigger get the new one.
 * @param {Doc} template @param {string} dataset @param {FormData} given @returns {Doc} */
export function fill(template, dataset, given) {
  const before = String(planned(template, FIELDS[1]) ?? "");
  const trigger = String(given.get("trigger") ?? "").trim();
  /** @type {[string, string, any][]} */
  const values = [[DATASET, "folder", dataset], ...FIELDS.map((field) => /** @type {[string, string, any]} */ ([field.node, field.input, valueOf(given, field)]))];
  values.push(["SaveLoRA", "trigger", trigger]);
  const filled = values.reduce((doc, [classType, input, value]) => {
    const id = first(doc, classType);
    return id === undefined ? doc : setInput(doc, id, input, exact(value));
  }, template);
  const prompts = [...nodesOf(filled)].flatMap(([id, node]) => [...inputsOf(node)].map(([input, value]) => ({ id, node, input, value })));
  return prompts
    .filter(({ node, value }) => before && typeof value === "string" && node.get("class_type") === "CLIPEncode" && value.includes(before))
    .reduce((doc, { id, input, value }) => setInput(doc, id, input, value.replaceAll(before, trigger)), filled);
}

/** @param {FormData} given @param {Field} field */
function valueOf(given, field) {
  const text = String(given.get(field.name) ?? "");
  if (field.name === "name") return clean(text);
  return ["steps", "rank", "rate"].includes(field.name) ? Number(text) : text.trim();
}

/** Open the first example with a LoRA between its model and what uses it, and with its trigger in the prompt. @param {App} app @param {string} name
 * @param {string} trigger */
export async function useLora(app, name, trigger) {
  await app.refresh();
  await app.openWorkflow(FIRST);
  const { editor } = app;
  const checkpoint = first(editor.doc, "LoadCheckpoint");
  if (checkpoint === undefined) return;
  const at = editor.scene.nodes.get(checkpoint);
  const lora = freeId(editor.doc, "LoraLoader");
  const users = [...nodesOf(editor.doc)].flatMap(([id, node]) => [...inputsOf(node)].map(([input, value]) => ({ id, input, link: linkOf(value) })));
  let doc = addNode(editor.doc, lora, "LoraLoader", new Map(Object.entries({ lora_name: `${name}.safetensors`, strength_model: 1, strength_clip: 1 })),
    [at?.x ?? 0, (at?.y ?? 0) + (at?.h ?? 100) + 40]);
  for (const { id, input, link } of users) if (link?.node === checkpoint && link.slot < 2) doc = connect(doc, lora, link.slot, id, input);
  doc = connect(connect(doc, checkpoint, 0, lora, "model"), checkpoint, 1, lora, "clip");
  const prompt = [...nodesOf(doc)].find(([, node]) => inputsOf(node).get("text"))?.[0];
  if (prompt && trigger) doc = setInput(doc, prompt, "text", `${trigger} on a white background`);
  editor.edit(doc, "Use the LoRA");
  editor.fit();
}
