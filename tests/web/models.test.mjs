import assert from "node:assert/strict";
import { test } from "node:test";

const { Catalogue } = await import("../../web/editor/catalogue.js");
const { exact } = await import("../../web/editor/json.js");
const { missingOf, signed, usesOf, withFile } = await import("../../web/editor/model_files.js");

const catalogue = new Catalogue({
  nodes: { Load: { category: "", inputs: [0, 2] }, Picture: { category: "", inputs: [1] } },
  inputs: [{ name: "file", type: "COMBO", folder: "loras", choices: ["none"] }, { name: "image", type: "COMBO", folder: "input:image" }, { name: "name", type: "STRING" }],
  outputs: [], files: { loras: ["here.safetensors", "sub/same.safetensors"], "input:image": [] },
});
const load = (file, more = {}) => ({ class_type: "Load", inputs: { file, name: "lost.safetensors", ...more } });
const HASH = `sha256:${"0a".repeat(32)}`;
const subgraphs = { part: { inputs: { file: { type: "COMBO" } }, nodes: { a: { class_type: "Load", inputs: { file: { __input__: "file" } } }, b: load("lost.safetensors") } } };
const whole = (models, nodes = {}) => exact({
  format: "easel/1", subgraphs, requires: { models },
  nodes: { l: load("lost.safetensors"), h: load("here.safetensors"), n: load("none"), p: { class_type: "Picture", inputs: { image: "gone.png" } }, s: { class_type: "subgraph:part", inputs: { file: "lost.safetensors" } }, u: { class_type: "Gone" }, ...nodes },
});

test("model files are found wherever they are named: in nodes, in subgraphs, and set through them", () => {
  assert.deepEqual(usesOf(whole({}), catalogue).map(({ graph, id, input, name, here }) => [graph, id, input, name, here]), [
    [null, "l", "file", "lost.safetensors", false], [null, "h", "file", "here.safetensors", true], [null, "s", "file", "lost.safetensors", false],
    ["part", "b", "file", "lost.safetensors", false],
  ]);
});

test("only a file that is not here and whose content is told is looked for, once", () => {
  assert.deepEqual(missingOf(whole({ "loras/lost.safetensors": HASH, "loras/here.safetensors": HASH }), catalogue), [{ folder: "loras", name: "lost.safetensors", sha256: HASH }]);
  for (const odd of [7, "md5:00", "sha256:xyz", "sha256:0a", null]) assert.deepEqual(missingOf(whole({ "loras/lost.safetensors": odd }), catalogue), []);
  assert.deepEqual(missingOf(whole(5), catalogue), []);
});

test("another file is taken in all places, and its content is told under its name", () => {
  const next = withFile(whole({ "loras/lost.safetensors": HASH }), catalogue, { folder: "loras", name: "lost.safetensors", sha256: HASH }, "sub/same.safetensors");
  const file = (graph, id) => graph.get("nodes").get(id).get("inputs").get("file");
  assert.deepEqual([file(next, "l"), file(next, "h"), file(next, "s"), file(next.get("subgraphs").get("part"), "b")], ["sub/same.safetensors", "here.safetensors", "sub/same.safetensors", "sub/same.safetensors"]);
  assert.equal(next.get("nodes").get("l").get("inputs").get("name"), "lost.safetensors");
  assert.deepEqual([...next.get("requires").get("models")], [["loras/sub/same.safetensors", HASH]]);
  assert.deepEqual(missingOf(next, catalogue), []);
});

test("a saved document tells what is known of its files, keeps what it knew of missing ones, and forgets the others", async () => {
  const asked = [];
  const app = /** @type {any} */ ({ editor: { catalogue }, api: { post: async (path, body) => (asked.push([path, body]), { files: body.files.map((file) => ({ ...file, sha256: HASH })) }) } });
  const next = await signed(app, whole({ "loras/lost.safetensors": "sha256:1", "loras/unused": "sha256:2" }));
  assert.deepEqual(asked, [["models/digests", { files: [{ folder: "loras", name: "here.safetensors" }] }]]);
  assert.deepEqual([...next.get("requires").get("models")], [["loras/here.safetensors", HASH], ["loras/lost.safetensors", "sha256:1"]]);
  const bare = exact({ nodes: { u: { class_type: "Gone" } } });
  assert.equal(await signed(app, bare), bare);
});
