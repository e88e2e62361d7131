// The side panels, in the order of the rail, each in a module that is loaded when the panel is first shown.

import { t } from "../editor/words.js";

/** @typedef {import("../editor/dock.js").Panel} Panel */

/** @param {() => Promise<{mount: Panel["mount"]}>} load @returns {Panel["mount"]} */
const later = (load) => (element, app) => {
  let gone = false;
  let leave = () => {};
  app.guard(async () => {
    const { mount } = await load();
    if (!gone) leave = mount(element, app) ?? leave;
  });
  return () => {
    gone = true;
    leave();
  };
};

/** @type {Panel[]} */
export const PANELS = [
  { id: "workflows", title: t("panel.workflows"), icon: "workflows", side: "left", key: "w", mount: later(() => import("../editor/workflows_panel.js")) },
  { id: "nodes", title: t("panel.nodes"), icon: "nodes", side: "left", key: "n", mount: later(() => import("../editor/nodes_panel.js")) },
  { id: "models", title: t("panel.models"), icon: "models", side: "left", key: "m", mount: later(() => import("./models.js")) },
  { id: "gallery", title: t("panel.gallery"), icon: "gallery", side: "left", key: "a", mount: later(() => import("./gallery.js")) },
  { id: "queue", title: t("panel.queue"), icon: "queue", side: "right", key: "q", mount: later(() => import("./queue.js")) },
  { id: "record", title: t("panel.record"), icon: "record", side: "right", mount: later(() => import("./record.js")) },
  { id: "training", title: t("panel.training"), icon: "training", side: "right", key: "t", mount: later(() => import("./training.js")) },
  { id: "log", title: t("panel.log"), icon: "log", side: "right", key: "Mod+`", mount: later(() => import("./log.js")) },
  { id: "settings", title: t("panel.settings"), icon: "settings", side: "right", key: "Mod+,", mount: later(() => import("./settings.js")) },
];
