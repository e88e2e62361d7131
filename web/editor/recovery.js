// The list of unsaved work: what other pages of this browser left, and what the server has from other browsers.

import { openDialog } from "./dialogs.js";
import { open } from "./workflow_file.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./drafts.js").Unsaved} Unsaved */

/** Open it as a draft of this page. @param {App} app @param {Unsaved} found */
async function recover(app, found) {
  app.openDocument(open(found.text ?? (await app.api.draft(found.id))), found.file);
  app.opened = found.opened;
  app.saved = new Map();
  app.events.emit("saved", null);
  await app.drafts?.keep(); // under its new name, before it is gone under the old one
  await app.drafts?.sending;
  await app.drafts?.drop(found.id);
}

/** @param {Unsaved} found */
const when = ({ time }) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

/** Tell a person who comes back. @param {App} app @param {Unsaved[]} found not empty */
export function offer(app, found) {
  const [one] = found;
  if (found.length > 1) {
    app.notices.say({ text: t("draft.several", { count: found.length }), actions: [{ title: t("draft.show"), act: () => showUnsaved(app) }] });
  } else {
    app.notices.say({ text: t("draft.unsaved", { title: one.file.title, when: when(one) }), actions: [
      { title: t("draft.recover"), act: () => app.guard(() => recover(app, one)) },
      { title: t("draft.discard"), act: () => app.guard(() => app.drafts?.drop(one.id)) },
    ] });
  }
}

/** @param {App} app */
export async function showUnsaved(app) {
  const found = (await app.drafts?.unsaved()) ?? [];
  const { dialog, form, close } = openDialog(t("draft.title"));
  dialog.classList.add("unsaved");
  const list = Object.assign(document.createElement("ul"), { className: "entries" });
  const none = Object.assign(document.createElement("p"), { className: "dim", textContent: t("draft.none"), hidden: found.length > 0 });
  for (const item of found) {
    const line = document.createElement("li");
    const words = Object.assign(document.createElement("span"), { className: "what" });
    const about = t("draft.about", { when: when(item), where: t(item.text === undefined ? "draft.elsewhere" : "draft.here") });
    words.append(Object.assign(document.createElement("span"), { textContent: item.file.title }), Object.assign(document.createElement("small"), { textContent: about }));
    const take = Object.assign(document.createElement("button"), { type: "button", textContent: t("draft.recover") });
    take.setAttribute("aria-label", t("draft.recover-it", { title: item.file.title }));
    take.addEventListener("click", () => {
      close();
      app.guard(() => recover(app, item));
    });
    const discard = Object.assign(document.createElement("button"), { type: "button", textContent: t("draft.discard") });
    discard.setAttribute("aria-label", t("draft.discard-of", { title: item.file.title }));
    discard.addEventListener("click", () => app.guard(async () => {
      await app.drafts?.drop(item.id);
      line.remove();
      none.hidden = list.childElementCount > 0;
    }));
    line.append(words, take, discard);
    list.append(line);
  }
  const row = Object.assign(document.createElement("div"), { className: "answers" });
  row.append(Object.assign(document.createElement("button"), { textContent: t("page.close"), className: "primary" }));
  form.append(Object.assign(document.createElement("h2"), { textContent: t("draft.title") }), none, list, row);
}
