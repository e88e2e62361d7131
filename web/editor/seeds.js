// Seeds and what becomes of them when a run was queued: they stay, count up or down, or are drawn anew. Seeds reach 2^64 - 1, so they are
// counted exactly.

import { entryOf, inputsOf, linkOf, nodesOf, seedPolicy, setInput, setMetas, metaOf } from "./document.js";
import { isNumber, number, numberText } from "./json.js";

export const POLICIES = /** @type {const} */ (["fixed", "increment", "decrement", "random"]);
const LARGEST = (1n << 64n) - 1n;

/** @param {string} policy @param {any} value @param {import("./catalogue.js").InputInfo} info */
export function nextSeed(policy, value, info) {
  const text = isNumber(value) ? numberText(value) : "0";
  if (!/^-?\d+$/.test(text) && policy !== "random") return value;
  const top = info.maximum === null ? LARGEST : BigInt(Math.round(Number(info.maximum)));
  const limit = top > LARGEST || Number(top) >= 2 ** 63 ? LARGEST : top;
  if (policy === "increment") return number(String(BigInt(text) >= limit ? 0n : BigInt(text) + 1n));
  if (policy === "decrement") return number(String(BigInt(text) <= 0n ? limit : BigInt(text) - 1n));
  if (policy !== "random") return value;
  const words = crypto.getRandomValues(new Uint32Array(2));
  const drawn = (BigInt(words[0] & 0x1fffff) << 32n) | BigInt(words[1]); // 53 bits, as other editors draw
  return number(String(drawn > limit ? drawn % (limit + 1n) : drawn));
}

/** @param {Map<string, any>} doc @param {string} id @param {string} name @param {string} policy */
export function setPolicy(doc, id, name, policy) {
  const policies = new Map(metaOf(entryOf(doc, id)).get("seed_policy"));
  if (policy === "fixed") policies.delete(name);
  else policies.set(name, policy);
  return setMetas(doc, [id], "seed_policy", policies.size ? policies : undefined);
}

/** The document for the next run. @param {Map<string, any>} doc @param {import("./catalogue.js").Catalogue} catalogue */
export function advanceSeeds(doc, catalogue) {
  let next = doc;
  for (const [id, entry] of nodesOf(doc)) {
    if (!(entry instanceof Map) || !metaOf(entry).has("seed_policy")) continue;
    for (const info of catalogue.face(doc, entry).inputs) {
      const policy = info.seed ? seedPolicy(doc, id, info.name) : "fixed";
      const value = inputsOf(entry).get(info.name) ?? info.default;
      if (policy !== "fixed" && !linkOf(value)) next = setInput(next, id, info.name, nextSeed(policy, value, info));
    }
  }
  return next;
}
