import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { evaluate } from "../../web/editor/arithmetic.js";
import * as docs from "../../web/editor/document.js";
import { History } from "../../web/editor/history.js";
import { Num, numberText, read } from "../../web/editor/json.js";
import { arrange } from "../../web/editor/layout.js";
import { piecesBetween, SHAPES } from "../../web/editor/links.js";
import { extract, merge } from "../../web/editor/merging.js";
import { fits } from "../../web/editor/types.js";
import { open, save } from "../../web/editor/workflow_file.js";

const folder = new URL("../../workflows/", import.meta.url);
const example = readFileSync(new URL("text_to_image.json", folder), "utf8");

test("every example workflow is written as it was read", () => {
  for (const name of readdirSync(folder).filter((item) => item.endsWith(".json"))) {
    const text = readFileSync(new URL(name, folder), "utf8");
    const { doc, style } = open(text);
    assert.equal(save(doc, style), text, name);
  }
});

test("numbers that JavaScript cannot hold, NaN and the order of ids survive", () => {
  const text = '{"nodes": {"10": {"class_type": "A", "inputs": {"seed": 18446744073709551615, "cfg": 4.0, "x": NaN, "__proto__": 1e5}}, "9": {"class_type": "B"}}, "format": "easel/1"}';
  const { doc, style } = open(text);
  assert.equal(save(doc, style), text);
  assert.ok(docs.inputsOf(docs.entryOf(doc, "10")).get("seed") instanceof Num);
});

test("broken documents are refused with the place of the fault", () => {
  assert.throws(() => read('{"a": 1,\n "a": 2}'), /Line 2.*twice/);
  assert.throws(() => read("[1, 2"), /missing|early/);
  assert.throws(() => read("[".repeat(100_000)), /deeper/);
  assert.throws(() => open("[1]"), /not a workflow/);
  assert.throws(() => open('{"nodes": []}'), /ComfyUI/);
});

test("fifty edits of every kind undone restore the file byte for byte, and redone give the same again", () => {
  const { doc, style } = open(example);
  const history = new History(doc);
  const edits = [
    (d, n) => docs.addNode(d, `new_${n}`, "EmptyLatent", new Map([["width", 64]]), [n, n]),
    (d, n) => docs.setInput(d, "sampler", "steps", n),
    (d) => docs.removeNodes(d, ["decode"]),
    (d, n) => docs.move(d, new Map([["sampler", [n, 2 * n]]])),
    (d) => docs.toggleMode(d, ["negative"], "mute"),
    (d) => docs.connect(d, "positive", 0, "sampler", "negative"),
    (d) => merge(d, extract(d, ["positive", "sampler"]), [30, 30], true).doc,
    (d, n) => docs.setReroutes(d, "sampler", "model", [[n, n]]),
    (d, n) => docs.setFrames(d, n % 20 < 10 ? "groups" : "notes", [new Map([["title", `g${n}`]])]),
    (d) => docs.setPlaces(d, ["latent"], "collapsed", true),
  ];
  for (let n = 0; n < 50; n += 1) history.push(edits[n % 10](history.doc, n), `step ${n}`);
  const after = save(history.doc, style);
  assert.notEqual(after, example);
  while (history.undo());
  assert.equal(save(history.doc, style), example);
  while (history.redo());
  assert.equal(save(history.doc, style), after);
});

test("copies link to each other, and to others only when asked", () => {
  const { doc } = open(example);
  const part = extract(doc, ["positive", "sampler"]);
  const { doc: plain, ids } = merge(doc, part, [0, 0], false);
  assert.deepEqual(ids.length, 2);
  const inputs = docs.inputsOf(docs.entryOf(plain, ids[1]));
  assert.deepEqual(inputs.get("positive"), [ids[0], 0]);
  assert.equal(inputs.has("model"), false);
  const linked = merge(doc, part, [0, 0], true);
  assert.deepEqual(docs.inputsOf(docs.entryOf(linked.doc, linked.ids[1])).get("model"), ["checkpoint", 0]);
});

test("a removed node takes its links with it; rings are seen", () => {
  const { doc } = open(example);
  assert.equal(docs.inputsOf(docs.entryOf(docs.removeNodes(doc, ["checkpoint"]), "sampler")).has("model"), false);
  assert.equal(docs.wouldLoop(doc, "decode", "sampler"), true);
  assert.equal(docs.wouldLoop(doc, "latent", "decode"), false);
});

test("types fit as the engine says", () => {
  assert.ok(fits("INT", "FLOAT") && fits("MODEL", "*") && fits("$T", "VAE") && fits("INT", "STRING,INT"));
  assert.ok(!fits("FLOAT", "INT") && !fits("MODEL", "CLIP") && !fits("STRING", "COMBO"));
});

test("arithmetic is computed, exactly for whole numbers, and nothing else is", () => {
  assert.equal(evaluate("512*2"), 1024n);
  assert.equal(evaluate("2^64-1"), 18446744073709551615n);
  assert.equal(evaluate("(3+1)/8"), 0.5);
  assert.equal(evaluate("-2**2"), -4n);
  for (const text of ["", "1/0", "alert(1)", "1 2", "(1", "2^9999999"]) assert.equal(evaluate(text), null, text);
  assert.equal(numberText(new Num("4.0")), "4.0");
});

test("nodes are laid out from left to right along their links, rings included", () => {
  const box = (id, ...parents) => ({ id, w: 100, h: 50, parents });
  const places = arrange([box("c", "b"), box("a"), box("b", "a"), box("x", "y"), box("y", "x")]);
  assert.ok(places.get("a")[0] < places.get("b")[0] && places.get("b")[0] < places.get("c")[0]);
  assert.equal(places.size, 5);
});

test("links keep their ends in every shape", () => {
  for (const shape of SHAPES) {
    for (const end of [[300, 40], [-300, -90], [5, 5]]) {
      const pieces = piecesBetween(shape, 0, 0, end[0], end[1]);
      assert.deepEqual(pieces[0].slice(0, 2), [0, 0]);
      assert.deepEqual(pieces.at(-1).slice(6), end);
      pieces.slice(1).forEach((piece, at) => assert.deepEqual(piece.slice(0, 2), pieces[at].slice(6), `${shape} has no gaps`));
      if (shape === "square") for (const [ax, ay, , , , , dx, dy] of pieces) assert.ok(ax === dx || ay === dy);
    }
  }
});
