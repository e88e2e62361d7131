import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { crosses } from "../../web/editor/gestures.js";
import { numberText, read } from "../../web/editor/json.js";
import { textOfPicture } from "../../web/editor/png.js";
import { byNode } from "../../web/editor/problems.js";
import { stepped, typed, weighted } from "../../web/editor/widgets.js";

const INT = { type: "INT", minimum: 0, maximum: 100, step: null, seed: false };
const FLOAT = { type: "FLOAT", minimum: 0, maximum: 1, step: null, seed: false };

test("what is typed becomes a value within its bounds; whole floats stay floats", () => {
  assert.equal(typed(INT, "7*8"), 56);
  assert.equal(typed(INT, "2^40"), 100);
  assert.equal(numberText(typed(FLOAT, "1")), "1.0");
  assert.equal(typed(FLOAT, "0.25"), 0.25);
  assert.equal(typed(INT, "many"), null);
  assert.equal(typed({ type: "STRING" }, "1+1"), "1+1");
});

test("steps are fine where the range is small, and exact for large numbers", () => {
  assert.equal(stepped(FLOAT, 0.3, 1), 0.31);
  assert.equal(stepped(INT, 100, 1), 100);
  const seed = { type: "INT", minimum: 0, maximum: 18446744073709551615, step: null, seed: true };
  assert.equal(numberText(stepped(seed, read("18446744073709551614"), 1)), "18446744073709551615");
});

test("the weight of a word goes up and down and disappears at 1", () => {
  const once = weighted("a red circle", 3, 3, 0.05);
  assert.equal(once.text, "a (red:1.05) circle");
  assert.equal(weighted(once.text, 4, 4, 0.05).text, "a (red:1.1) circle");
  assert.equal(weighted(once.text, 4, 4, -0.05).text, "a red circle");
  assert.equal(weighted("red circle", 0, 10, 0.1).text, "(red circle:1.1)");
});

const chunk = (type, data) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(type, "latin1"), data, Buffer.alloc(4)]);
};
const png = (...chunks) => new Uint8Array(Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks, chunk("IEND", Buffer.alloc(0))]));

test("the graph in a picture is found in every kind of text that a PNG has", async () => {
  assert.equal(textOfPicture(png(chunk("tEXt", Buffer.from('prompt\0{"a": "ü"}')))), '{"a": "ü"}');
  const packed = Buffer.concat([Buffer.from("easel\0\x01\0\0\0", "latin1"), deflateSync('{"b": 1}')]);
  assert.equal(await textOfPicture(png(chunk("tEXt", Buffer.from("prompt\0{}")), chunk("iTXt", packed))), '{"b": 1}');
  assert.equal(textOfPicture(png(chunk("tEXt", Buffer.from("Software\0x")))), null);
  assert.equal(textOfPicture(png(Buffer.from([255, 255, 255, 255, 1, 2, 3, 4]))), null);
  assert.equal(textOfPicture(new Uint8Array([1, 2, 3])), null);
});

test("a line cuts the links that it crosses", () => {
  assert.equal(crosses([0, 0, 50, 0, 50, 0, 100, 0], [50, -10, 50, 10]), true);
  assert.equal(crosses([0, 0, 50, 0, 50, 0, 100, 0], [150, -10, 150, 10]), false);
});

test("problems stand at their nodes, those inside a subgraph at its instance too, without saying again where they are", () => {
  const found = byNode([{ node_id: "big:scale", message: "Node 'big:scale' (ScaleImage), input 'factor': Value 0 smaller than min of 1.", details: { input_name: "factor" } }, { message: "No outputs" }]);
  assert.deepEqual([...found.keys()], ["big", "big:scale"]);
  assert.equal(found.get("big")[0].message, "Value 0 smaller than min of 1.");
  assert.equal(found.get("big")[0].input, "factor");
});
