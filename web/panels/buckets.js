// The sizes at which a dataset's pictures would be trained, before anything is trained.

import { t } from "../editor/words.js";
import { el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {{resolution: number, min_side: number, max_side: number, step: number}} Plan the values of a Buckets node */

/** @param {number} share */
const percent = (share) => `${Math.round(100 * share)} %`;

/** A table that is asked for when it is opened, and again by `refresh`. @param {App} app @param {() => {dataset: string, plan: Plan} | null} wanted
 * @returns {{view: HTMLDetailsElement, refresh: () => void}} */
export function bucketsView(app, wanted) {
  const body = el("div", {});
  const view = el("details", { class: "buckets" }, el("summary", {}, t("buckets.title")), body);
  let asked = 0;
  async function load() {
    const about = wanted();
    if (!view.open || !about) return;
    const mine = (asked += 1);
    const { dataset, plan } = about;
    const query = new URLSearchParams({ width: String(plan.resolution), height: String(plan.resolution), smallest: String(plan.min_side), largest: String(plan.max_side), step: String(plan.step) });
    const told = await app.api.patient(() => app.api.get(`datasets/${encodeURIComponent(dataset)}/buckets?${query}`)); // a worker that is just starting counts, too
    if (mine === asked) body.replaceChildren(...shown(told));
  }
  const refresh = () => app.guard(load);
  view.addEventListener("toggle", refresh);
  return { view, refresh };
}

/** @param {any} told @returns {HTMLElement[]} */
function shown(told) {
  if (!told.buckets.length && !told.misfits.length) return [el("p", { class: "dim" }, t("buckets.none"))];
  const rows = told.buckets.map((/** @type {any} */ bucket) => {
    const worst = Math.max(...bucket.pictures.map((/** @type {any} */ picture) => picture.cropped));
    const enlarged = bucket.pictures.filter((/** @type {any} */ picture) => picture.scale > 1).length;
    const names = bucket.pictures.map((/** @type {any} */ picture) => picture.name).join("\n");
    return el("tr", { title: names }, ...[`${bucket.width} × ${bucket.height}`, bucket.pictures.length, percent(worst), enlarged || ""].map((text) => el("td", {}, String(text))));
  });
  const heads = [t("buckets.size"), t("buckets.pictures"), t("buckets.cropped"), t("buckets.enlarged")];
  return [
    el("table", { class: "record" }, el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...rows)),
    ...told.misfits.map((/** @type {any} */ misfit) => el("p", { class: "fault" }, t("buckets.misfit", misfit))),
  ];
}
