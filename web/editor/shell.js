// What stands around the canvas: the bar at the top, the outline of the graph for screen readers, the line at the foot.

import { iconButton } from "./icons.js";
import { search } from "./search.js";

/** @typedef {import("./app.js").App} App */

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const SERVER_SECONDS = 5;

/** @param {App} app */
export function showTop(app) {
  const tools = /** @type {HTMLElement} */ ($("tools"));
  const buttons = ["undo", "redo", "fit"].map((id) => {
    const command = /** @type {any} */ (app.commands.get(id));
    const button = iconButton(command.icon, command.title, () => app.does(id));
    button.id = id;
    return button;
  });
  const { view } = app.editor;
  const adding = iconButton("add", "Add a node", () => search(app.editor, view.toWorld(view.width / 2, view.height / 2)));
  adding.id = "add";
  tools.append(...buttons, adding);
  $("run").addEventListener("click", () => app.does("run"));
  $("cancel").addEventListener("click", () => app.does("cancel"));
  const usable = () => {
    for (const id of ["undo", "redo"]) $(id).disabled = !app.commands.get(id)?.when?.(app);
  };
  app.events.on("document", usable);
  usable();
  app.events.on("opened", () => {
    $("title").textContent = app.file.title;
    document.title = `${app.file.title} - Easel`;
  });
  app.events.on("run", (run) => {
    $("cancel").hidden = !run || !["queued", "running"].includes(run.state);
    $("status").textContent = run?.state ?? "";
  });
}

/** The graph as a list in the page: for screen readers, and for tests. @param {App} app */
export function showOutline(app) {
  app.events.on("document", () => {
    $("outline").replaceChildren(...app.editor.scene.order.map((node) => {
      const line = document.createElement("li");
      line.dataset.id = node.id;
      line.textContent = `${node.title} (${node.face.title})`;
      return line;
    }));
  });
}

/** @param {App} app */
export function showStatus(app) {
  const look = async () => {
    let state = { ready: false, text: "The server does not answer" };
    try {
      const { easel, worker, device } = await app.api.version();
      state = { ready: worker === "ready", text: worker === "ready" ? `Easel ${easel} on ${device?.name ?? "this machine"}` : "The worker is starting" };
    } catch (error) {
      if (!(error instanceof app.api.Unreachable || error instanceof app.api.Refused)) throw error;
    }
    $("server").textContent = state.text;
    $("server").classList.toggle("ready", state.ready);
    app.events.emit("server", state);
  };
  look();
  setInterval(look, SERVER_SECONDS * 1000);
}
