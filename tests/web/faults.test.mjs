import assert from "node:assert/strict";
import { test } from "node:test";

import { tellFaults } from "../../web/editor/faults.js";

test("what nothing else dealt with is told once, and the browser's own notices are not", () => {
  const listeners = {};
  globalThis.window = { addEventListener: (name, listener) => (listeners[name] = listener) };
  const said = [];
  tellFaults((text, kind) => said.push([text, kind]));
  listeners.unhandledrejection({ reason: new Error("a.b is undefined") });
  listeners.unhandledrejection({ reason: new Error("a.b is undefined") });
  listeners.error({ error: null, message: "ResizeObserver loop completed with undelivered notifications." });
  listeners.error({ error: new Error("no such node") });
  assert.equal(said.length, 2);
  assert.match(said[0][0], /a\.b is undefined/);
  assert.match(said[1][0], /no such node/);
  assert.ok(said.every(([, kind]) => kind === "error"));
});
