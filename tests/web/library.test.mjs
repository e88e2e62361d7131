import assert from "node:assert/strict";
import { test } from "node:test";

const { withDefinitions } = await import("../../web/editor/definitions.js");
const { exact, write } = await import("../../web/editor/json.js");
const { libraryDocument, publishedOf, updated } = await import("../../web/editor/library.js");
const { bringIn, extract, merge } = await import("../../web/editor/merging.js");

const COMPACT = { indent: 0, pairs: true, space: false, end: "" };
const instance = (name, inputs = {}) => ({ class_type: `subgraph:${name}`, inputs });
const soft = (radius) => ({ inputs: { image: { type: "IMAGE" }, amount: {} }, outputs: { image: ["b", 0], mask: ["b", 1] },
  nodes: { b: { class_type: "Blur", inputs: { image: { __input__: "image" }, radius } } }, layout: { nodes: { b: { pos: [1, 2] } } } });
const twice = { outputs: { image: ["y", 0] }, nodes: { x: instance("soft"), y: instance("soft", { image: ["x", 0] }) } };
const doc = (subgraphs, nodes = {}) => exact({ format: "easel/1", nodes, subgraphs });
const names = (found) => [...found.get("subgraphs").keys()];
const type = (found, id) => found.get("nodes").get(id).get("class_type");

test("copied nodes bring the subgraphs that they need, those inside of others too", () => {
  const whole = doc({ other: soft(9), twice, soft: soft(1) }, { t: instance("twice"), o: instance("other"), s: { class_type: "Save", inputs: { image: ["t", 0] } } });
  const part = extract(whole, ["t", "s"]);
  assert.deepEqual(names(part), ["twice", "soft"]);
  const { doc: next, apart } = merge(doc({}), part, [0, 0], false);
  assert.deepEqual([names(next), apart], [["twice", "soft"], []]);
});

test("a subgraph that is the same is shared, whatever it is called and wherever its nodes stand", () => {
  const moved = { ...soft(1), layout: {}, published: { workflow: "subgraphs/soft.json", revision: 1 } };
  const here = doc({ mine: soft(1) });
  const { doc: next, ids, apart } = merge(here, doc({ soft: moved, twice }, { t: instance("twice"), s: instance("soft") }), [0, 0], false);
  assert.deepEqual(names(next), ["mine", "twice"]);
  assert.deepEqual([type(next, ids[1]), apart], ["subgraph:mine", []]);
  assert.equal(next.get("subgraphs").get("twice").get("nodes").get("y").get("class_type"), "subgraph:mine");
});

test("another subgraph of the same name keeps apart, also one that differs only in what it holds", () => {
  const here = doc({ soft: soft(1), twice });
  const { doc: next, ids, apart } = merge(here, doc({ soft: soft(2), twice }, { t: instance("twice"), s: instance("soft") }), [0, 0], false);
  assert.deepEqual(names(next), ["soft", "twice", "soft_2", "twice_2"]);
  assert.deepEqual(ids.map((id) => type(next, id)), ["subgraph:twice_2", "subgraph:soft_2"]);
  assert.deepEqual(apart, [["soft", "soft_2"], ["twice", "twice_2"]]);
  assert.equal(next.get("subgraphs").get("twice_2").get("nodes").get("x").get("class_type"), "subgraph:soft_2");
  assert.equal(here.get("subgraphs").get("soft"), next.get("subgraphs").get("soft"));
});

test("definitions that hold themselves, or one another, or hardly anything, are compared all the same", () => {
  const ring = { a: { nodes: { n: instance("b") } }, b: { nodes: { n: instance("a") } }, self: { nodes: { n: instance("self") } }, odd: 7, none: {}, lost: { nodes: { n: instance("gone"), m: null } } };
  const { names: known, apart } = withDefinitions(doc(ring), doc({ ...ring, none: { nodes: { n: 1 } } }));
  assert.deepEqual(apart, [["none", "none_2"]]);
  assert.equal(known.get("self"), "self");
  const deep = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`s${at}`, { nodes: { n: instance(`s${at + 1}`), m: instance(`s${at + 1}`) } }]));
  assert.equal(withDefinitions(doc(deep), doc({ ...deep })).names.size, 5_000);
});

