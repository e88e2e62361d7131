// Panel: workflows of the server, the templates that come with Easel, and unsaved work.

import { ask } from "./dialogs.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const query = Object.assign(document.createElement("input"), { type: "search", placeholder: t("workflows.search") });
  query.setAttribute("aria-label", t("workflows.search"));
  const lists = document.createElement("div");
  element.append(query, lists);
  /** @type {any[]} */
  let entries = [];
  const show = () => {
    const words = query.value.toLowerCase();
    const found = entries.filter((entry) => `${entry.title} ${entry.name} ${entry.description ?? ""}`.toLowerCase().includes(words));
    lists.replaceChildren(
      ...section(t("workflows.own"), found.filter((entry) => entry.writable), app, load),
      ...section(t("workflows.templates"), found.filter((entry) => !entry.writable), app, load),
    );
  };
  const load = async () => {
    entries = await app.api.workflows();
    show();
  };
  query.addEventListener("input", show);
  app.guard(load);
  const off = [app.events.on("saved", () => app.guard(load)), app.events.on("opened", show)];
  return () => off.forEach((stop) => stop());
}

/** @param {string} title @param {any[]} entries @param {App} app @param {() => Promise<void>} load @returns {HTMLElement[]} */
function section(title, entries, app, load) {
  if (!entries.length) return [];
  const head = Object.assign(document.createElement("h3"), { textContent: title });
  const list = document.createElement("ul");
  list.className = "entries";
  for (const entry of entries) {
    const line = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(Object.assign(document.createElement("span"), { textContent: entry.title }), Object.assign(document.createElement("small"), { textContent: entry.description || entry.name }));
    button.dataset.name = entry.name;
    button.setAttribute("aria-current", String(app.file.name === entry.name));
    button.addEventListener("click", () => app.guard(() => app.openWorkflow(entry.name)));
    line.append(button);
    if (entry.writable) {
      const remove = Object.assign(document.createElement("button"), { type: "button", textContent: t("page.delete"), title: t("workflows.delete", { name: entry.name }) });
      remove.addEventListener("click", () => app.guard(async () => {
        if (!(await ask(t("workflows.really", { name: entry.name }), t("page.delete")))) return;
        await app.api.deleteWorkflow(entry.name);
        await load();
      }));
      line.append(remove);
    }
    list.append(line);
  }
  return [head, list];
}
