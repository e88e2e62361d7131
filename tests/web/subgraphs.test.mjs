import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as docs from "../../web/editor/document.js";
import { nextSeed } from "../../web/editor/seeds.js";
import { numberText, read } from "../../web/editor/json.js";
import { definitionOf, expose, givenBy, innerOf, outerOf, promote, subgraphOf, toSubgraph, unpack } from "../../web/editor/subgraphs.js";
import { countTokens } from "../../web/editor/tokens.js";
import { open } from "../../web/editor/workflow_file.js";

const example = readFileSync(new URL("../../workflows/text_to_image.json", import.meta.url), "utf8");
const TYPES = { checkpoint: ["MODEL", "CLIP", "VAE"], positive: ["CONDITIONING"], negative: ["CONDITIONING"], latent: ["LATENT"], sampler: ["LATENT"], decode: ["IMAGE"] };
const typeOf = (id, slot) => TYPES[id][slot];
const links = (doc, id) => Object.fromEntries([...docs.inputsOf(docs.entryOf(doc, id))].filter(([, value]) => Array.isArray(value)));

test("chosen nodes become a subgraph with typed inputs and outputs, and one instance in their place", () => {
  const { doc } = open(example);
  const made = toSubgraph(doc, ["sampler", "decode"], "Paint", typeOf);
  assert.equal(made.name, "paint");
  const definition = definitionOf(made.doc, "paint");
  assert.deepEqual([...definition.get("inputs")].map(([name, info]) => [name, info.get("type")]), [
    ["model", "MODEL"], ["positive", "CONDITIONING"], ["negative", "CONDITIONING"], ["latent_image", "LATENT"], ["vae", "VAE"],
  ]);
  assert.deepEqual([...definition.get("outputs")], [["image", ["decode", 0]]]);
  assert.equal(givenBy(docs.inputsOf(docs.entryOf(innerOf(made.doc, "paint"), "sampler")).get("model")), "model");
  assert.deepEqual(links(made.doc, made.id), { model: ["checkpoint", 0], positive: ["positive", 0], negative: ["negative", 0], latent_image: ["latent", 0], vae: ["checkpoint", 2] });
  assert.deepEqual(links(made.doc, "save"), { images: [made.id, 0] });
  assert.equal(subgraphOf(made.doc, made.id), "paint");
});

test("unpacked again, the links are as before", () => {
  const { doc } = open(example);
  const made = toSubgraph(doc, ["sampler", "decode"], "paint", typeOf);
  const { doc: back, ids } = unpack(made.doc, made.id);
  assert.deepEqual(ids, ["sampler", "decode"]);
  for (const id of docs.nodesOf(doc).keys()) assert.deepEqual(links(back, id), links(doc, id), id);
});

test("an edit of the inside changes the definition and nothing else", () => {
  const { doc } = open(example);
  const made = toSubgraph(doc, ["sampler", "decode"], "paint", typeOf).doc;
  const inner = innerOf(made, "paint");
  assert.equal(innerOf(made, "paint"), inner);
  const next = outerOf(made, "paint", docs.setInput(inner, "sampler", "steps", 3));
  assert.equal(docs.inputsOf(docs.entryOf(innerOf(next, "paint"), "sampler")).get("steps"), 3);
  assert.equal(docs.nodesOf(next), docs.nodesOf(made));
});

test("values and outputs of inner nodes are given to the outside", () => {
  const { doc } = open(example);
  const made = toSubgraph(doc, ["sampler", "decode"], "paint", typeOf).doc;
  const next = expose(promote(made, "paint", "sampler", "steps", "INT"), "paint", "sampler", 0, "LATENT");
  const definition = definitionOf(next, "paint");
  assert.equal(definition.get("inputs").get("steps").get("default"), 20);
  assert.deepEqual([...definition.get("outputs")].at(-1), ["latent", ["sampler", 0]]);
});

test("seeds count exactly up to the largest and around", () => {
  const info = { maximum: 18446744073709551615, minimum: 0 };
  assert.equal(numberText(nextSeed("increment", read("18446744073709551614"), info)), "18446744073709551615");
  assert.equal(numberText(nextSeed("increment", read("18446744073709551615"), info)), "0");
  assert.equal(numberText(nextSeed("decrement", 0, info)), "18446744073709551615");
  assert.ok(BigInt(numberText(nextSeed("random", 0, { maximum: 10 }))) <= 10n);
});

test("words are counted, weights are not", () => {
  assert.equal(countTokens("a red circle on a white background"), 7);
  assert.equal(countTokens("a (red:1.2) circle"), 3);
  assert.equal(countTokens(""), 0);
});