test("what is published is a workflow of its own; its revision is the version", () => {
  const marked = { ...soft(1), published: { workflow: "subgraphs/soft.json", revision: 3 } };
  const held = libraryDocument(doc({ twice, soft: marked, other: soft(5) }), "twice", 4);
  assert.deepEqual(names(held), ["twice", "soft"]);
  assert.equal(write(held.get("nodes"), COMPACT), '{"twice":{"class_type":"subgraph:twice","inputs":{}}}');
  assert.equal(held.get("subgraphs").get("twice").has("published"), false);
  assert.deepEqual(publishedOf(held.get("subgraphs").get("soft")), { workflow: "subgraphs/soft.json", revision: 3 });
  for (const odd of [{ workflow: 1 }, { workflow: "../x.json", revision: 1 }, 5]) assert.equal(publishedOf(exact({ published: odd })), null);
  assert.equal(publishedOf(exact({ published: { workflow: "subgraphs/a.json", revision: "x" } })).revision, 0);
});

test("an update keeps links and values by name in every instance, and takes away what is gone", () => {
  const before = doc({ soft: soft(1), twice }, {
    s: instance("soft", { image: ["l", 0], amount: 3 }), image: { class_type: "Save", inputs: { image: ["s", 0], mask: ["s", 1] } },
  });
  const newer = { inputs: { image: { type: "IMAGE" } }, outputs: { extra: ["c", 0], image: ["c", 1] }, nodes: { c: instance("twice") } };
  const library = doc({ soft: newer, twice: { nodes: { z: { class_type: "Add" } } } });
  const next = updated(before, "soft", library, "soft");
  assert.deepEqual(names(next), ["soft", "twice", "twice_2"], "what the new one holds is another than what is here");
  assert.equal(next.get("subgraphs").get("soft").get("nodes").get("c").get("class_type"), "subgraph:twice_2");
  assert.equal(write(next.get("nodes").get("s").get("inputs"), COMPACT), '{"image":["l",0]}');
  assert.equal(write(next.get("nodes").get("image").get("inputs"), COMPACT), '{"image":["s",1]}');
  assert.equal(write(next.get("subgraphs").get("twice").get("nodes").get("y").get("inputs"), COMPACT), '{"image":["x",1]}');
});

test("a new version that holds the old one does not come to hold itself", () => {
  const old = { ...soft(1), published: { workflow: "subgraphs/soft.json", revision: 1 } };
  const around = { nodes: { s: instance("soft") } };
  const before = doc({ soft: old, around }, { s: instance("soft", { image: ["l", 0] }) });
  const newer = { inputs: { image: {} }, outputs: { image: ["i", 0] }, nodes: { i: instance("soft", { amount: 3 }), a: instance("around") } };
  const next = updated(before, "soft", doc({ better: newer, soft: soft(1), around }), "better");
  assert.deepEqual(names(next), ["soft", "around", "soft_2", "around_2"]);
  const inside = next.get("subgraphs").get("soft").get("nodes");
  assert.deepEqual(["i", "a"].map((id) => inside.get(id).get("class_type")), ["subgraph:soft_2", "subgraph:around_2"]);
  assert.equal(write(inside.get("i").get("inputs"), COMPACT), '{"amount":3}', "what the new one gives the old one stays");
  assert.equal(next.get("subgraphs").get("around_2").get("nodes").get("s").get("class_type"), "subgraph:soft_2");
  assert.equal(write(next.get("nodes").get("s").get("inputs"), COMPACT), '{"image":["l",0]}');
});

test("nothing that holds the open subgraph is put into it", () => {
  const root = doc({ soft: soft(1), twice });
  const page = (inside) => {
    const app = { told: [], say: (text) => app.told.push(text), editor: { doc: root, inside, edit: (next) => (app.editor.doc = next), select: (ids) => (app.chosen = ids) } };
    return app;
  };
  const [into, beside] = [page("soft"), page("")];
  assert.deepEqual(bringIn(into, doc({ soft: soft(1), twice }, { t: instance("twice") }), [0, 0], false, "Paste"), []);
  assert.equal(into.editor.doc, root);
  assert.match(into.told[0], /^soft would hold itself/);
  assert.deepEqual(bringIn(beside, doc({ soft: soft(1), twice }, { t: instance("twice") }), [0, 0], false, "Paste"), ["t"]);
  assert.deepEqual([type(beside.editor.doc, "t"), beside.chosen, beside.told], ["subgraph:twice", ["t"], []]);
});
