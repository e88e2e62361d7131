// The pointer on the canvas: finds what is under it and begins the gesture that fits. A gesture is an object with `move`, `up` and
// `cancel`; one is at work at a time, and each of them changes the document once, when it ends.

import { setInput } from "./document.js";
import { boxSelect, knife, minimapJump, pan, pinch, wheelPan, zoomDrag } from "./gestures.js";
import { cutSocket, link, takeLinks } from "./linking.js";
import { moveGroup, moveNodes, moveReroute, resizeGroup, resizeNode } from "./moving.js";
import { minimapArea } from "./minimap.js";
import { useWidget, scrub } from "./use_widget.js";
import { removeReroute, rerouteSocket, splitLink } from "./rerouting.js";
import { TITLE, widgetAt } from "./scene.js";
import { t } from "./words.js";

/** @typedef {{x: number, y: number, sx: number, sy: number, event: PointerEvent}} At a point of the world, on the screen, and how it came */
/** @typedef {{move?: (at: At, moved: boolean) => void, up?: (at: At, moved: boolean) => void, cancel?: () => void, looks?: boolean}} Gesture looks: it moves
 *   the view and changes nothing else */

const DRIFT = 6;
const LONG_PRESS = 500;
const CORNER = 14;

/** @param {import("./app.js").App} app @param {{search: (at: [number, number], drag?: any) => void, menu: (at: At) => void, rename: (at: At) => boolean}} does */
export function bindPointer(app, does) {
  const { editor } = app;
  const { canvas, view } = editor;
  /** @type {Map<number, At>} */
  const down = new Map();
  /** @type {{gesture: Gesture, from: At, moved: boolean, timer: number} | null} */
  let held = null;
  let space = false;

  /** @param {PointerEvent | MouseEvent} event @returns {At} */
  const point = (event) => {
    const corner = canvas.getBoundingClientRect();
    const [sx, sy] = [event.clientX - corner.left, event.clientY - corner.top];
    const [x, y] = view.toWorld(sx, sy);
    return { x, y, sx, sy, event: /** @type {PointerEvent} */ (event) };
  };
  /** @param {Gesture} gesture */
  const show = ({ looks }) => (looks ? editor.renderer.look() : editor.renderer.draw());
  const cancel = () => {
    if (!held) return;
    const { gesture, timer } = held;
    clearTimeout(timer);
    gesture.cancel?.();
    held = null;
    show(gesture);
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    editor.hover(null);
    const at = point(event);
    down.set(event.pointerId, at);
    if (down.size === 2) {
      cancel();
      held = { gesture: pinch(editor, down), from: at, moved: true, timer: 0 };
      return;
    }
    if (held) return;
    const gesture = begin(app, at, space, does);
    if (!gesture) return;
    const timer = event.pointerType === "touch" ? window.setTimeout(() => {
      if (held && !held.moved) {
        cancel();
        does.menu(at);
      }
    }, LONG_PRESS) : 0;
    held = { gesture, from: at, moved: false, timer };
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = point(event);
    if (down.has(event.pointerId)) down.set(event.pointerId, at);
    if (!held) return editor.hover(at);
    held.moved ||= Math.hypot(at.sx - held.from.sx, at.sy - held.from.sy) > DRIFT;
    if (held.moved) clearTimeout(held.timer);
    held.gesture.move?.(at, held.moved);
    show(held.gesture);
  });
  canvas.addEventListener("pointerup", (event) => {
    down.delete(event.pointerId);
    if (!held) return;
    clearTimeout(held.timer);
    const { gesture, moved } = held;
    held = null;
    app.guard(() => gesture.up?.(point(event), moved));
    show(gesture);
  });
  canvas.addEventListener("pointercancel", (event) => {
    down.delete(event.pointerId);
    cancel();
  });
  canvas.addEventListener("pointerleave", () => editor.hover(null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { sx, sy } = point(event);
    const pans = editor.settings.get("wheel") === "pan";
    if (event.shiftKey && !event.ctrlKey) view.x -= event.deltaY || event.deltaX;
    else if (pans && !event.ctrlKey) wheelPan(editor, event);
    else view.zoom(event.ctrlKey ? Math.exp(-event.deltaY / 100) : event.deltaY < 0 ? 1.1 : 1 / 1.1, sx, sy);
    editor.hover(null);
    editor.renderer.look();
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => {
    const at = point(event);
    if (!does.rename(at) && !editor.scene.nodeAt(at.x, at.y) && !editor.scene.socketAt(at.x, at.y)) does.search([at.x, at.y]);
  });
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    if (!held && !event.ctrlKey) does.menu(point(event));
  });
  window.addEventListener("keydown", (event) => {
    if (event.code === "Space" && event.target === canvas) {
      space = true;
      event.preventDefault();
    }
    if (event.key === "Escape" && held) {
      cancel();
      event.preventDefault();
    }
  }, { capture: true });
  window.addEventListener("keyup", (event) => (space &&= event.code !== "Space"));
  window.addEventListener("blur", () => {
    space = false;
    down.clear();
    cancel();
  });
}

