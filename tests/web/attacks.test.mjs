// What a stranger's file or another page of this address puts before the editor.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { named, Refused } from "../../web/editor/api.js";
import { neededBy } from "../../web/editor/definitions.js";
import { nodesOf } from "../../web/editor/document.js";
import { exact } from "../../web/editor/json.js";
import { recall, recallObject, texts } from "../../web/editor/kept.js";
import { arrange } from "../../web/editor/layout.js";
import { textOfPicture } from "../../web/editor/png.js";
import { NotAWorkflow } from "../../web/editor/workflow_file.js";

const chunk = (type, data) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(type, "latin1"), data, Buffer.alloc(4)]);
};
const png = (...chunks) => new Uint8Array(Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks]));
const packed = (key, data) => chunk("iTXt", Buffer.concat([Buffer.from(`${key}\0\x01\0\0\0`, "latin1"), data]));

test("a text that unpacks to more than a hundred megabytes is refused before it is whole", async () => {
  const bomb = deflateSync(Buffer.alloc(400_000_000, 32));
  assert.ok(bomb.length < 1_000_000);
  const before = process.memoryUsage().rss;
  await assert.rejects(async () => textOfPicture(png(packed("workflow", bomb))), NotAWorkflow);
  assert.ok(process.memoryUsage().rss - before < 350_000_000);
});

test("a bomb behind a text that is taken is not unpacked, and damage is told in words", async () => {
  assert.equal(await textOfPicture(png(packed("prompt", Buffer.from("no zlib")), chunk("tEXt", Buffer.from("easel\0{}")))), "{}");
  for (const data of [Buffer.from("no zlib"), deflateSync("{}").subarray(0, 5), Buffer.alloc(0)]) {
    await assert.rejects(async () => textOfPicture(png(packed("easel", data))), NotAWorkflow);
  }
});

test("what is kept under the page's own keys is believed to be nothing", () => {
  const storage = (value) => ({ getItem: () => value });
  for (const value of [null, "", "{", "null", "5", "[1]", '"x"', "\0"]) assert.deepEqual(recallObject(storage(value), "k"), {}, value);
  assert.deepEqual(recallObject(storage('{"a": 1}'), "k"), { a: 1 });
  assert.equal({}.polluted, undefined);
  assert.deepEqual(Object.keys(recallObject(storage('{"__proto__": {"polluted": 1}}'), "k")), ["__proto__"]);
  assert.equal({}.polluted, undefined);
  assert.equal(recall(storage("{"), "k"), null);
  for (const value of [null, 5, {}, "abc"]) assert.deepEqual(texts(value), []);
  assert.deepEqual(texts(["a", 1, null, { length: 3 }, "b"]), ["a", "b"]);
});

test("a name from a document leads to no other address of the server", () => {
  assert.equal(named("subgraphs/a b/..c/%2e%2e?#.json"), "subgraphs/a%20b/..c/%252e%252e%3F%23.json");
  for (const name of ["..", "subgraphs/../../queue/clear", "a/./b", "subgraphs/.."]) assert.throws(() => named(name), Refused, name);
});

test("two hundred thousand nodes are more than a call takes arguments, and no more than other nodes", () => {
  const nodes = Object.fromEntries(Array.from({ length: 200_000 }, (_, number) => [`n${number}`, { class_type: "X", inputs: {} }]));
  const doc = exact({ nodes: { a: { class_type: "subgraph:s", inputs: {} } }, subgraphs: { s: { nodes } } });
  assert.deepEqual([...neededBy(doc, nodesOf(doc).values()).keys()], ["s"]);
  const boxes = Object.keys(nodes).map((id) => ({ id, w: 10, h: 10, parents: [] }));
  boxes.push({ id: "end", w: 10, h: 10, parents: Object.keys(nodes) });
  assert.equal(arrange(boxes).size, 200_001);
});
