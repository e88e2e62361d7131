// Every word that the page shows, by key: the seam for translations. {name} is filled in; of a key with .one and .other the count chooses.
// What nodes and problems say of themselves comes from the server.

const UNITS = {
  "unit.kilobytes": "{n} kB", "unit.megabytes": "{n} MB", "unit.gigabytes": "{n} GB",
  "unit.milliseconds": "{n} ms", "unit.seconds": "{n} s", "unit.minutes": "{minutes} min {seconds} s", "unit.hours": "{hours} h {minutes} min",
};

const PAGE = {
  "page.canvas": "The graph. Alt and arrows go from node to node, Enter edits values, F1 lists all commands; the outline follows.",
  "page.outline": "Outline of the graph",
  "page.panels": "Panels",
  "page.tools": "Tools",
  "page.choice": "What is chosen",
  "page.crumbs": "Open subgraphs",
  "page.progress": "Progress of the job",
  "page.file-menu": "File menu",
  "page.count": "How many times to run",
  "page.drop": "Drop a workflow or a picture",
  "page.untitled": "Untitled",
  "page.chosen": "{nodes} chosen",
  "page.nodes.one": "{count} node", "page.nodes.other": "{count} nodes",
  "page.cancel": "Cancel", "page.close": "Close", "page.delete": "Delete", "page.dismiss": "Dismiss", "page.show": "Show", "page.more": "More",
  "page.nothing-matches": "Nothing matches",
  "page.close-panel": "Close {panel}",
  "page.copied": "Copied: {text}",
  "page.fault": "Something went wrong in the page: {why}",
  "page.fault.hint": "What you wrote is kept. If the page does not go on, load it again; the browser's console says more.",
};

const STATUS = {
  "run.run": "Run", "run.queue": "Queue",
  "run.queueing": "Queueing", "run.worker-starts": "The worker is starting; the job waits for it",
  "run.broken": "The server does not answer; the job goes on when it is back",
  "run.queued": "Queued", "run.running": "Running", "run.more": ", {count} more wait", "run.left": ", about {time} left",
  "run.gone": "The job was removed", "run.after": " after {time}",
  "run.succeeded": "Done{after}", "run.failed": "Failed{after}", "run.cancelled": "Cancelled{after}",
  "run.interrupted": "Interrupted; it will go on", "run.paused": "Paused", "run.parked": "Parked: it ended its process twice",
  "run.job-failed": "A job failed: {why}", "run.failed-somehow": "The job failed.", "run.warning": "{node}: {what}",
  "server.connecting": "Connecting", "server.silent": "The server does not answer", "server.starting": "The worker is starting",
  "server.ready": "Easel {version} on {device}", "server.this-machine": "this machine",
  "server.unreachable": "The server does not answer. Is it still running?", "server.refused": "The server answered {status}.",
  "browser.refused": "The browser refused: {why}", "browser.no-clipboard": "it gives the clipboard only to pages of this machine and of https",
};

