// The sheet of keys and of what the pointer does. Here commands get other keys.

import { openDialog } from "./dialogs.js";
import { BROWSERS_OWN, keyText, nameOf, unusable } from "./keys.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./commands.js").Command} Command */

const POINTER = /** @type {const} */ ([
  "pan", "zoom", "box", "add-chosen", "snap", "clone", "add", "drop", "replug", "move-links", "cut-links", "knife", "reroute", "reroute-socket", "insert", "rename", "number", "weight", "menu",
]);
const ONLY_HELD = /^(Control|Shift|Alt|Meta|AltGraph)$/;

/** @param {App} app @param {Command} command */
const shown = (app, command) => app.keysOf(command).map(keyText).join(t("sheet.or")) || t("sheet.none");

/** The person's keys after a command got others; another command that had one of them loses it. @param {App} app @param {Command} command @param {string[]} keys
 * @returns {{own: Record<string, string[]>, losers: Command[]}} */
export function rebound(app, command, keys) {
  const losers = [...app.commands.values()].filter((other) => other !== command && app.keysOf(other).some((key) => keys.includes(key)));
  const own = { ...app.settings.get("keys"), [command.id]: keys };
  for (const loser of losers) own[loser.id] = app.keysOf(loser).filter((key) => !keys.includes(key));
  return { own, losers };
}

/** @param {App} app */
export function sheet(app) {
  const { dialog, form } = openDialog(t("sheet.title"));
  dialog.classList.add("sheet");
  const told = Object.assign(document.createElement("p"), { className: "dim", textContent: t("sheet.how") });
  told.setAttribute("role", "status");
  const say = (/** @type {string} */ text) => (told.textContent = text);
  /** @type {Map<string, Command[]>} */
  const groups = new Map();
  for (const command of app.commands.values()) groups.set(command.group, [...(groups.get(command.group) ?? []), command]);
  /** @type {(() => void)[]} */
  const shows = [];
  const columns = document.createElement("div");
  columns.className = "columns";
  for (const [group, commands] of groups) {
    columns.append(section(group, commands.map((command) => {
      const { button, show } = keysButton(app, command, say);
      shows.push(show);
      return /** @type {[HTMLElement, string]} */ ([button, command.title]);
    })));
  }
  columns.append(section(t("sheet.pointer"), POINTER.map((name) => [Object.assign(document.createElement("kbd"), { textContent: t(`pointer.${name}`) }), t(`pointer.${name}.does`)])));
  const off = app.events.on("settings", () => shows.forEach((show) => show()));
  dialog.addEventListener("close", off);
  const row = document.createElement("div");
  row.className = "answers";
  const defaults = Object.assign(document.createElement("button"), { type: "button", textContent: t("sheet.defaults") });
  defaults.addEventListener("click", () => {
    app.settings.set("keys", {});
    say(t("sheet.how"));
  });
  row.append(Object.assign(document.createElement("button"), { textContent: t("page.close"), className: "primary" }), defaults);
  form.append(Object.assign(document.createElement("h2"), { textContent: t("sheet.title") }), told, columns, row);
}

/** The keys of a command; a click waits for others. @param {App} app @param {Command} command @param {(text: string) => void} say */
function keysButton(app, command, say) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain" });
  button.dataset.command = command.id;
  const keys = document.createElement("kbd");
  button.append(keys);
  let waits = false;
  const show = () => {
    waits = false;
    button.classList.remove("waits");
    button.classList.toggle("own", command.id in app.settings.get("keys"));
    button.classList.toggle("unbound", !app.keysOf(command).length);
    keys.textContent = shown(app, command);
    button.setAttribute("aria-label", t("sheet.change", { command: command.title, keys: keys.textContent }));
  };
  button.addEventListener("click", () => {
    waits = true;
    button.classList.add("waits");
    keys.textContent = "…";
    say(t("sheet.press"));
  });
  button.addEventListener("blur", show);
  button.addEventListener("keydown", (event) => {
    if (!waits || ONLY_HELD.test(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const name = nameOf(event);
    const why = unusable(name);
    if (event.key === "Escape") say(t("sheet.how"));
    else if (BROWSERS_OWN.has(name)) say(t("sheet.browsers", { keys: keyText(name) }));
    else if (why) say(t("sheet.unusable", { keys: keyText(name), why: t(why) }));
    else {
      const { own, losers } = rebound(app, command, event.key === "Backspace" ? [] : [name]);
      app.settings.set("keys", own);
      say(losers.length ? t("sheet.taken", { keys: keyText(name), command: losers.map((loser) => loser.title).join(", "), mine: command.title }) : t("sheet.how"));
    }
    show();
  });
  show();
  return { button, show };
}

/** @param {string} title @param {[HTMLElement, string][]} rows */
function section(title, rows) {
  const part = document.createElement("section");
  part.append(Object.assign(document.createElement("h3"), { textContent: title }));
  const list = document.createElement("dl");
  for (const [keys, does] of rows) {
    const term = document.createElement("dt");
    term.append(keys);
    list.append(term, Object.assign(document.createElement("dd"), { textContent: does }));
  }
  part.append(list);
  return part;
}
