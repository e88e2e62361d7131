// Files: text -> document and back. What a JSON is decides the same table as in docs/workflow_format.md.

import { nodesOf } from "./document.js";
import { EASEL_STYLE, read, styleOf, write } from "./json.js";
import { counted, t } from "./words.js";

/** @typedef {import("./document.js").Doc} Doc */
/** @typedef {import("./json.js").Style} Style */
/** @typedef {{doc: Doc, style?: Style, kind: "easel" | "api", notes: string[]}} Opened */

export class NotAWorkflow extends Error {
  /** @param {string} message @param {boolean} [foreign] whether the server may know how to import it */
  constructor(message, foreign = false) {
    super(message);
    this.foreign = foreign;
  }
}

/** Throws NotJson or NotAWorkflow; runs nothing. @param {string} text @returns {Opened} */
export function open(text) {
  const found = read(text);
  if (!(found instanceof Map)) throw new NotAWorkflow(t("workflow.not-one"));
  const format = found.get("format");
  if (typeof format === "string" && format.startsWith("easel/")) {
    const notes = format === "easel/1" ? [] : [t("workflow.other-version", { format: format.slice(0, 40) })];
    if (!(found.get("nodes") instanceof Map)) throw new NotAWorkflow(t("workflow.no-nodes"));
    return { doc: found, style: styleOf(text), kind: "easel", notes: [...notes, ...faults(found)] };
  }
  if (Array.isArray(found.get("nodes"))) throw new NotAWorkflow(t("workflow.comfy"), true);
  if ([...found.values()].some((value) => value instanceof Map && value.has("class_type"))) {
    const doc = new Map(/** @type {[string, any][]} */ ([["format", "easel/1"], ["revision", 0], ["nodes", found]]));
    return { doc, style: EASEL_STYLE, kind: "api", notes: faults(doc) };
  }
  throw new NotAWorkflow(t("workflow.not-one"));
}

/** @param {Doc} doc @returns {string[]} */
function faults(doc) {
  const broken = [...nodesOf(doc)].filter(([, entry]) => !(/** @type {any} */ (entry) instanceof Map) || typeof entry.get("class_type") !== "string");
  return broken.length ? [counted("workflow.classless", broken.length, { ids: broken.map(([id]) => id.slice(0, 40)).slice(0, 5).join(", ") })] : [];
}

/** @param {Doc} doc @param {Style} style */
export const save = (doc, style = EASEL_STYLE) => write(doc, style);
