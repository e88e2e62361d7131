// Values of widgets: what a person typed, a step up or down, the weight of words in a prompt.

import { evaluate } from "./arithmetic.js";
import { Num, number, numberOf, numberText } from "./json.js";

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
  const fine = info.minimum !== null && info.maximum !== null && info.maximum - info.minimum <= 2;
  const step = info.step ?? (whole ? 1 : fine ? 0.01 : 0.1);
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
