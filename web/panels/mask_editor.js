// Painting a mask over a picture. The result is the picture with the painted part transparent: what Load Image gives as its mask.

import { t } from "../editor/words.js";
import { button, dialog, el } from "./dom.js";

/** @typedef {import("../editor/app.js").App} App */

const MOST_STROKES = 50;
/** Of strokes that can be taken back: each keeps the whole mask. */
const MOST_BYTES = 256e6;

/** How many strokes on a picture of this size can be taken back, at least one. @param {number} width @param {number} height */
export const mostStrokes = (width, height) => Math.max(1, Math.min(MOST_STROKES, Math.floor(MOST_BYTES / (4 * width * height))));

/** @param {App} app @param {{src: string, name: string}} picture @returns {Promise<import("../editor/api.js").FileRecord | null>} the new file in input, null when given up */
export async function editMask(app, picture) {
  const image = new Image();
  image.src = picture.src;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const mask = el("canvas", { width, height, class: "mask", tabIndex: 0, "aria-label": t("mask.canvas") });
  const pen = /** @type {CanvasRenderingContext2D} */ (mask.getContext("2d", { willReadFrequently: true }));
  const shown = el("canvas", { width, height });
  shown.getContext("2d").drawImage(image, 0, 0);
  /** @type {ImageData[]} */
  const past = [];
  const brush = el("input", { type: "range", min: "1", max: String(Math.ceil(Math.max(width, height) / 2)), value: String(Math.ceil(Math.max(width, height) / 12)), "aria-label": t("mask.brush-size") });
  const feather = el("input", { type: "range", min: "0", max: "64", value: "0", "aria-label": t("mask.soft-size") });
  const erase = el("input", { type: "checkbox" });

  const keep = () => {
    past.push(pen.getImageData(0, 0, width, height));
    if (past.length > mostStrokes(width, height)) past.shift();
  };
  const back = () => {
    const last = past.pop();
    if (last) pen.putImageData(last, 0, 0);
  };
  /** @param {PointerEvent} event @returns {[number, number]} */
  const place = (event) => {
    const box = mask.getBoundingClientRect();
    return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  };
  /** @type {[number, number] | null} */
  let from = null;
  mask.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    mask.setPointerCapture(event.pointerId);
    keep();
    from = place(event);
    stroke(event);
  });
  mask.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => from && stroke(event));
  for (const end of ["pointerup", "pointercancel"]) mask.addEventListener(end, () => (from = null));
  /** @param {PointerEvent} event */
  function stroke(event) {
    const to = place(event);
    pen.globalCompositeOperation = erase.checked || event.buttons === 2 ? "destination-out" : "source-over";
    Object.assign(pen, { lineWidth: Number(brush.value), lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    pen.beginPath();
    pen.moveTo(...(from ?? to));
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
    from = to;
  }

  function invert() {
    keep();
    const pixels = pen.getImageData(0, 0, width, height);
    for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set([255, 255, 255, 255 - pixels.data[at + 3]], at);
    pen.putImageData(pixels, 0, 0);
  }

  return new Promise((answer) => {
    let record = /** @type {import("../editor/api.js").FileRecord | null} */ (null);
    const save = async () => {
      const body = await cutOut(image, mask, Number(feather.value));
      const file = `${(picture.name.split("/").pop() ?? "picture").replace(/\.[^.]*$/, "")}-mask.png`;
      record = await app.api.put(`files/input/${encodeURIComponent(file)}`, body);
      box.close();
    };
    const box = dialog(t("gallery.mask"), { class: "viewer" },
      el("div", { class: "painting" }, shown, mask),
      el("div", { class: "row" }, el("label", {}, t("mask.brush"), " ", brush), el("label", {}, t("mask.soft"), " ", feather), el("label", {}, erase, " ", t("mask.erase")),
        button(app, t("mask.invert"), invert), button(app, t("mask.undo"), back), button(app, t("mask.clear"), () => {
          keep();
          pen.clearRect(0, 0, width, height);
        })),
      el("div", { class: "row end" }, button(app, t("page.cancel"), () => box.close()), button(app, t("mask.save"), save, { class: "primary" })));
    mask.addEventListener("contextmenu", (/** @type {Event} */ event) => event.preventDefault());
    box.addEventListener("keydown", (event) => {
      if (event.key === "[" || event.key === "]") brush.value = String(Number(brush.value) * (event.key === "]" ? 1.25 : 0.8));
      else if (event.key === "z" && (event.ctrlKey || event.metaKey)) back();
    });
    box.addEventListener("close", () => answer(record));
  });
}

/** The picture as PNG, transparent where the mask is. A transparent pixel keeps no colour in a canvas, so alpha 0 becomes 1 of 255.
 * @param {HTMLImageElement} image @param {HTMLCanvasElement} mask @param {number} feather @returns {Promise<Blob>} */
function cutOut(image, mask, feather) {
  const { width, height } = mask;
  const soft = el("canvas", { width, height }).getContext("2d");
  soft.filter = feather ? `blur(${feather / 2}px)` : "none";
  soft.drawImage(mask, 0, 0);
  const cover = soft.getImageData(0, 0, width, height).data;
  const canvas = el("canvas", { width, height });
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, width, height);
  for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = Math.max(1, 255 - cover[at]);
  pen.putImageData(pixels, 0, 0);
  return new Promise((done, fail) => canvas.toBlob((/** @type {Blob | null} */ blob) => (blob ? done(blob) : fail(new Error(t("mask.failed")))), "image/png"));
}
