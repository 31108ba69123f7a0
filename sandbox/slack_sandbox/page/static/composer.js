// The message box. It completes names after an @, and commands after a /.

import { avatar, CAN_HOVER, el, typedName } from "./dom.js";
import { FileTray } from "./files.js";

/** `options`: id, names() → users to offer, commands() → commands to offer, send(text, files) → promise, editLast(). */
export class Composer {
  constructor(options) {
    this.options = options;
    this.offers = [];
    this.chosen = 0;
    const listId = `${options.id}-names`;
    this.box = el("textarea", {
      id: options.id, rows: "1", "aria-autocomplete": "list", "aria-controls": listId, autocomplete: "off",
    });
    this.names = el("ul", { id: listId, class: "names", role: "listbox", "aria-label": "Names", hidden: true });
    this.status = el("p", { class: "working", role: "status" });
    this.lost = el("p", { class: "lost-note", role: "status", hidden: true }, "The sandbox can't be reached. Trying again…");
    this.unanswered = el("p", { class: "unanswered-note", role: "status", hidden: true });
    this.button = el("button", { type: "submit", class: "primary", disabled: true }, "Send");
    this.note = el("p", { class: "answers-note" });
    this.keys = el("p", { class: "keys", "aria-hidden": "true" });
    this.keys.append(el("kbd", {}, "Enter"), " sends · ", el("kbd", {}, "Shift Enter"), " new line · ", el("kbd", {}, "@"), " names");
    this.node = el("form", { class: "composer" });
    this.tray = new FileTray(this.node, () => this.#allowSending());
    const row = el("div", { class: "row" }, this.tray.button, this.tray.input, this.box, this.button);
    this.node.append(this.names, this.status, this.unanswered, this.lost, el("div", { class: "field" }, this.tray.node, row), el("div", { class: "below" }, this.note, this.keys));
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.box.addEventListener("input", () => this.#offer());
    this.box.addEventListener("click", () => this.#offer());
    this.box.addEventListener("blur", () => this.#close());
    this.box.addEventListener("keydown", (event) => this.#onKey(event));
  }

  setLabel(label) {
    this.box.setAttribute("aria-label", label);
    this.box.placeholder = label;
  }

  get text() {
    return this.box.value;
  }

  set text(text) {
    this.box.value = text;
    this.#allowSending();
    this.#close();
  }

  /** The text and files that aren't sent yet. */
  get draft() {
    return { text: this.text, files: this.tray.files };
  }

  set draft({ text, files }) {
    this.text = text;
    this.tray.files = files;
  }

  /** Focus the box, unless that would open a keyboard on the screen. */
  focus() {
    if (CAN_HOVER.matches) this.box.focus();
  }

  /** Say above the box that the sandbox can't be reached. */
  set isLost(isLost) {
    this.lost.hidden = !isLost;
  }

  /** Say above the box why the last message gets no answer; "" removes that. */
  set whyUnanswered(text) {
    this.unanswered.textContent = text;
    this.unanswered.hidden = !text;
  }

  async #send() {
    const sent = { text: this.text.trim(), files: this.tray.files };
    if (!sent.text && !sent.files.length) return;
    this.draft = { text: "", files: [] };
    this.box.focus();
    try {
      await this.options.send(sent.text, sent.files);
    } catch {
      if (!this.text && !this.tray.files.length) this.draft = sent;
    }
  }

  #allowSending() {
    this.button.disabled = !this.text.trim() && !this.tray.files.length;
  }

  #onKey(event) {
    if (event.isComposing) return;
    if (!this.names.hidden && this.#onKeyInNames(event)) {
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "ArrowUp" && !this.text) {
      event.preventDefault();
      this.options.editLast();
    }
  }

  #onKeyInNames(event) {
    const { length } = this.offers;
    if (event.key === "ArrowDown") this.#choose((this.chosen + 1) % length);
    else if (event.key === "ArrowUp") this.#choose((this.chosen + length - 1) % length);
    else if (event.key === "Escape") this.#close();
    else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) this.#accept(this.offers[this.chosen]);
    else return false;
    return true;
  }

  #beforeCaret() {
    return this.box.value.slice(0, this.box.selectionStart);
  }

  #offer() {
    this.#allowSending();
    this.offers = this.#commands() || this.#people();
    if (!this.offers.length) {
      this.#close();
      return;
    }
    const option = (offer, index) =>
      el(
        "li",
        {
          id: `${this.names.id}-${index}`, role: "option", "aria-selected": "false",
          onmousedown: (event) => { event.preventDefault(); this.#accept(offer); },
        },
        offer.detail === undefined && avatar(offer),
        el("span", { class: "name" }, offer.detail === undefined ? typedName(offer) : offer.name),
        el("span", { class: "real-name" }, offer.detail ?? (offer.is_bot ? "App" : typedName(offer) === offer.real_name ? "" : offer.real_name)),
      );
    this.names.replaceChildren(...this.offers.map(option));
    this.names.hidden = false;
    this.#choose(0);
  }

  #people() {
    const typed = /(?:^|\s)@([\w.-]*)$/.exec(this.#beforeCaret())?.[1]?.toLowerCase();
    if (typed === undefined) return [];
    const fits = (user) =>
      [user.name, ...(user.real_name || "").split(" ")].some((word) => word.toLowerCase().startsWith(typed));
    const offers = this.options.names().filter(fits);
    return offers.length === 1 && offers[0].name.toLowerCase() === typed ? [] : offers;
  }

  /** The app's commands and shortcuts, while one is being typed. */
  #commands() {
    const typed = /^\/[\w-]*$/.exec(this.text)?.[0];
    if (!typed) return null;
    return this.options.commands().filter((offer) => typed === "/" || offer.name.startsWith(typed));
  }

  #choose(index) {
    this.chosen = index;
    [...this.names.children].forEach((node, at) => node.setAttribute("aria-selected", String(at === index)));
    this.box.setAttribute("aria-activedescendant", `${this.names.id}-${index}`);
  }

  #accept(offer) {
    if (offer.detail !== undefined) {
      this.text = offer.act ? "" : `${offer.name} `;
      offer.act?.();
      this.box.focus();
      return;
    }
    const before = this.#beforeCaret().replace(/@[\w.-]*$/, `@${typedName(offer)} `);
    const after = this.box.value.slice(this.box.selectionStart).replace(/^ /, "");
    this.text = before + after;
    this.box.setSelectionRange(before.length, before.length);
    this.box.focus();
  }

  #close() {
    this.names.hidden = true;
    this.names.replaceChildren();
    this.offers = [];
    this.box.removeAttribute("aria-activedescendant");
  }
}