/** @param {import("./app.js").App} app @param {At} at @param {boolean} space @param {{search: (at: [number, number], drag?: any) => void}} does @returns {Gesture | null} */
function begin(app, at, space, { search }) {
  const { editor } = app;
  const { event } = at;
  const { scene, view } = editor;
  const mod = event.ctrlKey || event.metaKey;
  const area = editor.settings.get("minimap") ? minimapArea(editor) : null;
  if (area && event.button === 0 && at.sx >= area.x && at.sx <= area.x + area.w && at.sy >= area.y && at.sy <= area.y + area.h) return minimapJump(editor, at, area);
  const reach = (event.pointerType === "touch" ? 18 : 10) / Math.min(1, view.scale);
  const socket = scene.socketAt(at.x, at.y, reach);
  if (event.button === 1 && socket && !editor.locked) return pan(editor, at, () => rerouteSocket(editor, socket) || app.say(t("link.none-to-bend")));
  if (event.button === 1 || space || (editor.locked && event.button === 0)) return pan(editor, at, () => {});
  if (event.button === 2) return mod ? knife(editor, at) : null;
  if (event.button !== 0) return null;
  if (mod && event.shiftKey) return zoomDrag(editor, at);

  if (socket) {
    if (mod && event.altKey) return { up: () => cutSocket(editor, socket) };
    return "output" in socket && event.shiftKey ? takeLinks(editor, socket) : link(editor, socket, at, search);
  }
  const node = scene.nodeAt(at.x, at.y);
  if (node) return onNode(app, node, at);
  const point = scene.rerouteAt(at.x, at.y);
  if (point && event.altKey) return { up: () => removeReroute(editor, point) };
  if (point) return moveReroute(editor, point);
  const over = event.altKey && scene.linkAt(at.x, at.y);
  if (over) return moveReroute(editor, splitLink(editor, over, at));
  const group = scene.groupAt(at.x, at.y);
  if (group) return group.part === "corner" ? resizeGroup(editor, group.group, at) : moveGroup(editor, group.group, at);
  if (event.altKey) return knife(editor, at);
  if (mod || event.shiftKey) return boxSelect(editor, at);
  return pan(editor, at, () => editor.select([]));
}

/** @param {import("./app.js").App} app @param {import("./scene.js").NodeView} node @param {At} at @returns {Gesture} */
function onNode(app, node, at) {
  const { editor } = app;
  const { event } = at;
  const [x, y] = [at.x - node.x, at.y - node.y];
  if (!node.collapsed && x > node.w - CORNER && y > node.h - CORNER) return resizeNode(editor, node, at);
  const widget = event.ctrlKey || event.shiftKey || event.metaKey ? null : widgetAt(node, x, y);
  const click = () => {
    if (x < 24 && y < TITLE) app.does("collapse");
    else if (widget) useWidget(app, node, widget, x);
    else if (node.picture && y > node.picture.y) openPicture(editor, node, x, y);
  };
  if (widget && !event.altKey && scrub(widget)) return scrubbing(app, node, widget, at, click);
  return moveNodes(editor, node, at, click);
}

/** Dragging over a number changes it. @param {import("./app.js").App} app @param {import("./scene.js").NodeView} node
 * @param {import("./scene.js").Widget} widget @param {At} from @param {() => void} click @returns {Gesture} */
function scrubbing({ editor }, node, widget, from, click) {
  editor.select([node.id]);
  const change = /** @type {(steps: number) => any} */ (scrub(widget));
  const before = editor.doc;
  return {
    move: (at, moved) => moved && editor.edit(setInput(editor.doc, node.id, widget.name, change(Math.round((at.sx - from.sx) / 6))), widget.name, `scrub ${node.id} ${widget.name}`),
    up: (_, moved) => {
      if (!moved) return click();
      editor.history.settle();
    },
    cancel: () => editor.doc !== before && editor.undo(),
  };
}

/** @param {import("./editor.js").Editor} editor @param {import("./scene.js").NodeView} node @param {number} x @param {number} y */
function openPicture(editor, node, x, y) {
  const images = editor.pictures(node.id);
  const area = /** @type {{y: number, h: number}} */ (node.picture);
  const columns = Math.ceil(Math.sqrt(images.length));
  const rows = Math.ceil(images.length / columns);
  const image = images[Math.floor(((y - area.y) / area.h) * rows) * columns + Math.floor(((x - 10) / (node.w - 20)) * columns)];
  if (image) editor.events.emit("picture", { node: node.id, source: image.src });
}