const FILES = {
  "file.kind": "This picture holds no workflow; it was put on a node that loads it.",
  "file.too-large": "{name} is larger than 100 MB.",
  "file.no-workflow": "There is no workflow in this file.",
  "file.text-too-large": "The workflow in this picture is larger than 100 MB.",
  "file.damaged": "The workflow in this picture is damaged.",
  "file.no-picture-node": "No installed node loads pictures.",
  "file.from-job": "From a finished job",
  "file.save-title": "Save the workflow as", "file.name": "Name", "file.save": "Save",
  "file.there-already": "{name} is there already.", "file.replace": "Replace it", "file.other-name": "Save under another name",
  "file.changed": "{name} was changed by someone else since it was opened.",
  "file.saved": "Saved as {name}.",
  "draft.unsaved": "{title} of {when} was not saved.", "draft.several": "{count} workflows were not saved.", "draft.show": "Show them", "draft.recover": "Recover", "draft.discard": "Discard",
  "draft.title": "Unsaved work", "draft.none": "Nothing but what is open here.", "draft.about": "{when} · {where}", "draft.here": "this browser", "draft.elsewhere": "another browser",
  "draft.discard-of": "Discard {title}", "draft.not-kept": "Unsaved work is kept in this browser only: {why}",
  "file.open-tab": "Open in a tab", "file.result-of": "Result of {node}",
  "json.where": "Line {line}, column {column}: {what}.",
  "json.unclosed-text": "a text is not closed", "json.bad-escape": "a text has an escape that does not exist",
  "json.too-deep": "it nests deeper than {most} levels", "json.too-early": "it ends too early", "json.no-value": "there is no value here",
  "json.no-comma-list": "a comma or ] is missing", "json.no-comma-object": "a comma or } is missing", "json.no-key": "a key in quotes is missing",
  "json.key-twice": "the key {key} stands twice in one object", "json.no-colon": "a colon is missing", "json.more-text": "there is more text after the end",
  "workflow.not-one": "This file is JSON, but not a workflow.", "workflow.no-nodes": "This file has no table of \"nodes\".",
  "workflow.comfy": "This is a workflow as ComfyUI's editor saves it.",
  "workflow.other-version": "This file says {format}; this editor knows easel/1. What it does not know is kept.",
  "workflow.classless.one": "{count} node has no class_type; it is kept as it is: {ids}",
  "workflow.classless.other": "{count} nodes have no class_type; they are kept as they are: {ids}",
};

const CANVAS = {
  "node.muted": "muted", "node.bypassed": "bypassed", "node.missing": "missing", "node.cached": "cached", "node.failed": "failed", "node.skipped": "skipped",
  "node.running": "running", "node.left": "{seconds} s left", "node.on": "on", "node.off": "off",
  "node.from": "{input} from {node}", "node.value": "{input} {value}", "node.shows": "shows {text}", "node.problem": "Problem: {what}",
  "node.pictures.one": "{count} picture", "node.pictures.other": "{count} pictures",
  "node.not-installed": "{name} is not installed here. The node is kept as it is, with its values.",
  "node.subgraph-help": "Several nodes as one; a double click opens it.",
  "node.optional": "May be left out.", "node.from-number": "from {n}", "node.to-number": "to {n}", "node.steps-of": "in steps of {n}", "node.default": "default {value}",
  "link.not-made": "The link was not made: {why}.", "link.misfit": "{given} does not fit {input} ({wanted})", "link.ring": "this would make a ring",
  "link.none-to-bend": "Reroutes stand on links; this socket has none.",
  "link.none-free": "No free input of the right node takes what the left one gives.",
  "menu.reroute": "Add a reroute", "menu.cut-link": "Delete the link", "menu.add": "Add a node", "menu.double-click": "double click", "menu.note": "Add a note",
  "menu.reset": "Values back to their defaults", "menu.colour": "Colour…", "menu.promote": "An input becomes one of the subgraph…", "menu.expose": "An output becomes one of the subgraph…",
  "menu.write-note": "Write the note", "menu.remove-note": "Remove the note", "menu.rename-group": "Rename the group", "menu.choose-group": "Choose its nodes",
  "menu.remove-group": "Remove the group, not its nodes", "menu.run-group": "Run the group", "menu.do-to-group": "{what} the group",
  "menu.ports": "Inputs and outputs of the subgraph…", "menu.replace": "Take another node instead…", "menu.take-input": "An input takes one of the subgraph…", "menu.own-input": "An input is its own again…",
  "help.about": "About {node}", "help.inputs": "Inputs", "help.outputs": "Outputs", "help.deprecated": "deprecated", "help.experimental": "experimental",
  "ports.title": "Inputs and outputs of {name}", "ports.none": "None yet: the menu of a node has what makes one.", "ports.name": "Name of {name}", "ports.remove": "Remove {name}",
  "colour.none": "No colour", "colour.red": "Red", "colour.brown": "Brown", "colour.green": "Green", "colour.blue": "Blue", "colour.purple": "Purple", "colour.yellow": "Yellow",
  "field.title": "Title", "field.note": "Note", "field.group-title": "Title of the group", "field.of-node": "{node}: {input}",
  "field.no-number": "{given} is no number; {input} stays as it was.", "field.too-long": "{input} takes {most} letters at most.",
  "field.tokens": "{count} of {room} tokens", "field.about-tokens": "about {count} of {room} tokens", "field.not-here": "{name} (not here)", "field.upload": "Upload a file…",
  "seed.fixed": "Keep the seed", "seed.increment": "Count up at each run", "seed.decrement": "Count down at each run", "seed.random": "New seed at each run", "seed.now": "A random seed now",
  "group.new": "Group", "note.new": "A note",
  "subgraph.title": "A subgraph of the chosen nodes", "subgraph.name": "Name", "subgraph.first": "group", "subgraph.make": "Make",
  "search.add": "Add a node", "search.gives": "Add a node that gives {type}", "search.takes": "Add a node that takes {type}", "search.find": "Find a node", "search.instead": "The node to take instead", "search.commands": "Commands",
};

