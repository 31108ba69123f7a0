// A list of messages that grows live: only what changed is touched, and the reader's place is kept.

import { makeUsable } from "./blocks.js";
import { avatar, el } from "./dom.js";
import { fileCard } from "./files.js";
import { patch } from "./patch.js";

const NEAR_BOTTOM_PX = 32;
const SAME_BREATH_S = 300;
const WRITING_MS = 2500;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const when = (ts) => new Date(Number(ts) * 1000);

/** `world` knows people and what is open; `actions` are open(message), save(message, text), remove(message), use(message, use), shortcut(shortcut, message). */
export class MessageList {
  constructor(world, actions, label) {
    this.world = world;
    this.actions = actions;
    this.items = new Map();
    this.pinned = true;
    this.hint = el("div", { class: "hint" });
    this.list = el("ol", { class: "messages" });
    // Said aloud by the page once a message has come to rest: a log would say each edit.
    const log = el("div", { role: "log", "aria-live": "off", "aria-label": label }, this.list);
    this.content = el("div", { class: "content" }, this.hint, log);
    this.scroller = el("div", { class: "scroller" }, this.content);
    this.newest = el("button", { type: "button", class: "newest", hidden: true, onclick: () => this.toBottom() });
    this.newest.textContent = "↓ Newest";
    this.node = el("div", { class: "list" }, this.scroller, this.newest);
    makeUsable(this.list, (use, control) => this.actions.use(control.closest(".message").message, use));
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
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

  /** Bring the list to these messages without rebuilding what is already right. */
  reconcile(messages) {
    const wanted = new Set(messages.map((message) => message.ts));
    for (const ts of [...this.items.keys()]) if (!wanted.has(ts)) this.remove(ts);
    for (const message of messages) this.upsert(message);
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
    if (isNew && !this.pinned) this.newest.hidden = false;
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
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  focus(ts) {
    this.items.get(ts)?.focus();
  }

  /** Put the message's own text in a box, to be changed in place. */
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
    time.textContent = clock.format(when(message.ts));
    item.body = el("div", { class: "body" });
    item.files = el("div", { class: "files", role: "group", "aria-label": "Files", hidden: true });
    item.footer = el("div", { class: "footer" });
    item.note = el("span", { class: "note" });
    item.menu = el("div", { class: "menu-bar", role: "group", "aria-label": "Message actions" });
    const name = el("span", { class: "name" }, user.real_name || user.name);
    const badge = user.is_bot && el("span", { class: "badge" }, "App");
    item.append(
      avatar(user),
      el("div", { class: "line" }, name, badge, time, item.note),
      item.body,
      item.files,
      item.footer,
      item.menu,
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
    const before = item.message;
    item.message = message;
    if (isNew || before.html !== message.html) {
      patch(item.body, message.html, this.world);
      if (message.is_bot && !isNew) this.#markWriting(item);
    }
    item.note.textContent = message.ephemeral_to
      ? "Only visible to you"
      : message.edited && !message.is_bot ? "(edited)" : "";
    item.classList.toggle("tombstone", message.deleted);
    this.#renderFiles(item);
    this.#renderFooter(item);
    this.#renderMenu(item);
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
    item.files.replaceChildren(...files.map(fileCard));
    item.files.hidden = !files.length;
  }

  #renderFooter(item) {
    const { message } = item;
    const replies = this.world.replies(message).filter((reply) => !reply.ephemeral_to);
    const status = this.world.status(message.channel, message.ts);
    const key = JSON.stringify([message.reactions, replies.length, replies.at(-1)?.ts, status]);
    if (item.footerKey === key) return;
    item.footerKey = key;
    const reactions = (message.reactions || []).map(({ name, count }) =>
      el("span", { class: "reaction", "aria-label": `${name}, ${count}` }, `${glyph(name)} ${count}`),
    );
    item.footer.replaceChildren(...reactions);
    if (replies.length && this.actions.open) item.footer.append(this.#threadButton(message, replies, status));
  }

  #threadButton(message, replies, status) {
    const people = new Map(replies.map((reply) => [reply.user_id, this.world.user(reply)]));
    const last = status ? `${this.world.bot.name} ${status}` : `Last at ${clock.format(when(replies.at(-1).ts))}`;
    const count = replies.length === 1 ? "1 reply" : `${replies.length} replies`;
    return el(
      "button",
      { type: "button", class: "replies", onclick: () => this.actions.open(message) },
      el("span", { class: "faces" }, ...[...people.values()].slice(0, 4).map(avatar)),
      el("span", { class: "count" }, count),
      el("span", { class: "last" }, last),
    );
  }

  #renderMenu(item) {
    const { message } = item;
    const isMine = message.user_id === this.world.me && !message.deleted;
    const shortcuts = message.deleted || message.ephemeral_to ? [] : this.world.shortcuts("message");
    const key = `${isMine} ${message.deleted} ${shortcuts.length}`;
    if (item.menuKey === key) return;
    item.menuKey = key;
    const action = (label, act) => el("button", { type: "button", tabindex: "-1", onclick: act }, label);
    item.menu.replaceChildren();
    if (this.actions.open && !message.ephemeral_to) {
      item.menu.append(action("Reply in thread", () => this.actions.open(message)));
    }
    if (isMine) {
      item.menu.append(action("Edit", () => this.edit(message.ts)));
      item.menu.append(action("Delete", () => this.actions.remove(message)));
    }
    for (const shortcut of shortcuts) {
      item.menu.append(action(shortcut.name, () => this.actions.shortcut(shortcut, message)));
    }
    this.#setTabStops(item);
  }

  /** A message that goes on from the one before it is shown without its name again. */
  #group(item) {
    if (!item) return;
    const before = item.previousElementSibling?.message;
    const { message } = item;
    const goesOn =
      before?.user_id === message.user_id &&
      !before.ephemeral_to && !item.note.textContent && !this.world.replies(before).length &&
      Number(message.ts) - Number(before.ts) < SAME_BREATH_S;
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
    for (const button of item.menu.children) button.tabIndex = item.tabIndex;
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

  // A scroll that our own move caused may be told when the list has grown or its frame has shrunk again: what was
  // its bottom before counts.
  #onScroll() {
    this.pinned = this.scroller.scrollTop >= this.bottom - NEAR_BOTTOM_PX;
    if (this.pinned) this.newest.hidden = true;
  }

  #onResize() {
    this.bottom = this.scroller.scrollHeight - this.scroller.clientHeight;
    if (this.pinned) this.scroller.scrollTop = this.bottom;
  }
}

const GLYPHS = {
  eyes: "👀", white_check_mark: "✅", x: "❌", thumbsup: "👍", "+1": "👍", thumbsdown: "👎", "-1": "👎",
  heart: "❤️", tada: "🎉", hourglass: "⌛", hourglass_flowing_sand: "⏳", warning: "⚠️", wave: "👋",
};
const glyph = (name) => GLYPHS[name] || `:${name}:`;
