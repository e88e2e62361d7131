// A plain page: choose a workflow, change what it says, run it, see what comes out. Texts are only ever set as textContent.

import * as api from "./api.js";
import { classes, control, describe, isMain, randomSeed } from "./inputs.js";

const $ = (id) => document.getElementById(id);
const PICTURES = /\.(png|jpe?g|webp|gif)$/i;

let catalogue = null;
let current = null; // {name, document, fields, controls}
let running = null; // {id, stop, done, total, progress, titles}

async function start() {
  await showStatus();
  setInterval(showStatus, 5000);
  const [list, nodes] = await Promise.all([api.workflows(), api.catalogue()]);
  catalogue = nodes;
  $("workflows").replaceChildren(...list.map(workflowButton));
  showEarlier();
  if (list.length) await open((list.find((item) => item.name === "text_to_image.json") ?? list[0]).name);
  await resume();
}

async function showStatus() {
  try {
    const { easel, worker, device } = await api.version();
    $("status").textContent = worker === "ready" ? `Easel ${easel} on ${device?.name ?? "this machine"}` : "The worker is starting";
  } catch (error) {
    $("status").textContent = error.message;
  }
}

function workflowButton(item) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = item.title;
  button.dataset.name = item.name;
  button.addEventListener("click", guarded(() => open(item.name)));
  const line = document.createElement("li");
  line.append(button);
  return line;
}

async function open(name) {
  const loaded = await api.workflow(name);
  const fields = describe(loaded, classes(catalogue));
  current = { name, document: loaded, fields, controls: new Map() };
  for (const button of document.querySelectorAll("#workflows button")) button.setAttribute("aria-current", String(button.dataset.name === name));
  const title = document.querySelector("#workflows [aria-current=true]")?.textContent ?? name;
  $("title").textContent = title;
  document.title = `${title} - Easel`;
  $("inputs").replaceChildren(...fields.filter(isMain).map(makeControl));
  $("more-inputs").replaceChildren(...fields.filter((field) => !isMain(field)).map(makeControl));
  $("more").hidden = fields.every(isMain);
  $("form").hidden = false;
  showProblems([]);
}

function makeControl(field) {
  const nodes = current.document.nodes ?? current.document;
  const element = control(field, catalogue.files, (value) => {
    nodes[field.node].inputs[field.name] = value;
  });
  current.controls.set(field, element);
  return element;
}

function renewSeeds() {
  const nodes = current.document.nodes ?? current.document;
  for (const field of current.fields.filter((item) => item.info.seed)) {
    const seed = randomSeed();
    nodes[field.node].inputs[field.name] = seed;
    current.controls.get(field).querySelector("input").value = seed;
  }
}

let ranBefore = false;

async function run() {
  showProblems([]);
  if (ranBefore && $("new-seed").checked) renewSeeds();
  const job = await api.submit(current.document);
  ranBefore = true;
  follow(job);
}

async function resume() {
  const [job] = await api.jobs({ state: "running,queued", limit: 1 });
  if (job) follow(job);
}

function follow(job) {
  running?.stop();
  running = { id: job.id, done: 0, total: job.total, progress: new Map(), stop: () => {} };
  $("run").disabled = true;
  $("cancel").hidden = false;
  $("work").hidden = false;
  $("preview").hidden = true;
  $("doing").textContent = "Waiting";
  showBar();
  running.stop = api.listen(job.id, heard, guarded(over));
}

function heard(event) {
  const { progress } = running;
  if (event.type === "job_started") Object.assign(running, { done: 0, total: event.total });
  if (event.type === "nodes_cached") running.done = 0;
  if (event.type === "node_started") progress.set(event.node_id, 0);
  if (event.type === "node_progress") progress.set(event.node_id, event.total ? event.value / event.total : 0);
  if (event.type === "node_finished" || event.type === "node_failed") {
    progress.delete(event.node_id);
    running.done += 1;
  }
  if (event.type === "preview") {
    $("preview").src = `data:${event.mime};base64,${event.data}`;
    $("preview").hidden = false;
  }
  if (event.type === "node_progress") $("doing").textContent = `${titleOf(event.display_id || event.node_id)}: ${event.value} of ${event.total}`;
  else if (event.type === "node_started") $("doing").textContent = titleOf(event.display_id || event.node_id);
  else if (event.type === "job_interrupted") $("doing").textContent = event.reason;
  showBar();
}

