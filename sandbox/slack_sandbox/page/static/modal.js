// The app's modal: the topmost of the stack that the person who is writing has open in this tab.

import { makeUsable, restore, valuesIn } from "./blocks.js";
import { byId, el, post, TAB } from "./dom.js";
import { patch } from "./patch.js";

const pathOf = (use) => ("query" in use ? "/sandbox/suggest_in_view" : "/sandbox/press_in_view");
const NO_CONNECTION = "We had some trouble connecting. Try again?";

export class Modal {
  constructor(world) {
    this.world = world;
    this.title = el("h2", { id: "modal-title" });
    this.body = el("div", { class: "body fields" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.closeButton = el("button", { type: "button", class: "button", onclick: () => this.#close(false) });
    this.submitButton = el("button", { type: "button", class: "button primary", onclick: () => this.#submit() });
    this.node = el(
      "dialog",
      { class: "modal", "aria-labelledby": "modal-title" },
      el(
        "header",
        {},
        this.title,
        el("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: () => this.#close(true) }, "×"),
      ),
      this.body,
      el("footer", {}, this.problem, this.closeButton, this.submitButton),
    );
    makeUsable(this.body, (use) =>
      post(pathOf(use), { ...this.#where(), ...use, values: valuesIn(this.body) }));
    this.node.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#close(true);
    });
    this.node.addEventListener("keydown", (event) => {
      event.stopPropagation();
      const submits = event.key === "Enter" && event.target.matches("input[type=text]") && !event.defaultPrevented;
      if (submits && !event.isComposing) this.#submit();
    });
    document.body.append(this.node);
  }

  /** Show the current person's modal, if this tab has one. */
  show() {
    const view = this.world.views.get(this.world.me)?.modal;
    if (!view || (view.tab && view.tab !== TAB)) {
      if (this.node.open) this.node.close();
      this.view = null;
      return;
    }
    const isSame = this.view?.id === view.id;
    // The person's Home may change meanwhile, which says nothing about what is wrong in this view.
    const problems = isSame && this.view.html === view.html ? this.problems : {};
    const held = isSame ? valuesIn(this.body) : {};
    this.view = view;
    this.title.textContent = view.title;
    this.closeButton.textContent = view.close;
    this.submitButton.textContent = view.submit || "";
    this.submitButton.hidden = !view.submit;
    if (!isSame) this.body.replaceChildren();
    patch(this.body, view.html, this.world);
    restore(this.body, held);
    this.#showProblems(problems);
    if (!this.node.open) this.node.showModal();
    if (!isSame) this.#first().focus();
  }

  #first() {
    const fields = ":is(input, select, textarea, button)";
    return this.body.querySelector(`[data-focus] ${fields}`) || this.body.querySelector(fields) || this.closeButton;
  }

  #where() {
    return { user_id: this.world.me, view_id: this.view.id };
  }

  #close(everything) {
    post("/sandbox/close", { user_id: this.world.me, everything }).catch((error) => this.#fail(error));
  }

  async #submit() {
    if (!this.view.submit || this.submitButton.disabled) return;
    this.submitButton.disabled = true;
    this.problem.textContent = "";
    try {
      const { errors } = await post("/sandbox/submit", { ...this.#where(), values: valuesIn(this.body) });
      this.#showProblems(errors)?.focus();
      // What is wrong stands below the field.
      this.body.querySelector(".problem:not([hidden])")?.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.#fail(error);
    } finally {
      this.submitButton.disabled = false;
    }
  }

  #fail(error) {
    this.problem.textContent = error.message === "app_not_responding" ? NO_CONNECTION : `That didn't work: ${error.message}`;
  }

  /** Show what is wrong below each field, and return the first such field. */
  #showProblems(errors) {
    this.problems = errors;
    let first = null;
    for (const input of this.body.querySelectorAll(".input")) {
      const said = input.querySelector(".problem");
      const control = input.querySelector("[data-action]");
      const text = errors[input.dataset.input] || "";
      said.id = `problem-${control.dataset.action}`;
      said.textContent = text;
      said.hidden = !text;
      control.setAttribute("aria-invalid", String(Boolean(text)));
      if (text) control.setAttribute("aria-describedby", said.id);
      else control.removeAttribute("aria-describedby");
      if (text) first ||= control.tagName === "FORM" ? control.querySelector("input") : control;
    }
    return first;
  }
}

/** The app's Home tab. */
export class Home {
  constructor(world) {
    this.world = world;
    this.node = byId("home");
    this.body = el("div", { class: "body" });
    this.node.append(this.body);
    makeUsable(this.body, (use) => {
      const where = { user_id: world.me, view_id: world.views.get(world.me).home.id };
      return post(pathOf(use), { ...where, ...use, values: valuesIn(this.body) });
    });
  }

  show() {
    const home = this.world.views.get(this.world.me)?.home;
    const empty = `<p class="nothing">There's nothing on this app's Home yet.</p>`;
    patch(this.body, home ? home.html : empty, this.world);
  }
}
