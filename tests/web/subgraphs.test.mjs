import assert from "node:assert/strict";
import { test } from "node:test";

import { Catalogue } from "../../web/editor/catalogue.js";
import { exact } from "../../web/editor/json.js";
import { byNode } from "../../web/editor/problems.js";
import { Run } from "../../web/editor/runs.js";
import { removePort, renamePort } from "../../web/editor/subgraph_ports.js";
import { wayTo } from "../../web/editor/subgraphs.js";

const blur = { class_type: "Blur", inputs: { image: { __input__: "image" }, radius: { __input__: "radius" }, mode: { __input__: "kind" } } };
const doc = exact({
  format: "easel/1",
  nodes: { outer: { class_type: "subgraph:twice" }, "12:5": { class_type: "Blur" }, plain: { class_type: "Blur" } },
  subgraphs: {
    twice: { inputs: { image: { type: "IMAGE" }, amount: { type: "INT", default: 9 } }, outputs: { image: ["inner", 0] },
      nodes: { inner: { class_type: "subgraph:once", inputs: { image: { __input__: "image" }, radius: { __input__: "amount" } } } } },
    once: { inputs: { image: { type: "IMAGE" }, radius: { type: "INT" }, kind: {} }, outputs: { image: ["blur", 0] }, nodes: { blur } },
  },
});
const event = (type, id, more = {}) => ({ type, sequence: 1, time: 10, node_id: id, display_id: id, ...more });

test("a node is found by the id that it has when all subgraphs are laid flat", () => {
  assert.deepEqual(wayTo(doc, "plain"), { entered: [], id: "plain" });
  assert.deepEqual(wayTo(doc, "12:5"), { entered: [], id: "12:5" }, "a colon may also be a part of a name");
  assert.deepEqual(wayTo(doc, "outer:inner:blur"), { entered: [{ name: "twice", id: "outer" }, { name: "once", id: "inner" }], id: "blur" });
  assert.deepEqual(wayTo(doc, "outer:gone"), { entered: [{ name: "twice", id: "outer" }], id: "" });
  assert.deepEqual(wayTo(doc, "gone:inner"), { entered: [], id: "" });
});

test("what a node in a subgraph does is told of it and of every instance around it", () => {
  const run = new Run("job", doc, () => {});
  run.hear(event("node_progress", "outer:inner:blur", { value: 1, total: 4 }));
  for (const id of ["outer", "outer:inner", "outer:inner:blur"]) assert.equal(run.states.get(id).value, 1, id);
  run.hear(event("node_finished", "outer:inner:blur", { cached: false, seconds: 2, reason: "new", ui: { text: ["words"] } }));
  assert.equal(run.states.get("outer:inner:blur").state, "done");
  assert.equal(run.texts.get("outer:inner"), "words");
  run.hear(event("node_started", "gone"));
  assert.equal(run.states.has("gone"), false);
  const again = new Run("next", doc, () => {});
  again.hear({ type: "nodes_cached", sequence: 1, time: 1, nodes: ["outer:inner:blur", "plain"] });
  assert.deepEqual([...again.states].map(([id, { state }]) => `${id} ${state}`), ["outer cached", "outer:inner cached", "outer:inner:blur cached", "plain cached"]);
});

test("a problem in a subgraph is one of every instance around it", () => {
  assert.deepEqual([...byNode([{ message: "wrong", node_id: "outer:inner:blur" }]).keys()], ["outer", "outer:inner", "outer:inner:blur"]);
});

