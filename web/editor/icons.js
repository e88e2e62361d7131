// The page's icons: lines on a grid of 24, drawn in the colour of the text around them.

/** @type {Record<string, string>} */
const LINES = {
  workflows: "M4 5h6l2 2h8v12H4z",
  nodes: "M4 4h7v6H4zM13 14h7v6h-7zM11 7h4v7",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5",
  gallery: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15.5 9.5h.01",
  queue: "M5 6h14M5 12h14M5 18h9",
  record: "M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3",
  training: "M4 19V5M4 19h16M7 15l4-5 3 3 5-7",
  settings: "M12 9a3 3 0 100 6 3 3 0 000-6M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2",
  log: "M5 7l4 5-4 5M12 17h7",
  outline: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
  help: "M9.5 9a2.5 2.5 0 115 0c0 2-2.5 2-2.5 4M12 17h.01M12 3a9 9 0 100 18 9 9 0 000-18",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 010 10h-3",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 000 10h3",
  run: "M7 4l13 8-13 8z",
  stop: "M6 6h12v12H6z",
  add: "M12 5v14M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  find: "M11 4a7 7 0 100 14 7 7 0 000-14M16 16l5 5",
  close: "M6 6l12 12M18 6L6 18",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  theme: "M20 14a8 8 0 11-10-10 7 7 0 0010 10z",
  save: "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
  open: "M4 6h6l2 2h8v3M4 6v13h14l3-8H7l-3 8",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  mute: "M12 3a9 9 0 100 18 9 9 0 000-18M5.6 5.6l12.8 12.8",
  bypass: "M4 17h4c6 0 2-10 8-10h4M17 4l3 3-3 3",
  collapse: "M5 12h14M9 5l3 3 3-3M9 19l3-3 3 3",
  group: "M4 4h16v16H4zM8 8h4v4H8zM13 13h3v3h-3z",
  pause: "M8 5v14M16 5v14",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  retry: "M4 12a8 8 0 108-8H8M8 1v6h6",
  download: "M12 4v11M7 10l5 5 5-5M4 20h16",
  brush: "M20 4L9 15M7 14c-3 0-3 5-5 6 5 1 8-1 8-4z",
  minimap: "M4 5h16v14H4zM12 12h8v7h-8z",
  keyboard: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
};

/** @param {string} name @returns {SVGSVGElement} */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", LINES[name] ?? LINES.more);
  svg.append(path);
  return svg;
}

/** A button with an icon; the title is its name for all who do not see it. @param {string} name @param {string} title @param {() => unknown} act */
export function iconButton(name, title, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "icon-button";
  button.title = title;
  button.setAttribute("aria-label", title);
  button.append(icon(name));
  button.addEventListener("click", act);
  return button;
}
