// The pointer on the canvas: pan, zoom, select, drag, connect.

import { connect, inputsOf, entryOf, linkOf, setInput, setPlace, wouldLoop } from "./document.js";
import { inputPoint, outputPoint, TITLE, widgetAt } from "./scene.js";
import { fits } from "./types.js";
import { use } from "./widgets.js";

const DRIFT = 6;

/** @param {import("./editor.js").Editor} editor @param {(at: [number, number], drag?: any) => void} search */
export function listen(editor, search) {
  const { canvas, view } = editor;
  /** @type {any} */
  let held = null;
  let space = false;
  const screen = (/** @type {MouseEvent} */ event) => [event.clientX - canvas.getBoundingClientRect().left, event.clientY - canvas.getBoundingClientRect().top];
  const world = (/** @type {MouseEvent} */ event) => view.toWorld(screen(event)[0], screen(event)[1]);

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = screen(event);
    view.zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1, x, y);
    editor.renderer.draw();
  }, { passive: false });
  window.addEventListener("keydown", (event) => (space ||= event.code === "Space" && event.target === canvas));
  window.addEventListener("keyup", (event) => (space &&= event.code !== "Space"));
  canvas.addEventListener("dblclick", (event) => {
    const at = world(event);
    if (!editor.scene.nodeAt(...at)) search(at);
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    const [x, y] = world(event);
    held = { start: screen(event), last: screen(event), world: [x, y], moved: false };
    if (event.button === 1 || space) return Object.assign(held, { pan: true });
    if (event.button !== 0) return (held = null);
    const socket = editor.scene.socketAt(x, y, 9 / Math.min(1, view.scale));
    if (socket) return grab(editor, socket, [x, y], event.ctrlKey && event.altKey);
    const node = editor.scene.nodeAt(x, y);
    const add = event.ctrlKey || event.shiftKey;
    if (!node) {
      if (add) held.box = true;
      else Object.assign(held, { pan: true, clear: true });
      return;
    }
    held.node = node;
    if (add) editor.selection.has(node.id) ? editor.selection.delete(node.id) : editor.selection.add(node.id);
    else if (!editor.selection.has(node.id)) editor.selection = new Set([node.id]);
    held.origins = [...editor.selection].flatMap((id) => editor.scene.nodes.get(id) ?? []).map((item) => ({ item, x: item.x, y: item.y }));
    editor.renderer.draw();
  });

  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = world(event);
    if (editor.drag) return follow(editor, [x, y]);
    const [sx, sy] = screen(event);
    if (!held) {
      const over = editor.scene.nodeAt(x, y);
      if (over !== editor.hover) {
        editor.hover = /** @type {any} */ (over);
        editor.renderer.draw();
      }
      return;
    }
    held.moved ||= Math.hypot(sx - held.start[0], sy - held.start[1]) > DRIFT;
    if (held.pan) {
      view.x += sx - held.last[0];
      view.y += sy - held.last[1];
    } else if (held.box) editor.box = { x: Math.min(x, held.world[0]), y: Math.min(y, held.world[1]), w: Math.abs(x - held.world[0]), h: Math.abs(y - held.world[1]) };
    else if (held.moved && held.origins) {
      const grid = event.shiftKey ? 10 : 1;
      for (const { item, x: ox, y: oy } of held.origins) {
        if (item.pinned) continue;
        [item.x, item.y] = [Math.round((ox + x - held.world[0]) / grid) * grid, Math.round((oy + y - held.world[1]) / grid) * grid];
      }
    }
    held.last = [sx, sy];
    editor.renderer.draw();
  });

  canvas.addEventListener("pointerup", (event) => {
    const [x, y] = world(event);
    const { drag } = editor;
    if (drag) {
      editor.drag = null;
      drop(editor, drag, [x, y], search);
    } else if (held?.box && editor.box) {
      const { box } = editor;
      for (const node of editor.scene.order) if (node.x < box.x + box.w && node.x + node.w > box.x && node.y < box.y + box.h && node.y + node.h > box.y) editor.selection.add(node.id);
    } else if (held?.clear && !held.moved) editor.selection.clear();
    else if (held?.moved && held.origins) editor.place(new Map(held.origins.map((/** @type {any} */ { item }) => [item.id, [item.x, item.y]])));
    else if (held?.node) click(editor, held.node, x, y);
    held = editor.box = null;
    editor.renderer.draw();
  });
  canvas.addEventListener("pointercancel", () => {
    held = editor.drag = editor.box = null;
    editor.rebuild();
  });
}

