// Dark, light, or as the system has it.

const SYSTEM = "(prefers-color-scheme: light)";

export class Themes {
  /** @param {import("./editor.js").Editor} editor */
  constructor(editor) {
    this.editor = editor;
    window.matchMedia(SYSTEM).addEventListener("change", () => this.show());
    editor.events.on("settings", (name) => name === "theme" && this.show());
    this.show();
  }

  get light() {
    const theme = this.editor.settings.get("theme");
    return theme === "light" || (theme === "system" && window.matchMedia(SYSTEM).matches);
  }

  toggle() {
    this.editor.settings.set("theme", this.light ? "dark" : "light");
  }

  show() {
    const theme = this.editor.settings.get("theme");
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    this.editor.renderer.readTheme();
    this.editor.renderer.draw();
    this.editor.events.emit("theme", null);
  }
}