const COMMANDS = {
  "group.jobs": "Jobs", "group.edit": "Edit", "group.nodes": "Nodes", "group.arrange": "Arrange", "group.view": "View", "group.file": "File", "group.help": "Help", "group.panels": "Panels",
  "command.run": "Run", "command.run-first": "Run before all that waits", "command.run-to": "Run up to here", "command.cancel": "Cancel what runs",
  "command.undo": "Undo", "command.redo": "Redo", "command.copy": "Copy", "command.paste": "Paste", "command.paste-linked": "Paste with the links to what is here",
  "command.duplicate": "Duplicate", "command.select-all": "Choose all nodes", "command.select-none": "Choose nothing; leave the subgraph",
  "command.select-downstream": "Choose all that follows", "command.delete": "Delete", "command.cut": "Cut", "command.heal": "Delete and join the links",
  "command.add": "Add a node", "command.note": "Add a note", "command.edit-values": "Edit the values", "command.rename": "Rename", "command.about": "About the node", "command.node-log": "Log of the node", "command.menu": "Menu of the node",
  "command.connect": "Connect the two chosen nodes", "command.mute": "Mute", "command.bypass": "Bypass", "command.collapse": "Collapse", "command.pin": "Pin to its place",
  "command.reroute": "Reroute the links of the outputs", "command.straighten": "Take the reroutes off the links",
  "command.group": "Group", "command.subgraph": "Make a subgraph", "command.enter": "Open the subgraph", "command.unpack": "Unpack the subgraph", "command.run-group": "Run the group of what is chosen",
  "command.align-left": "Align left edges", "command.align-right": "Align right edges", "command.align-top": "Align upper edges", "command.align-bottom": "Align lower edges",
  "command.distribute-x": "Equal gaps from left to right", "command.distribute-y": "Equal gaps from top to bottom", "command.layout": "Lay out along the links", "command.snap": "Snap to the grid",
  "command.nudge-left": "Move left", "command.nudge-right": "Move right", "command.nudge-up": "Move up", "command.nudge-down": "Move down",
  "command.walk-left": "Go to the node on the left", "command.walk-right": "Go to the node on the right", "command.walk-up": "Go to the node above", "command.walk-down": "Go to the node below",
  "command.fit": "Show all, or what is chosen", "command.zoom-in": "Zoom in", "command.zoom-out": "Zoom out", "command.minimap": "Mini-map", "command.lock": "Dragging moves the view only",
  "command.unlock": "Dragging moves nodes", "command.find": "Find a node", "command.theme": "Dark or light",
  "command.links-curve": "Links: curves", "command.links-straight": "Links: straight lines", "command.links-square": "Links: right angles", "command.links-hidden": "Links: only of chosen nodes",
  "command.new": "New workflow", "command.open": "Open a file", "command.save": "Save", "command.save-as": "Save as", "command.download": "Download as a file", "command.recover": "Unsaved work", "command.refresh": "Read nodes and model files again",
  "command.palette": "All commands", "command.sheet": "Keys", "command.panel": "Panel: {panel}",
};

