// The side panels, in the order of the rail, each in a module that is loaded when the panel is first shown.

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
  { id: "models", title: "Models", icon: "models", side: "left", key: "m", mount: later(() => import("./models.js")) },
  { id: "gallery", title: "Gallery", icon: "gallery", side: "left", key: "a", mount: later(() => import("./gallery.js")) },
  { id: "queue", title: "Queue", icon: "queue", side: "right", key: "q", mount: later(() => import("./queue.js")) },
  { id: "record", title: "Record", icon: "record", side: "right", mount: later(() => import("./record.js")) },
  { id: "training", title: "Train", icon: "training", side: "right", key: "t", mount: later(() => import("./training.js")) },
];
