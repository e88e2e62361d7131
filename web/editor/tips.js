// What a thing on the canvas is: shown when the pointer rests on it. The words are those of the node's docstring.

import { badge } from "./draw_state.js";
import { widgetAt, TITLE } from "./scene.js";
import { t } from "./words.js";

/** @typedef {import("./scene.js").NodeView} NodeView */

const REST = 500;

export class Tips {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.timer = 0;
    /** Where the pointer rests. @type {import("./pointer.js").At | null} */
    this.at = null;
    this.box = document.createElement("div");
    this.box.className = "tip";
    this.box.setAttribute("role", "tooltip");
    this.box.hidden = true;
    document.body.append(this.box);
  }

  /** @param {import("./pointer.js").At | null} at @param {NodeView | null} node */
  point(at, node) {
    clearTimeout(this.timer);
    this.box.hidden = true;
    this.at = at;
    if (!at || at.event.pointerType === "touch" || !(node ?? this.socketAt(at))) return;
    this.timer = window.setTimeout(async () => {
      await this.editor.learn();
      if (this.at === at) this.show(at, this.wordsAt(at));
    }, REST);
  }

  /** @param {import("./pointer.js").At} at */
  socketAt({ x, y }) {
    return this.editor.scene.socketAt(x, y, 10 / Math.min(1, this.editor.view.scale));
  }

  /** @param {import("./pointer.js").At} at @returns {string[]} */
  wordsAt(at) {
    const socket = this.socketAt(at);
    const node = this.editor.scene.nodeAt(at.x, at.y);
    return socket ? socketWords(socket) : node ? this.words(node, at) : [];
  }

  /** @param {NodeView} node @param {import("./pointer.js").At} at @returns {string[]} */
  words(node, at) {
    const [x, y] = [at.x - node.x, at.y - node.y];
    const problems = this.editor.problemsOf(node.id).map((item) => `${item.input ? `${item.input}: ` : ""}${item.message}${item.hint ? ` ${item.hint}` : ""}`);
    const widget = widgetAt(node, x, y);
    if (widget) return [widget.name.replaceAll("_", " "), ...inputWords(widget.info), ...problems];
    if (y > TITLE) return problems.length ? [node.title, ...problems] : [];
    const state = this.editor.states.get(node.id);
    const told = state ? [badge(state), state.text, state.reason, state.message].filter(Boolean).join(": ") : "";
    const missing = node.face.known ? "" : t("node.not-installed", { name: node.face.id });
    return [node.title === node.face.title ? node.title : `${node.title} (${node.face.title})`, missing, node.face.help.split("\n\n")[0], told, ...problems].filter(Boolean);
  }

  /** @param {import("./pointer.js").At} at @param {string[]} lines */
  show(at, lines) {
    if (!lines.length) return;
    this.box.replaceChildren(...lines.filter(Boolean).map((line, order) => Object.assign(document.createElement(order ? "p" : "strong"), { textContent: line.slice(0, 600) })));
    this.box.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    const [x, y] = [at.event.clientX + 14, at.event.clientY + 18];
    this.box.style.setProperty("left", `${Math.max(4, Math.min(x, window.innerWidth - width - 6))}px`);
    this.box.style.setProperty("top", `${y + height > window.innerHeight ? Math.max(4, at.event.clientY - height - 10) : y}px`);
  }
}

/** @param {any} found */
function socketWords(found) {
  if (found.socket) return [`${found.socket.label}: ${found.socket.type}`, ...inputWords(found.socket.info)];
  const output = found.view.face.outputs[found.output];
  return [`${output.name}: ${output.type}`, output.help];
}

/** What an input takes: its help, its range and default, whether it may be left out. @param {import("./catalogue.js").InputInfo} info @returns {string[]} */
export function inputWords(info) {
  const range = [info.minimum !== null ? t("node.from-number", { n: info.minimum }) : "", info.maximum !== null && !info.seed ? t("node.to-number", { n: info.maximum }) : "", info.step ? t("node.steps-of", { n: info.step }) : ""].filter(Boolean).join(" ");
  const begin = info.has_default && (typeof info.default === "number" || (typeof info.default === "string" && info.default)) ? t("node.default", { value: String(info.default).slice(0, 60) }) : "";
  return [info.help, [range, begin].filter(Boolean).join(", "), info.required ? "" : t("node.optional")].filter(Boolean);
}
