// A menu at a point of the page, for the pointer and for keys.

/** @typedef {{title: string, keys?: string, run: () => unknown, disabled?: boolean, checked?: boolean} | null} Item null: a line */

/** @param {import("./app.js").App} app @param {[number, number]} at of the page @param {Item[]} items */
export function openMenu(app, at, items) {
  document.querySelector(".menu")?.remove();
  const menu = document.createElement("div");
  menu.className = "menu";
  menu.setAttribute("role", "menu");
  menu.tabIndex = -1;
  const before = document.activeElement;
  const close = () => {
    if (!menu.isConnected) return;
    menu.remove();
    window.removeEventListener("pointerdown", outside, true);
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  };
  const outside = (/** @type {PointerEvent} */ event) => menu.contains(/** @type {Node} */ (event.target)) || close();
  for (const item of items) {
    if (!item) {
      menu.append(document.createElement("hr"));
      continue;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", item.checked === undefined ? "menuitem" : "menuitemradio");
    if (item.checked !== undefined) button.setAttribute("aria-checked", String(item.checked));
    button.disabled = item.disabled ?? false;
    const title = document.createElement("span");
    title.textContent = item.title;
    const keys = document.createElement("kbd");
    keys.textContent = item.keys ?? "";
    button.append(title, keys);
    button.addEventListener("click", () => {
      close();
      app.guard(item.run);
    });
    menu.append(button);
  }
  menu.addEventListener("keydown", (event) => {
    const buttons = /** @type {HTMLButtonElement[]} */ ([...menu.querySelectorAll("button:not(:disabled)")]);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const now = buttons.indexOf(/** @type {any} */ (document.activeElement));
    if (event.key === "Escape" || event.key === "Tab") close();
    else if (step) buttons[(now + step + buttons.length) % buttons.length]?.focus();
    else if (event.key !== "Enter" && event.key !== " ") return;
    else return event.stopPropagation();
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("contextmenu", (event) => event.preventDefault());
  document.body.append(menu);
  const { width, height } = menu.getBoundingClientRect();
  menu.style.setProperty("left", `${Math.max(4, Math.min(at[0], window.innerWidth - width - 4))}px`);
  menu.style.setProperty("top", `${Math.max(4, Math.min(at[1], window.innerHeight - height - 4))}px`);
  window.addEventListener("pointerdown", outside, true);
  /** @type {HTMLElement | null} */ (menu.querySelector("button:not(:disabled)"))?.focus({ preventScroll: true });
}
