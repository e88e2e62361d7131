// Search a node and add it; after a link was dropped, only nodes that fit it, and the new one is linked.

import { startValue } from "./catalogue.js";
import { addNode, connect, freeId } from "./document.js";
import { exact, Num } from "./json.js";
import { fits } from "./types.js";

/** @param {import("./catalogue.js").NodeInfo} info @param {string[]} words @returns {number} 0: does not match */
export function score(info, words) {
  const names = [info.display_name, info.id, ...info.aliases.map((alias) => alias.id)].join(" ").toLowerCase();
  const all = `${names} ${info.category} ${info.help}`.toLowerCase();
  let points = 1;
  for (const word of words) {
    if (!all.includes(word)) return 0;
    points += names.startsWith(word) ? 4 : names.includes(word) ? 2 : 0;
  }
  return points;
}

/** @param {any} info @param {any} drag the socket of `info` that a dropped link fits; undefined for none */
const partner = (info, drag) =>
  drag.backwards
    ? info.outputs.findIndex((/** @type {any} */ output) => fits(output.type, drag.type))
    : info.inputs.findIndex((/** @type {any} */ input) => !input.variadic && fits(drag.type, input.type));

/** @param {import("./editor.js").Editor} editor @param {string} id @param {[number, number]} at @param {any} [drag]
 * @param {Record<string, any>} [given] values other than the defaults @returns {string} the id of the new node */
export function add(editor, id, at, drag, given = {}) {
  const info = /** @type {any} */ (editor.catalogue.nodes.get(id));
  const inputs = new Map();
  for (const input of info.inputs) {
    const value = startValue(editor.catalogue, input);
    if (value !== undefined) inputs.set(input.name, literal(value, input.type));
  }
  for (const [name, value] of Object.entries(given)) inputs.set(name, exact(value));
  const name = freeId(editor.doc, id);
  let doc = addNode(editor.doc, name, id, inputs, at);
  if (drag) {
    const which = partner(info, drag);
    doc = drag.backwards ? connect(doc, name, which, drag.node.id, drag.socket.name) : connect(doc, drag.node.id, drag.slot, name, info.inputs[which].name);
  }
  editor.edit(doc, "Add node");
  editor.select([name]);
  return name;
}

/** @param {any} value @param {string} type */
function literal(value, type) {
  if (type === "FLOAT" && Number.isInteger(value)) return new Num(`${value}.0`);
  return Array.isArray(value) ? new Map([["__value__", exact(value)]]) : exact(value);
}

/** @param {import("./editor.js").Editor} editor @param {[number, number]} at @param {any} [drag] */
export function search(editor, at, drag) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("search"));
  const query = /** @type {HTMLInputElement} */ (document.getElementById("query"));
  const list = /** @type {HTMLElement} */ (document.getElementById("found"));
  let chosen = 0;
  const pick = (/** @type {string} */ id) => {
    dialog.close();
    add(editor, id, at, drag);
    editor.canvas.focus();
  };
  const show = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...editor.catalogue.nodes.values()]
      .filter((info) => !drag || partner(info, drag) >= 0)
      .map((info) => ({ info, points: score(info, words) }))
      .filter((item) => item.points)
      .sort((a, b) => b.points - a.points || a.info.display_name.localeCompare(b.info.display_name))
      .slice(0, 40);
    chosen = Math.max(0, Math.min(chosen, found.length - 1));
    list.replaceChildren(...found.map(({ info }, order) => {
      const line = document.createElement("li");
      const button = document.createElement("button");
      button.textContent = `${info.display_name}  ·  ${info.category}`;
      button.title = info.help;
      button.dataset.id = info.id;
      button.setAttribute("aria-current", String(order === chosen));
      button.addEventListener("click", () => pick(info.id));
      line.append(button);
      return line;
    }));
  };
  query.value = "";
  query.oninput = () => {
    chosen = 0;
    show();
  };
  query.onkeydown = (event) => {
    event.stopPropagation();
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) {
      chosen += step;
      show();
      event.preventDefault();
    } else if (event.key === "Enter") list.querySelector("[aria-current=true]")?.dispatchEvent(new MouseEvent("click"));
  };
  show();
  dialog.showModal();
  query.focus();
}