function titleOf(id) {
  const nodes = current?.document.nodes ?? current?.document ?? {};
  return nodes[id]?._meta?.title ?? nodes[id]?.class_type ?? id;
}

function showBar() {
  const part = [...running.progress.values()].reduce((sum, value) => sum + value, 0);
  $("bar").style.setProperty("width", `${running.total ? Math.min(100, (100 * (running.done + part)) / running.total) : 0}%`);
}

async function over() {
  const job = await api.job(running.id);
  running = null;
  $("run").disabled = false;
  $("cancel").hidden = true;
  $("work").hidden = true;
  showResults(job);
  if (job.failures?.length) {
    showProblems(job.failures.map((item) => ({ message: item.error?.message ?? item.exception_type, hint: item.error?.hint, node_id: item.display_id })));
  } else if (job.state === "parked" || job.state === "failed") {
    showProblems([{ message: job.reason }]);
  }
  showEarlier();
}

function showResults(job) {
  const figures = [];
  for (const [node, shown] of Object.entries(job.outputs ?? {})) {
    for (const items of Object.values(shown)) {
      if (Array.isArray(items)) figures.push(...items.map((item) => figure(node, item)).filter(Boolean));
    }
  }
  if (figures.length) $("results").replaceChildren(...figures);
}

function figure(node, item) {
  const box = document.createElement("figure");
  const caption = document.createElement("figcaption");
  if (item?.filename) {
    const link = document.createElement("a");
    link.href = api.fileUrl(item);
    link.target = "_blank";
    if (PICTURES.test(item.filename)) {
      const picture = document.createElement("img");
      picture.src = link.href;
      picture.alt = `Result of ${titleOf(node)}`;
      link.append(picture);
      box.append(link);
      caption.textContent = item.filename;
    } else {
      link.textContent = item.filename;
      caption.append(link);
    }
  } else if (typeof item === "string") {
    const text = document.createElement("pre");
    text.textContent = item;
    box.append(text);
    caption.textContent = titleOf(node);
  } else {
    return null;
  }
  box.append(caption);
  return box;
}

async function showEarlier() {
  const pictures = (await api.files("output")).filter((file) => PICTURES.test(file.name));
  pictures.sort((a, b) => b.modified - a.modified);
  $("earlier").hidden = !pictures.length;
  $("thumbnails").replaceChildren(
    ...pictures.slice(0, 24).map((file) => {
      const cut = file.name.lastIndexOf("/");
      const record = { filename: file.name.slice(cut + 1), subfolder: cut < 0 ? "" : file.name.slice(0, cut), type: "output" };
      const link = document.createElement("a");
      link.href = api.fileUrl(record);
      link.target = "_blank";
      const picture = document.createElement("img");
      picture.src = api.fileUrl(record, "webp;80");
      picture.alt = file.name;
      picture.loading = "lazy";
      link.append(picture);
      return link;
    }),
  );
}

function showProblems(problems) {
  $("problems").replaceChildren(
    ...problems.map((problem) => {
      const line = document.createElement("li");
      line.textContent = problem.message;
      if (problem.hint) {
        const hint = document.createElement("small");
        hint.textContent = problem.hint;
        line.append(hint);
      }
      return line;
    }),
  );
}

function guarded(work) {
  return async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      showProblems(error.problems ?? [{ message: String(error) }]);
    }
  };
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(run)();
});
$("cancel").addEventListener("click", guarded(() => running && api.cancel(running.id)));
guarded(start)();
