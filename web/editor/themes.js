// Dark, light, or as the system has it.

const KEPT = "easel.theme";

/** @typedef {"system" | "dark" | "light"} Theme */

export class Themes {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    const kept = localStorage.getItem(KEPT);
    this.set(kept === "dark" || kept === "light" ? kept : "system");
    window.matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.show());
  }

  get light() {
    return this.theme === "light" || (this.theme === "system" && window.matchMedia("(prefers-color-scheme: light)").matches);
  }

  toggle() {
    this.set(this.light ? "dark" : "light");
  }

  /** @param {Theme} theme */
  set(theme) {
    this.theme = theme;
    localStorage.setItem(KEPT, theme);
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    this.show();
  }

  show() {
    this.editor.renderer.readTheme();
    this.editor.renderer.draw();
    this.editor.events.emit("theme", null);
  }
}
