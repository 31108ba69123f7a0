// Reactions to a message: buttons below it with their counts, and the picker that adds one.

import { el } from "./dom.js";
import { placeBelow } from "./menu.js";

const GLYPHS = {
  eyes: "👀", question: "❓", white_check_mark: "✅", x: "❌", thumbsup: "👍", "+1": "👍", thumbsdown: "👎", "-1": "👎",
  heart: "❤️", tada: "🎉", bulb: "💡", robot_face: "🤖", rocket: "🚀", pray: "🙏", memo: "📝",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", warning: "⚠️", wave: "👋",
};
const OFFERED = ["eyes", "question", "white_check_mark", "+1", "heart", "tada", "bulb", "robot_face", "rocket", "pray", "memo", "wave"];
const glyph = (name) => GLYPHS[name] || `:${name}:`;

/** The name of an emoji that was typed: its name, with or without colons, or the emoji itself. */
function nameOf(typed) {
  const known = Object.entries(GLYPHS).find(([, shown]) => shown === typed);
  return known ? known[0] : typed.replace(/^:|:$/g, "").toLowerCase();
}

/** The buttons of a message's reactions. `toggle(name, add)` adds or removes the current person's own. */
export function reactionButtons(message, world, toggle) {
  return message.reactions.map(({ name, users }) => {
    const isMine = users.includes(world.me);
    const people = users.map((id) => world.users.get(id)?.real_name || id).join(", ");
    const label = `${name}, ${users.length}`;
    return el(
      "button",
      {
        type: "button", class: "reaction", "data-reaction": name, "aria-pressed": String(isMine), "aria-label": label,
        title: `:${name}: ${people}`, onclick: () => toggle(name, !isMine),
      },
      `${glyph(name)} ${users.length}`,
    );
  });
}

class Picker {
  constructor() {
    this.box = el("input", {
      type: "text", "aria-label": "Emoji name", placeholder: "For example: eyes", autocomplete: "off", spellcheck: "false",
    });
    this.offers = el("div", { class: "offers" });
    this.form = el("form", {}, this.box, el("button", { type: "submit", class: "primary" }, "Add"));
    this.node = el("div", { class: "reaction-picker", role: "dialog", "aria-label": "Add reaction", popover: "auto" }, this.form, this.offers);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choose(nameOf(this.box.value.trim()));
    });
    this.node.addEventListener("keydown", (event) => this.#onKey(event));
    document.body.append(this.node);
  }

  open(button, choose) {
    this.button = button;
    this.choose = choose;
    this.box.value = "";
    const offer = (name) => el(
      "button",
      { type: "button", "aria-label": name, title: `:${name}:`, onclick: () => this.#choose(name) },
      glyph(name),
    );
    this.offers.replaceChildren(...OFFERED.map(offer));
    this.node.showPopover();
    placeBelow(this.node, button);
    this.box.focus();
  }

  #choose(name) {
    if (!name) return;
    this.#close();
    this.choose(name);
  }

  #close() {
    this.node.hidePopover();
    this.button.focus();
  }

  #onKey(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    // Otherwise the page would close the thread, too.
    event.stopPropagation();
    this.#close();
  }
}

let picker = null;

/** Open the picker at a button. `choose(name)` gets the emoji's name. */
export function pickReaction(button, choose) {
  picker ||= new Picker();
  picker.open(button, choose);
}
