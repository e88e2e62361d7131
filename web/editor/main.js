// The page: opens a workflow, runs it, and says what is wrong.

import { Catalogue } from "./catalogue.js";
import { Editor } from "./editor.js";
import { bind } from "./keys.js";
import { NotJson } from "./json.js";
import { listen } from "./pointer.js";
import { ask, byNode, Refused, Run, submit } from "./runs.js";
import { search } from "./search.js";
import { NotAWorkflow } from "./workflow_file.js";

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** @param {string[]} messages */
function say(messages) {
  $("problems").replaceChildren(...messages.map((message) => Object.assign(document.createElement("li"), { textContent: message })));
}

/** @param {(...given: any[]) => any} work @returns {(...given: any[]) => Promise<void>} */
function guarded(work) {
  return async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      if (error instanceof Refused) {
        editor.problems = byNode(error.problems);
        editor.renderer.draw();
        say(error.problems.map((item) => `${item.node_id ? `${item.node_id}: ` : ""}${item.message}`));
      } else if (error instanceof NotJson || error instanceof NotAWorkflow) say([error.message]);
      else if (error instanceof TypeError) say(["The server does not answer. Is it still running?"]);
      else throw error;
    }
  };
}

const editor = new Editor($("canvas"), new Catalogue({ nodes: {}, files: {}, failures: {} }), outline);

/** @param {Editor} shown */
function outline(shown) {
  $("undo").disabled = !shown.history.past.length;
  $("redo").disabled = !shown.history.future.length;
  $("outline").replaceChildren(...shown.scene.order.map((node) => {
    const line = document.createElement("li");
    line.dataset.id = node.id;
    line.textContent = `${node.title} (${node.face.title})`;
    return line;
  }));
}

function heard() {
  const { run } = editor;
  if (!run) return;
  $("cancel").hidden = !["queued", "running"].includes(run.state);
  $("status").textContent = run.state;
  editor.rebuild();
}

async function start(front = false) {
  say([]);
  editor.problems = new Map();
  const run = new Run(editor.doc, heard);
  const job = await submit(editor.doc, front);
  editor.run = run;
  heard();
  run.follow(job.id, guarded(async () => {
    const failures = JSON.parse(await ask(`jobs/${encodeURIComponent(job.id)}`)).failures ?? [];
    editor.problems = byNode(failures.map((/** @type {any} */ item) => ({ ...item.error, node_id: item.display_id })));
    say(failures.map((/** @type {any} */ item) => `${item.display_id}: ${item.error?.message ?? item.exception_type}`));
    heard();
  }));
}

const openNamed = guarded(async (name) => say(editor.open(await ask(`workflows/${name.split("/").map(encodeURIComponent).join("/")}`))));
const cancel = guarded(async () => editor.run && ask(`jobs/${encodeURIComponent(editor.run.id)}/cancel`, { method: "POST" }));

guarded(async () => {
  const [nodes, listed] = await Promise.all([ask("nodes"), ask("workflows")]);
  editor.catalogue = new Catalogue(JSON.parse(nodes));
  $("workflows").replaceChildren(...JSON.parse(listed).workflows.map((/** @type {any} */ item) => new Option(item.title, item.name)));
  $("workflows").value = "text_to_image.json";
  listen(editor, (at, drag) => search(editor, at, drag));
  bind({ editor, run: guarded(start), cancel });
  await openNamed("text_to_image.json");
})();

$("workflows").addEventListener("change", () => openNamed($("workflows").value));
$("run").addEventListener("click", () => guarded(start)());
$("cancel").addEventListener("click", cancel);
$("undo").addEventListener("click", () => editor.undo());
$("redo").addEventListener("click", () => editor.redo());
$("fit").addEventListener("click", () => editor.fit());
$("add").addEventListener("click", () => search(editor, editor.view.toWorld(editor.view.width / 2, editor.view.height / 2)));
