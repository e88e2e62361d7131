// JSON exactly as it was written: objects are Maps (keys keep their order, "__proto__" is a key like any other) and a number that
// JavaScript cannot hold or would write differently (2^64 - 1, 4.0, 1e5, NaN) stays the text it was.

import { t } from "./words.js";

/** @typedef {null | boolean | number | string | Num | any[] | Map<string, any>} Json */
/** @typedef {{indent: number, pairs: boolean, space: boolean, end: string}} Style */

const DEEPEST = 200;

export class Num {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    Object.freeze(this);
  }
}

export class NotJson extends Error {
  /** @param {string} what @param {string} text @param {number} at */
  constructor(what, text, at) {
    const lines = text.slice(0, at).split("\n");
    super(t("json.where", { line: lines.length, column: lines[lines.length - 1].length + 1, what }));
  }
}

/** @param {string} text @returns {number | Num} */
export function number(text) {
  const value = Number(text);
  return Number.isFinite(value) && String(value) === text ? value : new Num(text);
}

/** @param {any} value @returns {boolean} */
export const isNumber = (value) => typeof value === "number" || value instanceof Num;

/** The nearest JavaScript number; NaN for what is no number. @param {any} value @returns {number} */
export const numberOf = (value) => (value instanceof Num ? Number(value.text) : typeof value === "number" ? value : NaN);

/** @param {any} value @returns {string} */
export const numberText = (value) => (value instanceof Num ? value.text : String(value));

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|-?Infinity/y;
const SPACE = /[ \t\n\r]*/y;

/** @param {string} text @returns {Json} */
export function read(text) {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  /** @param {string} what @returns {never} */
  const fail = (what) => {
    throw new NotJson(what, text, at);
  };
  const skip = () => {
    SPACE.lastIndex = at;
    SPACE.test(text);
    at = SPACE.lastIndex;
  };
  const string = () => {
    const from = at;
    for (at += 1; ; at += 1) {
      const code = text.charCodeAt(at);
      if (code === 34) break;
      if (code === 92) at += 1;
      else if (code < 32 || Number.isNaN(code)) fail(t("json.unclosed-text"));
    }
    at += 1;
    try {
      return /** @type {string} */ (JSON.parse(text.slice(from, at)));
    } catch {
      return fail(t("json.bad-escape"));
    }
  };
  /** @param {number} depth @returns {Json} */
  const value = (depth) => {
    if (depth > DEEPEST) fail(t("json.too-deep", { most: DEEPEST }));
    skip();
    const first = text[at];
    if (first === '"') return string();
    if (first === "{") return object(depth);
    if (first === "[") return list(depth);
    for (const [word, meaning] of /** @type {[string, any][]} */ ([["true", true], ["false", false], ["null", null]])) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    NUMBER.lastIndex = at;
    const found = NUMBER.exec(text);
    if (!found) return fail(at >= text.length ? t("json.too-early") : t("json.no-value"));
    at = NUMBER.lastIndex;
    return number(found[0]);
  };
  /** @param {number} depth */
  const list = (depth) => {
    const items = [];
    at += 1;
    skip();
    if (text[at] === "]") at += 1;
    else {
      for (;;) {
        items.push(value(depth + 1));
        skip();
        if (text[at] === "]") break;
        if (text[at] !== ",") fail(t("json.no-comma-list"));
        at += 1;
      }
      at += 1;
    }
    return items;
  };
  /** @param {number} depth */
  const object = (depth) => {
    const items = new Map();
    at += 1;
    skip();
    if (text[at] === "}") at += 1;
    else {
      for (;;) {
        skip();
        if (text[at] !== '"') fail(t("json.no-key"));
        const key = string();
        if (items.has(key)) fail(t("json.key-twice", { key: JSON.stringify(key.slice(0, 80)) }));
        skip();
        if (text[at] !== ":") fail(t("json.no-colon"));
        at += 1;
        items.set(key, value(depth + 1));
        skip();
        if (text[at] === "}") break;
        if (text[at] !== ",") fail(t("json.no-comma-object"));
        at += 1;
      }
      at += 1;
    }
    return items;
  };
  const found = value(0);
  skip();
  if (at < text.length) fail(t("json.more-text"));
  return found;
}

/** How Easel itself writes files. @type {Style} */
export const EASEL_STYLE = { indent: 2, pairs: true, space: true, end: "\n" };

const PLAIN = String.raw`(?:"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+)`;
const LONG_PAIR = new RegExp(String.raw`\[\n *${PLAIN},\n *${PLAIN}\n *\]`);

/** The habits of a text, so that writing it again changes no more than what was changed. @param {string} text @returns {Style} */
export function styleOf(text) {
  const indent = /^\s*[{[]\n( *)/.exec(text);
  const space = indent !== null || !/^\s*\{"[^"]*":\S/.test(text);
  return { indent: indent ? indent[1].length : 0, pairs: indent === null || !LONG_PAIR.test(text), space, end: /\n$/.test(text) ? "\n" : "" };
}

/** @param {Json} value @param {Style} style @returns {string} */
export function write(value, style = EASEL_STYLE) {
  const colon = style.space ? ": " : ":";
  const flatComma = style.space ? ", " : ",";
  /** @param {string[]} parts @param {string} open @param {string} close @param {string} pad */
  const wrap = (parts, open, close, pad) => {
    if (!parts.length) return open + close;
    if (!style.indent) return open + parts.join(flatComma) + close;
    const inner = pad + " ".repeat(style.indent);
    return `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${pad}${close}`;
  };
  const plain = (/** @type {any} */ item) => typeof item === "string" || isNumber(item);
  /** @param {any} item @param {string} pad @returns {string} */
  const one = (item, pad) => {
    if (item instanceof Num) return item.text;
    if (item === null || typeof item !== "object") return JSON.stringify(item);
    const inner = pad + " ".repeat(style.indent);
    if (Array.isArray(item)) {
      if (style.pairs && item.length === 2 && plain(item[0]) && plain(item[1])) return `[${one(item[0], "")}${flatComma}${one(item[1], "")}]`;
      return wrap(item.map((part) => one(part, inner)), "[", "]", pad);
    }
    return wrap([...item].map(([key, part]) => JSON.stringify(key) + colon + one(part, inner)), "{", "}", pad);
  };
  return one(value, "") + style.end;
}

/** Plain JavaScript data (from a fetch) as exact data. @param {any} value @returns {Json} */
export function exact(value) {
  if (Array.isArray(value)) return value.map(exact);
  if (value !== null && typeof value === "object" && !(value instanceof Num) && !(value instanceof Map)) {
    return new Map(Object.entries(value).map(([key, item]) => [key, exact(item)]));
  }
  return value;
}
