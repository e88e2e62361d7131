// The settings panel, made from the table in web/editor/settings.js.

import { SETTINGS } from "../editor/settings.js";
import { t, WORDS } from "../editor/words.js";
import { button, confirmed, el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */
/** @typedef {import("../editor/settings.js").Name} Name */

/** @type {[string, Name[]][]} */
const GROUPS = [
  ["look", ["theme", "links", "minimap"]],
  ["canvas", ["wheel", "snap", "grid"]],
  ["text", ["spelling", "weight"]],
  ["results", ["metadata"]],
  ["keys", ["keys"]],
];

/** @param {string} key @returns {string} */
const said = (key) => t(/** @type {import("../editor/words.js").Key} */ (`settings.${key}`));

/** A control for a setting, and what shows the value in it. @param {App} app @param {Name} name @returns {{row: HTMLElement, show: () => void}} */
function control(app, name) {
  const { settings } = app;
  const setting = /** @type {import("../editor/settings.js").Setting} */ (SETTINGS[name]);
  const set = (/** @type {any} */ value) => app.guard(() => settings.set(name, value));
  const hint = `settings.${name}.hint` in WORDS ? el("small", { class: "dim", id: `setting-${name}` }, said(`${name}.hint`)) : null; // not all need one
  const row = (/** @type {string} */ kind, /** @type {HTMLElement[]} */ ...parts) => el("div", {}, el("label", { class: kind }, ...parts), hint);
  const described = { ...(hint ? { "aria-describedby": hint.id } : {}), data: { setting: name } };
  if ("choices" in setting) {
    const select = el("select", { ...described, on: { change: () => set(select.value) } }, ...setting.choices.map((choice) => new Option(said(`${name}.${choice}`), choice)));
    return { row: row("field", el("span", {}, said(name)), select), show: () => (select.value = String(settings.get(name))) };
  }
  if ("least" in setting) {
    const { least, most, step } = setting;
    const show = () => (input.value = String(settings.get(name)));
    const input = el("input", { ...described, type: "number", min: least, max: most, step, on: { change: () => {
      if (input.value && input.validity.valid) set(Number(input.value));
      else show();
    } } });
    return { row: row("field", el("span", {}, said(name)), input), show };
  }
  if (typeof setting.begins === "boolean") {
    const box = el("input", { ...described, type: "checkbox", on: { change: () => set(box.checked) } });
    return { row: row("switch", box, el("span", {}, said(name))), show: () => (box.checked = settings.get(name)) };
  }
  const open = button(app, said("keys"), () => app.does("sheet"), described);
  return { row: el("div", {}, open, hint), show: () => {} };
}

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const controls = new Map(GROUPS.flatMap(([, names]) => names.map((name) => /** @type {const} */ ([name, control(app, name)]))));
  for (const [group, names] of GROUPS) {
    const title = el("h3", { id: `settings-${group}` }, said(`group.${group}`));
    element.append(el("section", { class: "fields", "aria-labelledby": title.id }, title, ...names.map((name) => controls.get(name)?.row ?? null)));
  }
  element.append(button(app, t("settings.reset"), async () => {
    if (!(await confirmed(t("settings.reset.really"), t("settings.reset.yes")))) return;
    for (const name of controls.keys()) app.settings.set(name, /** @type {any} */ (SETTINGS[name].begins));
  }));
  element.append(el("p", { class: "dim" }, t("settings.where")));
  const show = () => controls.forEach((item) => item.show());
  show();
  return app.events.on("settings", show);
}
