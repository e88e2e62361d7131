import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

globalThis.navigator ??= /** @type {any} */ ({ platform: "" }); // node knows it since version 21
const { COMMANDS, panelCommands } = await import("../../web/editor/commands.js");
const { keyText } = await import("../../web/editor/keys.js");
const { nodesPanel } = await import("../../web/editor/nodes_panel.js");
const { workflowsPanel } = await import("../../web/editor/workflows_panel.js");
const { PANELS } = await import("../../web/panels/panels.js");

test("docs/editor.md lists every command with its keys, and no other", () => {
  const page = readFileSync(new URL("../../docs/editor.md", import.meta.url), "utf8");
  const listed = page.split("\n").filter((line) => /^\| (`|\|| \|)/.test(line) && !line.startsWith("| keys"));
  const all = [...COMMANDS, ...panelCommands([workflowsPanel, nodesPanel, ...PANELS])];
  const rows = all.map((command) => `| ${command.keys.map((key) => `\`${keyText(key)}\``).join(", ")} | ${command.title} |`);
  assert.deepEqual([...listed].sort(), [...rows].sort());
});
