// Making elements. Texts are set as text, never as HTML, so that names and captions from files stay what they are.

import { t } from "../editor/words.js";

/** @typedef {Record<string, any>} Properties `class`, `on` (event -> listener), `data`, ARIA and other attributes with a dash; the rest are properties */

/** @param {string} tag @param {Properties} [properties] @param {(Node | string | null | false)[]} children @returns {any} */
export function el(tag, properties = {}, ...children) {
  const element = /** @type {any} */ (document.createElement(tag));
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "role" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** A button that is out of reach while its work goes on; what the server refuses is shown. @param {import("../editor/app.js").App} app
 * @param {string} label @param {() => any} work @param {Properties} [properties] */
export function button(app, label, work, properties = {}) {
  const made = el("button", { type: "button", ...properties }, label);
  made.addEventListener("click", async () => {
    made.disabled = true;
    await app.guard(work);
    made.disabled = false;
  });
  return made;
}

/** A modal dialog that is gone when it closes. @param {string} title @param {Properties} properties @param {...Node} children @returns {HTMLDialogElement} */
export function dialog(title, properties, ...children) {
  const box = el("dialog", { "aria-label": title, ...properties }, ...children);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/** Enter says no. @param {string} question @param {string} yes @returns {Promise<boolean>} */
export function confirmed(question, yes) {
  return new Promise((answer) => {
    const box = dialog(question, { class: "ask" },
      el("p", {}, question),
      el("form", { method: "dialog", class: "row end" }, el("button", { value: "", autofocus: true }, t("page.cancel")), el("button", { value: "yes", class: "danger" }, yes)));
    box.addEventListener("close", () => answer(box.returnValue === "yes"));
  });
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1e6) return t("unit.kilobytes", { n: Math.max(1, Math.round(bytes / 1e3)) });
  return bytes < 1e9 ? t("unit.megabytes", { n: (bytes / 1e6).toFixed(1) }) : t("unit.gigabytes", { n: (bytes / 1e9).toFixed(2) });
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return t("unit.milliseconds", { n: Math.round(seconds * 1000) });
  if (seconds < 60) return t("unit.seconds", { n: seconds.toFixed(1) });
  const whole = Math.round(seconds);
  if (whole < 3600) return t("unit.minutes", { minutes: Math.floor(whole / 60), seconds: whole % 60 });
  return t("unit.hours", { hours: Math.floor(whole / 3600), minutes: Math.floor((whole % 3600) / 60) });
}

/** @param {number} seconds since 1970 */
export const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