const SHEET = {
  "sheet.title": "Keys", "sheet.pointer": "Pointer", "sheet.none": "none", "sheet.or": "  or  ",
  "sheet.how": "Click on keys to give a command others. Your keys are kept in this browser.", "sheet.defaults": "All keys as they were",
  "sheet.press": "Press the new keys. Escape: leave it, Backspace: no keys", "sheet.change": "{command}: {keys}. Change", "sheet.browsers": "The browser keeps {keys} for itself.",
  "sheet.unusable": "{keys} cannot be given away: {why}.", "sheet.pans": "with it the pointer moves the view", "sheet.moves-focus": "it goes from one thing of the page to the next",
  "sheet.clipboard": "the browser copies and pastes with it", "sheet.taken": "{keys} was: {command}. It is now: {mine}.",
  "pointer.pan": "drag the ground, middle button, or Space and drag", "pointer.pan.does": "move the view",
  "pointer.zoom": "wheel; Ctrl+Shift+drag; two fingers", "pointer.zoom.does": "zoom",
  "pointer.box": "Ctrl or Shift and drag the ground", "pointer.box.does": "choose nodes in a box",
  "pointer.add-chosen": "Ctrl or Shift and click", "pointer.add-chosen.does": "add to what is chosen",
  "pointer.snap": "Shift while dragging", "pointer.snap.does": "snap to the grid",
  "pointer.clone": "Alt and drag a node", "pointer.clone.does": "clone it",
  "pointer.add": "double click the ground", "pointer.add.does": "add a node",
  "pointer.drop": "drag a socket to the ground", "pointer.drop.does": "nodes that fit it",
  "pointer.replug": "drag the end of a link", "pointer.replug.does": "plug it elsewhere, or off",
  "pointer.move-links": "Shift and drag an output", "pointer.move-links.does": "take all its links to another",
  "pointer.cut-links": "Ctrl+Alt and click a socket", "pointer.cut-links.does": "cut its links",
  "pointer.knife": "Alt and drag the ground, or Ctrl and right drag", "pointer.knife.does": "cut the links that the line crosses",
  "pointer.reroute": "Alt and click a link", "pointer.reroute.does": "add a reroute; on a reroute: remove it",
  "pointer.reroute-socket": "middle click a socket", "pointer.reroute-socket.does": "add a reroute to its links",
  "pointer.insert": "drop a node on a link", "pointer.insert.does": "put it into the link",
  "pointer.rename": "double click a title", "pointer.rename.does": "rename",
  "pointer.number": "drag over a number", "pointer.number.does": "change it; click to type, arithmetic too",
  "pointer.weight": "Ctrl and Up or Down in a prompt", "pointer.weight.does": "weight of the word",
  "pointer.menu": "right click, or a long press", "pointer.menu.does": "menu",
};

