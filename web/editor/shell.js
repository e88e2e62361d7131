// What stands around the canvas: the bar at the top, the tools of what is chosen, the line at the foot.

import { icon, iconButton } from "./icons.js";
import { openMenu } from "./menu.js";

/** @typedef {import("./app.js").App} App */

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const SERVER_SECONDS = 5;
const TOOLS = ["undo", "redo", "add", "fit", "find"];
const CHOICE = ["run-to", "mute", "bypass", "collapse", "duplicate", "group", "delete", "menu"];
const FILE_MENU = ["new", "open", "save", "save-as", "download", "refresh", "theme", "palette", "sheet"];

/** A button for a command. @param {App} app @param {string} id */
function commandButton(app, id) {
  const command = /** @type {import("./commands.js").Command} */ (app.commands.get(id));
  const keys = app.keysOf(command).slice(0, 1).map(app.keyText).join();
  const button = iconButton(command.icon ?? "more", `${command.title}${keys ? ` (${keys})` : ""}`, () => app.does(id));
  button.setAttribute("aria-label", command.title);
  button.id = id;
  return button;
}

/** @param {App} app */
export function showTop(app) {
  $("tools").append(...TOOLS.map((id) => commandButton(app, id)));
  $("file").prepend(icon("more"));
  $("file").addEventListener("click", () => {
    const box = $("file").getBoundingClientRect();
    openMenu(app, [box.left, box.bottom + 4], FILE_MENU.flatMap((id) => {
      const command = app.commands.get(id);
      return command ? [{ title: command.title, keys: app.keysOf(command).slice(0, 1).map(app.keyText).join(), run: () => command.run(app) }] : [];
    }));
  });
  $("run").prepend(icon("run"));
  $("run").addEventListener("click", () => app.does("run"));
  $("cancel").prepend(icon("stop"));
  $("cancel").addEventListener("click", () => app.does("cancel"));
  $("count").addEventListener("change", () => {
    app.count = Math.min(100, Math.max(1, Math.round(Number($("count").value)) || 1));
    $("count").value = app.count;
  });
  const usable = () => {
    for (const id of ["undo", "redo"]) $(id).disabled = !app.commands.get(id)?.when?.(app);
    const title = `${app.dirty ? "• " : ""}${app.file.title}`;
    $("title").textContent = app.file.title;
    $("title").classList.toggle("dirty", app.dirty);
    document.title = `${title} - Easel`;
  };
  for (const name of /** @type {const} */ (["document", "opened", "saved"])) app.events.on(name, usable);
  usable();
}

/** The tools of what is chosen. @param {App} app */
export function showChoice(app) {
  const bar = $("choice");
  bar.append(...CHOICE.map((id) => commandButton(app, id)));
  const words = Object.assign(document.createElement("span"), { className: "words" });
  bar.prepend(words);
  app.events.on("selection", () => {
    const { size } = app.editor.selection;
    bar.hidden = size === 0;
    words.textContent = size === 1 ? "1 node" : `${size} nodes`;
    $("chosen").textContent = size ? `${words.textContent} chosen` : "";
  });
}

let serverReady = true;

/** @param {number} seconds */
const clock = (seconds) => (seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`);

/** What the followed job does, in words. @param {App} app @param {import("./runs.js").Run | null} run */
function words(app, run) {
  const more = app.jobs.waiting.length > 1 ? `, ${app.jobs.waiting.length - 1} more wait` : "";
  if (app.jobs.asked) return serverReady ? "Queueing" : "The worker is starting; the job waits for it";
  if (!run) return "";
  if (run.broken && run.busy) return "The server does not answer; the job goes on when it is back";
  if (run.state === "queued") return `Queued${more}`;
  if (run.state === "running") {
    const [id, state] = [...run.states].findLast(([, item]) => item.state === "running") ?? ["", null];
    const { path, scene } = app.editor;
    const title = (id.startsWith(path) && scene.nodes.get(id.slice(path.length).split(":")[0])?.title) || "Running";
    const left = state?.eta ? `, about ${clock(state.eta)} left` : "";
    return `${title}${state?.total && state.total > 1 ? ` ${state.value}/${state.total}` : ""}${left}${more}`;
  }
  if (run.state === "gone") return "The job was removed";
  const spent = run.from && run.until ? ` after ${clock(run.until - run.from)}` : "";
  return { succeeded: `Done${spent}`, failed: `Failed${spent}`, cancelled: `Cancelled${spent}`, interrupted: "Interrupted; it will go on", paused: "Paused", parked: "Parked: it ended its process twice" }[run.state] ?? run.state;
}

/** The way from the workflow into the open subgraph. @param {App} app */
export function showCrumbs(app) {
  const bar = $("crumbs");
  const { editor } = app;
  const show = () => {
    bar.hidden = !editor.inside;
    bar.replaceChildren(...[app.file.title, ...editor.entered.map(({ name }) => name)].map((name, depth) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.setAttribute("aria-current", String(depth === editor.entered.length));
      button.addEventListener("click", () => editor.enter(editor.entered.slice(0, depth)));
      return button;
    }));
  };
  app.events.on("entered", show);
  app.events.on("opened", show);
}

/** @param {App} app */
export function showRun(app) {
  const tell = (/** @type {import("./runs.js").Run | null} */ run) => {
    $("cancel").hidden = !app.jobs.busy;
    const text = words(app, run);
    if ($("status").textContent !== text) $("status").textContent = text;
    $("status").dataset.state = app.jobs.asked ? "asked" : (run?.state ?? "");
    $("bar").hidden = !run?.busy;
    $("bar").value = run?.part ?? 0;
    $("run").querySelector("span").textContent = app.jobs.busy ? "Queue" : "Run";
  };
  app.events.on("run", tell);
  app.events.on("jobs", () => tell(app.editor.run));
  app.events.on("opened", () => tell(app.editor.run));
}

/** @param {App} app */
export function showServer(app) {
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
    serverReady = state.ready;
    app.events.emit("server", state);
  };
  look();
  setInterval(look, SERVER_SECONDS * 1000);
  const zoom = $("zoom");
  app.editor.renderer.painted = () => {
    const text = `${Math.round(app.editor.view.scale * 100)}%`;
    if (zoom.textContent !== text) zoom.textContent = text;
  };
}
