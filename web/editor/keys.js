// Keys: from the table of commands. No plain letter does anything while a text is written.

/** @typedef {import("./app.js").App} App */

const TYPING = "input, textarea, select, [contenteditable]";
const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
/** What works also while a text is written. */
const ALWAYS = /^Mod\+(Shift\+|Alt\+)?Enter$|^Mod\+(Shift\+)?s$|^Mod\+o$|^Mod\+k$|^F1$/;
/** The browser turns these into events of the clipboard, which need no permission (clipboard.js). */
const CLIPBOARD = new Set(["Mod+c", "Mod+x", "Mod+v", "Mod+Shift+v"]);

/** How a key press is called in the table. @param {KeyboardEvent} event */
export function nameOf(event) {
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase();
  const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const key = event.altKey && letter ? letter : plain;
  const shift = event.shiftKey && !(key.length === 1 && /[^a-z0-9]/.test(key)) ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.altKey ? "Alt+" : ""}${shift}${key === " " ? "Space" : key}`;
}

/** A key of the table as a person reads it. @param {string} key */
export function keyText(key) {
  const words = key.replace("Mod", MAC ? "⌘" : "Ctrl").replace("Alt+", MAC ? "⌥+" : "Alt+").replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("ArrowUp", "↑").replace("ArrowDown", "↓");
  return words.replace(/(^|\+)([a-z])$/, (_, before, letter) => before + letter.toUpperCase());
}

export const isTyping = () => document.activeElement?.matches(TYPING) ?? false;

/** Why a key cannot be a command's, as a key of the words; null when it can. @param {string} key @returns {import("./words.js").Key | null} */
export function unusable(key) {
  if (CLIPBOARD.has(key)) return "sheet.clipboard";
  if (/^(Shift\+)?Space$/.test(key)) return "sheet.pans";
  return /^(Shift\+)?Tab$/.test(key) ? "sheet.moves-focus" : null;
}

/** Keys that browsers keep for themselves. */
export const BROWSERS_OWN = new Set(["Mod+w", "Mod+t", "Mod+n", "Mod+q", "Mod+Shift+w", "Mod+Shift+t", "Mod+Shift+n"]);

/** @param {App} app */
export function bindKeys(app) {
  /** @type {Map<string, import("./commands.js").Command>} */
  let table = new Map();
  const read = () => void (table = new Map([...app.commands.values()].flatMap((command) => app.keysOf(command).map((key) => /** @type {[string, any]} */ ([key, command])))));
  read();
  app.events.on("settings", read);
  window.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const name = nameOf(event);
    const command = table.get(name);
    if (!command || CLIPBOARD.has(name)) return;
    if (document.querySelector("dialog[open]")) return;
    const elsewhere = document.activeElement !== document.body && document.activeElement !== app.editor.canvas;
    if (elsewhere && /^(Enter|Tab|Escape|Shift\+Enter|Arrow.*|Delete|Backspace)$/.test(name)) return;
    if (isTyping() && !ALWAYS.test(name)) return;
    event.preventDefault();
    if (command.when?.(app) ?? true) app.guard(() => command.run(app));
  });
}
