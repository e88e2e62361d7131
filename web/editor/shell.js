// What stands around the canvas: the bar at the top, the tools of what is chosen, the line at the foot.

import { icon, iconButton } from "./icons.js";
import { openMenu } from "./menu.js";
import { counted, t } from "./words.js";

/** @typedef {import("./app.js").App} App */

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const SERVER_SECONDS = 5;
const TOOLS = ["undo", "redo", "add", "fit", "find"];
const CHOICE = ["run-to", "mute", "bypass", "collapse", "duplicate", "group", "delete", "menu"];
const FILE_MENU = ["new", "open", "save", "save-as", "download", "recover", "refresh", "theme", "panel-settings", "palette", "sheet"];

/** The words of index.html: its elements say which, as their text or as their name. */
export function sayWords() {
  for (const [attribute, say] of /** @type {[string, (element: HTMLElement, text: string) => void][]} */ ([
    ["text", (element, text) => (element.textContent = text)],
    ["label", (element, text) => element.setAttribute("aria-label", text)],
    ["title", (element, text) => (element.title = text)],
    ["drop", (element, text) => (element.dataset.drop = text)],
  ])) {
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`[data-${attribute}-word]`))) {
      say(element, t(/** @type {import("./words.js").Key} */ (element.dataset[`${attribute}Word`])));
    }
  }
}

/** @param {App} app @param {string} id @returns {import("./commands.js").Command} */
const commandOf = (app, id) => /** @type {import("./commands.js").Command} */ (app.commands.get(id));

/** What a button says of its command: the title and the first key. @param {App} app @param {HTMLElement} button @param {string} id */
function nameByCommand(app, button, id) {
  const show = () => {
    const keys = app.keysOf(commandOf(app, id)).slice(0, 1).map(app.keyText).join();
    button.title = `${commandOf(app, id).title}${keys ? ` (${keys})` : ""}`;
  };
  show();
  app.events.on("settings", show);
}

/** A button for a command. @param {App} app @param {string} id */
function commandButton(app, id) {
  const command = commandOf(app, id);
  const button = iconButton(command.icon ?? "more", command.title, () => app.does(id));
  nameByCommand(app, button, id);
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
  nameByCommand(app, $("run"), "run");
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
    words.textContent = counted("page.nodes", size);
    $("chosen").textContent = size ? t("page.chosen", { nodes: words.textContent }) : "";
  });
}

let serverReady = true;

/** @param {number} seconds */
const clock = (seconds) => (seconds < 60 ? t("unit.seconds", { n: seconds.toFixed(seconds < 10 ? 1 : 0) }) : t("unit.minutes", { minutes: Math.floor(seconds / 60), seconds: Math.round(seconds % 60) }));

/** What the followed job does, in words. @param {App} app @param {import("./runs.js").Run | null} run @returns {string} */
function words(app, run) {
  const more = app.jobs.waiting.length > 1 ? t("run.more", { count: app.jobs.waiting.length - 1 }) : "";
  if (app.jobs.asked) return serverReady ? t("run.queueing") : t("run.worker-starts");
  if (!run) return "";
  if (run.broken && run.busy) return t("run.broken");
  if (run.state === "queued") return serverReady ? `${t("run.queued")}${more}` : t("run.worker-starts");
  if (run.state === "running") {
    const [id, state] = [...run.states].findLast(([, item]) => item.state === "running") ?? ["", null];
    const { path, scene } = app.editor;
    const title = (id.startsWith(path) && scene.nodes.get(id.slice(path.length).split(":")[0])?.title) || t("run.running");
    const left = state?.eta ? t("run.left", { time: clock(state.eta) }) : "";
    return `${title}${state?.total && state.total > 1 ? ` ${state.value}/${state.total}` : ""}${left}${more}`;
  }
  const after = run.from && run.until ? t("run.after", { time: clock(run.until - run.from) }) : "";
  return t(/** @type {import("./words.js").Key} */ (`run.${run.state}`), { after });
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
    $("run").querySelector("span").textContent = app.jobs.busy ? t("run.queue") : t("run.run");
  };
  app.events.on("run", tell);
  app.events.on("jobs", () => tell(app.editor.run));
  app.events.on("opened", () => tell(app.editor.run));
}

/** @param {App} app */
export function showServer(app) {
  const look = async () => {
    let state = { ready: false, text: t("server.silent") };
    try {
      const { easel, worker, device } = await app.api.version();
      state = { ready: worker === "ready", text: worker === "ready" ? t("server.ready", { version: easel, device: device?.name ?? t("server.this-machine") }) : t("server.starting") };
    } catch (error) {
      if (!(error instanceof app.api.Unreachable || error instanceof app.api.Refused)) throw error;
    }
    $("server").textContent = state.text;
    $("server").classList.toggle("ready", state.ready);
    if (serverReady !== state.ready) {
      serverReady = state.ready;
      app.events.emit("run", app.editor.run);
    }
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
