import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.navigator ??= /** @type {any} */ ({ platform: "" }); // node knows it since version 21
const { addNode, connect, entryOf, inputsOf, nodesOf } = await import("../../web/editor/document.js");
const { read } = await import("../../web/editor/json.js");
const { chosen, goesOn, told } = await import("../../web/panels/log.js");
const { mostStrokes } = await import("../../web/panels/mask_editor.js");
const { startsIn } = await import("../../web/panels/queue.js");
const { listen } = await import("../../web/panels/stream.js");
const { bucketPlan, fill, resultOf, stepsOf } = await import("../../web/panels/training_workflow.js");
const { readFileSync } = await import("node:fs");

test("when a waiting job begins is told from what the last ones took", () => {
  assert.equal(startsIn(0, [], 3), null);
  assert.equal(startsIn(0, [10, 20], null), 0);
  assert.equal(startsIn(2, [10, 20], 5), 2 * 15 + 10);
  assert.equal(startsIn(1, [10], 60), 10, "the job that runs takes longer than the others did");
});

test("strokes of a mask that can be taken back fill no memory, however large the picture", () => {
  assert.equal(mostStrokes(512, 512), 50);
  assert.ok(4 * 4096 * 4096 * mostStrokes(4096, 4096) <= 256e6);
  assert.equal(mostStrokes(20_000, 20_000), 1);
});

test("the log is chosen by level, words, job and node", () => {
  const line = (level, text, source = "worker", job = "", node = "") => ({ number: 1, time: 0, source, level, name: "easel.node", job, node, text });
  const lines = [line("debug", "small talk"), line("info", "Ready to run"), line("warning", "half of it", "worker", "a", "scale"), line("error", "it broke", "server", "a", "big:scale"), line("info", "other", "worker", "b", "bigger")];
  const texts = (filter) => chosen(lines, { least: "debug", words: "", job: "", node: "", ...filter }).map((found) => found.text);
  assert.deepEqual(texts({ least: "warning" }), ["half of it", "it broke"]);
  assert.deepEqual(texts({ words: "WORKER ready" }), ["Ready to run"]);
  assert.deepEqual(texts({ job: "a" }), ["half of it", "it broke"]);
  assert.deepEqual(texts({ node: "big" }), ["it broke"], "what lies in a subgraph is part of it");
  assert.deepEqual(texts({ job: "b", node: "scale" }), []);
  assert.deepEqual(told(lines, "job"), ["b", "a"]);
  const [first, second] = [{ ...line("error", "it broke"), number: 4 }, { ...line("error", "  Traceback"), number: 5 }];
  assert.deepEqual([goesOn(second, first), goesOn(second, { ...first, number: 3 }), goesOn(first, second), goesOn(second, undefined)], [true, false, false, false]);
  assert.deepEqual(told(lines, "node"), ["bigger", "big:scale", "scale"]);
});

test("a stream that the server refused is asked for again, until nobody listens", () => {
  const made = [];
  const waiting = [];
  globalThis.EventSource = class {
    static CLOSED = 2;
    constructor(path) {
      Object.assign(this, { path, readyState: 1 });
      made.push(this);
    }
    close() {
      this.readyState = 2;
    }
  };
  globalThis.window = { setTimeout: (work) => waiting.push(work) };
  const heard = [];
  const leave = listen("events", (event) => heard.push(event));
  made[0].onmessage({ data: "[1]" });
  made[0].onerror(); // broken off: the browser takes it up by itself
  assert.deepEqual([waiting.length, made.length], [0, 1]);
  made[0].readyState = 2;
  made[0].onerror();
  waiting.pop()();
  made[1].onmessage({ data: "[2]" });
  assert.deepEqual(heard, [[1], [2]]);
  leave();
  made[1].onerror?.();
  assert.deepEqual([waiting.length, made.length, made[1].readyState], [0, 2, 2]);
});

const template = read(readFileSync(new URL("../../workflows/train_lora.json", import.meta.url), "utf8"));
const form = (values) => ({ get: (name) => values[name] ?? null });
const given = { model: "tiny-shapes.safetensors", trigger: "sks dog", name: "my dog.safetensors", steps: "20", rank: "4", rate: "0.001", batch: "2", resolution: "256", keep: "10", measure: "5" };

test("a training is filled in from the form, and read off its graph again", () => {
  const doc = fill(template, "dogs", form(given));
  const of = (id) => inputsOf(entryOf(doc, id));
  assert.deepEqual(resultOf(doc), { node: "save", name: "my dog", trigger: "sks dog" });
  assert.equal(of("pictures").get("folder"), "dogs");
  assert.deepEqual(["steps", "save_every", "validate_every", "batch_size"].map((name) => of("plan").get(name)), [20, 10, 5, 2]);
  assert.equal(bucketPlan(doc).resolution, 256);
  assert.equal(stepsOf(doc), 20);
  assert.match(of("positive").get("text"), /sks dog/);
  assert.equal(nodesOf(doc).size, nodesOf(template).size, "without prompts nothing is drawn meanwhile");
});

test("prompts are drawn each time the state is kept", () => {
  const doc = fill(template, "dogs", form({ ...given, prompts: "a red sks dog\na blue one" }));
  const [id, node] = [...nodesOf(doc)].find(([, entry]) => entry.get("class_type") === "TrainingSamples");
  assert.equal(inputsOf(node).get("prompts"), "a red sks dog\na blue one");
  assert.equal(inputsOf(node).get("width"), 128);
  assert.deepEqual(inputsOf(entryOf(doc, "train")).get("samples"), [id, 0]);
  assert.deepEqual(inputsOf(entryOf(doc, "train")).get("vae"), ["checkpoint", 2]);
  assert.equal(resultOf(connect(addNode(new Map([["nodes", new Map()]]), "a", "Add", new Map(), [0, 0]), "a", 0, "a", "a")), null);
});
