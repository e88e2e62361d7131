// Messages over the canvas: short news that go by themselves, and problems that stay until they are dealt with. Texts come from files and
// servers, so they are only ever set as text.

import { iconButton } from "./icons.js";
import { inPlace } from "./problems.js";
import { t } from "./words.js";

const SECONDS = 6;
const MOST = 50;
const LONGEST = 2000;

export class Notices {
  /** @param {HTMLElement} news @param {HTMLElement} problems */
  constructor(news, problems) {
    this.news = news;
    this.list = problems;
  }

  /** @param {{text: string, kind?: "info" | "error", hint?: string, actions?: {title: string, act: () => unknown}[]}} message @returns {HTMLLIElement} */
  say({ text, kind = "info", hint = "", actions = [] }) {
    const line = document.createElement("li");
    line.className = kind;
    line.append(Object.assign(document.createElement("span"), { textContent: text.slice(0, LONGEST) }));
    if (hint) line.append(Object.assign(document.createElement("small"), { textContent: hint.slice(0, LONGEST) }));
    for (const { title, act } of actions) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: title });
      button.addEventListener("click", () => {
        line.remove();
        act();
      });
      line.append(button);
    }
    line.append(iconButton("close", t("page.dismiss"), () => line.remove()));
    (kind === "error" ? this.list : this.news).append(line);
    if (kind === "info" && !actions.length) setTimeout(() => line.remove(), SECONDS * 1000);
    return line;
  }

  /** @param {import("./api.js").Problem[]} problems @param {import("./editor.js").Editor} editor */
  problems(problems, editor) {
    this.clear();
    for (const problem of problems.slice(0, MOST)) {
      const flat = problem.node_id ?? "";
      const title = editor.titleOf(flat);
      const input = problem.input ?? problem.details?.input_name;
      const where = `${title}${input ? `, ${String(input).replaceAll("_", " ")}` : ""}: `;
      const line = this.say({ text: title ? where + inPlace(problem.message) : problem.message, kind: "error", hint: problem.hint ?? "" });
      if (problem.details?.log_id) line.append(logPlace(editor.events, { job: problem.job, node: flat, id: problem.details.log_id }));
      if (!title) continue;
      line.dataset.node = flat;
      const show = Object.assign(document.createElement("button"), { type: "button", textContent: t("page.show") });
      show.addEventListener("click", () => editor.reveal(flat));
      line.querySelector(".icon-button")?.before(show);
    }
  }

  /** The problems of a node are gone. @param {string} id */
  forget(id) {
    for (const line of [...this.list.children]) if (line instanceof HTMLElement && line.dataset.node === id) line.remove();
  }

  clear() {
    this.list.replaceChildren();
  }
}

/** Where a failure stands in the log. @param {import("./events.js").Events} events @param {{job?: string, node: string, id: string}} place */
function logPlace(events, place) {
  const words = Object.assign(document.createElement("small"), { className: "log-id", textContent: `${t("log.id", { id: place.id })} ` });
  for (const [title, act] of /** @type {[string, () => void][]} */ ([[t("log.copy-id"), () => events.emit("copy", place.id)], [t("log.open"), () => events.emit("log", place)]])) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: title });
    button.addEventListener("click", act);
    words.append(button);
  }
  return words;
}
