// A choice from a list that is filtered by what is typed.

import { openField } from "./field.js";
import { t } from "./words.js";

const MOST = 200;
let lists = 0;

/** @typedef {{label: string, value: any, picture?: string, missing?: boolean, act?: () => void}} Choice `act`: does something else than to choose */

/** @param {import("./editor.js").Editor} editor @param {{place: () => any, label: string, choices: Choice[], value: any, pick: (value: any) => void,
 *   leave?: (step: number) => void}} combo
 * @returns {() => void} shows the choices again, which may have changed */
export function openCombo(editor, { place, label, choices, value, pick, leave }) {
  const list = document.createElement("ul");
  list.id = `choices-${(lists += 1)}`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", label);
  let query = "";
  let at = 0;
  /** @type {Choice[]} */
  let found = [];
  const take = (/** @type {Choice | undefined} */ choice) => {
    field.close(false);
    if (choice?.act) choice.act();
    else if (choice && choice.value !== value) pick(choice.value);
  };
  const show = () => {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    found = choices.filter((choice) => words.every((word) => choice.label.toLowerCase().includes(word))).slice(0, MOST);
    at = Math.max(0, Math.min(at, found.length - 1));
    list.replaceChildren(...found.map((choice, order) => {
      const line = document.createElement("li");
      line.id = `${list.id}-${order}`;
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", String(order === at));
      line.classList.toggle("missing", choice.missing === true);
      line.classList.toggle("action", choice.act !== undefined);
      if (choice.picture) line.append(Object.assign(document.createElement("img"), { src: choice.picture, alt: "", loading: "lazy" }));
      line.append(choice.missing ? t("field.not-here", { name: choice.label }) : choice.label);
      line.addEventListener("pointerdown", (event) => event.preventDefault());
      line.addEventListener("click", () => take(choice));
      return line;
    }));
    if (!found.length) list.append(Object.assign(document.createElement("li"), { className: "none", textContent: t("page.nothing-matches") }));
    const line = list.children[at];
    field.box.setAttribute("aria-activedescendant", line?.id ?? "");
    line?.scrollIntoView({ block: "nearest" });
  };
  const field = openField(editor, {
    place, label, text: String(value ?? ""), leave,
    done: () => {},
    typed: (text) => {
      query = text;
      at = 0;
      show();
    },
    key: (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (step) {
        at += step;
        show();
        return true;
      }
      if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return false;
      take(found[at]);
      return true;
    },
  });
  const { box, host } = field;
  for (const [name, text] of Object.entries({ role: "combobox", "aria-expanded": "true", "aria-controls": list.id, "aria-autocomplete": "list" })) box.setAttribute(name, text);
  host.classList.add("combo");
  host.append(list);
  at = Math.max(0, choices.findIndex((choice) => choice.value === value));
  show();
  if (host.getBoundingClientRect().bottom > window.innerHeight) host.classList.add("upward");
  return () => host.isConnected && show();
}
