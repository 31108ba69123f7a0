// The showcase: cards that send a question. An empty channel shows them large, others as a row above the message box.

import { byId, CAN_HOVER, el, post, shownName } from "./dom.js";
import { Meter } from "./meter.js";
import { Tour } from "./tour.js";

const HIDDEN = "showcase-hidden";
const QUIET_MS = 3000;
const LOOK_MS = 250;
const GROWING = ["chat.update", "chat.appendStream"];

export class Showcase {
  /**
   * `page`: here() → the open channel, show(channel), say(text, files, channel, thread), openThread(channel, ts), complain(error).
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
    this.all = el("dialog", { class: "all-cards", "aria-labelledby": "all-cards" });
    // What is chosen in it, plays on the page.
    this.all.addEventListener("click", (event) => { if (event.target.closest(".card, .primary")) this.all.close(); }, true);
    this.all.addEventListener("keydown", (event) => event.stopPropagation());
    document.body.append(this.all);
    new ResizeObserver(() => this.#showNext()).observe(this.offers);
    this.isHidden = localStorage.getItem(HIDDEN) === "yes";
    this.tour = new Tour({
      here: () => this.page.here(),
      cards: (channel) => this.cards(channel),
      leftOut: (cards, channel) => this.#leftOut(cards, channel),
      play: (card, channel) => this.#play(card, { from: channel }),
      state: (channel, ts) => this.#state(channel, ts),
      isWorking: (channel, ts) => Boolean(this.world.status(channel, ts)),
    });
  }

  /** The cards for a channel with enough people. */
  cards(channel) {
    if (!channel.members.includes(this.world.bot.id)) return [];
    const isOffered = (card) => {
      const place = this.#placeOf(card, channel);
      return place && (place !== channel || card.people <= this.#askers(channel).length);
    };
    return this.world.guide.cards.filter(isOffered);
  }

  /** Where a card is asked that is pressed in a channel; nothing if the current person isn't there. */
  #placeOf({ place }, channel) {
    if (place === "here") return channel;
    return place === "direct message" ? this.#direct() : this.world.mine().find(({ id }) => id === place);
  }

  /** The cards whose question would replace what an earlier one's answer waits for: a direct message is one conversation. */
  #leftOut(cards, channel) {
    const direct = cards.filter((card) => this.#placeOf(card, channel).type === "im");
    const waiting = direct.findIndex((card) => card.waits);
    return waiting < 0 ? [] : direct.slice(waiting + 1);
  }

