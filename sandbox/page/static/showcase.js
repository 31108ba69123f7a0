// The showcase: cards that send a question. An empty channel shows them large, others as a row above the message box.

import { byId, el, post } from "./dom.js";

const DISMISSED = "showcase-dismissed";
const QUIET_MS = 3000;
const CAN_HOVER = window.matchMedia("(hover: hover)");

export class Showcase {
  /** `page`: show(channel), say(text, files, channel), complain(error), and watch(), which shows the meters. */
  constructor(world, page) {
    this.world = world;
    this.page = page;
    this.offers = el("div", { class: "offers" });
    this.row = el(
      "div",
      { class: "showcase", role: "group", "aria-label": "Showcase", hidden: true },
      this.offers,
      el("button", { type: "button", class: "quiet close", "aria-label": "Hide showcase", onclick: () => this.#dismiss() }, "×"),
    );
    // The page hides this node while it shows the app's Home.
    this.node = el("div", {}, this.row);
    this.isDismissed = localStorage.getItem(DISMISSED) === "yes";
  }

  /** The cards for a channel with enough people. */
  cards(channel) {
    if (!channel.members.includes(this.world.bot.id)) return [];
    const isPossible = (card) => (card.in_direct_message ? this.#direct() : card.people <= this.#askers(channel).length);
    return this.world.guide.cards.filter(isPossible);
  }

  /** The cards for an empty channel. */
  grid(channel) {
    const card = (each) => el(
      "button",
      { type: "button", class: "card", onclick: () => this.#play(each, channel) },
      el("span", { class: "title" }, each.title),
      el("span", { class: "about" }, each.detail),
    );
    return el("div", { class: "cards" }, ...this.cards(channel).map(card));
  }

  /** Show or hide the row above the message box. */
  showRow(channel, isEmpty) {
    const cards = this.cards(channel);
    this.row.hidden = isEmpty || this.isDismissed || !cards.length;
    const offer = (card) =>
      el("button", { type: "button", class: "prompt", title: card.detail, onclick: () => this.#play(card, channel) }, card.title);
    this.offers.replaceChildren(...cards.map(offer));
  }

  #dismiss() {
    this.isDismissed = true;
    localStorage.setItem(DISMISSED, "yes");
    this.row.hidden = true;
    byId("main-box").focus();
  }

  /** The people who can ask: the current one first, then the channel's others. */
  #askers({ members }) {
    const isPerson = (id) => id !== this.world.me && this.world.users.has(id) && !this.world.users.get(id).is_bot;
    return [this.world.me, ...members.filter(isPerson)];
  }

  /** The current person's direct message with the app. */
  #direct() {
    return this.world.mine().find((channel) => channel.type === "im" && channel.members.includes(this.world.bot.id));
  }

  async #play(card, here) {
    const channel = card.in_direct_message ? this.#direct() : here;
    if (channel.id !== here.id) this.page.show(channel.id);
    const [first, ...others] = card.questions.map((question) =>
      (channel.type === "im" ? question : `@${this.world.bot.name} ${question}`));
    const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const files = card.file ? [new File([bytes(card.file.base64)], card.file.name)] : [];
    for (const file of files) file.transcript = card.file.transcript;
    const askers = this.#askers(channel);
    if (others.length) this.page.watch();
    // The card that has the focus disappears. On a phone, focusing the box would open the keyboard.
    if (CAN_HOVER.matches) byId("main-box").focus();
    try {
      const ts = await this.page.say(first, files, channel.id);
      await Promise.all(others.map((text, index) =>
        post("/sandbox/say", { user_id: askers[index + 1], channel: channel.id, text }).catch(this.page.complain)));
      for (const reply of card.replies) await this.#reply(reply, channel, ts, askers);
    } catch {
      // say() has shown the error.
    }
  }

  /** Send a reply of a card once its thread is quiet, and the message before it is answered, or isn't going to be. */
  async #reply({ person, words, to }, channel, ts, askers) {
    const shown = () => JSON.stringify(this.world.thread(channel.id, ts));
    for (let before = ""; before !== shown();) {
      before = shown();
      await new Promise((resolve) => { setTimeout(resolve, QUIET_MS); });
    }
    if (!this.world.get(channel.id, ts)) return;
    const addressed = to === "app" ? this.world.bot : this.world.users.get(askers[to]);
    const text = addressed ? `@${addressed.name} ${words}` : words;
    await post("/sandbox/say", { user_id: askers[person], channel: channel.id, text, thread_ts: ts }).catch(this.page.complain);
  }
}
