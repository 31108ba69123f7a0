// Dialogs: the browser's own, which keep the focus inside, close with Escape and give the focus back.

import { el } from "./dom.js";

/** Ask before something is done; resolves to whether it is to be done. */
export function confirmed({ title, text, confirm, deny, style }) {
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = el(
      "dialog",
      { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      el("h2", { id: "confirm-title" }, title),
      el("p", { id: "confirm-text" }, text),
      el(
        "div",
        { class: "choices" },
        el("button", { type: "button", class: "button", onclick: () => close(false) }, deny),
        el("button", { type: "button", class: `button ${style}`, autofocus: true, onclick: () => close(true) }, confirm),
      ),
    );
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(false);
    });
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    document.body.append(dialog);
    dialog.showModal();
  });
}