const PANELS = {
  "panel.workflows": "Workflows", "panel.nodes": "Nodes", "panel.models": "Models", "panel.gallery": "Gallery", "panel.queue": "Queue", "panel.record": "Record", "panel.training": "Train", "panel.log": "Log",
  "workflows.search": "Search workflows", "workflows.own": "Your workflows", "workflows.templates": "Templates", "workflows.delete": "Delete {name}", "workflows.really": "Delete {name} from the disk?",
  "nodes.search": "Search nodes", "nodes.uncategorised": "other", "nodes.category": "{category} ({count})",
  "models.kind": "Kind of model", "models.search": "Search models", "models.none": "Nothing here. Put files into models/{folder} of the data folder.", "models.folder": "{name} ({count})",
  "models.add": "Add node", "models.add-lora": "Between the model and all that uses it", "models.into-prompt": "Into prompt", "models.as-lora": "As <lora:name:1> for a PromptA1111 node", "models.word": "Add to the prompt",
  "models.title": "Title", "models.architecture": "Architecture", "models.resolution": "Resolution", "models.rank": "Rank", "models.author": "Author", "models.license": "Licence", "models.dtypes": "Numbers", "models.fault": "Problem",
  "models.no-prompt": "There is no prompt in the graph.", "models.no-prompt.hint": "Add a node with a text first.",
  "models.linked-prompt": "The prompt comes over a link.", "models.linked-prompt.hint": "Choose the node that has the text.",
  "gallery.search": "Search names", "gallery.folder": "Folder", "gallery.output": "Results", "gallery.input": "Inputs", "gallery.temp": "Previews",
  "gallery.compare": "Compare", "gallery.compare.hint": "Choose two pictures with their check boxes", "gallery.choose": "Choose {name}", "gallery.none": "No pictures yet. What a run saves appears here.",
  "gallery.delete.one": "Delete {count} picture from the disk?", "gallery.delete.other": "Delete {count} pictures from the disk?", "gallery.delete-this": "Delete {name} from the disk?",
  "gallery.sides": "Left {first}, right {second}", "gallery.picture": "Picture", "gallery.download": "Download", "gallery.bare": "Download without metadata", "gallery.bare.hint": "The picture without the graph and prompts in it",
  "gallery.graph": "Open the graph", "gallery.graph.hint": "Open the workflow that is written in this picture", "gallery.no-graph": "No workflow is written in this picture.",
  "gallery.use": "Use as input", "gallery.use.hint": "Into the selected Load Image node, or a new one", "gallery.mask": "Paint a mask",
  "mask.canvas": "Paint here; [ and ] change the brush, Ctrl+Z takes back", "mask.brush": "Brush", "mask.brush-size": "Brush size", "mask.soft": "Soft edge", "mask.soft-size": "Soft edge, in pixels",
  "mask.erase": "Erase", "mask.invert": "Invert", "mask.undo": "Undo", "mask.clear": "Clear", "mask.save": "Save", "mask.failed": "The picture could not be written.",
  "queue.pause": "Pause", "queue.resume": "Resume", "queue.pause.hint": "No further job starts; the one that runs goes on", "queue.clear": "Clear", "queue.clear.really": "Cancel all jobs that wait?", "queue.clear.yes": "Cancel them",
  "queue.now": "Jobs that run or wait", "queue.over": "Jobs that are over", "queue.history": "History", "queue.earlier": "Earlier jobs", "queue.runs": "1 runs", "queue.rests": "nothing runs", "queue.wait": "{count} wait", "queue.paused": "paused",
  "queue.training": "Training", "queue.running": "Running", "queue.done": "{done} of {total} nodes", "queue.attempt": "attempt {count}", "queue.place": "{place}.", "queue.starts": "starts in about {time}",
  "queue.go-on": "Go on", "queue.first": "First", "queue.first.hint": "Run next", "queue.up": "Up", "queue.down": "Down", "queue.show": "Show", "queue.stop-save": "Stop and save",
  "queue.open": "Open", "queue.open.hint": "Open the graph of this job", "queue.record": "Record", "queue.record.hint": "Why each node ran, and how long it took", "queue.retry": "Try again", "queue.again": "Run again",
  "queue.log": "Log", "queue.log.hint": "What was said while it ran",
  "queue.none": "Nothing has run yet.",
  "state.queued": "Queued", "state.running": "Running", "state.paused": "Paused", "state.interrupted": "Interrupted", "state.parked": "Parked", "state.succeeded": "Done", "state.failed": "Failed", "state.cancelled": "Cancelled",
  "record.none": "Run something first: here stands why each node ran or did not.", "record.sum": "{state}: {ran} ran, {cached} cached.", "record.sum-time": "{state} in {time}: {ran} ran, {cached} cached.",
  "record.node": "Node", "record.why": "Why", "record.time": "Time", "record.memory": "Memory", "record.longest": "The {most} that took longest of {count}.",
  "log.level": "Least level", "log.debug": "Everything", "log.info": "Info", "log.warning": "Warnings", "log.error": "Errors", "log.search": "Search the log", "log.copy": "Copy", "log.copied": "The log was copied.",
  "log.job": "Job", "log.all-jobs": "All jobs", "log.this-job": "The job on the canvas", "log.node": "Node", "log.all-nodes": "All nodes",
  "log.id": "Log id {id}", "log.copy-id": "Copy the log id", "log.open": "Open the log there", "log.gone": "{id} is not among the last {count} lines of the log; what the server wrote to its terminal may still have it.",
  "log.none": "Nothing was said at this level.", "log.lines": "Lines of the log", "log.server": "server", "log.worker": "worker",
};

