// The assistant's pane beside a channel; and suggested prompts, status and Slack's Stop button.

import { Composer } from "./composer.js";
import { byId, el, post, shownName } from "./dom.js";
import { MessageList } from "./messages.js";

const TURN_MS = 2500;

/** Suggestions as buttons, above a message box. */
export class Prompts {
  constructor(send) {
    this.send = send;
    this.node = el("div", { class: "prompts", role: "group", hidden: true });
  }

  show({ title, prompts }) {
    const heading = title || "Suggested prompts";
    this.node.hidden = !prompts.length;
    this.node.setAttribute("aria-label", heading);
    const offer = (prompt) =>
      el("button", { type: "button", class: "prompt", title: prompt.message, onclick: () => this.send(prompt.message) }, prompt.title);
    this.node.replaceChildren(el("p", { "aria-hidden": "true" }, heading), ...prompts.map(offer));
  }

  hide() {
    this.node.hidden = true;
  }
}

/** The app's status, or its loading messages in turn; and Slack's own Stop button. */
export class Working {
  constructor(world, line, onError) {
    this.world = world;
    this.onError = onError;
    this.line = line;
    this.stop = el("button", { type: "button", class: "button stop", hidden: true, onclick: () => this.#stop() }, "■ Stop");
    line.after(this.stop);
  }

  /** Show one thread's status; none if `thread` is null. */
  show(channel, thread) {
    clearInterval(this.timer);
    this.where = { channel, thread_ts: thread };
    const status = thread ? this.world.status(channel, thread) : "";
    const lines = thread ? this.world.loading(channel, thread) : [];
    this.stop.hidden = !(this.world.isProcessing(channel, thread) && this.world.app.can_stop);
    const say = (text) => { this.line.textContent = text ? `${shownName(this.world.bot)} ${text}` : ""; };
    say(status);
    if (!lines.length) return;
    let turn = 0;
    this.timer = setInterval(() => say(lines[turn++ % lines.length]), TURN_MS);
  }

  #stop() {
    post("/sandbox/stop", { user_id: this.world.me, ...this.where }).catch(this.onError);
  }
}

/** `actions` are those of MessageList. `say(text, files, threadTs, channel)` sends; `closeThread()` makes room. */
export class Pane {
  constructor(world, { actions, say, names, complain, closeThread }) {
    this.world = world;
    this.complain = complain;
    this.closeThread = closeThread;
    this.list = new MessageList(world, actions, "Assistant");
    this.list.hint.hidden = true;
    const write = (text, files) => say(text, files, this.ts, world.direct().id);
    this.box = new Composer({ id: "pane-box", names, send: write, editLast: () => {}, commands: () => [] });
    this.prompts = new Prompts((text) => write(text, []));
    this.working = new Working(world, this.box.status, complain);
    byId("pane").append(this.list.node, this.prompts.node, this.box.node);
    byId("pane-toggle").addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    byId("pane-close").addEventListener("click", () => this.close());
    byId("pane-new").addEventListener("click", () => this.#start());
  }

  get isOpen() {
    return !byId("pane").hidden;
  }

  get ts() {
    return this.world.panes.get(this.world.direct()?.id)?.thread_ts;
  }

  async open() {
    this.closeThread();
    this.#toggle(true);
    // A new thread is shown when the sandbox's event for it arrives.
    if (this.ts) this.show();
    else await this.#start();
    this.box.focus();
  }

  close() {
    this.leave();
    byId("pane-toggle").focus();
  }

  /** Hide the pane. The focus stays where it is. */
  leave() {
    this.#toggle(false);
  }

  /** Whether the pane shows this message, or the message is the root of its thread: then nothing is unread. */
  shows(message) {
    if (message.opens_pane) return true;
    return this.isOpen && message.channel === this.world.direct()?.id && message.thread_ts === this.ts;
  }

  /** Show the pane for the current person and channel. */
  show() {
    const toggle = byId("pane-toggle");
    toggle.hidden = this.world.app.pane !== "assistant" || !this.world.direct();
    toggle.textContent = `Ask ${shownName(this.world.bot)}`;
    if (!this.isOpen) return;
    if (!this.ts) {
      this.leave();
      return;
    }
    this.list.show(this.#replies());
    this.refresh();
  }

  refresh() {
    if (!this.isOpen || !this.ts) return;
    const { id } = this.world.direct();
    byId("pane-title").textContent = this.world.get(id, this.ts)?.text || "";
    byId("pane-where").textContent = `With ${shownName(this.world.bot)}, only visible to you`;
    this.box.setLabel(`Message ${shownName(this.world.bot)}`);
    this.list.reconcile(this.#replies());
    const isFresh = !this.#replies().some((message) => message.user_id === this.world.me);
    if (isFresh) this.prompts.show(this.world.panes.get(id).suggestions);
    else this.prompts.hide();
    this.working.show(id, this.ts);
  }

  #replies() {
    return this.world.thread(this.world.direct().id, this.ts).slice(1);
  }

  async #start() {
    try {
      await post("/sandbox/start_thread", { user_id: this.world.me });
      this.box.focus();
    } catch (error) {
      this.complain(error);
    }
  }

  #toggle(isOpen) {
    byId("pane").hidden = !isOpen;
    byId("app").classList.toggle("pane-open", isOpen);
    byId("pane-toggle").setAttribute("aria-expanded", String(isOpen));
  }
}
