// What a person sets in this browser, once: the panel of settings is made from this table. Each setting says what it begins with and what it may be.

import { recallObject } from "./kept.js";
import { SHAPES } from "./links.js";

/** @typedef {{begins: string, choices: readonly string[]}} Choice */
/** @typedef {{begins: boolean}} Switch */
/** @typedef {{begins: number, least: number, most: number, step: number}} Amount */
/** @typedef {{begins: Record<string, string[]>}} Keys */
/** @typedef {Choice | Switch | Amount | Keys} Setting */

/** The theme of the page; the shape of links; whether the mini-map is shown, nodes snap to the grid, and how wide that is in units of the world; what the
 * wheel does to the view; whether the browser checks spelling; by how much Ctrl+Up and Down change a weight; whether what a run saves holds its workflow;
 * keys of the person's own, by command. */
export const SETTINGS = {
  theme: { begins: "system", choices: ["system", "dark", "light"] },
  links: { begins: "curve", choices: SHAPES },
  minimap: { begins: true },
  wheel: { begins: "zoom", choices: ["zoom", "pan"] },
  snap: { begins: false },
  grid: { begins: 10, least: 2, most: 200, step: 1 },
  spelling: { begins: false },
  weight: { begins: 0.05, least: 0.01, most: 1, step: 0.01 },
  metadata: { begins: true },
  keys: { begins: {} },
};

/** @typedef {keyof typeof SETTINGS} Name */
/**
 * @typedef {object} Values
 * @property {"system" | "dark" | "light"} theme
 * @property {import("./links.js").Shape} links
 * @property {boolean} minimap
 * @property {"zoom" | "pan"} wheel
 * @property {boolean} snap
 * @property {number} grid
 * @property {boolean} spelling
 * @property {number} weight
 * @property {boolean} metadata
 * @property {Record<string, string[]>} keys
 */

const KEPT = "easel.settings";

/** @param {Setting} setting @param {any} value */
function fits(setting, value) {
  if ("choices" in setting) return setting.choices.includes(value);
  if ("least" in setting) return typeof value === "number" && value >= setting.least && value <= setting.most;
  if (typeof setting.begins === "boolean") return typeof value === "boolean";
  return value !== null && typeof value === "object" && Object.values(value).every((keys) => Array.isArray(keys) && keys.every((key) => typeof key === "string"));
}

export class Settings {
  /** @param {Storage} storage @param {import("./events.js").Events} events */
  constructor(storage, events) {
    this.storage = storage;
    this.events = events;
    const kept = recallObject(storage, KEPT);
    this.values = /** @type {Values} */ (Object.fromEntries(Object.entries(SETTINGS).map(([name, setting]) => [name, fits(setting, kept[name]) ? kept[name] : setting.begins])));
  }

  /** @template {Name} N @param {N} name @returns {Values[N]} */
  get(name) {
    return this.values[name];
  }

  /** Throws RangeError for a value that the setting cannot have. @template {Name} N @param {N} name @param {Values[N]} value */
  set(name, value) {
    if (!fits(SETTINGS[name], value)) throw new RangeError(`${name}: ${String(value)}`);
    this.values[name] = value;
    this.storage.setItem(KEPT, JSON.stringify({ ...recallObject(this.storage, KEPT), [name]: value })); // another tab may have set others
    this.events.emit("settings", name);
  }

  /** @param {"minimap" | "snap"} name */
  toggle(name) {
    this.set(name, !this.get(name));
  }
}
