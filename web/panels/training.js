// The training panel: pictures with their captions, the settings that matter, and a training as it runs.

import { EASEL_STYLE, read, write } from "../editor/json.js";
import { recallObject } from "../editor/kept.js";
import { counted, t } from "../editor/words.js";
import { bucketsView } from "./buckets.js";
import { datasetView } from "./dataset.js";
import { button, dialog, el } from "./dom.js";
import { watch } from "./training_live.js";
import { bucketPlan, FIELDS, fill, planned } from "./training_workflow.js";

/** @typedef {import("../editor/app.js").App} App */

const TEMPLATE = "train_lora.json";
const KEPT = "easel.training";
const FORM = "easel.training.form";

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const choice = el("select", { "aria-label": t("training.dataset") });
  const pictures = el("div", {});
  const form = el("form", { class: "fields" });
  const live = el("section", { class: "live", "aria-live": "off", hidden: true });
  /** @type {Map<string, any>} */
  let template = new Map();
  const buckets = bucketsView(app, () => (there.has(choice.value) ? { dataset: choice.value, plan: bucketPlan(filled()) } : null));
  element.append(
    el("div", { class: "row" }, el("label", { class: "row grow" }, t("training.pictures"), " ", choice), button(app, t("training.new"), () => create(app, async (name) => list(name)))),
    pictures, buckets.view, form, live);
  /** @type {Set<string>} datasets that have a folder */
  let there = new Set();
  let shown = { name: "", made: false, settled: async () => {} };

  /** @param {string} [wanted] a dataset to choose, which may have no folder yet */
  async function list(wanted) {
    const { datasets } = await app.api.get("datasets");
    const now = wanted ?? choice.value;
    const names = datasets.map((/** @type {any} */ item) => item.name);
    if (now && !names.includes(now)) names.unshift(now);
    choice.replaceChildren(...names.map((/** @type {string} */ name) => {
      const entry = datasets.find((/** @type {any} */ item) => item.name === name);
      const counts = entry && { name, pictures: counted("node.pictures", entry.pictures), captions: counted("training.captions", entry.captions) };
      return new Option(entry ? t("training.counts", counts) : name, name);
    }));
    choice.value = now || names[0] || "";
    there = new Set(datasets.map((/** @type {any} */ item) => item.name));
    show();
  }

  /** The pictures that are shown stay as they are, with what is being written under them, while their dataset is. */
  function show() {
    const name = choice.value;
    buckets.view.hidden = !there.has(name);
    buckets.refresh();
    if (name && name === shown.name) return;
    const { view, settled } = name
      ? datasetView(app, { name, made: there.has(name) }, () => app.guard(() => list()))
      : { view: el("p", { class: "dim" }, t("training.none")), settled: async () => {} };
    shown = { name, made: there.has(name), settled };
    pictures.replaceChildren(view);
  }
  choice.addEventListener("change", () => app.guard(async () => {
    await shown.settled();
    show();
  }));

  async function start() {
    template = /** @type {any} */ (read(await app.api.workflow(TEMPLATE)));
    const kept = new Map(Object.entries(recallObject(sessionStorage, FORM)));
    const fields = FIELDS.map((field) => ({ field, row: el("label", { class: "field" }, el("span", {}, t(field.label)), field.control(app, kept.get(field.name) ?? planned(template, field))) }));
    const part = (/** @type {boolean} */ more) => fields.filter(({ field }) => Boolean(field.more) === more).map(({ row }) => row);
    form.replaceChildren(
      ...part(false), el("details", {}, el("summary", {}, t("training.more")), el("div", { class: "fields" }, ...part(true))),
      el("div", { class: "row" }, el("button", { type: "submit", class: "primary" }, t("training.train")),
        button(app, t("training.as-graph"), () => app.openText(write(filled(), EASEL_STYLE), { name: "", title: t("training.graph"), writable: false }))));
    await list();
  }
  const filled = () => fill(template, choice.value, new FormData(form));
  form.addEventListener("change", () => {
    sessionStorage.setItem(FORM, JSON.stringify(Object.fromEntries(new FormData(form))));
    buckets.refresh();
  });
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    app.guard(async () => {
      if (choice.value && !there.has(choice.value)) return app.say(t("training.no-pictures", { name: choice.value }), "error");
      await shown.settled(); // a caption may have been written a moment ago
      follow((await app.api.submit(filled())).id);
      live.scrollIntoView({ block: "nearest" });
    });
  });

  let stop = () => {};
  /** @param {string} id */
  function follow(id) {
    stop();
    sessionStorage.setItem(KEPT, id);
    stop = watch(live, app, id);
  }
  app.guard(start);
  app.guard(async () => {
    const { jobs } = await app.api.get("queue");
    const running = jobs.find((/** @type {any} */ job) => job.preemptible && job.state === "running")?.id;
    const id = running ?? sessionStorage.getItem(KEPT);
    if (id && live.hidden) follow(id);
  });
  return () => stop();
}

/** @param {App} app @param {(name: string) => Promise<void>} made */
async function create(app, made) {
  const name = el("input", { name: "name", required: true, pattern: "[A-Za-z0-9 _.\\-]{1,60}", title: t("training.letters"), autofocus: true });
  const box = dialog(t("training.new-title"), { class: "ask" }, el("form", { method: "dialog" }, el("h2", {}, t("training.new-title")), el("label", {}, t("training.folder"), " ", name), el("div", { class: "row end" }, el("button", { value: "", formNoValidate: true }, t("page.cancel")), el("button", { value: "yes", class: "primary" }, t("training.make")))));
  box.addEventListener("close", () => box.returnValue === "yes" && app.guard(() => made(name.value.trim())));
}
