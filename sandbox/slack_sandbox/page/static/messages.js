// A list of messages that grows live. Only changed parts are replaced, and the reader keeps their place.

import { makeUsable } from "./blocks.js";
import { confirmed } from "./dialog.js";
import { avatar, el, shownName } from "./dom.js";
import { openMenu } from "./menu.js";
import { fileCard } from "./files.js";
import { patch } from "./patch.js";
import { pickReaction, reactionButtons } from "./reactions.js";

const NEAR_BOTTOM_PX = 32;
const SAME_GROUP_S = 300;
const WRITING_MS = 2500;
const SENDING_MS = 300;
const CONTROL = "button[data-action]:not([role=menuitem]), [data-menu]";

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const DAY_MS = 86_400_000;
export const timeOf = (ts) => (Date.now() - when(ts) < DAY_MS ? clock : dayAndClock).format(when(ts));
const when = (ts) => new Date(Number(ts) * 1000);

/**
 * `actions` are open(message), save(message, text), remove(message), react(message, name, add), use(message, use),
 * shortcut(shortcut, message), passTime() → what has happened, complain(error), earlier().
 */
export class MessageList {
  constructor(world, actions, label) {
    this.world = world;
    this.actions = actions;
    this.items = new Map();
    this.pinned = true;
    this.hint = el("div", { class: "hint" });
    this.list = el("ol", { class: "messages" });
    this.unsent = el("ol", { class: "messages unsent" });
    // The page announces a message once its edits have stopped; an aria-live log would announce each edit.
    const log = el("div", { role: "log", "aria-live": "off", "aria-label": label }, this.list, this.unsent);
    this.earlier = el("button", { type: "button", class: "quiet earlier", hidden: true, onclick: () => this.actions.earlier() }, "Earlier messages");
    this.content = el("div", { class: "content" }, this.earlier, this.hint, log);
    this.scroller = el("div", { class: "scroller" }, this.content);
    this.newest = el("button", { type: "button", class: "newest", hidden: true, onclick: () => this.toBottom() });
    this.newest.textContent = "↓ Newest";
    this.node = el("div", { class: "list" }, this.scroller, this.newest);
    makeUsable(this.list, (use, control) => this.actions.use(control.closest(".message").message, use));
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
    this.list.addEventListener("click", (event) => this.#onClick(event));
    this.list.addEventListener("focusin", (event) => this.#makeCurrent(event.target.closest(".message")));
    this.scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    const observer = new ResizeObserver(() => this.#onResize());
    observer.observe(this.content);
    observer.observe(this.scroller);
  }

  /** Show these messages, oldest first, and nothing else. */
  show(messages) {
    this.items.clear();
    this.list.replaceChildren();
    for (const message of messages) this.upsert(message);
    this.toBottom();
  }

  /** Update the list to these messages. Unchanged ones aren't rendered again. */
  reconcile(messages) {
    const wanted = new Set(messages.map((message) => message.ts));
    for (const ts of [...this.items.keys()]) if (!wanted.has(ts)) this.remove(ts);
    for (const message of messages) this.upsert(message);
  }

  /** Add older messages above, and keep the reader's place. */
  prepend(messages) {
    const fromEnd = this.scroller.scrollHeight - this.scroller.scrollTop;
    this.pinned = false;
    const isNewShown = !this.newest.hidden;
    this.reconcile(messages);
    this.newest.hidden = !isNewShown;
    this.bottom = this.scroller.scrollHeight - this.scroller.clientHeight;
    this.scroller.scrollTop = this.scroller.scrollHeight - fromEnd;
  }

  upsert(message) {
    let item = this.items.get(message.ts);
    if (item && item.message.user_id !== message.user_id) this.remove(message.ts);
    item = this.items.get(message.ts);
    const isNew = !item;
    if (isNew) {
      item = this.#build(message);
      this.items.set(message.ts, item);
      this.#place(item, message.ts);
    }
    this.#update(item, message, isNew);
    this.#group(item);
    this.#group(item.nextElementSibling);
    if (!this.pinned && (isNew || this.#endsBelow(item))) this.newest.hidden = false;
  }

  remove(ts) {
    const item = this.items.get(ts);
    if (!item) return;
    const next = item.nextElementSibling;
    const neighbour = next || item.previousElementSibling;
    if (item.contains(document.activeElement)) neighbour?.focus();
    if (item.tabIndex === 0 && neighbour) neighbour.tabIndex = 0;
    item.remove();
    this.items.delete(ts);
    this.#group(next);
  }

  toBottom() {
    this.pinned = true;
    this.newest.hidden = true;
    this.bottom = this.scroller.scrollHeight - this.scroller.clientHeight;
    // Without messages, the hint is shown from its top.
    this.scroller.scrollTop = this.items.size ? this.scroller.scrollHeight : 0;
  }

  /** Show a text as being sent, unless it is sent soon. Returns what takes that away. */
  showSending(text) {
    const me = this.world.users.get(this.world.me);
    const line = el("div", { class: "line" }, el("span", { class: "name" }, shownName(me)), el("span", { class: "note", role: "status" }, "Sending…"));
    const item = el("li", { class: "message" }, avatar(me), line, el("div", { class: "body" }, text));
    const timer = setTimeout(() => {
      this.unsent.append(item);
      this.toBottom();
    }, SENDING_MS);
    return () => {
      clearTimeout(timer);
      item.remove();
    };
  }

  focus(ts) {
    this.items.get(ts)?.focus();
  }

  /** Scroll to a message and focus it. */
  reveal(ts) {
    const item = this.items.get(ts);
    this.pinned = false;
    item.scrollIntoView({ block: "center" });
    item.focus({ preventScroll: true });
  }

  /** Replace a message by a box in which its text can be edited. */
  edit(ts) {
    const item = this.items.get(ts);
    if (!item || item.querySelector(".editor")) return;
    const box = el("textarea", { "aria-label": "Edit message", rows: "1" });
    box.value = this.world.toTyped(item.message.text);
    const close = () => {
      editor.remove();
      item.classList.remove("editing");
      item.focus();
    };
    const save = () => {
      const text = box.value.trim();
      if (text && text !== this.world.toTyped(item.message.text)) this.actions.save(item.message, text);
      close();
    };
    const editor = el(
      "div",
      { class: "editor" },
      box,
      el("button", { type: "button", class: "primary", onclick: save }, "Save"),
      el("button", { type: "button", class: "quiet", onclick: close }, "Cancel"),
    );
    editor.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") close();
      if (event.key === "Enter" && !event.shiftKey && event.target === box && !event.isComposing) {
        event.preventDefault();
        save();
      }
    });
    item.classList.add("editing");
    item.body.after(editor);
    box.focus();
  }

  #build(message) {
    const user = this.world.user(message);
    const item = el("li", { class: "message", tabindex: "-1", "data-ts": message.ts });
    const time = el("time", { datetime: when(message.ts).toISOString(), title: calendar.format(when(message.ts)) });
    time.textContent = timeOf(message.ts);
    item.body = el("div", { class: "body" });
    item.files = el("div", { class: "files", role: "group", "aria-label": "Files", hidden: true });
    item.footer = el("div", { class: "footer" });
    item.note = el("span", { class: "note" });
    item.carrier = el("div", { class: "carrier" });
    item.more = el(
      "button",
      {
        type: "button", class: "more-actions", tabindex: "-1", "aria-label": "Message actions", title: "Message actions",
        "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => openMenu(item.more, this.#actionsFor(item.message)),
      },
      "⋯",
    );
    const name = el("span", { class: "name" }, shownName(user));
    const badge = user.is_bot && el("span", { class: "badge" }, "App");
    item.badge = el("span", { class: "badge", hidden: true });
    item.append(
      avatar(user),
      el("div", { class: "line" }, name, badge, item.badge, time, item.note),
      item.body,
      item.files,
      item.footer,
      item.carrier,
      item.more,
    );
    return item;
  }

  #place(item, ts) {
    let after = this.list.lastElementChild;
    while (after && after.dataset.ts > ts) after = after.previousElementSibling;
    if (after) after.after(item);
    else this.list.prepend(item);
    if (!item.nextElementSibling && !this.list.contains(document.activeElement)) this.#makeCurrent(item);
  }

  #update(item, message, isNew) {
    const html = this.world.html(message);
    item.message = message;
    if (isNew || item.html !== html) {
      item.html = html;
      const focused = document.activeElement;
      const awaitsControl = item.body.contains(focused) ? focused.matches(CONTROL) : item.awaitsControl && focused === item;
      patch(item.body, html, this.world);
      this.#offerTime(item);
      item.awaitsControl = awaitsControl && !item.body.contains(document.activeElement) && !this.#focusControl(item);
      if (message.is_bot && !isNew) this.#markWriting(item);
    }
    item.note.textContent = message.ephemeral_to
      ? "Only visible to you"
      : message.edited && !message.is_bot ? "(edited)" : "";
    item.badge.hidden = !message.badge;
    item.badge.textContent = message.badge?.label || "";
    item.badge.title = message.badge?.title || "";
    item.carrier.textContent = carrierText(message.carrier);
    item.classList.toggle("tombstone", message.deleted);
    this.#renderFiles(item);
    this.#renderFooter(item);
    item.more.hidden = !this.#actionsFor(message).length;
    this.#setTabStops(item);
  }

