// Questions to a person, in the browser's own <dialog>.

import { t } from "./words.js";

/** @param {string} label @returns {{dialog: HTMLDialogElement, form: HTMLFormElement, close: () => void}} */
export function openDialog(label) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", label);
  const form = document.createElement("form");
  form.method = "dialog";
  dialog.append(form);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, form, close: () => dialog.close() };
}

/** Enter takes no answer: what is asked about cannot always be undone. @param {string} text @param {string[]} answers @returns {Promise<number>} 0 for no
 * answer, else which one */
export function ask(text, ...answers) {
  const { dialog, form } = openDialog(text);
  form.append(Object.assign(document.createElement("p"), { textContent: text }));
  const row = document.createElement("div");
  row.className = "answers";
  [...answers, t("page.cancel")].forEach((answer, order) => {
    const button = Object.assign(document.createElement("button"), { textContent: answer, value: String(order === answers.length ? 0 : order + 1) });
    if (order === 0) button.className = "primary";
    row.append(button);
  });
  form.append(row);
  /** @type {HTMLElement} */ (row.lastElementChild).focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(Number(dialog.returnValue || 0))));
}

/** @param {string} title @param {string} label @param {string} value @param {string} [act] @returns {Promise<string | null>} */
export function askText(title, label, value, act = t("file.save")) {
  const { dialog, form } = openDialog(title);
  const input = Object.assign(document.createElement("input"), { value, autocomplete: "off", maxLength: 200 });
  const words = document.createElement("label");
  words.append(Object.assign(document.createElement("span"), { textContent: label }), input);
  const row = document.createElement("div");
  row.className = "answers";
  row.append(Object.assign(document.createElement("button"), { textContent: act, value: "1", className: "primary" }), Object.assign(document.createElement("button"), { textContent: t("page.cancel"), value: "0", formNoValidate: true }));
  form.append(Object.assign(document.createElement("h2"), { textContent: title }), words, row);
  input.select();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "1" ? input.value : null)));
}

/** A picture as large as the page. @param {string} source @param {string} alt */
export function showPicture(source, alt) {
  const { dialog, form } = openDialog(alt);
  dialog.classList.add("viewer");
  const row = document.createElement("div");
  row.className = "answers";
  const whole = Object.assign(document.createElement("a"), { href: source, target: "_blank", textContent: t("file.open-tab") });
  row.append(Object.assign(document.createElement("button"), { textContent: t("page.close"), className: "primary" }), whole);
  form.append(Object.assign(document.createElement("img"), { src: source, alt }), row);
}
