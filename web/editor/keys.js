// Keys: from the table of commands. No plain letter does anything while a text is written.

const TYPING = "input, textarea, select, dialog *, [contenteditable]";

/** How a key press is called in the table. @param {KeyboardEvent} event */
export function nameOf(event) {
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase();
  const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const key = event.altKey && letter ? letter : plain;
  return `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${key}`;
}

export const isTyping = () => document.activeElement?.matches(TYPING) ?? false;

/** @param {import("./app.js").App} app */
export function bindKeys(app) {
  const table = new Map([...app.commands.values()].flatMap((command) => command.keys.map((key) => [key, command])));
  window.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const name = nameOf(event);
    if (isTyping() && !name.startsWith("Mod+") && !name.startsWith("Alt+")) return;
    if (isTyping() && !/Enter$|\+s$|\+o$|\+,$/.test(name)) return;
    const command = table.get(name);
    if (!command) return;
    event.preventDefault();
    if (command.when?.(app) ?? true) app.guard(() => command.run(app));
  });
}
