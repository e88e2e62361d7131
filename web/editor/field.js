// The one control of the page that lies over the canvas: a text field where a value is edited. It follows the canvas when that moves.

/** @typedef {import("./editor.js").Editor} Editor */
/**
 * @typedef {object} FieldOf
 * @property {() => {x: number, y: number, w: number, h: number} | null} place in the world; null when its node is gone
 * @property {string} text
 * @property {string} label
 * @property {boolean} [multiline]
 * @property {(text: string) => void} done with what is to be kept
 * @property {(text: string) => void} [typed] at each change
 * @property {(event: KeyboardEvent, box: HTMLInputElement | HTMLTextAreaElement) => boolean} [key] true when it dealt with the key
 * @property {(step: number) => void} [leave] on Tab, with 1, and -1 with Shift
 * @property {(left: boolean) => void} [gone] when it is closed
 */

/** @type {(() => void) | null} */
let closeOpen = null;

/** Ends the edit at work, keeping what was typed. */
export const settleField = () => closeOpen?.();

/** @param {Editor} editor @param {FieldOf} field @returns {{box: HTMLInputElement | HTMLTextAreaElement, host: HTMLElement, close: (keep: boolean) => void}} */
export function openField(editor, field) {
  settleField();
  const host = document.createElement("div");
  host.className = "overlay";
  const box = document.createElement(field.multiline ? "textarea" : "input");
  box.setAttribute("aria-label", field.label);
  box.spellcheck = Boolean(field.multiline) && editor.settings.get("spelling");
  box.autocomplete = "off";
  box.value = field.text;
  host.append(box);
  const put = () => {
    const world = field.place();
    if (!world) return close(false);
    const { scale } = editor.view;
    const [x, y] = editor.view.toScreen(world.x, world.y);
    const corner = editor.canvas.getBoundingClientRect();
    const rules = { left: x + corner.left, top: y + corner.top, width: Math.max(120, world.w * scale) };
    for (const [name, value] of Object.entries(rules)) host.style.setProperty(name, `${value}px`);
    box.style.setProperty("height", `${Math.max(24, world.h * scale)}px`);
    box.style.setProperty("font-size", `${Math.min(22, Math.max(12, 13 * scale))}px`);
  };
  let open = true;
  const close = (/** @type {boolean} */ keep) => {
    if (!open) return;
    open = false;
    closeOpen = null;
    editor.placeField = null;
    editor.editing = null;
    const hadFocus = host.contains(document.activeElement);
    host.remove();
    if (keep && box.value !== field.text) field.done(box.value);
    field.gone?.(hadFocus);
    editor.renderer.draw();
    if (hadFocus) editor.canvas.focus({ preventScroll: true });
  };
  box.addEventListener("input", () => field.typed?.(box.value));
  box.addEventListener("blur", () => close(true));
  box.addEventListener("keydown", (given) => {
    const event = /** @type {KeyboardEvent} */ (given);
    if (event.isComposing) return;
    if (field.key?.(event, box)) event.preventDefault();
    else if (event.key === "Escape") close(false);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return close(true); // and the page runs the workflow
    else if (event.key === "Enter" && !field.multiline) close(true);
    else if (event.key === "Tab") {
      close(true);
      field.leave?.(event.shiftKey ? -1 : 1);
      event.preventDefault();
    } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      close(true);
      return;
    }
    event.stopPropagation();
  });
  closeOpen = () => close(true);
  editor.placeField = put;
  document.body.append(host);
  put();
  box.focus({ preventScroll: true });
  box.select();
  return { box, host, close };
}
