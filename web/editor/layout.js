// Places for nodes that have none: layers from left to right in the order of the links, each column centred, rows ordered by what they link to.

/** @typedef {{id: string, w: number, h: number, parents: string[]}} Box */

const GAP_X = 70;
const GAP_Y = 40;

/** @param {Box[]} boxes @param {[number, number]} origin @returns {Map<string, [number, number]>} */
export function arrange(boxes, origin = [0, 0]) {
  const byId = new Map(boxes.map((box) => [box.id, box]));
  const depth = depths(byId);
  /** @type {Box[][]} */
  const columns = [];
  for (const box of boxes) (columns[depth.get(box.id) ?? 0] ??= []).push(box);
  const places = new Map();
  let x = origin[0];
  for (const column of columns.filter(Boolean)) {
    const ordered = column.map((box, order) => ({ box, order, key: middle(box, byId, places) })).sort((a, b) => a.key - b.key || a.order - b.order);
    const height = ordered.reduce((sum, { box }) => sum + box.h + GAP_Y, -GAP_Y);
    let y = origin[1] - height / 2;
    for (const { box } of ordered) {
      places.set(box.id, [Math.round(x), Math.round(y)]);
      y += box.h + GAP_Y;
    }
    x += column.reduce((most, box) => Math.max(most, box.w), 0) + GAP_X;
  }
  return places;
}

/** The longest way from a node without parents; rings are cut where they are met. @param {Map<string, Box>} boxes */
function depths(boxes) {
  /** @type {Map<string, number>} */
  const depth = new Map();
  const open = new Set();
  for (const start of boxes.keys()) {
    const stack = [start];
    while (stack.length) {
      const id = stack[stack.length - 1];
      const parents = (boxes.get(id)?.parents ?? []).filter((parent) => boxes.has(parent));
      const waiting = depth.has(id) ? [] : parents.filter((parent) => !depth.has(parent) && !open.has(parent));
      open.add(id);
      for (const parent of waiting) stack.push(parent);
      if (!waiting.length) {
        stack.pop();
        if (!depth.has(id)) depth.set(id, parents.reduce((most, parent) => Math.max(most, depth.get(parent) ?? -1), -1) + 1);
      }
    }
  }
  return depth;
}

/** @param {Box} box @param {Map<string, Box>} boxes @param {Map<string, [number, number]>} places */
function middle(box, boxes, places) {
  const heights = box.parents.flatMap((parent) => {
    const place = places.get(parent);
    return place ? [place[1] + (boxes.get(parent)?.h ?? 0) / 2] : [];
  });
  return heights.length ? heights.reduce((sum, value) => sum + value, 0) / heights.length : 0;
}
