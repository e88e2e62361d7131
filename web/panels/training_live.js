// A training while it runs and afterwards: its state, the loss, the samples, and the LoRA put to use.

import { Refused } from "../editor/api.js";
import { t } from "../editor/words.js";
import { fileUrl } from "./addresses.js";
import { button, duration, el } from "./dom.js";
import { chartLegend, lossChart } from "./loss_chart.js";
import { clean, resultOf, stepsOf, useLora } from "./training_workflow.js";
import { listen } from "./stream.js";
import { read } from "../editor/json.js";

/** @typedef {import("../editor/app.js").App} App */

/** Show a job that trains. All of it comes from the job's events and its graph, so that a panel that is opened later shows the same.
 * @param {HTMLElement} into @param {App} app @param {string} id @returns {() => void} what stops it */
export function watch(into, app, id) {
  /** @type {import("./loss_chart.js").Point[]} */
  const points = [];
  let until = 1;
  /** @type {import("./training_workflow.js").Result | null} */
  let result = null;
  /** @type {Map<string, string>} */
  const saved = new Map(); // the files that nodes wrote: a name has a number where there was a file of that name
  const state = el("p", { role: "status" }, t("training.waits"));
  const chart = el("div", {});
  const samples = el("div", { class: "grid samples" });
  /** @type {Set<string>} */
  const seen = new Set();
  const stop = button(app, t("training.stop"), () => app.api.post(`jobs/${id}/finish`), { title: t("training.stop.hint") });
  const pause = button(app, t("training.pause"), () => app.api.post(`jobs/${id}/pause`));
  const goOn = button(app, t("training.go-on"), () => app.api.post(`jobs/${id}/release`), { hidden: true });
  const use = button(app, t("training.use"), () => result && useLora(app, clean(saved.get(result.node) ?? result.name), result.trigger), { class: "primary", hidden: true });
  into.replaceChildren(state, chart, el("div", { class: "row wrap" }, use, stop, pause, goOn), samples);
  into.hidden = false;
  const buttons = (/** @type {string} */ now) => {
    stop.hidden = now !== "running";
    pause.hidden = now !== "running" && now !== "queued";
    goOn.hidden = now !== "paused" && now !== "parked";
    use.hidden = now !== "succeeded" || !result;
  };
  let now = "queued";
  let told = "";
  let waiting = false;
  const draw = () => {
    waiting = false;
    chart.replaceChildren(lossChart(points, until), chartLegend(points));
  };
  const drawSoon = () => {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  };
  /** @param {any} data */
  function step(data) {
    until = Math.max(until, data.until); // of this part of the training; the graph says how long all of it is
    while (points.length && (points.at(-1)?.step ?? 0) >= data.step) points.pop();
    points.push({ step: data.step, loss: data.loss, validation: data.validation ?? null });
    told = [t("training.step", { step: data.step, until, loss: data.loss.toFixed(4) }),
      data.images_per_second ? t("training.speed", { n: data.images_per_second.toFixed(1) }) : "",
      data.seconds_left ? t("training.left", { time: duration(data.seconds_left) }) : ""].filter(Boolean).join(" · ");
    state.textContent = told;
    drawSoon();
  }
  /** @param {any[]} files */
  function drawn(files) {
    for (const file of files.filter((item) => item.type === "output")) { // the plotted curve is a temporary file
      const full = file.subfolder ? `${file.subfolder}/${file.filename}` : file.filename;
      if (seen.has(full)) continue; // a job that went on tells of it again
      seen.add(full);
      const at = /-step0*(\d+)/.exec(file.filename)?.[1];
      const source = fileUrl("output", full);
      samples.append(el("figure", {}, el("a", { href: source, target: "_blank" }, el("img", { src: source, alt: full })), el("figcaption", {}, at ? t("training.at-step", { step: at }) : t("training.result"))));
    }
  }
  /** @param {any} event */
  function hear(event) {
    switch (event.type) {
      case "job_started":
        now = "running";
        state.textContent = t("training.begins");
        break;
      case "custom":
        if (event.name === "training") step(event.data);
        break;
      case "node_finished":
        for (const lora of event.ui?.loras ?? []) saved.set(event.node_id, lora.name);
        drawn(event.ui?.images ?? []);
        break;
      case "node_failed":
        state.textContent = event.error?.message ?? event.exception_type;
        break;
      case "job_interrupted":
        now = event.state;
        state.textContent = t("training.state", { state: t(/** @type {import("../editor/words.js").Key} */ (`state.${event.state}`)), reason: event.reason });
        break;
      case "job_finished":
        now = event.state;
        if (now === "succeeded") state.textContent = points.length ? t("training.done", { told }) : t("training.all-cached");
        else if (now === "cancelled") state.textContent = t("training.cancelled");
    }
    buttons(now);
  }
  buttons(now);
  const leave = listen(`api/v1/jobs/${encodeURIComponent(id)}/events`, (event) => {
    hear(event);
    if (event.type === "job_finished") leave();
  });
  app.guard(async () => {
    try {
      const doc = /** @type {any} */ (read(await app.api.jobWorkflow(id)));
      result = resultOf(doc);
      until = Math.max(until, stepsOf(doc));
      buttons(now);
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) throw error;
      into.hidden = true; // the job was deleted
      leave();
    }
  });
  return leave;
}
