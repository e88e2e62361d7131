import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.sessionStorage = /** @type {any} */ ({ getItem: () => null, setItem() {} });
globalThis.window = /** @type {any} */ ({ addEventListener() {}, setTimeout: (work, time) => setTimeout(work, time) });
globalThis.document = /** @type {any} */ ({ addEventListener() {} });
const { Drafts, merged, pauseAfter, uuid } = await import("../../web/editor/drafts.js");
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

test("the server hears of a document that is edited on the less often, the larger it is", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const { heard, drafts, answers } = page();
  const times = [];
  answers(async () => void times.push(Date.now()));
  const large = "x".repeat(999_998);
  const pause = pauseAfter(`${large}00`);
  assert.equal(pause, 10_000);
  for (let second = 10; second < 40; second += 1) {
    drafts.send(draft("a", `${large}${second}`), true);
    await settled();
    context.mock.timers.tick(1000);
    await settled();
  }
  assert.deepEqual(times, [0, pause, 2 * pause, 3 * pause]);
  assert.deepEqual(heard.map(([, text]) => text.slice(-2)), ["10", "19", "29", "39"], "the newest there was");
  drafts.send(draft("a", `${large}leaving`));
  await drafts.sending;
  assert.equal(heard.at(-1)[1], `${large}leaving`, "a page that goes away does not wait");
  const told = heard.length;
  drafts.send(draft("a", "changed once more"), true);
  drafts.send(draft("b", "recovered"));
  await drafts.sending;
  drafts.send(draft("a", "saved", false), true);
  await drafts.sending;
  assert.deepEqual(heard.slice(told), [["b", "recovered"], ["a"]], "nor do others, or what was saved");
});

test("what is undone before the server heard of it does not stay there", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const { heard, drafts } = page();
  drafts.send(draft("a", "as it was"), true);
  await drafts.sending;
  drafts.send(draft("a", "changed"), true);
  drafts.send(draft("a", "as it was"), true);
  context.mock.timers.tick(60_000);
  await drafts.sending;
  assert.deepEqual(heard.at(-1), ["a", "as it was"]);
  assert.equal(drafts.unsent.size, 0);
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
