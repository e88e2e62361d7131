// The side panels, in the order of the rail. A panel is described in ../editor/dock.js.

import { galleryPanel } from "./gallery.js";
import { modelsPanel } from "./models.js";
import { queuePanel } from "./queue.js";
import { recordPanel } from "./record.js";
import { trainingPanel } from "./training.js";

/** @type {import("../editor/dock.js").Panel[]} */
export const PANELS = [modelsPanel, galleryPanel, queuePanel, recordPanel, trainingPanel];
