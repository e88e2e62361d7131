// Editing the value of a widget: one control of the page over the canvas, for the widget that has the focus.

import { evaluate } from "./arithmetic.js";
import { setInput } from "./document.js";
import { isNumber, Num, number, numberOf, numberText } from "./json.js";

/** @typedef {import("./catalogue.js").InputInfo} InputInfo */

/** What a person typed, as a value that the input takes; null when it is none. @param {InputInfo} info @param {string} text */
export function typed(info, text) {
  const types = info.type.split(",");
  if (!types.includes("INT") && !types.includes("FLOAT")) return text;
  const value = evaluate(text);
  if (value === null) return types.includes("STRING") ? text : null;
  if (!types.includes("FLOAT")) {
    const whole = typeof value === "bigint" ? value : BigInt(Math.round(value));
    const top = info.seed ? (1n << 64n) - 1n : info.maximum === null ? whole : BigInt(info.maximum);
    const least = info.minimum === null ? whole : BigInt(info.minimum);
    return number(String(whole < least ? least : whole > top ? top : whole));
  }
  const bounded = Math.min(info.maximum ?? Infinity, Math.max(info.minimum ?? -Infinity, Number(value)));
  return Number.isInteger(bounded) && Math.abs(bounded) < 1e16 ? new Num(`${bounded}.0`) : bounded;
}

/** @param {InputInfo} info @param {any} value @param {number} direction */
export function stepped(info, value, direction) {
  const whole = !info.type.split(",").includes("FLOAT");
  const step = info.step ?? (whole ? 1 : 0.1);
  const text = whole ? `${numberText(value)}+(${direction * step})` : String(Number((numberOf(value) + direction * step).toFixed(10)));
  return typed(info, text) ?? value;
}

/** Ctrl+Up/Down: the weight of the word or selection, as (words:1.1). @param {string} text @param {number} from @param {number} to @param {number} by
 * @returns {{text: string, from: number, to: number}} */
export function weighted(text, from, to, by) {
  while (from === to && from > 0 && /[\w-]/.test(text[from - 1])) from -= 1;
  while (to < text.length && /[\w-]/.test(text[to]) && text.slice(from, to).trim() === text.slice(from, to)) to += 1;
  const around = /\(([^()]*):([\d.]+)\)/g;
  for (let found = around.exec(text); found; found = around.exec(text)) {
    if (found.index <= from && around.lastIndex >= to) {
      const weight = Math.round((Number(found[2]) + by) * 100) / 100;
      const next = weight === 1 ? found[1] : `(${found[1]}:${weight})`;
      return { text: text.slice(0, found.index) + next + text.slice(around.lastIndex), from: found.index, to: found.index + next.length };
    }
  }
  if (from === to) return { text, from, to };
  const next = `(${text.slice(from, to)}:${Math.round((1 + by) * 100) / 100})`;
  return { text: text.slice(0, from) + next + text.slice(to), from, to: from + next.length };
}

/** @param {import("./editor.js").Editor} editor @param {import("./scene.js").NodeView} node @param {import("./scene.js").Widget} widget @param {number} x world */
export function use(editor, node, widget, x) {
  const set = (/** @type {any} */ value, merge = "") => editor.edit(setInput(editor.doc, node.id, widget.name, value), widget.name, merge);
  if (widget.linked) return;
  if (typeof widget.value === "boolean") return set(!widget.value);
  const edge = x < node.x + 30 ? -1 : x > node.x + node.w - 30 ? 1 : 0;
  if (isNumber(widget.value) && edge) return set(stepped(widget.info, widget.value, edge), `${node.id}.${widget.name}`);
  overlay(editor, node, widget, set);
}

/** @param {import("./editor.js").Editor} editor @param {import("./scene.js").NodeView} node @param {import("./scene.js").Widget} widget
 * @param {(value: any, merge?: string) => void} set */
function overlay(editor, node, widget, set) {
  const choices = widget.info.type.includes("COMBO") ? editor.catalogue.choices(widget.info) : null;
  const box = document.createElement(widget.info.multiline ? "textarea" : choices ? "select" : "input");
  box.className = "overlay";
  box.setAttribute("aria-label", `${node.title}: ${widget.name}`);
  const before = isNumber(widget.value) ? numberText(widget.value) : String(widget.value ?? "");
  if (box instanceof HTMLSelectElement && choices) for (const choice of choices.includes(widget.value) ? choices : [widget.value, ...choices]) box.append(new Option(String(choice)));
  box.value = before;
  const { scale } = editor.view;
  const [left, top] = editor.view.toScreen(node.x + 12, node.y + widget.y);
  const corner = editor.canvas.getBoundingClientRect();
  const rules = { left: left + corner.left, top: top + corner.top, width: (node.w - 24) * scale, height: Math.max(22, widget.h * scale) };
  for (const [name, value] of Object.entries(rules)) box.style.setProperty(name, `${value}px`);
  box.style.setProperty("font-size", `${Math.max(12, 13 * scale)}px`);
  let open = true;
  const close = (/** @type {boolean} */ keep) => {
    if (!open) return;
    open = false;
    editor.editing = null;
    const value = choices ? (choices.find((choice) => String(choice) === box.value) ?? widget.value) : typed(widget.info, box.value);
    box.remove();
    if (keep && value !== null && box.value !== before) set(value);
    editor.renderer.draw();
    editor.canvas.focus();
  };
  box.addEventListener("blur", () => close(true));
  box.addEventListener("change", () => choices && close(true));
  box.addEventListener("keydown", (event) => {
    const key = /** @type {KeyboardEvent} */ (event);
    if (key.isComposing) return;
    if (key.key === "Escape") close(false);
    else if (key.key === "Enter" && (key.ctrlKey || key.metaKey)) return close(true);
    else if (key.key === "Enter" && !widget.info.multiline) close(true);
    else if (key.ctrlKey && (key.key === "ArrowUp" || key.key === "ArrowDown") && box instanceof HTMLTextAreaElement) {
      const next = weighted(box.value, box.selectionStart, box.selectionEnd, key.key === "ArrowUp" ? 0.05 : -0.05);
      box.value = next.text;
      box.setSelectionRange(next.from, next.to);
      key.preventDefault();
    }
    key.stopPropagation();
  });
  editor.editing = { id: node.id, name: widget.name };
  document.body.append(box);
  box.focus();
  if (box instanceof HTMLInputElement) box.select();
  editor.renderer.draw();
}
