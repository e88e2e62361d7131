import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.sessionStorage = /** @type {any} */ ({ getItem: () => null, setItem() {} });
globalThis.window = /** @type {any} */ ({ addEventListener() {} });
globalThis.document = /** @type {any} */ ({ addEventListener() {} });
const { Drafts, uuid } = await import("../../web/editor/drafts.js");
const { merged } = await import("../../web/editor/recovery.js");
const { Refused, Unreachable } = await import("../../web/editor/api.js");

const draft = (id, text, dirty = true, time = 5) => ({ id, time, dirty, file: { name: "", title: id, writable: false }, opened: 0, text });

/** A page whose server does what a test says. */
function page() {
  const heard = [];
  const told = [];
  let answer = () => Promise.resolve();
  const api = { Refused, Unreachable, keepDraft: (id, text) => (heard.push([id, text]), answer()), dropDraft: (id) => (heard.push([id]), answer()) };
  const app = { api, say: (text) => told.push(text), events: { on() {} } };
  return { heard, told, drafts: new Drafts(/** @type {any} */ (app)), answers: (given) => (answer = given) };
}

test("a draft has an id that the server takes", () => {
  const ids = new Set(Array.from({ length: 100 }, uuid));
  assert.equal(ids.size, 100);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("the server hears the newest state, each once, and that the work was saved", async () => {
  const { heard, drafts, answers } = page();
  let go = () => {};
  answers(() => new Promise((resolve) => (go = resolve)));
  drafts.send(draft("a", "1"));
  drafts.send(draft("a", "2"));
  drafts.send(draft("a", "3"));
  answers(() => Promise.resolve());
  go();
  await drafts.sending;
  drafts.send(draft("a", "3"));
  drafts.send(draft("b", "never changed", false));
  assert.equal(drafts.sending, null);
  drafts.send(draft("a", "4", false));
  await drafts.sending;
  assert.deepEqual(heard, [["a", "1"], ["a", "3"], ["a"]]);
});

test("what the server cannot hear waits; what it refuses is told once and not sent again", async () => {
  const { heard, told, drafts, answers } = page();
  answers(() => Promise.reject(new Unreachable()));
  drafts.send(draft("a", "1"));
  await drafts.sending;
  assert.deepEqual([...drafts.unsent.keys()], ["a"]);
  answers(() => Promise.reject(new Refused({ message: "too large" }, 413)));
  drafts.sendAll();
  await drafts.sending;
  drafts.send(draft("a", "1"));
  drafts.send(draft("a", "2"));
  await drafts.sending;
  assert.deepEqual(heard, [["a", "1"], ["a", "1"], ["a", "2"]]);
  assert.deepEqual(told, ["Unsaved work is kept in this browser only: too large"]);
});

test("unsaved work of both places is one list, without what this page has open", () => {
  const there = ["a", "mine", "c"].map((id, at) => ({ id, title: `there ${id}`, name: "", writable: false, opened: 2, size: 9, modified: at }));
  const found = merged([draft("a", "text", true, 1500)], there, "mine");
  assert.deepEqual(found.map(({ id, file, text }) => [id, file.title, text]), [["c", "there c", undefined], ["a", "a", "text"]]);
});
