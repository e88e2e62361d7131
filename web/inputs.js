// The form for a workflow: one field for each value that a person may want to change.

import { upload } from "./api.js";

const SEED_LIMIT = 2n ** 32n;

export function classes(catalogue) {
  // Every id that a node answers to -> its description.
  const found = new Map(Object.entries(catalogue.nodes));
  for (const info of Object.values(catalogue.nodes)) for (const alias of info.aliases) found.set(alias.id, info);
  return found;
}

export function describe(document, known) {
  // [{node, name, title, info, value}] in the order of the workflow; links and wrapped lists are left alone.
  const nodes = document.nodes ?? document;
  const fields = [];
  for (const [node, entry] of Object.entries(nodes)) {
    const info = known.get(entry?.class_type);
    if (!info) continue;
    const alias = info.aliases.find((item) => item.id === entry.class_type);
    for (const [name, value] of Object.entries(entry.inputs ?? {})) {
      if (value !== null && typeof value === "object") continue;
      const input = info.inputs.find((item) => item.name === (alias?.inputs[name] ?? name));
      if (!input || input.socket_only) continue;
      fields.push({ node, name, info: input, value, title: entry._meta?.title ?? info.display_name });
    }
  }
  return fields;
}

export const isMain = (field) => field.info.multiline || field.info.seed || field.info.folder?.startsWith("input");

export function control(field, files, changed) {
  const { info } = field;
  const label = document.createElement("label");
  label.className = "field";
  const caption = document.createElement("span");
  caption.textContent = info.multiline ? field.title : `${field.title}: ${field.name.replaceAll("_", " ")}`;
  const element = editor(field, files, changed);
  element.dataset.input = `${field.node}.${field.name}`;
  if (info.help) label.title = info.help;
  label.append(caption, element);
  if (info.folder?.startsWith("input")) label.append(uploader(element, field, changed));
  return label;
}

function editor(field, files, changed) {
  const { info, value } = field;
  const choices = info.folder ? (files[info.folder] ?? []) : info.choices;
  if (info.type.includes("COMBO") && choices) return selection([...(info.folder ? (info.choices ?? []) : []), ...choices], value, changed);
  if (info.type === "BOOLEAN") {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = value;
    box.addEventListener("change", () => changed(box.checked));
    return box;
  }
  if (info.type === "INT" || info.type === "FLOAT") return number(field, changed);
  const text = document.createElement(info.multiline ? "textarea" : "input");
  text.value = value;
  text.addEventListener("input", () => changed(text.value));
  return text;
}

function selection(choices, value, changed) {
  const select = document.createElement("select");
  for (const choice of choices.includes(value) ? choices : [value, ...choices]) select.append(new Option(String(choice), choice, false, choice === value));
  select.addEventListener("change", () => changed(select.value));
  return select;
}

function number({ info, value }, changed) {
  const input = document.createElement("input");
  input.type = "number";
  input.value = value;
  input.step = info.type === "INT" ? "1" : "any";
  if (info.minimum !== null) input.min = info.minimum;
  if (info.maximum !== null && info.maximum < Number.MAX_SAFE_INTEGER) input.max = info.maximum;
  input.addEventListener("input", () => {
    const read = Number(input.value);
    if (input.value !== "" && Number.isFinite(read)) changed(info.type === "INT" ? Math.trunc(read) : read);
  });
  return input;
}

function uploader(select, field, changed) {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*";
  input.setAttribute("aria-label", `A file of your own for ${field.title}`);
  input.addEventListener("change", async () => {
    if (!input.files.length) return;
    const record = await upload(input.files[0]);
    const name = record.subfolder ? `${record.subfolder}/${record.filename}` : record.filename;
    select.append(new Option(name, name, true, true));
    changed(name);
  });
  return input;
}

export const randomSeed = () => Number(BigInt.asUintN(32, BigInt(crypto.getRandomValues(new Uint32Array(1))[0])) % SEED_LIMIT);