const TRAINING = {
  "training.dataset": "Dataset", "training.pictures": "Pictures", "training.new": "New…", "training.new-title": "New dataset", "training.folder": "Name of the folder", "training.letters": "Letters, digits, space, _ . -", "training.make": "Make",
  "training.counts": "{name} ({pictures}, {captions})", "training.captions.one": "{count} caption", "training.captions.other": "{count} captions",
  "training.none": "Make a dataset and drop about twenty pictures of your subject into it.",
  "training.model": "Base model", "training.trigger": "Words that stand for the subject", "training.name": "Name of the LoRA", "training.steps": "Steps", "training.rank": "Rank (size of the LoRA)", "training.rate": "Learning rate",
  "training.batch": "Pictures in a batch", "training.resolution": "Resolution", "training.save-every": "Keep and draw every … steps", "training.validate-every": "Measure every … steps",
  "training.prompts": "What to draw meanwhile, a prompt a line", "training.more": "More settings", "training.train": "Train", "training.as-graph": "Open as graph", "training.graph": "Training",
  "training.waits": "waits", "training.step": "step {step} of {until} · loss {loss}", "training.speed": "{n} pictures/s", "training.left": "{time} left",
  "training.done": "done · {told}", "training.all-cached": "done; all of it was in the cache", "training.cancelled": "cancelled", "training.state": "{state}: {reason}",
  "training.stop": "Stop and save", "training.stop.hint": "Ends at the next step with what it has learned", "training.pause": "Pause", "training.go-on": "Go on", "training.use": "Use this LoRA now", "training.result": "result", "training.at-step": "step {step}",
  "training.test-prompt": "{trigger} on a white background",
  "chart.none": "No step yet", "chart.now": "Loss {loss} at step {step} of {until}", "chart.each": "each step", "chart.mean": "mean", "chart.validation": "validation",
  "dataset.add": "Add pictures…", "dataset.drop": "or drop them here", "dataset.no-caption": "no caption: the trigger alone", "dataset.caption": "Caption of {name}", "dataset.remove": "Remove",
  "dataset.really": "Delete {name} and its caption from the disk?", "dataset.size": "{name} · {width} × {height}", "dataset.broken": "{name} cannot be read", "dataset.left-out": "Left out: {names}",
  "buckets.title": "Sizes they are trained at", "buckets.size": "Size", "buckets.pictures": "Pictures", "buckets.cropped": "Cut off, at most", "buckets.enlarged": "Enlarged", "buckets.misfit": "{name}: {reason}", "buckets.none": "No pictures yet.",
};

export const WORDS = { ...UNITS, ...PAGE, ...STATUS, ...FILES, ...CANVAS, ...COMMANDS, ...SHEET, ...PANELS, ...TRAINING };

/** @typedef {keyof typeof WORDS} Key */
/** @typedef {Key extends infer K ? K extends `${infer Stem}.other` ? Stem : never : never} CountKey */

const plural = new Intl.PluralRules("en");

/** The words of a key. @param {Key} key @param {Record<string, unknown>} [values] what stands for {name} */
export const t = (key, values = {}) => WORDS[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

/** The words for a number of things. @param {CountKey} key @param {number} count @param {Record<string, unknown>} [values] */
export const counted = (key, count, values = {}) => t(/** @type {Key} */ (`${key}.${plural.select(count) === "one" ? "one" : "other"}`), { count, ...values });
