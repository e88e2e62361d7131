// The side panels, in the order of the rail. A panel is described in ../editor/dock.js.

/** @type {import("../editor/dock.js").Panel[]} */
export const PANELS = [];
