// The graph as a list of the page, for screen readers, keys and tests: every node with its values, links, state and problems.

import { isNumber, numberText } from "./json.js";
import { counted, t } from "./words.js";

/** @typedef {import("./app.js").App} App */

const MOST = 400;

/** @param {App} app @param {import("./scene.js").NodeView} node */
function words(app, node) {
  const { editor } = app;
  const parts = [`${node.title} (${node.face.title})`];
  if (node.mode !== "run") parts.push(node.mode === "mute" ? t("node.muted") : t("node.bypassed"));
  if (!node.face.known) parts.push(t("node.missing"));
  for (const socket of node.inputs) {
    if (socket.link) parts.push(t("node.from", { input: socket.label, node: editor.scene.nodes.get(socket.link.node)?.title ?? socket.link.node }));
    else if (socket.widget && socket.value !== undefined) parts.push(t("node.value", { input: socket.label, value: isNumber(socket.value) ? numberText(socket.value) : String(socket.value).slice(0, 200) }));
  }
  const state = editor.states.get(node.id);
  if (state) parts.push([state.state, state.reason].filter(Boolean).join(", "));
  const text = editor.text(node.id);
  if (text) parts.push(t("node.shows", { text: text.slice(0, 500) }));
  const pictures = editor.run?.pictures.get(editor.path + node.id)?.length ?? 0;
  if (pictures) parts.push(counted("node.pictures", pictures));
  for (const problem of editor.problemsOf(node.id)) parts.push(t("node.problem", { what: problem.message }));
  return parts.join("; ");
}

/** @param {App} app */
export function showOutline(app) {
  const list = /** @type {HTMLElement} */ (document.getElementById("outline"));
  const { editor } = app;
  /** @type {Map<string, HTMLLIElement>} */
  const lines = new Map();
  let waiting = false;
  const show = () => {
    waiting = false;
    const nodes = [...editor.scene.nodes.values()].slice(0, MOST);
    for (const [id, line] of lines) {
      if (editor.scene.nodes.has(id)) continue;
      line.remove();
      lines.delete(id);
    }
    for (const node of nodes) {
      let line = lines.get(node.id);
      if (!line) {
        line = document.createElement("li");
        line.dataset.id = node.id;
        const button = Object.assign(document.createElement("button"), { type: "button" });
        button.addEventListener("click", () => {
          editor.show(node.id);
          editor.canvas.focus();
        });
        line.append(button);
        lines.set(node.id, line);
        list.append(line);
      }
      const text = words(app, node);
      const button = /** @type {HTMLButtonElement} */ (line.firstElementChild);
      if (button.textContent !== text) button.textContent = text;
      const state = editor.states.get(node.id)?.state ?? "";
      if (line.dataset.state !== state) line.dataset.state = state;
      const chosen = String(editor.selection.has(node.id));
      if (button.getAttribute("aria-pressed") !== chosen) button.setAttribute("aria-pressed", chosen);
    }
    list.dataset.count = String(editor.scene.nodes.size);
  };
  const later = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(show, 30);
  };
  for (const name of /** @type {const} */ (["document", "selection", "run", "opened"])) app.events.on(name, later);
}
