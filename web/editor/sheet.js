// The sheet of keys and of what the pointer does.

import { openDialog } from "./dialogs.js";

/** @type {[string, string][]} */
const POINTER = [
  ["drag the ground, middle button, or Space and drag", "move the view"],
  ["wheel; Ctrl+Shift+drag; two fingers", "zoom"],
  ["Ctrl or Shift and drag the ground", "choose nodes in a box"],
  ["Ctrl or Shift and click", "add to what is chosen"],
  ["Shift while dragging", "snap to the grid"],
  ["Alt and drag a node", "clone it"],
  ["double click the ground", "add a node"],
  ["drag a socket to the ground", "nodes that fit it"],
  ["drag the end of a link", "plug it elsewhere, or off"],
  ["Shift and drag an output", "take all its links to another"],
  ["Ctrl+Alt and click a socket", "cut its links"],
  ["Alt and drag the ground, or Ctrl and right drag", "cut the links that the line crosses"],
  ["Alt and click a link", "add a reroute; on a reroute: remove it"],
  ["drop a node on a link", "put it into the link"],
  ["double click a title", "rename"],
  ["drag over a number", "change it; click to type, arithmetic too"],
  ["Ctrl and Up or Down in a prompt", "weight of the word"],
  ["right click, or a long press", "menu"],
];

/** @param {import("./app.js").App} app */
export function sheet(app) {
  const { dialog, form } = openDialog("Keys");
  dialog.classList.add("sheet");
  form.append(Object.assign(document.createElement("h2"), { textContent: "Keys" }));
  const groups = new Map();
  for (const command of app.commands.values()) if (app.keysOf(command).length) groups.set(command.group, [...(groups.get(command.group) ?? []), command]);
  const columns = document.createElement("div");
  columns.className = "columns";
  for (const [group, commands] of groups) columns.append(section(group, commands.map((/** @type {any} */ command) => [app.keysOf(command).map(app.keyText).join("  or  "), command.title])));
  columns.append(section("Pointer", POINTER));
  const close = Object.assign(document.createElement("button"), { textContent: "Close", className: "primary" });
  form.append(columns, close);
}

/** @param {string} title @param {[string, string][]} rows */
function section(title, rows) {
  const part = document.createElement("section");
  part.append(Object.assign(document.createElement("h3"), { textContent: title }));
  const list = document.createElement("dl");
  for (const [keys, does] of rows) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), { textContent: keys }));
    list.append(term, Object.assign(document.createElement("dd"), { textContent: does }));
  }
  part.append(list);
  return part;
}
