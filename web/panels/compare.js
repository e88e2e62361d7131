// Two pictures over each other with a slider between them.

import { t } from "../editor/words.js";
import { el } from "./dom.js";

/** @param {{src: string, name: string}} first @param {{src: string, name: string}} second @returns {HTMLElement} */
export function comparison(first, second) {
  const over = el("img", { src: second.src, alt: second.name, class: "over" });
  const slider = el("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": t("gallery.sides", { first: first.name, second: second.name }) });
  const box = el("div", { class: "compare" }, el("img", { src: first.src, alt: first.name }), over, el("span", { class: "line" }), slider);
  const place = () => box.style.setProperty("--at", `${slider.value}%`);
  slider.addEventListener("input", place);
  box.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (event.pointerType === "mouse" && event.target !== slider) {
      const { left, width } = box.getBoundingClientRect();
      slider.value = String((100 * (event.clientX - left)) / width);
      place();
    }
  });
  place();
  return box;
}
