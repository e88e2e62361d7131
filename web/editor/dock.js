// Panels: a rail of buttons at the left, and one open panel at each side of the canvas.

import { icon, iconButton } from "./icons.js";
import { recall, texts } from "./kept.js";
import { t } from "./words.js";

/**
 * @typedef {object} Panel
 * @property {string} id
 * @property {string} title
 * @property {string} icon a name of icons.js
 * @property {"left" | "right"} side where it opens
 * @property {string} [key] as in the table of keys, such as "w" or "Mod+,": shows and hides it
 * @property {(element: HTMLElement, app: import("./app.js").App) => void | (() => void)} mount fills the empty element each time the panel is
 *   shown; what it gives back is called when the panel goes away
 */

const KEPT = "easel.dock";

export class Dock {
  /** @param {Panel[]} panels @param {{rail: HTMLElement, left: HTMLElement, right: HTMLElement}} places @param {() => import("./app.js").App} app */
  constructor(panels, places, app) {
    this.panels = new Map(panels.map((panel) => [panel.id, panel]));
    this.places = places;
    this.app = app;
    /** @type {{left: {id: string, leave: () => void} | null, right: {id: string, leave: () => void} | null}} */
    this.shown = { left: null, right: null };
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    for (const panel of panels) places.rail.append(this.button(panel));
  }

  /** @param {Panel} panel */
  button(panel) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.panel = panel.id;
    button.title = panel.title;
    button.setAttribute("aria-pressed", "false");
    const label = document.createElement("span");
    label.textContent = panel.title;
    button.append(icon(panel.icon), label);
    button.addEventListener("click", () => this.toggle(panel.id));
    this.buttons.set(panel.id, button);
    return button;
  }

  /** @param {string} id */
  isOpen(id) {
    return this.shown.left?.id === id || this.shown.right?.id === id;
  }

  /** Show a panel, anew if it is there already. @param {string} id */
  open(id) {
    const panel = this.panels.get(id);
    if (!panel) return;
    this.close(panel.side);
    const place = this.places[panel.side];
    const head = document.createElement("header");
    const title = document.createElement("h2");
    title.textContent = panel.title;
    head.append(title, iconButton("close", t("page.close-panel", { panel: panel.title }), () => this.close(panel.side)));
    const body = document.createElement("div");
    body.className = `panel panel-${id}`;
    place.append(head, body);
    place.hidden = false;
    place.setAttribute("aria-label", panel.title);
    this.buttons.get(id)?.setAttribute("aria-pressed", "true");
    this.shown[panel.side] = { id, leave: panel.mount(body, this.app()) ?? (() => {}) };
    this.keep();
  }

  /** @param {"left" | "right"} side */
  close(side) {
    const shown = this.shown[side];
    if (!shown) return;
    this.shown[side] = null;
    shown.leave();
    this.buttons.get(shown.id)?.setAttribute("aria-pressed", "false");
    this.places[side].replaceChildren();
    this.places[side].hidden = true;
    this.keep();
  }

  /** @param {string} id */
  toggle(id) {
    const side = this.panels.get(id)?.side;
    if (side && this.isOpen(id)) this.close(side);
    else this.open(id);
  }

  keep() {
    localStorage.setItem(KEPT, JSON.stringify([this.shown.left?.id, this.shown.right?.id].filter(Boolean)));
  }

  /** Open what was open when the page was left. */
  restore() {
    if (window.innerWidth > 700) for (const id of texts(recall(localStorage, KEPT))) if (this.panels.has(id)) this.open(id);
  }
}