  /** Put a button below an answer that scheduled something: it lets time pass, and says what has happened then. */
  #offerTime(item) {
    if (!item.message.offers_time || item.time) return;
    const said = el("span", { class: "said", role: "status" });
    const button = el("button", { type: "button", class: "button" }, "⏩ Time passes");
    button.addEventListener("click", async () => {
      said.textContent = "…";
      said.textContent = await this.actions.passTime().catch((error) => `That didn't work: ${error.message}`);
    });
    item.time = el("div", { class: "time-passes" }, button, said);
    item.body.after(item.time);
  }

  /** Focus the message's first control in place of one that is gone, as Stop is after a press; the message itself if it has none. Returns whether there is one. */
  #focusControl(item) {
    const control = item.body.querySelector(CONTROL);
    (control || item).focus();
    return Boolean(control);
  }

  #markWriting(item) {
    item.classList.add("writing");
    clearTimeout(item.writingTimer);
    item.writingTimer = setTimeout(() => item.classList.remove("writing"), WRITING_MS);
  }

  #renderFiles(item) {
    const { files } = item.message;
    const key = JSON.stringify(files);
    if (item.filesKey === key) return;
    item.filesKey = key;
    item.files.replaceChildren(...files.map((file) => fileCard(file, this.world)));
    item.files.hidden = !files.length;
  }

  #renderFooter(item) {
    const { message } = item;
    const replies = this.world.replies(message).filter((reply) => !reply.ephemeral_to);
    const status = this.world.status(message.channel, message.ts);
    const key = JSON.stringify([message.reactions, message.reply_count, replies.length, replies.at(-1)?.ts, status]);
    if (item.footerKey === key) return;
    item.footerKey = key;
    const focused = item.footer.contains(document.activeElement) && document.activeElement;
    const reactions = reactionButtons(message, this.world, (name, add) => this.actions.react(item.message, name, add));
    item.footer.replaceChildren(...reactions);
    if ((replies.length || status) && this.actions.open) item.footer.append(this.#threadButton(message, replies, status));
    if (!focused) return;
    const same = reactions.find((button) => button.dataset.reaction === focused.dataset.reaction);
    (same || item.footer.querySelector(".replies") || item).focus();
  }

  #threadButton(message, replies, status) {
    const people = new Map(replies.map((reply) => [reply.user_id, this.world.user(reply)]));
    const last = status ? `${shownName(this.world.bot)} ${status}` : `Last at ${timeOf(replies.at(-1).ts)}`;
    // Of a long thread, only the newest replies are here.
    const number = Math.max(replies.length, this.world.channel(message.channel)?.is_long ? message.reply_count : 0);
    const count = { 0: "Thread", 1: "1 reply" }[number] || `${number} replies`;
    return el(
      "button",
      { type: "button", class: "replies", onclick: () => this.actions.open(message) },
      el("span", { class: "faces" }, ...[...people.values()].slice(0, 4).map(avatar)),
      el("span", { class: "count" }, count),
      el("span", { class: "last" }, last),
    );
  }

  #actionsFor(message) {
    const actions = [];
    if (this.actions.open && !message.ephemeral_to) actions.push(["Reply in thread", () => this.actions.open(message)]);
    if (message.user_id === this.world.me && !message.deleted) {
      actions.push(["Edit", () => this.edit(message.ts)], ["Delete", () => this.#confirmDeletion(message)]);
    }
    if (message.deleted || message.ephemeral_to) return actions;
    actions.push(["Add reaction…", () => this.#addReaction(message)]);
    return [...actions, ...this.world.shortcuts("message").map((each) => [each.name, () => this.actions.shortcut(each, message)])];
  }

  #addReaction(message) {
    pickReaction(this.items.get(message.ts).more, (name) => this.actions.react(message, name, true));
  }

  async #confirmDeletion(message) {
    const text = "It can't be restored. If it's a question, the app might delete its answer, too.";
    const asked = { title: "Delete this message?", text, confirm: "Delete", deny: "Cancel", style: "danger", focus: "deny" };
    if (await confirmed(asked)) this.actions.remove(message);
  }

  /** Hide the name of a message that follows another one of the same person within five minutes. */
  #group(item) {
    if (!item) return;
    const before = item.previousElementSibling?.message;
    const { message } = item;
    const goesOn =
      before?.user_id === message.user_id && before.badge?.label === message.badge?.label &&
      !before.ephemeral_to && !item.note.textContent && !this.world.replies(before).length &&
      Number(message.ts) - Number(before.ts) < SAME_GROUP_S;
    item.classList.toggle("goes-on", Boolean(goesOn));
  }

  #makeCurrent(item) {
    if (!item || item.tabIndex === 0) return;
    const former = this.list.querySelector('.message[tabindex="0"]');
    if (former) former.tabIndex = -1;
    item.tabIndex = 0;
    if (former) this.#setTabStops(former);
    this.#setTabStops(item);
  }

  #setTabStops(item) {
    item.more.tabIndex = item.tabIndex;
  }

  /** A link to a canvas opens the canvas below its message: Slack's address for it leads nowhere here. */
  #onClick(event) {
    const link = event.target.closest("a[data-canvas]");
    if (!link) return;
    event.preventDefault();
    const card = link.closest(".message").querySelector(`.file[data-file="${CSS.escape(link.dataset.canvas)}"]`);
    if (!card) {
      this.actions.complain(new Error("This canvas was deleted."));
      return;
    }
    card.querySelector(".more")?.click();
    card.querySelector(".text")?.focus();
    card.scrollIntoView({ block: "nearest" });
  }

  #onKey(event) {
    const item = event.target.closest(".message");
    if (event.key === "Enter" && event.target === item && this.actions.open && !item.message.ephemeral_to) {
      event.preventDefault();
      this.actions.open(item.message);
    } else if (!event.target.closest("textarea, input, select, [role=menu]") && ["ArrowUp", "ArrowDown"].includes(event.key)) {
      const next = event.key === "ArrowUp" ? item.previousElementSibling : item.nextElementSibling;
      event.preventDefault();
      next?.focus();
    }
  }

  // The browser reports a scroll later than it happens. If the list has grown since, the former bottom counts. If it
  // has shrunk, the browser itself has scrolled up to the new bottom, and the reader is still there.
  #onScroll() {
    const bottom = Math.min(this.bottom, this.scroller.scrollHeight - this.scroller.clientHeight);
    this.pinned = this.scroller.scrollTop >= bottom - NEAR_BOTTOM_PX;
    if (this.pinned) this.newest.hidden = true;
  }

  // One message may grow out of sight, too.
  #endsBelow(item) {
    return item.getBoundingClientRect().bottom > this.scroller.getBoundingClientRect().bottom + NEAR_BOTTOM_PX;
  }

  #onResize() {
    this.bottom = this.scroller.scrollHeight - this.scroller.clientHeight;
    if (this.pinned && this.items.size) this.scroller.scrollTop = this.bottom;
  }
}

/** How a message of the app got its text; shown while the panel with the meters is open. */
function carrierText(carrier) {
  if (!carrier) return "";
  const { stream, replacing, appends, edits } = carrier;
  const way = stream ? "streamed" : replacing && "replaces a deleted message";
  const parts = [way, appends && counted(appends, "append"), edits && counted(edits, "edit")];
  return parts.filter(Boolean).join(", ");
}

const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
