import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

globalThis.navigator ??= /** @type {any} */ ({ platform: "" }); // node knows it since version 21
const { COMMANDS, panelCommands } = await import("../../web/editor/commands.js");
const { keyText, unusable } = await import("../../web/editor/keys.js");
const { rebound } = await import("../../web/editor/sheet.js");
const { PANELS } = await import("../../web/panels/panels.js");

test("docs/editor.md lists every command with its keys, and no other", () => {
  const page = readFileSync(new URL("../../docs/editor.md", import.meta.url), "utf8");
  const listed = page.split("\n").filter((line) => /^\| (`|\|| \|)/.test(line) && !line.startsWith("| keys"));
  const all = [...COMMANDS, ...panelCommands(PANELS)];
  const code = (text) => (text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``);
  const rows = all.map((command) => `| ${command.keys.map((key) => code(keyText(key))).join(", ")} | ${command.title} |`);
  assert.deepEqual([...listed].sort(), [...rows].sort());
});

test("keys of one's own take those of another command away from it", () => {
  const commands = new Map(COMMANDS.map((command) => [command.id, command]));
  let own = {};
  const app = { settings: { get: () => own }, commands, keysOf: (command) => own[command.id] ?? command.keys };
  const first = rebound(app, commands.get("collapse"), ["Mod+m"]);
  assert.deepEqual(first.own, { collapse: ["Mod+m"], mute: [] });
  assert.deepEqual(first.losers.map((command) => command.id), ["mute"]);
  own = first.own;
  assert.deepEqual(rebound(app, commands.get("delete"), []).own, { ...first.own, delete: [] });
  assert.deepEqual(rebound(app, commands.get("redo"), ["Mod+y"]).losers, []);
});

test("some keys cannot be given away", () => {
  assert.deepEqual(["Mod+c", "Space", "Shift+Tab", "Alt+c"].map((key) => unusable(key) !== null), [true, true, true, false]);
});
