// A dialog with a line to type in and a list that follows it: adding nodes, finding nodes, commands, workflows.

import { openDialog } from "./dialogs.js";
import { t } from "./words.js";

/** @typedef {{title: string, detail?: string, note?: string, help?: string, id?: string, run: () => unknown}} Entry */

const MOST = 60;

/** @param {import("./app.js").App} app @param {{label: string, entries: (query: string) => Entry[]}} given @returns {() => void} lists the entries again */
export function openPicker(app, { label, entries }) {
  const { dialog, form, close } = openDialog(label);
  dialog.classList.add("picker");
  const query = Object.assign(document.createElement("input"), { placeholder: label, autocomplete: "off", spellcheck: false });
  const list = document.createElement("ul");
  list.id = "found";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", label);
  for (const [name, text] of Object.entries({ role: "combobox", "aria-expanded": "true", "aria-controls": "found", "aria-label": label, id: "query" })) query.setAttribute(name, text);
  form.append(query, list);
  let at = 0;
  /** @type {Entry[]} */
  let found = [];
  const take = (/** @type {Entry | undefined} */ entry) => {
    close();
    app.editor.canvas.focus();
    if (entry) app.guard(entry.run);
  };
  const mark = () => {
    at = Math.max(0, Math.min(at, found.length - 1));
    [...list.children].forEach((line, order) => line.setAttribute("aria-selected", String(order === at)));
    const line = list.children[at];
    query.setAttribute("aria-activedescendant", line?.id ?? "");
    line?.scrollIntoView({ block: "nearest" });
  };
  const show = () => {
    found = entries(query.value).slice(0, MOST);
    list.replaceChildren(...found.map((entry, order) => {
      const line = document.createElement("li");
      line.id = `found-${order}`;
      line.setAttribute("role", "option");
      if (entry.id) line.dataset.id = entry.id;
      line.title = entry.help ?? "";
      for (const [name, text] of Object.entries({ title: entry.title, detail: entry.detail, note: entry.note })) {
        if (text) line.append(Object.assign(document.createElement("span"), { className: name, textContent: text }));
      }
      line.addEventListener("click", () => take(entry));
      return line;
    }));
    if (!found.length) list.append(Object.assign(document.createElement("li"), { className: "none", textContent: t("page.nothing-matches") }));
    mark();
  };
  query.addEventListener("input", () => {
    at = 0;
    show();
  });
  query.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    event.stopPropagation();
    if (event.isComposing) return;
    if (step) {
      at += step;
      mark();
    } else if (event.key === "Enter") take(found[at]);
    else return;
    event.preventDefault();
  });
  show();
  query.focus();
  return show;
}

/** How well words fit a text that names a thing and one that describes it; 0: not. @param {string[]} words @param {string} names @param {string} all */
export function rank(words, names, all) {
  let points = 1;
  for (const word of words) {
    if (names.startsWith(word)) points += 8;
    else if (new RegExp(`(^|[^a-z0-9])${word.replace(/[^a-z0-9]/g, "\\$&")}`).test(names)) points += 5;
    else if (names.includes(word)) points += 3;
    else if (all.includes(word)) points += 1;
    else if (word.length > 2 && scattered(word, names)) points += 0.5;
    else return 0;
  }
  return points;
}

/** Whether the letters of a word occur in this order. @param {string} word @param {string} text */
function scattered(word, text) {
  let at = -1;
  for (const letter of word) if ((at = text.indexOf(letter, at + 1)) < 0) return false;
  return true;
}

/** @param {string} query */
export const wordsOf = (query) => query.toLowerCase().split(/\s+/).filter(Boolean);
