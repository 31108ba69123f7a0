// The showcase: cards that send a question. An empty channel shows them large, others as a row above the message box.

import { byId, el, post } from "./dom.js";
import { Tour } from "./tour.js";

const HIDDEN = "showcase-hidden";
const QUIET_MS = 3000;
const LOOK_MS = 250;
const CAN_HOVER = window.matchMedia("(hover: hover)");

export class Showcase {
  /**
   * `page`: here() → the open channel, show(channel), say(text, files, channel), complain(error), and watch(isOpen),
   * which shows or hides the meters.
   */
  constructor(world, page) {
    this.world = world;
    this.page = page;
    this.offers = el("div", { class: "offers" });
    this.row = el(
      "div",
      { class: "showcase", role: "group", "aria-label": "Showcase", hidden: true },
      this.offers,
      el("button", { type: "button", class: "quiet close", "aria-label": "Hide showcase", onclick: () => this.#hide(true) }, "×"),
    );
    this.link = el("button", { type: "button", class: "link show-cards", hidden: true, onclick: () => this.#hide(false) }, "Show the cards");
    // The page hides this node while it shows the app's Home.
    this.node = el("div", {}, this.row, this.link);
    this.isHidden = localStorage.getItem(HIDDEN) === "yes";
    this.tour = new Tour({
      cards: () => this.cards(this.page.here()),
      play: (card) => this.#play(card, { isTour: true }),
      state: (channel, ts) => this.#state(channel, ts),
      isWorking: (channel, ts) => Boolean(this.world.status(channel, ts)),
      tidy: () => this.page.watch(false),
    });
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
      { type: "button", class: "card", onclick: () => this.#play(each) },
      el("span", { class: "title" }, each.title, this.#tick(each)),
      el("span", { class: "about" }, each.detail),
    );
    return el("div", { class: "cards" }, ...this.cards(channel).map(card));
  }

  /** The button that plays all cards. */
  playAll(style) {
    return el("button", { type: "button", class: style, title: "All cards, in about a minute", onclick: () => this.tour.play() }, "▶ Play all");
  }

  /** Show or hide the row above the message box, or the link that brings it back. */
  showRow(channel, isEmpty) {
    const cards = this.cards(channel);
    this.isOffered = !isEmpty && cards.length > 0;
    this.row.hidden = !this.isOffered || this.isHidden;
    this.link.hidden = !this.isOffered || !this.isHidden;
    const key = JSON.stringify([channel.id, cards.map((card) => [card.title, this.world.isSeen(card)])]);
    if (this.key === key) return;
    this.key = key;
    const offer = (card) =>
      el("button", { type: "button", class: "prompt", title: card.detail, onclick: () => this.#play(card) }, card.title, this.#tick(card));
    const focused = [...this.offers.children].indexOf(document.activeElement);
    this.offers.replaceChildren(this.playAll("prompt play"), ...cards.map(offer));
    this.offers.children[focused]?.focus();
  }

  #tick(card) {
    return this.world.isSeen(card) && el("span", { class: "tick" }, el("span", { "aria-hidden": "true" }, "✓"), el("span", { class: "hidden-text" }, "(seen)"));
  }

  #hide(isHidden) {
    this.isHidden = isHidden;
    if (isHidden) localStorage.setItem(HIDDEN, "yes");
    else localStorage.removeItem(HIDDEN);
    this.row.hidden = isHidden;
    this.link.hidden = !isHidden;
    (isHidden ? this.link : this.offers.firstElementChild).focus();
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

  /** Send a card's question. Resolves to its ts and channel, null if that failed; people's replies follow. */
  async #play(card, { isTour = false } = {}) {
    const here = this.page.here();
    const channel = card.in_direct_message ? this.#direct() : here;
    if (channel.id !== here.id) this.page.show(channel.id);
    const [first, ...others] = card.questions.map((question) =>
      (channel.type === "im" ? question : `@${this.world.bot.name} ${question}`));
    const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const files = card.file ? [new File([bytes(card.file.base64)], card.file.name)] : [];
    for (const file of files) file.transcript = card.file.transcript;
    const askers = this.#askers(channel);
    if (others.length) this.page.watch(true);
    // The card that has the focus disappears. On a phone, focusing the box would open the keyboard.
    if (!isTour && CAN_HOVER.matches) byId("main-box").focus();
    // Without an answer, say() has shown the error.
    const ts = await this.page.say(first, files, channel.id).catch(() => null);
    if (!ts) return null;
    await Promise.all(others.map((text, index) =>
      post("/sandbox/say", { user_id: askers[index + 1], channel: channel.id, text }).catch(this.page.complain)));
    this.#talk(card, channel, ts, askers);
    return { ts, channel: channel.id };
  }

  async #talk(card, channel, ts, askers) {
    for (const reply of card.replies) await this.#reply(reply, channel, ts, askers);
  }

  /** Send a reply of a card once its thread is quiet, and the message before it is answered, or isn't going to be. */
  async #reply({ person, words, to }, channel, ts, askers) {
    let before = "";
    for (let quietMs = 0; quietMs < QUIET_MS;) {
      const now = this.#state(channel.id, ts);
      quietMs = now === before && !this.world.status(channel.id, ts) ? quietMs + LOOK_MS : 0;
      before = now;
      await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    }
    if (!this.world.get(channel.id, ts)) return;
    const addressed = to === "app" ? this.world.bot : this.world.users.get(askers[to]);
    const text = addressed ? `@${addressed.name} ${words}` : words;
    await post("/sandbox/say", { user_id: askers[person], channel: channel.id, text, thread_ts: ts }).catch(this.page.complain);
  }

  /** What there is to see of a question's thread, and of what follows the question in a direct message. */
  #state(channel, ts) {
    const isDirect = this.world.channel(channel).type === "im";
    const after = isDirect ? this.world.roots(channel).filter((message) => message.ts > ts) : [];
    return JSON.stringify([this.world.thread(channel, ts), after]);
  }
}

/** Explains what a card's answer shows, beside it. */
export class CardNote {
  constructor(world) {
    this.world = world;
    this.title = el("strong");
    this.text = el("span");
    this.aside = el("aside", { class: "card-note", "aria-label": "About this card", hidden: true }, this.title, " ", this.text);
    // The page hides this node while it shows the app's Home.
    this.node = el("div", {}, this.aside);
  }

  /** Show the note of the card whose question `message` is, or nothing. */
  show(message) {
    const card = this.world.guide.cards.find(({ title }) => title === message?.card);
    this.aside.hidden = !card;
    if (!card) return;
    this.title.textContent = card.title;
    this.text.textContent = card.note;
  }
}
