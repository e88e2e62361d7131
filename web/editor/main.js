// The page comes up: parts are made and joined, the first workflow is opened.

import { App } from "./app.js";
import { Catalogue } from "./catalogue.js";
import { bindClipboard } from "./clipboard.js";
import { COMMANDS, panelCommands } from "./commands.js";
import { Dock } from "./dock.js";
import { Editor } from "./editor.js";
import { Events } from "./events.js";
import { Jobs } from "./jobs.js";
import { bindKeys } from "./keys.js";
import { Notices } from "./notices.js";
import { listen } from "./pointer.js";
import { search } from "./search.js";
import { showOutline, showStatus, showTop } from "./shell.js";
import { PANELS } from "../panels/panels.js";

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

const events = new Events();
const editor = new Editor($("canvas"), new Catalogue({ nodes: {}, files: {}, failures: {} }), events);
const app = new App({ editor, events, notices: new Notices($("news"), $("problems")) });
app.jobs = new Jobs(app);
app.dock = new Dock(PANELS, { rail: $("rail"), left: $("left"), right: $("right") }, () => app);
for (const command of [...COMMANDS, ...panelCommands(PANELS)]) app.commands.set(command.id, command);

showTop(app);
showOutline(app);
showStatus(app);
app.guard(async () => {
  await app.refresh();
  listen(editor, (at, drag) => search(editor, at, drag));
  bindKeys(app);
  bindClipboard(app);
  await app.openWorkflow("text_to_image.json");
  app.dock.restore();
});
