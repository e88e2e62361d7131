import assert from "node:assert/strict";
import { test } from "node:test";
import { Catalogue } from "../../web/editor/catalogue.js";
import * as docs from "../../web/editor/document.js";
import { Scene } from "../../web/editor/scene.js";
import { open } from "../../web/editor/workflow_file.js";

const CATALOGUE = new Catalogue({ nodes: {}, inputs: [], outputs: [], files: {} });
const COUNT = 300;

/** A line of nodes, each linked to the one before. */
function line() {
  const ids = Array.from({ length: COUNT }, (_, number) => `n${number}`);
  const nodes = Object.fromEntries(ids.map((id, at) => [id, { class_type: "Some", inputs: at ? { x: [ids[at - 1], 0] } : {} }]));
  const places = Object.fromEntries(ids.map((id, at) => [id, { pos: [at * 300, 0] }]));
  return open(JSON.stringify({ format: "easel/1", nodes, layout: { nodes: places } })).doc;
}

/** The scene of a document, and of it the objects of another one that are new. */
function steps(first) {
  const scene = new Scene("curve");
  scene.build(first, CATALOGUE);
  return (doc) => {
    const before = { nodes: new Set(scene.nodes.values()), links: new Set(scene.links) };
    const seen = scene.build(doc, CATALOGUE);
    const fresh = { nodes: scene.order.filter((view) => !before.nodes.has(view)).map(({ id }) => id), links: scene.links.filter((link) => !before.links.has(link)).map(({ from, to }) => `${from.id} ${to.id}`) };
    return { scene, seen, fresh };
  };
}

test("a change makes anew only the nodes and links that it is about, however many there are", () => {
  const doc = line();
  const next = steps(doc);
  const added = docs.connect(docs.addNode(doc, "new", "Some", new Map(), [10, 10]), "n5", 0, "new", "x");
  const one = next(added);
  assert.deepEqual(one.fresh, { nodes: ["new"], links: ["n5 new"] });
  assert.equal(one.seen.length, 2, "the node and its link are drawn anew, and nothing else");
  const moved = next(docs.move(added, new Map([["n100", [5, 5]]])));
  assert.deepEqual(moved.fresh, { nodes: ["n100"], links: ["n99 n100", "n100 n101"] });
  assert.deepEqual([moved.scene.nodes.get("n100").x, moved.scene.links.find(({ to }) => to.id === "n101").from.x], [5, 5]);
  const back = next(doc);
  assert.deepEqual([back.scene.nodes.has("new"), back.scene.made.size, back.scene.links.length], [false, COUNT, COUNT - 1]);
});

test("a link that bends, ends elsewhere or has another shape is another one", () => {
  const doc = line();
  const next = steps(doc);
  const bent = docs.setReroutes(doc, "n7", "x", [[1, 2]]);
  assert.deepEqual([next(bent).fresh.links, next(bent).scene.links[6].points], [["n6 n7"], [[1, 2]]]);
  assert.deepEqual(next(doc).scene.links[6].points, []);
  assert.deepEqual(next(docs.connect(doc, "n1", 0, "n7", "x")).fresh, { nodes: ["n6", "n7"], links: ["n5 n6", "n1 n7", "n7 n8"] }, "an unknown class shows the outputs that are used");
  const { scene } = next(docs.removeNodes(doc, ["n6"]));
  assert.equal(scene.links.some(({ to }) => to.id === "n7"), false);
  scene.shape = "square";
  assert.equal(next(doc).fresh.links.length, COUNT - 1);
});
