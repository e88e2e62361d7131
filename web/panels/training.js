// The training panel: pictures with their captions, the settings that matter, the loss while it trains, samples, and the LoRA put to use.

import { fileUrl } from "./addresses.js";
import { EASEL_STYLE, read, write } from "../editor/json.js";
import { datasetView } from "./dataset.js";
import { button, dialog, duration, el } from "./dom.js";
import { lossChart } from "./loss_chart.js";
import { clean, FIELDS, fill, planned, useLora } from "./training_workflow.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {{name: string, trigger: string}} Result the file that a LoRA is saved as, and its words */

const TEMPLATE = "train_lora.json";

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const choice = el("select", { "aria-label": "Dataset" });
  const pictures = el("div", {});
  const form = el("form", { class: "fields" });
  const live = el("section", { class: "live", "aria-live": "off", hidden: true });
  element.append(
    el("div", { class: "row" }, el("label", {}, "Pictures ", choice), button(app, "New…", () => create(app, async (name) => list(name)))),
    pictures, form, live);
  /** @type {Map<string, any>} */
  let template = new Map();
  /** @type {Set<string>} datasets that have a folder */
  let there = new Set();

  /** @param {string} [wanted] */
  async function list(wanted = choice.value) {
    const { datasets } = await app.api.get("datasets");
    const names = datasets.map((/** @type {any} */ item) => item.name);
    if (wanted && !names.includes(wanted)) names.unshift(wanted);
    choice.replaceChildren(...names.map((/** @type {string} */ name) => {
      const entry = datasets.find((/** @type {any} */ item) => item.name === name);
      return new Option(entry ? `${name} (${entry.pictures} pictures, ${entry.captions} captions)` : name, name);
    }));
    choice.value = wanted || names[0] || "";
    there = new Set(datasets.map((/** @type {any} */ item) => item.name));
    show();
  }
  function show() {
    pictures.replaceChildren(choice.value ? datasetView(app, { name: choice.value, made: there.has(choice.value) }, () => app.guard(() => list())) : el("p", { class: "dim" }, "Make a dataset and drop about twenty pictures of your subject into it."));
  }
  choice.addEventListener("change", show);

  async function start() {
    template = /** @type {any} */ (read(await app.api.workflow(TEMPLATE)));
    form.replaceChildren(
      ...FIELDS.map((field) => el("label", { class: "field" }, el("span", {}, field.label), field.control(app, planned(template, field)))),
      el("div", { class: "row" }, el("button", { type: "submit", class: "primary" }, "Train"), button(app, "Open as graph", () => app.openText(write(filled(), EASEL_STYLE), { name: "", title: "Training", writable: false }))));
    await list();
  }
  const filled = () => fill(template, choice.value, new FormData(form));
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const given = new FormData(form);
    const result = { name: clean(String(given.get("name") ?? "")), trigger: String(given.get("trigger") ?? "") };
    app.guard(async () => follow((await app.api.submit(filled())).id, result));
  });

  /** @type {EventSource | null} */
  let source = null;
  /** @param {string} id @param {Result | null} result */
  function follow(id, result) {
    source?.close();
    source = watch(live, app, id, result);
  }
  app.guard(start);
  app.guard(async () => {
    const { jobs } = await app.api.get("queue");
    const training = jobs.find((/** @type {any} */ job) => job.preemptible && job.state === "running");
    if (training) follow(training.id, null);
  });
  return () => source?.close();
}

/** @param {App} app @param {(name: string) => Promise<void>} made */
async function create(app, made) {
  const name = el("input", { name: "name", required: true, pattern: "[A-Za-z0-9 _.\\-]{1,60}", title: "Letters, digits, space, _ . -", autofocus: true });
  const box = dialog("New dataset", { class: "ask" }, el("form", { method: "dialog" }, el("label", {}, "Name of the folder ", name), el("div", { class: "row end" }, el("button", { value: "yes", class: "primary" }, "Make"))));
  box.addEventListener("close", () => box.returnValue === "yes" && app.guard(() => made(name.value.trim())));
}

/** Show a training while it runs. @param {HTMLElement} into @param {App} app @param {string} id @param {Result | null} result @returns {EventSource} */
function watch(into, app, id, result) {
  /** @type {import("./loss_chart.js").Point[]} */
  const points = [];
  let until = 1;
  const state = el("p", { role: "status" }, "waits");
  const chart = el("div", {});
  const samples = el("div", { class: "grid samples" });
  const stop = button(app, "Stop and save", () => app.api.post(`jobs/${id}/finish`), { title: "Ends at the next step with what it has learned" });
  const pause = button(app, "Pause", () => app.api.post(`jobs/${id}/pause`));
  const use = button(app, "Use this LoRA now", () => result && useLora(app, result.name, result.trigger), { class: "primary", hidden: true });
  into.replaceChildren(state, chart, el("div", { class: "row" }, stop, pause, use), samples);
  into.hidden = false;
  let drawn = false;
  const draw = () => {
    drawn = false;
    chart.replaceChildren(lossChart(points, until));
  };
  const source = new EventSource(`api/v1/jobs/${encodeURIComponent(id)}/events`);
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.type === "custom" && event.name === "training") {
      const told = event.data;
      until = Math.max(until, told.total ?? told.until);
      while (points.length && (points.at(-1)?.step ?? 0) >= told.step) points.pop();
      points.push({ step: told.step, loss: told.loss, validation: told.validation ?? null });
      state.textContent = `step ${told.step} of ${until} · loss ${told.loss.toFixed(4)} · ${told.images_per_second?.toFixed(1) ?? "?"} pictures/s${told.seconds_left ? ` · ${duration(told.seconds_left)} left` : ""}`;
      if (!drawn) requestAnimationFrame(draw);
      drawn = true;
    }
    if (event.type === "node_finished") {
      for (const file of event.ui?.images ?? []) {
        const full = file.subfolder ? `${file.subfolder}/${file.filename}` : file.filename;
        samples.append(el("figure", {}, el("img", { src: fileUrl(file.type ?? "output", full), alt: full }), el("figcaption", {}, `step ${points.at(-1)?.step ?? "?"}`)));
      }
    }
    if (event.type === "job_interrupted") state.textContent = `${event.state}: ${event.reason}`;
    if (event.type === "node_failed") state.textContent = event.error?.message ?? event.exception_type;
    if (event.type === "job_finished") {
      source.close();
      if (event.state === "succeeded") state.textContent = points.length ? `done · ${state.textContent}` : "done; all of it was in the cache";
      else if (event.state === "cancelled") state.textContent = "cancelled";
      stop.hidden = pause.hidden = true;
      use.hidden = event.state !== "succeeded" || !result;
    }
  };
  return source;
}
