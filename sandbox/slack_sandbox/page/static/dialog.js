// Dialogs. The browser's <dialog> keeps the focus inside, closes with Escape and returns the focus.

import { el } from "./dom.js";

/** Ask before something is done. Resolves to the answer: true to do it. `focus`: "confirm" or "deny". */
export function confirmed({ title, text, confirm, deny, style, focus = "confirm" }) {
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
        el("button", { type: "button", class: "button", autofocus: focus === "deny", onclick: () => close(false) }, deny),
        el("button", { type: "button", class: `button ${style}`, autofocus: focus === "confirm", onclick: () => close(true) }, confirm),
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
