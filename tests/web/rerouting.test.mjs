import assert from "node:assert/strict";
import { test } from "node:test";
import { Catalogue } from "../../web/editor/catalogue.js";
import { reroutes } from "../../web/editor/document.js";
import { History } from "../../web/editor/history.js";
import { bundle, removeReroute, rerouteChosen, rerouteSocket, straighten } from "../../web/editor/rerouting.js";
import { Scene } from "../../web/editor/scene.js";
import { open, save } from "../../web/editor/workflow_file.js";

const TEXT = JSON.stringify({
  format: "easel/1",
  nodes: { a: { class_type: "A" }, b: { class_type: "B", inputs: { x: ["a", 0], y: ["a", 0] } }, c: { class_type: "C", inputs: { x: ["b", 0] } } },
  layout: { nodes: { a: { pos: [0, 0] }, b: { pos: [600, 0] }, c: { pos: [1200, 0] } } },
});

/** As much of the editor as rerouting asks for. */
function editor() {
  const { doc, style } = open(TEXT);
  const history = new History(doc);
  const scene = new Scene("curve");
  const catalogue = new Catalogue({ nodes: {}, inputs: [], outputs: [], files: {} });
  const made = {
    scene, history, selection: new Set(),
    get doc() {
      return history.doc;
    },
    get text() {
      return save(history.doc, style);
    },
    edit(next, label) {
      history.push(next, label);
      scene.build(next, catalogue);
    },
    views: (ids) => [...ids].map((id) => scene.nodes.get(id)),
    points: (id, name) => reroutes(history.doc, id, name),
  };
  scene.build(doc, catalogue);
  return made;
}

const output = ({ scene }, id) => ({ view: scene.nodes.get(id), output: 0 });
const input = ({ scene }, id, name) => ({ view: scene.nodes.get(id), socket: scene.nodes.get(id).inputs.find((socket) => socket.name === name) });

test("a reroute beside a socket bends all its links at one place, as one step of undo", () => {
  const made = editor();
  const before = made.text;
  assert.equal(rerouteSocket(made, output(made, "a")), true);
  const { x, w } = made.scene.nodes.get("a");
  assert.equal(made.points("b", "x")[0][0], x + w + 40);
  assert.deepEqual(made.points("b", "y"), made.points("b", "x"));
  const [link] = made.scene.links;
  assert.equal(bundle(made.scene, { link, index: 0 }).length, 2);
  removeReroute(made, { link, index: 0 });
  assert.deepEqual([made.points("b", "x"), made.points("b", "y")], [[], []]);
  assert.equal(made.text, before, "nothing is left of it in the file");
  made.history.undo();
  made.history.undo();
  assert.equal(made.text, before);
});

test("another reroute of the same socket stands between it and the first", () => {
  const made = editor();
  for (let count = 0; count < 3; count += 1) rerouteSocket(made, input(made, "c", "x"));
  const { x } = made.scene.nodes.get("c");
  assert.deepEqual(made.points("c", "x").map(([px]) => px - x), [-40, -20, -10]);
});

test("a socket without links has none to bend, and nothing is to be undone", () => {
  const made = editor();
  assert.equal(rerouteSocket(made, output(made, "c")), false);
  assert.equal(made.history.past.length, 0);
});

test("reroutes of chosen nodes come and go by command", () => {
  const made = editor();
  made.selection = new Set(["a", "b"]);
  rerouteChosen({ editor: made });
  assert.deepEqual([made.points("b", "x"), made.points("b", "y"), made.points("c", "x")].map((points) => points.length), [1, 1, 1]);
  assert.equal(made.history.past.length, 1);
  made.selection = new Set(["c"]);
  straighten({ editor: made });
  assert.deepEqual([made.points("b", "x"), made.points("c", "x")].map((points) => points.length), [1, 0]);
});