test("an input of a subgraph takes what the one that it sets takes, through nested ones too", () => {
  const radius = { name: "radius", type: "INT", default: 3, minimum: 1, maximum: 50 };
  const mode = { name: "mode", type: "COMBO", choices: ["box", "gauss"] };
  const data = { nodes: { Blur: { id: "Blur", display_name: "Blur", category: "image", inputs: [2, 0, 1], outputs: [0] } }, inputs: [radius, mode, { name: "image", type: "IMAGE" }], outputs: [{ name: "IMAGE", type: "IMAGE" }], files: {} };
  const catalogue = new Catalogue(data, { Blur: { help: "Make soft.", module: "nodes.image", inputs: { radius: "in pixels" }, outputs: [""] } });
  assert.equal(catalogue.nodes.get("Blur").inputs[0].required, true, "what is not said is the default");
  const [image, amount] = catalogue.face(doc, doc.get("nodes").get("outer")).inputs;
  assert.deepEqual([image.type, image.required], ["IMAGE", true]);
  assert.deepEqual([amount.default, amount.minimum, amount.maximum, amount.required, amount.help], [9, 1, 50, false, "in pixels"]);
  assert.equal(catalogue.face(doc, doc.get("nodes").get("outer")).outputs[0].type, "IMAGE");
  const once = catalogue.face(doc, exact({ class_type: "subgraph:once" })).inputs;
  assert.deepEqual(once.map((input) => [input.name, input.type]), [["image", "IMAGE"], ["radius", "INT"], ["kind", "COMBO"]]);
  assert.deepEqual(catalogue.choices(once[2]), ["box", "gauss"]);
});

const plain = (value) => (value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [key, plain(item)])) : Array.isArray(value) ? value.map(plain) : value);
const wired = exact({
  nodes: { one: { class_type: "subgraph:part", inputs: { a: 1, b: ["x", 0] } }, next: { class_type: "Add", inputs: { p: ["one", 0], q: ["one", 1], r: ["one", 2], s: ["x", 1] } } },
  subgraphs: {
    part: { inputs: { a: { type: "INT", default: 5 }, b: {} }, outputs: { first: ["n", 0], passed: { __input__: "a" }, last: ["n", 1] }, nodes: { n: { class_type: "Add", inputs: { a: { __input__: "a" }, b: { __input__: "b" } } } } },
    around: { inputs: {}, outputs: { out: ["in", 2], gone: ["in", 1] }, nodes: { in: { class_type: "subgraph:part", inputs: { a: 2 } } } },
  },
});

test("an input of a subgraph is renamed wherever it is read and given", () => {
  const found = plain(renamePort(wired, "part", "inputs", "a", "amount"));
  assert.deepEqual(Object.keys(found.subgraphs.part.inputs), ["amount", "b"]);
  assert.deepEqual(found.subgraphs.part.nodes.n.inputs.a, { __input__: "amount" });
  assert.deepEqual(found.subgraphs.part.outputs.passed, { __input__: "amount" });
  assert.deepEqual(found.nodes.one.inputs, { amount: 1, b: ["x", 0] });
  assert.deepEqual(found.subgraphs.around.nodes.in.inputs, { amount: 2 });
  assert.equal(renamePort(wired, "part", "inputs", "a", " "), wired);
  assert.deepEqual(Object.keys(plain(renamePort(wired, "part", "outputs", "last", "first")).subgraphs.part.outputs), ["first", "passed", "first_2"]);
});

test("a removed input leaves its default, a removed output no link, and the others where they were", () => {
  const found = plain(removePort(wired, "part", "inputs", "a"));
  assert.deepEqual(found.subgraphs.part.nodes.n.inputs, { a: 5, b: { __input__: "b" } });
  assert.deepEqual(Object.keys(found.subgraphs.part.outputs), ["first", "last"], "what passed it on has nothing to pass");
  assert.deepEqual(found.nodes.one.inputs, { b: ["x", 0] });
  assert.deepEqual(found.nodes.next.inputs, { p: ["one", 0], r: ["one", 1], s: ["x", 1] });
  assert.deepEqual(found.subgraphs.around.outputs, { out: ["in", 1] });
  assert.deepEqual(plain(removePort(wired, "part", "inputs", "b")).subgraphs.part.nodes.n.inputs, { a: { __input__: "a" } });
});

test("a subgraph that holds itself a hundred times is looked into once", () => {
  const nodes = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`n${at}`, { class_type: "subgraph:ring", inputs: { [`in${at}`]: { __input__: `in${at}` } } }]));
  const inputs = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`in${at}`, {}]));
  const ring = exact({ nodes: { a: { class_type: "subgraph:ring" } }, subgraphs: { ring: { inputs, outputs: { out: ["n0", 0] }, nodes } } });
  const face = new Catalogue({ nodes: {}, inputs: [], outputs: [], files: {} }).face(ring, ring.get("nodes").get("a"));
  assert.deepEqual([face.inputs.length, face.outputs[0].type], [100, "*"]);
});