  /** The cards for an empty channel. */
  grid(channel) {
    const card = (each) => el(
      "button",
      { type: "button", class: "card", onclick: () => this.#play(each) },
      el("span", { class: "title" }, each.title, this.#tick(each)),
      el("span", { class: "about" }, each.detail),
    );
    return el("div", { class: "cards" }, ...this.#newFirst(channel).map(card));
  }

  #newFirst(channel) {
    const cards = this.cards(channel);
    return [...cards.filter((card) => !this.world.isSeen(card)), ...cards.filter((card) => this.world.isSeen(card))];
  }

  /** The button that plays all cards. */
  playAll(style) {
    return el("button", { type: "button", class: style, title: "Plays the cards one after another, in a minute", onclick: () => this.tour.play() }, "▶ Play all");
  }

  /** The button that shows all cards large. */
  #showAll(channel) {
    return el("button", { type: "button", class: "prompt", "aria-haspopup": "dialog", onclick: () => this.#openAll(channel) }, "All cards");
  }

  #openAll(channel) {
    this.all.replaceChildren(
      el("header", {}, el("h2", { id: "all-cards" }, "All cards"), el("button", { type: "button", class: "quiet close", "aria-label": "Close all cards", onclick: () => this.all.close() }, "×")),
      this.playAll("primary"),
      this.grid(channel),
    );
    this.all.showModal();
  }

  /** Show or hide the row above the message box, or the link that brings it back. */
  showRow(channel, isEmpty) {
    const cards = this.#newFirst(channel);
    this.isOffered = !isEmpty && cards.length > 0;
    this.row.hidden = !this.isOffered || this.isHidden;
    this.link.hidden = !this.isOffered || !this.isHidden;
    const key = JSON.stringify([channel.id, cards.map((card) => [card.title, this.world.isSeen(card)])]);
    if (this.key === key) return;
    this.key = key;
    const offer = (card) =>
      el("button", { type: "button", class: "prompt", title: card.detail, onclick: () => this.#play(card) }, card.title, this.#tick(card));
    const focused = [...this.offers.children].indexOf(document.activeElement);
    this.offers.replaceChildren(...[this.playAll("prompt play"), this.#showAll(channel), ...cards.map(offer)]);
    if (focused >= 0) this.offers.children[focused]?.focus();
    this.#showNext();
  }

  /** Scroll the row to its first card, which is the next one. A thread that opens beside it takes room from it. */
  #showNext() {
    this.offers.scrollLeft = 0;
    const next = this.offers.children[2];
    if (next && !this.offers.contains(document.activeElement)) next.scrollIntoView({ block: "nearest", inline: "nearest" });
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
    (isHidden ? this.link : [...this.offers.children].find((button) => button.checkVisibility())).focus();
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

  /** Send a card's question. Resolves to its ts and channel, null if that failed; people's replies follow. `from`: the tour's channel. */
  async #play(card, { from = null } = {}) {
    const here = this.page.here();
    const channel = this.#placeOf(card, from || here);
    if (channel.id !== here.id) this.page.show(channel.id);
    if (card.thread) await this.page.openThread(channel.id, card.thread);
    const [first, ...others] = card.questions.map((question) =>
      (channel.type === "im" ? question : `@${this.world.bot.name} ${question}`));
    const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const files = card.file ? [new File([bytes(card.file.base64)], card.file.name)] : [];
    for (const file of files) file.transcript = card.file.transcript;
    const askers = this.#askers(channel);
    // The card that has the focus disappears. On a phone, focusing the box would open the keyboard.
    if (!from && CAN_HOVER.matches) byId("main-box").focus();
    // Without an answer, say() has shown the error.
    const ts = await this.page.say(first, files, channel.id, card.thread).catch(() => null);
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

/** Explains what a card's answer shows, beside it. Where several people ask at once, meters count their answers' calls. */
export class CardNote {
  constructor(world) {
    this.world = world;
    this.title = el("strong");
    this.text = el("span");
    this.list = el("ul", { class: "meters" });
    this.aside = el("aside", { class: "card-note", "aria-label": "About this card", tabindex: "0", hidden: true }, this.title, " ", this.text, this.list);
    // The page hides this node while it shows the app's Home.
    this.node = el("div", {}, this.aside);
  }

  /** Show the note of the card whose question `message` is, or nothing. */
  show(message) {
    const card = this.world.guide.cards.find(({ title }) => title === message?.card);
    const key = card && `${message.channel} ${message.ts}`;
    if (this.key === key) return;
    this.key = key;
    this.aside.hidden = !card;
    if (!card) return;
    this.title.textContent = card.title;
    this.text.textContent = card.note;
    this.card = card;
    this.message = message;
    this.list.replaceChildren();
    this.asked = "";
    this.refresh();
  }

  /** Show the newest counts. */
  refresh() {
    if (this.aside.hidden || this.card.questions.length < 2) return;
    const { answers } = this.world;
    const questions = this.#askedTogether();
    const asked = questions.map(({ ts }) => ts).join(" ");
    if (this.asked !== asked) {
      this.asked = asked;
      this.meters = new Map();
      this.list.replaceChildren();
    }
    const counted = questions.map((asked) => answers.find(({ channel, ts }) => channel === asked.channel && ts === asked.ts));
    // The sandbox counts the newest answers only.
    const isForgotten = !counted.some(Boolean) && answers.some(({ ts }) => ts > questions[0].ts);
    this.list.hidden = isForgotten;
    this.aside.hidden = isForgotten && !this.text.textContent;
    const methods = new Set();
    for (const [at, question] of questions.entries()) {
      const { method, count } = counted[at]?.calls.find((call) => GROWING.includes(call.method)) || { method: GROWING[0], count: 0 };
      methods.add(method);
      const name = shownName(this.world.user(question));
      const words = this.world.toTyped(question.text).replace(/^@\S+ /, "");
      this.#meter(question.ts, `${name}'s answer`, el("span", {}, el("b", {}, name), ` ${words}`)).fill(count, this.#budget(method).limit);
    }
    for (const method of methods) {
      const { used, limit } = this.#budget(method);
      this.#meter(method, `All answers: ${method}`, el("span", {}, "All answers in the last minute: ", el("code", {}, method))).fill(used, limit);
    }
  }

  /** The card's questions that were asked with this one, so far: of several times, the nearest. Others' come after the first is shown. */
  #askedTogether() {
    const { channel, ts } = this.message;
    const distance = (root) => Math.abs(root.ts - ts);
    const roots = this.world.roots(channel).filter((root) => root.card === this.card.title).sort((one, other) => distance(one) - distance(other));
    return this.card.questions.map((words) => roots.find(({ text }) => text.includes(words))).filter(Boolean);
  }

  #budget(method) {
    return this.world.budgets.find((budget) => budget.method === method && !budget.channel);
  }

  #meter(key, name, label) {
    if (!this.meters.has(key)) {
      this.meters.set(key, new Meter(name, label));
      this.list.append(this.meters.get(key).node);
    }
    return this.meters.get(key);
  }
}
