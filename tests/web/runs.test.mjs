import assert from "node:assert/strict";
import { test } from "node:test";

import { Run } from "../../web/editor/runs.js";

const event = (type, more = {}) => ({ type, sequence: 1, time: 10, node_id: "a", display_id: "a", ...more });
const run = () => new Run("job", new Map([["nodes", new Map([["a", new Map()]])]]), () => {});

test("a warning of a node is told with its hint", () => {
  const heard = [];
  const shown = run();
  shown.warned = (...told) => heard.push(told);
  shown.hear(event("custom", { name: "warning", data: { message: "half of it fits", hint: "take another" } }));
  assert.deepEqual(heard, [["a", "half of it fits", "take another"]]);
});

test("what a node says of its work stands on it while it runs", () => {
  const shown = run();
  shown.hear(event("node_started"));
  shown.hear(event("custom", { name: "progress_text", data: { text: "compiling" } }));
  assert.equal(shown.states.get("a").text, "compiling");
  shown.hear(event("node_progress", { value: 1, total: 4, text: "step 1" }));
  assert.equal(shown.states.get("a").text, "step 1");
  shown.hear(event("node_finished", { cached: false, seconds: 1, reason: "new", ui: null }));
  assert.equal(shown.states.get("a").text, undefined);
});

test("why a job failed is known from its events alone, of its last attempt", () => {
  const shown = run();
  shown.hear(event("job_started", { total: 1 }));
  shown.hear(event("node_failed", { error: { message: "lost with the process" } }));
  shown.hear(event("job_interrupted", { state: "queued", reason: "the process ended" }));
  shown.hear(event("job_started", { total: 1 }));
  assert.deepEqual(shown.failures, []);
  shown.hear(event("node_failed", { error: { message: "oh no", hint: "be better" }, exception_type: "ValueError" }));
  shown.hear(event("job_finished", { state: "failed", error: { message: "oh no" } }));
  assert.deepEqual(shown.failures, [{ message: "oh no", hint: "be better", node_id: "a", job: shown.id }]);
});

test("a job that fails without a node that did says why, too", () => {
  const parked = run();
  parked.hear(event("job_interrupted", { state: "parked", reason: "it ended its process twice" }));
  assert.equal(parked.failures[0].message, "it ended its process twice");
  const cancelled = run();
  cancelled.hear(event("job_finished", { state: "cancelled", error: { message: "The job was cancelled." } }));
  assert.deepEqual(cancelled.failures, []);
});
