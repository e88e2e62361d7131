import assert from "node:assert/strict";
import { test } from "node:test";
import { Events } from "../../web/editor/events.js";
import { Settings, SETTINGS } from "../../web/editor/settings.js";
import { WORDS } from "../../web/editor/words.js";

/** As much of a browser's storage as is asked for. */
function storage(text) {
  const kept = { text };
  return { kept, getItem: () => kept.text ?? null, setItem: (_, value) => void (kept.text = value) };
}

test("what was set is kept, told, and there again in the next page", () => {
  const place = storage();
  const events = new Events();
  const heard = [];
  events.on("settings", (name) => heard.push(name));
  const settings = new Settings(place, events);
  assert.deepEqual(settings.values, Object.fromEntries(Object.entries(SETTINGS).map(([name, { begins }]) => [name, begins])));
  settings.set("grid", 25);
  settings.toggle("snap");
  assert.deepEqual(heard, ["grid", "snap"]);
  const next = new Settings(place, new Events());
  assert.deepEqual([next.get("grid"), next.get("snap"), next.get("theme")], [25, true, "system"]);
});

test("two pages that set different things keep both, and what a newer version kept stays", () => {
  const place = storage('{"fromTomorrow": 1}');
  const [one, other] = [new Settings(place, new Events()), new Settings(place, new Events())];
  one.set("wheel", "pan");
  other.set("theme", "light");
  assert.deepEqual(JSON.parse(place.kept.text), { fromTomorrow: 1, wheel: "pan", theme: "light" });
});

test("what does not fit a setting is not taken, from whoever it comes", () => {
  const odd = { theme: "<b>", links: 3, minimap: "yes", wheel: null, snap: 1, grid: 0, spelling: [], weight: "NaN", metadata: 0, keys: { run: "Mod+x" } };
  for (const text of [JSON.stringify(odd), "[1]", "{", "null"]) {
    const settings = new Settings(storage(text), new Events());
    for (const [name, { begins }] of Object.entries(SETTINGS)) assert.deepEqual(settings.get(name), begins, name);
  }
  const settings = new Settings(storage(), new Events());
  for (const [name, value] of Object.entries(odd)) assert.throws(() => settings.set(name, value), RangeError, name);
  assert.throws(() => settings.set("grid", NaN), RangeError);
});

test("every setting has its words, and each of its choices", () => {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    for (const key of [name, ...(setting.choices ?? []).map((choice) => `${name}.${choice}`)]) assert.ok(WORDS[`settings.${key}`], key);
  }
});
