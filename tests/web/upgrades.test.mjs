import assert from "node:assert/strict";
import { test } from "node:test";

const { Catalogue } = await import("../../web/editor/catalogue.js");
const { exact, read, write } = await import("../../web/editor/json.js");
const { isStale, stamped } = await import("../../web/editor/requires.js");
const { upgraded } = await import("../../web/editor/upgrades.js");

const catalogue = new Catalogue({ nodes: { Blur: { category: "", version: "3.0.0", aliases: [{ id: "Soft" }] }, Add: { category: "" } }, inputs: [], outputs: [], files: {} });
const blur = (class_type = "Blur") => ({ class_type, inputs: { image: ["a", 0], amount: 3, seed: 1 }, _meta: { seed_policy: { seed: "random" } } });
const whole = (more) => exact({ format: "easel/1", nodes: { b: blur(), a: { class_type: "Add" }, c: { class_type: "Gone" } }, ...more });
const change = (saved, name, old, now) => ({ saved, name, old, new: now });

test("a document names the versions that it was made with, once, and only of nodes that it has", () => {
  const first = stamped(whole({ subgraphs: { s: { nodes: { n: blur("Soft") } } } }), catalogue);
  assert.deepEqual([...first.get("requires").get("nodes")], [["Add", "1.0.0"], ["Blur", "3.0.0"], ["Soft", "3.0.0"]]);
  assert.equal(stamped(first, catalogue), first);
  const old = whole({ requires: { nodes: { Blur: "1.0.0", Gone: "7.0.0", Left: "1.0.0" }, models: { "a/b": "sha256:1" } } });
  const kept = stamped(old, catalogue).get("requires");
  assert.deepEqual([...kept.get("nodes")], [["Add", "1.0.0"], ["Blur", "1.0.0"], ["Gone", "7.0.0"]], "what was kept as it was is still of its version");
  assert.equal(kept.get("models").get("a/b"), "sha256:1");
  assert.deepEqual([isStale(first, catalogue), isStale(old, catalogue), isStale(whole({}), catalogue)], [false, true, false]);
});

test("what newer versions changed is taken over where it stands, whatever hangs on the names", () => {
  const layout = { links: { b: { image: [[1, 2]] } } };
  const doc = whole({ subgraphs: { s: { nodes: { n: blur() } } }, layout, requires: { nodes: { Blur: "1.0.0" } } });
  const changes = [change("image", "pixels", ["a", 0], ["a", 0]), change("seed", "noise", 1, 1), change(null, "edge", null, "clip")];
  const upgrades = read(JSON.stringify([{ subgraph: null, node_id: "b", changes }, { subgraph: "s", node_id: "n", changes: [change("amount", "amount", 3, 4)] }, { subgraph: null, node_id: "gone", changes }]));
  upgrades[1].get("changes")[0].set("new", read("18446744073709551615"));
  const next = upgraded(doc, upgrades, catalogue);
  const b = next.get("nodes").get("b");
  assert.equal(write(b.get("inputs"), { indent: 0, pairs: true, space: false, end: "" }), '{"pixels":["a",0],"amount":3,"noise":1,"edge":"clip"}');
  assert.deepEqual([...b.get("_meta").get("seed_policy")], [["noise", "random"]]);
  assert.deepEqual([...next.get("layout").get("links").get("b")], [["pixels", [[1, 2]]]]);
  assert.equal(next.get("subgraphs").get("s").get("nodes").get("n").get("inputs").get("amount").text, "18446744073709551615");
  assert.equal(next.get("requires").get("nodes").get("Blur"), "3.0.0");
  assert.equal(doc.get("nodes").get("b").get("inputs").has("image"), true, "the document before is still there, for undo");
});
