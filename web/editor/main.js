// The page comes up: its parts are made and joined, and what was open is opened again, or the first workflow.

import { App } from "./app.js";
import { bindClipboard, copyText } from "./clipboard.js";
import { COMMANDS, panelCommands } from "./commands.js";
import { showPicture } from "./dialogs.js";
import { Dock } from "./dock.js";
import { Drafts } from "./drafts.js";
import { Editor } from "./editor.js";
import { Events } from "./events.js";
import { tellFaults } from "./faults.js";
import { bindDrop } from "./files.js";
import { Jobs } from "./jobs.js";
import { bindKeys } from "./keys.js";
import { renameAt } from "./renaming.js";
import { Notices } from "./notices.js";
import { showOutline } from "./outline.js";
import { bindPointer } from "./pointer.js";
import { search } from "./search.js";
import { Settings } from "./settings.js";
import { sayWords, showChoice, showCrumbs, showRun, showServer, showTop } from "./shell.js";
import { Themes } from "./themes.js";
import { t } from "./words.js";
import { open } from "./workflow_file.js";
import { PANELS } from "../panels/panels.js";

const FIRST = "text_to_image.json";
const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

sayWords();
const events = new Events();
const editor = new Editor($("canvas"), events, new Settings(localStorage, events));
const app = new App({ editor, events, notices: new Notices($("news"), $("problems")) });
tellFaults((text, kind, hint) => app.say(text, kind, hint));
for (const command of [...COMMANDS, ...panelCommands(PANELS)]) app.commands.set(command.id, command);
app.jobs = new Jobs(app);
app.themes = new Themes(editor);
app.dock = new Dock(PANELS, { rail: $("rail"), left: $("left"), right: $("right") }, () => app);
app.drafts = new Drafts(app);
showTop(app);
showChoice(app);
showCrumbs(app);
showRun(app);
showOutline(app);
showServer(app);
bindPointer(app, { search: (at, drag) => search(app, at, drag), menu: async (at) => (await import("./node_menu.js")).openCanvasMenu(app, at), rename: (at) => renameAt(app, at) });
bindKeys(app);
bindClipboard(app);
bindDrop(app);
Object.assign(window, { easel: app }); // for the browser's console, and for tests
events.on("picture", ({ node, source }) => showPicture(source, t("file.result-of", { node: editor.scene.nodes.get(node)?.title ?? node })));
events.on("log", (place) => app.guard(async () => (await import("../panels/log.js")).showLog(app, place)));
events.on("copy", (text) => app.guard(async () => {
  await copyText(text);
  app.say(t("page.copied", { text }));
}));
events.on("refused", (text) => app.say(t("link.not-made", { why: text })));

/** What this page had open before it was loaded again, or the first workflow. */
async function begin() {
  const draft = await app.drafts?.mine();
  if (draft) {
    const id = app.drafts?.id ?? "";
    app.openDocument(open(draft.text), draft.file);
    app.opened = draft.opened;
    if (draft.dirty) app.saved = new Map();
    await app.drafts?.keep(); // under its new name, before it is gone under the old one
    await app.drafts?.drop(id);
    return;
  }
  await app.openWorkflow(FIRST);
  const unsaved = await app.guard(async () => app.drafts?.unsaved());
  if (unsaved?.length) (await import("./recovery.js")).offer(app, unsaved);
}

app.guard(async () => {
  const nodes = app.refresh();
  await Promise.all([app.guard(begin), nodes]);
  document.body.dataset.ready = "true";
  editor.firstLook();
  app.dock.restore();
  await app.jobs.resume();
});
