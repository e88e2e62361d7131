// What happens when a widget is used: a switch turns over, an arrow steps, all else opens the field that fits.

import { inputsOf, entryOf, seedPolicy, setInput } from "./document.js";
import { openCombo } from "./combo.js";
import { openField } from "./field.js";
import { isNumber, numberText, read, write } from "./json.js";
import { chooseImage } from "./images.js";
import { openMenu } from "./menu.js";
import { nextSeed, POLICIES, setPolicy } from "./seeds.js";
import { fileUrl, recordOf, thumbnailUrl } from "./api.js";
import { countTokens } from "./tokens.js";
import { stepped, typed, weighted } from "./widgets.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./scene.js").NodeView} NodeView */
/** @typedef {import("./scene.js").Widget} Widget */

const ARROW = 30;
const COMPACT = { indent: 0, pairs: true, space: true, end: "" };
const WINDOW = 75;
const REST = 300;

/** How a drag over a widget changes it; null for one that is not a number. @param {Widget} widget @returns {((steps: number) => any) | null} */
export function scrub(widget) {
  if (widget.linked || !isNumber(widget.value) || widget.info.type.includes("COMBO")) return null;
  return (steps) => stepped(widget.info, widget.value, steps);
}

/** @param {App} app @param {NodeView} node @param {Widget} widget @param {number} x from the left edge of the node; null when it is used by key */
export function useWidget(app, node, widget, x = node.w / 2) {
  const { editor } = app;
  if (widget.linked) return;
  const set = (/** @type {any} */ value, merge = "") => editor.edit(setInput(editor.doc, node.id, widget.name, value), `Set ${widget.name}`, merge);
  if (typeof widget.value === "boolean") return set(!widget.value);
  if (widget.info.seed && x > node.w - ARROW - 22) return seedMenu(app, node, widget);
  const edge = x < ARROW ? -1 : x > node.w - ARROW ? 1 : 0;
  if (isNumber(widget.value) && edge && !widget.info.seed) return set(stepped(widget.info, widget.value, edge), `${node.id}.${widget.name}`);
  if (widget.info.type.includes("COMBO")) return choose(app, node, widget, set);
  writeIn(app, node, widget, set);
}

/** Where a widget is, also after its node moved. @param {App} app @param {string} id @param {string} name */
const placeOf = ({ editor }, id, name) => () => {
  const node = editor.scene.nodes.get(id);
  const widget = node?.widgets.find((item) => item.name === name);
  return node && widget ? { x: node.x + 12, y: node.y + widget.y, w: node.w - 24, h: widget.h } : null;
};

/** Tab goes to the next widget of the node. @param {App} app @param {string} id @param {string} name @returns {(step: number) => void} */
const leaver = (app, id, name) => (step) => {
  const node = app.editor.scene.nodes.get(id);
  const usable = node?.widgets.filter((item) => !item.linked && typeof item.value !== "boolean") ?? [];
  const next = usable[usable.findIndex((item) => item.name === name) + step];
  if (node && next) useWidget(app, node, next);
};

/** Edit the first widget of a node, by key. @param {App} app @param {NodeView} node */
export function useFirst(app, node) {
  const first = node.widgets.find((item) => !item.linked);
  if (first) useWidget(app, node, first);
}

/** @param {App} app @param {NodeView} node @param {Widget} widget @param {(value: any) => void} set */
function choose(app, node, widget, set) {
  const { catalogue } = app.editor;
  const known = catalogue.choices(widget.info) ?? [];
  const pictures = widget.info.folder?.startsWith("input");
  /** @type {import("./combo.js").Choice[]} */
  const choices = known.map((value) => ({ label: String(value), value, picture: pictures ? fileUrl(recordOf(String(value), "input"), "webp;60") : undefined }));
  const here = widget.value === undefined || known.some((value) => String(value) === String(widget.value));
  if (!here) choices.unshift({ label: isNumber(widget.value) ? numberText(widget.value) : String(widget.value), value: widget.value, missing: true });
  if (pictures) choices.unshift({ label: t("field.upload"), value: undefined, act: () => chooseImage(app, node.id, widget.name) });
  const again = openCombo(app.editor, { place: placeOf(app, node.id, widget.name), label: t("field.of-node", { node: node.title, input: widget.name }), choices, value: widget.value, pick: set, leave: leaver(app, node.id, widget.name) });
  if (widget.info.folder && !widget.info.folder.includes(":")) app.guard(() => modelPictures(app, /** @type {string} */ (widget.info.folder), choices, again));
}

