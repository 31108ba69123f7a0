// "Play all": the cards one after another, in a minute. It presses nothing for the person: what waits for them stays.

import { byId, CAN_HOVER, el } from "./dom.js";

const LOOK_MS = 250;
const REST_MS = 1800;
const TALK_REST_MS = 7000; // longer than people wait before they reply
const AT_LEAST_MS = 3500;
const ALL_MS = 60_000;
const TALK_WEIGHT = 3; // the time for a card in whose thread people talk, in that of other cards
const weightOf = (card) => (card.replies.length ? TALK_WEIGHT : 1);

export class Tour {
  /** `page`: here() → the open channel, cards(channel), leftOut(cards, channel) → those that the person has to play, play(card, channel) → the ts of its question and the channel's id, state(channel, ts) and isWorking(channel, ts). */
  constructor(page) {
    this.page = page;
    this.playing = null; // the run under way; a stopped one may still wait while the next one begins
    this.where = el("span", { role: "status" });
    this.stop = el("button", { type: "button", class: "quiet", onclick: () => this.#close() });
    this.bar = el("div", { class: "tour", role: "group", "aria-label": "Playing all cards", hidden: true }, this.where, this.stop);
    // Above the page instead of over it.
    byId("app").before(this.bar);
  }

  /** Play all cards, unless they are being played. */
  async play() {
    if (this.playing) return;
    const run = this.playing = {};
    this.bar.hidden = false;
    this.stop.textContent = "■ Stop playing";
    const channel = this.page.here();
    const all = this.page.cards(channel);
    const left = this.page.leftOut(all, channel);
    const cards = all.filter((card) => !left.includes(card));
    const end = performance.now() + ALL_MS;
    for (const [at, card] of cards.entries()) {
      this.where.textContent = `${at + 1} of ${cards.length}: ${card.title}`;
      this.stop.focus();
      const asked = await this.page.play(card, channel);
      if (this.playing !== run) return;
      if (!asked) break;
      // What one card leaves of its share, the others have.
      const weights = cards.slice(at).reduce((sum, each) => sum + weightOf(each), 0);
      const shareMs = (end - performance.now()) * weightOf(card) / weights;
      await this.#watch(run, asked, Math.max(AT_LEAST_MS, shareMs), card.replies.length ? TALK_REST_MS : REST_MS);
      if (this.playing !== run) return;
    }
    this.playing = null;
    this.where.textContent = [
      cards.at(-1)?.waits ? "Now it's your turn: the last answer is waiting for you." : "Now ask your own question.",
      ...(left.length ? [`Left for you: ${left.map(({ title }) => title).join(", ")}.`] : []),
    ].join(" ");
    this.stop.textContent = "Close";
    if (CAN_HOVER.matches) byId("main-box").focus();
  }

  /** Wait until an answer has been still for a moment. It may be read on later. */
  async #watch(run, { channel, ts }, longestMs, restMs) {
    const begun = performance.now();
    let last = "";
    let changed = begun;
    for (let now = begun; this.playing === run && now - begun < longestMs; now = performance.now()) {
      const state = this.page.state(channel, ts);
      if (state !== last || this.page.isWorking(channel, ts)) [last, changed] = [state, now];
      else if (now - changed >= restMs && now - begun >= AT_LEAST_MS) return;
      await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    }
  }

  /** Stop playing, or close the line that says it is over. */
  #close() {
    this.playing = null;
    this.bar.hidden = true;
    if (CAN_HOVER.matches) byId("main-box").focus();
  }
}
