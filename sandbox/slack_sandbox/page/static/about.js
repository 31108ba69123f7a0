// What the page says of an export before the first question: what was read, what wasn't, and where it goes.

import { byId, CAN_HOVER, el } from "./dom.js";

export class About {
  constructor(world) {
    this.world = world;
    this.button = el("button", { type: "button", class: "link", id: "about-export", hidden: true, onclick: () => this.open() }, "About this export");
    byId("status").after(this.button);
    this.lines = el("ul");
    this.who = el("p", { class: "who" });
    const close = el("button", { type: "button", class: "button primary", autofocus: true, onclick: () => this.dialog.close() }, "Start");
    this.dialog = el(
      "dialog",
      { class: "confirm about", "aria-labelledby": "about-title" },
      el("h2", { id: "about-title" }, "Your export"),
      this.lines,
      this.who,
      el("div", { class: "choices" }, close),
    );
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.dialog.addEventListener("close", () => { if (CAN_HOVER.matches) byId("main-box").focus(); });
    document.body.append(this.dialog);
  }

  /** Say it once in each tab; later, the button does. */
  show() {
    const { about, token } = this.world;
    this.button.hidden = !about.length;
    if (!about.length || sessionStorage.getItem("about") === token) return;
    sessionStorage.setItem("about", token);
    this.open();
  }

  open() {
    this.lines.replaceChildren(...this.world.about.map((line) => el("li", {}, line)));
    this.who.textContent = [this.world.guide.answers_note, this.world.guide.setup_note].filter(Boolean).join(" ");
    this.dialog.showModal();
  }
}
