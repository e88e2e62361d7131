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
