// The training workflow as a form: which of its values a person is asked for, and the graph that uses what came out.

import { addNode, connect, entryOf, freeId, inputsOf, nodesOf, setInput } from "../editor/document.js";
import { exact, isNumber, numberOf, numberText } from "../editor/json.js";
import { t } from "../editor/words.js";
import { el } from "./dom.js";
import { withLora } from "./placing.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {import("../editor/document.js").Doc} Doc */
/** @typedef {{name: string, label: import("../editor/words.js").Key, node: string, input: string, more?: boolean, number?: boolean, control: (app: App, value: any) => HTMLElement}} Field
 *   node: its class; more: among the further settings; number: a number of the graph */
/** @typedef {{node: string, name: string, trigger: string}} Result the file that a LoRA is saved as, and its words */

const DATASET = "DatasetFromFolder";
const FIRST = "text_to_image.json";
const SAMPLES = "TrainingSamples";

/** @param {string} name @param {Record<string, any>} properties @returns {Field["control"]} */
const entry = (name, properties) => (_, value) => el("input", { name, required: true, value: isNumber(value) ? numberText(value) : (value ?? ""), ...properties });

/** @param {string} name @param {number} least @param {number} most @returns {Field["control"]} */
const whole = (name, least, most) => entry(name, { type: "number", min: String(least), max: String(most) });

/** @type {Field[]} */
export const FIELDS = [
  { name: "model", label: "training.model", node: "LoadCheckpoint", input: "ckpt_name", control: (app, value) => {
    const choice = el("select", { name: "model" }, ...(app.editor.catalogue.files.checkpoints ?? []).map((file) => new Option(file, file)));
    choice.value = value;
    return choice;
  } },
  { name: "trigger", label: "training.trigger", node: DATASET, input: "trigger", control: entry("trigger", { placeholder: "sks shape" }) },
  { name: "name", label: "training.name", node: "SaveLoRA", input: "name", control: entry("name", { pattern: "[A-Za-z0-9][A-Za-z0-9 _.\\-]{0,60}", title: t("training.letters") }) },
  { name: "steps", label: "training.steps", node: "TrainPlan", input: "steps", number: true, control: whole("steps", 1, 1_000_000) },
  { name: "prompts", label: "training.prompts", node: SAMPLES, input: "prompts", control: (app, value) => el("textarea", { name: "prompts", rows: 2, spellcheck: app.settings.get("spelling"), value: value ?? "" }) },
  { name: "rank", label: "training.rank", node: "AdapterSpec", input: "rank", more: true, number: true, control: whole("rank", 1, 1024) },
  { name: "rate", label: "training.rate", node: "Optimizer", input: "rate", more: true, number: true, control: entry("rate", { type: "number", min: "0", step: "any" }) },
  { name: "batch", label: "training.batch", node: "TrainPlan", input: "batch_size", more: true, number: true, control: whole("batch", 1, 256) },
  { name: "resolution", label: "training.resolution", node: "Buckets", input: "resolution", more: true, number: true, control: whole("resolution", 64, 8192) },
  { name: "keep", label: "training.save-every", node: "TrainPlan", input: "save_every", more: true, number: true, control: whole("keep", 1, 1_000_000) },
  { name: "measure", label: "training.validate-every", node: "TrainPlan", input: "validate_every", more: true, number: true, control: whole("measure", 0, 1_000_000) },
];

/** @param {Doc} doc @param {string} classType @returns {string | undefined} the id of the first node of a class */
const first = (doc, classType) => [...nodesOf(doc)].find(([, node]) => node.get("class_type") === classType)?.[0];

/** What the template has for a field. @param {Doc} doc @param {Field} field */
export const planned = (doc, field) => inputsOf(entryOf(doc, first(doc, field.node) ?? "")).get(field.input);

/** A file's name as the server takes it. @param {string} name */
export const clean = (name) => name.trim().replace(/\.safetensors$/, "");

/** What a training saves, read off its graph; null for one that saves nothing. @param {Doc} doc @returns {Result | null} */
export function resultOf(doc) {
  const save = first(doc, "SaveLoRA");
  if (save === undefined) return null;
  const inputs = inputsOf(entryOf(doc, save));
  return { node: save, name: String(inputs.get("name") ?? ""), trigger: String(inputs.get("trigger") ?? "") };
}

/** How many steps a training has, read off its graph; 0 where they come over a link. @param {Doc} doc */
export const stepsOf = (doc) => numberOf(inputsOf(entryOf(doc, first(doc, "TrainPlan") ?? "")).get("steps")) || 0;

/** How the pictures are sized, read off the graph. @param {Doc} doc @returns {import("./buckets.js").Plan} */
export function bucketPlan(doc) {
  const inputs = inputsOf(entryOf(doc, first(doc, "Buckets") ?? ""));
  const number = (/** @type {string} */ name) => numberOf(inputs.get(name));
  return { resolution: number("resolution"), min_side: number("min_side"), max_side: number("max_side"), step: number("step") };
}

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
  }, withSamples(template, String(given.get("prompts") ?? "").trim()));
  const prompts = [...nodesOf(filled)].flatMap(([id, node]) => [...inputsOf(node)].map(([input, value]) => ({ id, node, input, value })));
  return prompts
    .filter(({ node, value }) => before && typeof value === "string" && node.get("class_type") === "CLIPEncode" && value.includes(before))
    .reduce((doc, { id, input, value }) => setInput(doc, id, input, value.replaceAll(before, trigger)), filled);
}

/** With prompts, pictures of them are drawn each time the state is kept, as the template draws its last one. @param {Doc} doc @param {string} prompts */
function withSamples(doc, prompts) {
  const [train, checkpoint, latent, sampler] = ["TrainLoRA", "LoadCheckpoint", "EmptyLatent", "KSampler"].map((kind) => first(doc, kind));
  if (!prompts || first(doc, SAMPLES) || !train || !checkpoint || !latent || !sampler) return doc;
  const drawn = inputsOf(entryOf(doc, sampler));
  const size = inputsOf(entryOf(doc, latent));
  const inputs = new Map(/** @type {[string, any][]} */ ([["prompts", prompts], ["negative", ""], ["width", size.get("width")], ["height", size.get("height")],
    ...["steps", "cfg", "sampler_name", "scheduler", "seed"].map((name) => [name, drawn.get(name)])]));
  const id = freeId(doc, SAMPLES);
  return connect(connect(addNode(doc, id, SAMPLES, inputs, [940, 420]), id, 0, train, "samples"), checkpoint, 2, train, "vae");
}

/** @param {FormData} given @param {Field} field */
function valueOf(given, field) {
  const text = String(given.get(field.name) ?? "");
  if (field.name === "name") return clean(text);
  return field.number ? Number(text) : text.trim();
}

/** Open the first example with a LoRA between its model and what uses it, and with its trigger in the prompt. @param {App} app @param {string} name
 * @param {string} trigger */
export async function useLora(app, name, trigger) {
  await app.refresh();
  await app.openWorkflow(FIRST);
  const { editor } = app;
  const prompt = [...nodesOf(editor.doc)].find(([, node]) => inputsOf(node).get("text"))?.[0];
  const { doc } = withLora(editor, editor.doc, `${name}.safetensors`);
  editor.edit(prompt && trigger ? setInput(doc, prompt, "text", t("training.test-prompt", { trigger })) : doc, "Use the LoRA");
  editor.fit();
}
