// The tabs of a conversation: the app's Home, the messages, the canvases that were added to it, and its pins.

import { avatar, byId, el, get, moveFocus, shownName } from "./dom.js";
import { fileCard } from "./files.js";
import { timeOf } from "./messages.js";
import { patch } from "./patch.js";

/** The row of tabs. `choose(id)` is called with "home", "messages", "pins" or a canvas's ID. */
export class Tabs {
  constructor(world, choose) {
    this.world = world;
    this.choose = choose;
    this.node = byId("tabs");
    this.node.addEventListener("keydown", (event) => {
      const keys = { ArrowLeft: "ArrowUp", ArrowRight: "ArrowDown" };
      if (keys[event.key]) moveFocus(new KeyboardEvent("keydown", { key: keys[event.key] }), this.#tabs);
    });
  }

  /** Offer a conversation's tabs. Without any but its messages, there is no row. */
  offer(channel) {
    const { canvases, pins } = this.world.tabsOf(channel);
    const offered = [
      // Two people's own direct message has no app.
      ...(channel.user_id && this.world.app.home_tab ? [["home", "Home"]] : []),
      ["messages", "Messages"],
      ...canvases.map(({ id, title }) => [id, title]),
      ...(pins.length ? [["pins", "Pins"]] : []),
    ];
    const focused = this.node.contains(document.activeElement) && document.activeElement.id;
    this.node.hidden = offered.length < 2;
    this.node.replaceChildren(...offered.map(([id, label]) => this.#tab(id, label)));
    if (focused) byId(focused)?.focus();
  }

  has(id) {
    return Boolean(byId(`tab-${id}`));
  }

  select(id) {
    for (const node of this.#tabs) {
      const isChosen = node.id === `tab-${id}`;
      node.setAttribute("aria-selected", String(isChosen));
      node.tabIndex = isChosen ? 0 : -1;
    }
  }

  get #tabs() {
    return [...this.node.children];
  }

  #tab(id, label) {
    const panel = { home: "home", messages: null }[id];
    const controls = panel === undefined ? "tab-panel" : panel;
    return el("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": controls, title: label, onclick: () => this.choose(id) }, label);
  }
}

/** The content that a canvas's tab or the *Pins* tab shows instead of a channel's messages. */
export class TabPanel {
  constructor(world) {
    this.world = world;
    this.node = byId("tab-panel");
  }

  hide() {
    this.shown = null;
    this.node.hidden = true;
    this.node.replaceChildren();
  }

  async show(id, channel) {
    this.shown = id;
    this.node.hidden = false;
    this.node.setAttribute("aria-labelledby", `tab-${id}`);
    const content = id === "pins" ? await this.#pins(channel) : await this.#canvas(id, channel);
    if (this.shown === id) this.node.replaceChildren(content);
  }

  async #canvas(id, channel) {
    const { title } = this.world.tabsOf(channel).canvases.find((canvas) => canvas.id === id);
    const body = el("div", { class: "body" });
    const { html } = await get(`/sandbox/canvases/${id}`).catch(() => ({ html: `<p class="nothing">This canvas was deleted.</p>` }));
    patch(body, html, this.world);
    body.prepend(el("h1", {}, title));
    return body;
  }

  async #pins(channel) {
    const { pins } = this.world.tabsOf(channel);
    for (const { ts } of pins) {
      if (!this.world.get(channel.id, ts)) await this.world.loadThread(channel.id, ts);
    }
    return el("ol", { class: "messages", "aria-label": "Pinned messages" }, ...pins.map((pin) => this.#pin(pin, channel)));
  }

  #pin({ ts, user_id: pinner }, channel) {
    const message = this.world.get(channel.id, ts);
    const user = this.world.user(message);
    const body = el("div", { class: "body" });
    patch(body, this.world.html(message), this.world);
    const href = `/?${new URLSearchParams({ channel: channel.id, thread: ts })}`;
    return el(
      "li",
      { class: "message" },
      avatar(user),
      el("div", { class: "line" }, el("span", { class: "name" }, shownName(user)), el("time", {}, timeOf(ts))),
      body,
      el("div", { class: "files" }, ...message.files.map((file) => fileCard(file, this.world))),
      el("div", { class: "context" }, `Pinned by ${shownName(this.world.users.get(pinner))} · `, el("a", { href, "data-in": channel.id, "data-message": ts }, "View message")),
    );
  }
}
