// The menu of a message's actions. It opens when its button is pressed.

import { el, moveFocus } from "./dom.js";

const GAP_PX = 4;

/** Place an open popover below a button, or above it where it has no room. */
export function placeBelow(popover, button) {
  const anchor = button.getBoundingClientRect();
  const { offsetHeight, offsetWidth } = popover;
  const below = anchor.bottom + GAP_PX;
  const top = below + offsetHeight <= innerHeight ? below : anchor.top - GAP_PX - offsetHeight;
  popover.style.setProperty("top", `${Math.max(GAP_PX, top)}px`);
  popover.style.setProperty("left", `${Math.max(GAP_PX, anchor.right - offsetWidth)}px`);
}

class ActionMenu {
  constructor() {
    this.node = el("ul", { class: "action-menu", role: "menu", popover: "auto" });
    this.node.addEventListener("keydown", (event) => this.#onKey(event));
    this.node.addEventListener("toggle", ({ newState }) => {
      if (newState === "closed") this.button?.setAttribute("aria-expanded", "false");
    });
    document.body.append(this.node);
  }

  /** Open the menu at a button. `actions` are pairs of a label and a function. */
  open(button, actions) {
    this.button = button;
    this.node.setAttribute("aria-label", button.getAttribute("aria-label"));
    this.node.replaceChildren(...actions.map(([label, act]) => el("li", { role: "none" }, this.#item(label, act))));
    this.node.showPopover();
    button.setAttribute("aria-expanded", "true");
    placeBelow(this.node, button);
    this.#items[0].focus();
  }

  get #items() {
    return [...this.node.querySelectorAll("button")];
  }

  #item(label, act) {
    const onclick = () => {
      this.#close();
      act();
    };
    return el("button", { type: "button", role: "menuitem", tabindex: "-1", onclick }, label);
  }

  #close() {
    this.node.hidePopover();
    this.button.focus();
  }

  #onKey(event) {
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      // Otherwise the page would close the thread, too.
      event.stopPropagation();
      this.#close();
    }
    moveFocus(event, this.#items);
  }
}

let menu = null;

/** Open the menu at a button. `actions` are pairs of a label and a function. */
export function openMenu(button, actions) {
  menu ||= new ActionMenu();
  menu.open(button, actions);
}
