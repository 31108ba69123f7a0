// Who answers the person's own questions, and the key of a model that they paste to change that.

import { byId, CAN_HOVER, el, post } from "./dom.js";

const USE = "Use your own key…";
const REMOVE = "Remove the key";

export class KeyBox {
  /** `note`: where the page says who answers. */
  constructor(world, note, complain) {
    this.world = world;
    this.complain = complain;
    this.who = el("span");
    this.button = el("button", { type: "button", class: "link", onclick: () => this.#onPress() });
    note.append(this.who, " ", this.button);
    // Not a password field, because browsers offer to store those. CSS hides what is pasted.
    this.input = el("input", {
      id: "key", class: "secret", type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: "sk-…", "aria-describedby": "key-hint key-problem",
    });
    this.problem = el("p", { id: "key-problem", class: "problem", role: "alert" });
    this.use = el("button", { class: "button primary" }, "Use key");
    const form = el(
      "form",
      { novalidate: true },
      el("h2", { id: "key-title" }, "Use your own key"),
      el("p", {}, "Your next question will be answered by OpenAI or Anthropic, who charge for it as usual."),
      el("label", { for: "key" }, "OpenAI or Anthropic key"),
      this.input,
      el("p", { id: "key-hint", class: "hint-text" },
        "It stays in this sandbox's memory until you remove it or stop the sandbox. It isn't written to disk or logged, and is sent only to them."),
      this.problem,
      el("div", { class: "choices" }, el("button", { type: "button", class: "button", onclick: () => this.#close() }, "Cancel"), this.use),
    );
    this.dialog = el("dialog", { class: "confirm key", "aria-labelledby": "key-title" }, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.dialog.addEventListener("close", () => { this.input.value = ""; });
    document.body.append(this.dialog);
  }

  /** Show who answers, as the guide says. */
  show() {
    const { answers_note: note, takes_key: isTaken, has_key: isUsed } = this.world.guide;
    this.who.textContent = note;
    this.button.hidden = !isTaken;
    this.button.textContent = isUsed ? REMOVE : USE;
  }

  /** Ask for a key. */
  open() {
    this.problem.textContent = "";
    this.dialog.showModal();
    (CAN_HOVER.matches ? this.input : this.use).focus();
  }

  #onPress() {
    if (this.world.guide.has_key) this.#send("").catch(this.complain);
    else this.open();
  }

  #close() {
    this.dialog.close();
  }

  async #submit() {
    if (this.use.disabled) return;
    this.use.disabled = true;
    this.use.textContent = "Checking…";
    this.problem.textContent = "";
    try {
      await this.#send(this.input.value.trim() || "-");
      this.#close();
    } catch (error) {
      this.problem.textContent = error.message;
      this.input.focus();
    } finally {
      this.use.disabled = false;
      this.use.textContent = "Use key";
    }
  }

  /** Send a key with this page's token; "" removes the one in use. What changes comes to all open pages as an event. */
  async #send(key) {
    await post("/sandbox/key", { key, token: this.world.token });
  }

  /** Show a change of the guide, and say it to screen readers. */
  onGuide() {
    this.show();
    byId("announcer").textContent = this.world.guide.answers_note;
  }
}
