// Messages at the foot of the canvas: short news that go by themselves, and problems that stay until they are dealt with. Texts come from
// files and servers, so they are only ever set as text.

import { iconButton } from "./icons.js";

const SECONDS = 6;

export class Notices {
  /** @param {HTMLElement} news @param {HTMLElement} problems */
  constructor(news, problems) {
    this.news = news;
    this.list = problems;
  }

  /** @param {{text: string, kind?: "info" | "error", hint?: string, actions?: {title: string, act: () => unknown}[]}} message */
  say({ text, kind = "info", hint = "", actions = [] }) {
    const line = document.createElement("li");
    line.className = kind;
    const words = document.createElement("span");
    words.textContent = text.slice(0, 2000);
    line.append(words);
    if (hint) line.append(Object.assign(document.createElement("small"), { textContent: hint }));
    for (const { title, act } of actions) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: title });
      button.addEventListener("click", () => {
        line.remove();
        act();
      });
      line.append(button);
    }
    line.append(iconButton("close", "Dismiss", () => line.remove()));
    (kind === "error" ? this.list : this.news).append(line);
    if (kind === "info" && !actions.length) setTimeout(() => line.remove(), SECONDS * 1000);
  }

  /** @param {import("./api.js").Problem[]} problems @param {import("./editor.js").Editor} editor */
  problems(problems, editor) {
    this.clear();
    for (const problem of problems.slice(0, 50)) {
      const id = problem.node_id ?? "";
      const node = editor.scene.nodes.get(id) ?? editor.scene.nodes.get(id.split(":")[0]);
      const input = problem.input ?? problem.details?.input_name;
      const where = node ? `${node.title}${input ? `, ${input}` : ""}: ` : "";
      const actions = node ? [{ title: "Show", act: () => editor.show(node.id) }] : [];
      this.say({ text: where + problem.message, kind: "error", hint: problem.hint ?? "", actions: [] });
      const line = /** @type {HTMLElement} */ (this.list.lastElementChild);
      if (!node) continue;
      line.classList.add("leads");
      line.addEventListener("click", (event) => event.target instanceof HTMLButtonElement || actions[0].act());
    }
  }

  clear() {
    this.list.replaceChildren();
  }
}
