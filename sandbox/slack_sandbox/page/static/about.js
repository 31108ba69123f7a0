// What the page says of an export before the first question: what was read, what wasn't, and where it goes.

import { byId, CAN_HOVER, el } from "./dom.js";

export class About {
  constructor(world) {
    this.world = world;
    this.button = el("button", { type: "button", class: "link", id: "about-export", hidden: true, onclick: () => this.open() }, "About this export");
    byId("status").after(this.button);
    this.lines = el("ul");
    this.who = el("p", { class: "goes-to" });
    const close = el("button", { type: "button", class: "button primary", autofocus: true, onclick: () => this.dialog.close() }, "Start");
    this.dialog = el(
      "dialog",
      { class: "confirm of-export", "aria-labelledby": "about-title" },
      el("h2", { id: "about-title" }, "Your export"),
      this.lines,
      this.who,
      el("div", { class: "choices" }, close),
    );
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.dialog.addEventListener("close", () => { if (CAN_HOVER.matches) byId("main-box").focus(); });
    document.body.append(this.dialog);
    this.input = el("input", { type: "file", accept: ".zip", hidden: true, onchange: () => this.#use(this.input.files[0]) });
    const choose = el("button", { type: "button", class: "link", onclick: () => this.input.click() }, "choose its ZIP");
    this.said = el("span", { role: "status" });
    this.offer = el("p", { class: "aside own-export" }, "Or open your company's own Slack export: drop it here, or ", choose, ". ", this.said, this.input);
  }

  /** Take a ZIP that is dropped on this part of the page, while it offers that. */
  acceptDrops(zone) {
    zone.addEventListener("drop", (event) => {
      const [file, ...others] = event.dataTransfer.files;
      if (!this.world.guide.takes_export || others.length || !file?.name.endsWith(".zip")) return;
      event.preventDefault();
      event.stopPropagation();
      this.#use(file);
    });
  }

  /** Have the sandbox start again with an export, and show it. */
  async #use(file) {
    if (!file) return;
    this.said.textContent = "Reading…";
    const query = new URLSearchParams({ name: file.name, token: this.world.token });
    const headers = { "Content-Type": "application/octet-stream" };
    try {
      const response = await fetch(`/sandbox/export?${query}`, { method: "POST", headers, body: file });
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) throw new Error(answer.error || `HTTP ${response.status}`);
      this.said.textContent = "Starting…";
    } catch (error) {
      this.said.textContent = error.message;
    }
    this.input.value = "";
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