/** Pictures that lie beside model files, or in them. @param {App} app @param {string} folder @param {import("./combo.js").Choice[]} choices @param {() => void} again */
async function modelPictures(app, folder, choices, again) {
  const pictured = await app.api.pictured(folder);
  const found = choices.filter((choice) => pictured.has(choice.label));
  for (const choice of found) choice.picture = thumbnailUrl(folder, choice.label);
  if (found.length) again();
}

/** @param {App} app @param {NodeView} node @param {Widget} widget @param {(value: any, merge?: string) => void} set */
function writeIn(app, node, widget, set) {
  const { editor } = app;
  const { info } = widget;
  const whole = widget.value !== null && typeof widget.value === "object" && !isNumber(widget.value);
  const text = whole ? write(widget.value, COMPACT) : isNumber(widget.value) ? numberText(widget.value) : String(widget.value ?? "");
  const numeric = isNumber(widget.value);
  const field = openField(editor, {
    place: placeOf(app, node.id, widget.name), text, label: t("field.of-node", { node: node.title, input: widget.name }), multiline: info.multiline, leave: leaver(app, node.id, widget.name),
    done: (given) => app.guard(() => {
      const value = whole ? read(given) : typed(info, given);
      if (value === null) app.say(t("field.no-number", { given: given.slice(0, 60), input: widget.name }), "error");
      else if (info.max_length !== null && typeof value === "string" && value.length > info.max_length) app.say(t("field.too-long", { input: widget.name, most: info.max_length }), "error");
      else set(value);
    }),
    typed: (given) => count(given),
    key: (event, box) => {
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return false;
      const up = event.key === "ArrowUp" ? 1 : -1;
      if (info.multiline) {
        if (!event.ctrlKey && !event.metaKey) return false;
        const next = weighted(box.value, box.selectionStart ?? 0, box.selectionEnd ?? 0, up * app.settings.get("weight"));
        box.value = next.text;
        box.setSelectionRange(next.from, next.to);
        count(box.value);
        return true;
      }
      if (!numeric) return false;
      const current = typed(info, box.value);
      if (current !== null) box.value = numberText(stepped(info, current, event.shiftKey ? 10 * up : up));
      return true;
    },
  });
  const counter = document.createElement("output");
  let timer = 0;
  /** At once about, and exactly when the writer rests. @param {string} given */
  const count = (given) => {
    const told = (/** @type {number} */ tokens, /** @type {"field.tokens" | "field.about-tokens"} */ words) => (counter.textContent = t(words, { count: tokens, room: Math.max(1, Math.ceil(tokens / WINDOW)) * WINDOW }));
    told(countTokens(given), "field.about-tokens");
    clearTimeout(timer);
    timer = window.setTimeout(async () => {
      try {
        const { count: exactly } = await app.api.post("tokens", { text: given });
        if (field.box.value === given) told(exactly, "field.tokens");
      } catch (error) {
        if (!(error instanceof app.api.Refused || error instanceof app.api.Unreachable)) throw error;
      }
    }, REST);
  };
  if (info.multiline && info.type.includes("STRING")) {
    editor.editing = { id: node.id, name: widget.name };
    field.host.append(counter);
    count(text);
    field.box.setSelectionRange(text.length, text.length);
  }
  if (numeric) field.box.addEventListener("wheel", (event) => {
    event.preventDefault();
    const current = typed(info, field.box.value);
    if (current !== null) field.box.value = numberText(stepped(info, current, /** @type {WheelEvent} */ (event).deltaY < 0 ? 1 : -1));
  }, { passive: false });
  editor.renderer.draw();
}

/** What becomes of a seed at each run, and a new one at once. @param {App} app @param {NodeView} node @param {Widget} widget */
function seedMenu(app, node, widget) {
  const { editor } = app;
  const place = /** @type {any} */ (placeOf(app, node.id, widget.name)());
  const corner = editor.canvas.getBoundingClientRect();
  const [x, y] = editor.view.toScreen(place.x + place.w, place.y + place.h);
  const now = seedPolicy(editor.doc, node.id, widget.name);
  openMenu(app, [corner.left + x - 160, corner.top + y], [
    ...POLICIES.map((policy) => ({ title: t(`seed.${policy}`), checked: policy === now, run: () => editor.edit(setPolicy(editor.doc, node.id, widget.name, policy), "Seed policy") })),
    { title: t("seed.now"), run: () => editor.edit(setInput(editor.doc, node.id, widget.name, nextSeed("random", inputsOf(entryOf(editor.doc, node.id)).get(widget.name) ?? widget.value, widget.info)), "New seed") },
  ]);
}
