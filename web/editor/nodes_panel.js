// Panel: the installed nodes by category; a click adds one in the middle of the view, a drag where it is dropped.

import { rank, wordsOf } from "./picker.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./catalogue.js").NodeInfo} NodeInfo */

/** @param {HTMLElement} element @param {App} app @returns {() => void} */
export function mount(element, app) {
  const query = Object.assign(document.createElement("input"), { type: "search", placeholder: t("nodes.search") });
  query.setAttribute("aria-label", t("nodes.search"));
  const tree = document.createElement("div");
  element.append(query, tree);
  const show = () => {
    const words = wordsOf(query.value);
    /** @type {Map<string, NodeInfo[]>} */
    const groups = new Map();
    for (const info of app.editor.catalogue.nodes.values()) {
      const names = `${info.display_name} ${info.id}`.toLowerCase();
      if (rank(words, names, `${names} ${info.category} ${info.help}`.toLowerCase())) groups.set(info.category, [...(groups.get(info.category) ?? []), info]);
    }
    tree.replaceChildren(...[...groups].sort(([a], [b]) => a.localeCompare(b)).map(([category, nodes]) => part(app, category, nodes, words.length > 0)));
  };
  query.addEventListener("input", show);
  show();
  const drop = (/** @type {DragEvent} */ event) => {
    const id = event.dataTransfer?.getData("application/x-easel-node");
    if (!id || !app.editor.catalogue.nodes.has(id)) return;
    event.preventDefault();
    const corner = app.editor.canvas.getBoundingClientRect();
    app.addNode(id, {}, app.editor.view.toWorld(event.clientX - corner.left, event.clientY - corner.top));
  };
  const over = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("application/x-easel-node") && event.preventDefault();
  app.editor.canvas.addEventListener("drop", drop);
  app.editor.canvas.addEventListener("dragover", over);
  const off = app.events.on("catalogue", show);
  app.learn();
  return () => {
    off();
    app.editor.canvas.removeEventListener("drop", drop);
    app.editor.canvas.removeEventListener("dragover", over);
  };
}

/** @param {App} app @param {string} category @param {NodeInfo[]} nodes @param {boolean} open */
function part(app, category, nodes, open) {
  const details = document.createElement("details");
  details.open = open;
  details.append(Object.assign(document.createElement("summary"), { textContent: t("nodes.category", { category: category || t("nodes.uncategorised"), count: nodes.length }) }));
  const list = document.createElement("ul");
  list.className = "entries";
  for (const info of nodes.sort((a, b) => a.display_name.localeCompare(b.display_name))) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: info.display_name, title: info.help, draggable: true });
    button.addEventListener("click", () => app.addNode(info.id));
    button.addEventListener("dragstart", (event) => event.dataTransfer?.setData("application/x-easel-node", info.id));
    const line = document.createElement("li");
    line.append(button);
    list.append(line);
  }
  details.append(list);
  return details;
}