/** @param {import("./editor.js").Editor} editor @param {any} node @param {number} x @param {number} y */
function click(editor, node, x, y) {
  const collapse = x < node.x + 24 && y < node.y + TITLE;
  if (collapse) return editor.edit(setPlace(editor.doc, node.id, "collapsed", node.collapsed ? undefined : true), "Collapse");
  const widget = widgetAt(node, y - node.y);
  if (widget) use(editor, node, widget, x);
}

/** Take hold of a socket: an output, or the end of a link. @param {import("./editor.js").Editor} editor @param {any} found @param {[number, number]} at
 * @param {boolean} cut */
function grab(editor, found, at, cut) {
  const { view, socket, output } = found;
  if (cut && socket?.link) return editor.edit(setInput(editor.doc, view.id, socket.name, undefined), "Cut link");
  const source = socket?.link && editor.scene.nodes.get(socket.link.node);
  const from = socket ? source : view;
  const slot = socket ? socket.link?.slot : output;
  const drag = from
    ? { node: from, slot, from: outputPoint(from, slot), type: from.outputs[slot]?.type ?? "*", replaces: socket, target: view }
    : { node: view, socket, from: inputPoint(view, socket), type: socket.type, backwards: true };
  editor.drag = {
    ...drag, to: at, refused: "",
    open: {
      input: (/** @type {any} */ node, /** @type {any} */ item) => !drag.backwards && fits(drag.type, item.type) && node !== drag.node,
      output: (/** @type {any} */ node, /** @type {number} */ at) => Boolean(drag.backwards) && fits(node.outputs[at].type, drag.type) && node !== drag.node,
    },
  };
}

/** @param {import("./editor.js").Editor} editor @param {[number, number]} at */
function follow(editor, at) {
  const { drag } = editor;
  drag.to = at;
  drag.refused = reason(editor, drag, editor.scene.socketAt(...at, 12));
  editor.renderer.draw();
}

/** Why a link may not end here; empty when it may. @param {import("./editor.js").Editor} editor @param {any} drag @param {any} found */
function reason(editor, drag, found) {
  if (!found || (drag.backwards ? found.socket : !found.socket)) return "";
  const [given, wanted] = drag.backwards ? [found.view.outputs[found.output].type, drag.type] : [drag.type, found.socket.type];
  if (!fits(given, wanted)) return `${given} does not fit ${wanted}`;
  const [from, to] = drag.backwards ? [found.view.id, drag.node.id] : [drag.node.id, found.view.id];
  return wouldLoop(editor.doc, from, to) ? "this would make a ring" : "";
}

/** @param {import("./editor.js").Editor} editor @param {any} drag @param {[number, number]} at @param {(at: [number, number], drag?: any) => void} search */
function drop(editor, drag, at, search) {
  const found = /** @type {any} */ (editor.scene.socketAt(...at, 12));
  const cut = drag.replaces ? setInput(editor.doc, drag.target.id, drag.replaces.name, undefined) : editor.doc;
  if (!found) {
    if (drag.replaces) return editor.edit(cut, "Cut link");
    return editor.scene.nodeAt(...at) ? undefined : search(at, drag);
  }
  if (drag.refused || reason(editor, drag, found)) return;
  if (drag.backwards && !found.socket) editor.edit(connect(editor.doc, found.view.id, found.output, drag.node.id, drag.socket.name), "Connect");
  if (drag.backwards || !found.socket) return;
  const old = linkOf(inputsOf(entryOf(editor.doc, found.view.id)).get(found.socket.name));
  if (old && old.node === drag.node.id && old.slot === drag.slot) return;
  editor.edit(connect(cut, drag.node.id, drag.slot, found.view.id, found.socket.name), "Connect");
}
