// What the page itself did wrong is told where a person sees it, not in the browser's console alone.

import { t } from "./words.js";

const LONGEST = 200;

/** Hear of errors that nothing else dealt with. The same one is told once, however often it comes.
 * @param {(text: string, kind: "error", hint: string) => void} say */
export function tellFaults(say) {
  const told = new Set();
  const tell = (/** @type {any} */ error) => {
    const why = String(error?.message ?? error).slice(0, LONGEST);
    if (told.has(why)) return;
    told.add(why);
    say(t("page.fault", { why }), "error", t("page.fault.hint"));
  };
  window.addEventListener("error", ({ error }) => error && tell(error)); // without one it is a notice of the browser's, about its own layout
  window.addEventListener("unhandledrejection", ({ reason }) => tell(reason));
}
