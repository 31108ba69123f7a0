// The sidebar: the workspace's name and status, its conversations, and the person who is writing.

import { avatar, byId, el, moveFocus, shownName } from "./dom.js";

const MANY = 60;
const MANY_PEOPLE = 12;
const FEW_PEOPLE = 8;

/** `actions` are openChannel(id) and writeAs(id). */
export class Sidebar {
  constructor(world, actions) {
    this.world = world;
    this.actions = actions;
    this.unread = new Set();
    this.find = el("input", {
      type: "search", class: "find", placeholder: "Find a conversation", "aria-label": "Find a conversation", hidden: true,
      oninput: () => this.showConversations(this.openId),
    });
    byId("conversations").prepend(this.find);
    byId("conversations").addEventListener("keydown", (event) =>
      moveFocus(event, [...document.querySelectorAll("[data-channel]")]));
    byId("menu").addEventListener("click", (event) => {
      event.stopPropagation();
      this.slide(byId("menu").getAttribute("aria-expanded") !== "true");
    });
  }

  /** Slide the sidebar in or out, in a narrow window. Returns whether that changed anything. */
  slide(isIn) {
    const app = byId("app");
    if (app.classList.contains("menu-open") === isIn) return false;
    app.classList.toggle("menu-open", isIn);
    byId("menu").setAttribute("aria-expanded", String(isIn));
    const target = isIn ? document.querySelector("[data-channel][tabindex='0']") : byId("menu");
    target?.focus();
    return true;
  }

  showConversations(openId) {
    this.openId = openId;
    this.unread.delete(openId);
    const focused = document.activeElement?.dataset?.channel;
    const isDirect = (channel) => channel.type === "im" || channel.type === "mpim";
    const mine = this.world.mine();
    const readable = this.world.readable();
    this.find.hidden = mine.length <= MANY && readable.length === mine.length;
    const wanted = this.find.hidden ? "" : this.find.value.trim().toLowerCase();
    const listed = mine.some(({ id }) => id === openId) ? mine : readable.filter((channel) => channel.id === openId || mine.includes(channel));
    const named = wanted ? readable.filter((channel) => this.world.title(channel).toLowerCase().includes(wanted)) : listed;
    // A list of thousands would take longer to draw than its channels.
    const links = (channels) => {
      const shown = channels.filter((channel, at) => at < MANY || channel.id === openId);
      const more = channels.length - shown.length;
      return [...shown.map((channel) => this.#link(channel)), ...(more ? [el("li", { class: "more" }, `${more.toLocaleString("en")} more: find them above`)] : [])];
    };
    byId("channels").replaceChildren(...links(named.filter((channel) => !isDirect(channel))));
    byId("directs").replaceChildren(...links(named.filter(isDirect)));
    if (focused) document.querySelector(`[data-channel="${focused}"]`)?.focus();
  }

  #link(channel) {
    const isOpen = channel.id === this.openId;
    const isUnread = this.unread.has(channel.id);
    const face = channel.type === "im" ? avatar(this.world.others(channel)[0] || this.world.bot) : sign(channel);
    return el("li", {}, el(
      "button",
      {
        type: "button", "data-channel": channel.id, tabindex: isOpen ? "0" : "-1",
        class: isUnread ? "unread" : false, "aria-current": isOpen ? "page" : null,
        onclick: () => this.actions.openChannel(channel.id),
      },
      face,
      el("span", { class: "name" }, this.world.title(channel)),
      isUnread && el("span", { class: "hidden-text" }, "unread"),
    ));
  }

  markUnread(id) {
    // Rendering the list again between press and release would lose the click.
    if (this.unread.has(id)) return;
    this.unread.add(id);
    this.showConversations(this.openId);
  }

  showPeople() {
    const { people, me } = this.world;
    const shown = this.hasAllPeople || people.length <= MANY_PEOPLE ? people : people.filter((person, at) => at < FEW_PEOPLE || person.id === me);
    const all = el("button", { type: "button", class: "link", onclick: () => { this.hasAllPeople = true; this.showPeople(); } }, `All ${people.length} people`);
    byId("people").replaceChildren(...shown.map((person) => {
      const isMe = person.id === this.world.me;
      const input = el("input", {
        type: "radio", name: "writer", value: person.id, checked: isMe, disabled: !person.can_write, "aria-describedby": `about-${person.id}`,
      });
      input.addEventListener("change", () => this.actions.writeAs(person.id));
      const role = el("span", { class: "role" }, person.role);
      const about = el("span", { class: "hidden-text", id: `about-${person.id}` }, person.about);
      const name = el("span", { class: "name" }, shownName(person));
      return el("div", { class: "person" }, el("label", { title: person.about }, input, avatar(person), name, role), about);
    }), ...(shown.length < people.length ? [all] : []));
    this.showPerson();
  }

  /** Describe the rights of the current person, and count their notifications. */
  showPerson() {
    const count = this.world.notifications.get(this.world.me) || 0;
    const notified = count ? `Slack has notified you ${count === 1 ? "once" : `${count} times`}.` : "";
    byId("person-about").textContent = `${this.world.users.get(this.world.me).about} ${notified}`.trim();
  }

  showBot({ connected, note }) {
    byId("team").textContent = this.world.team.name;
    byId("status").classList.toggle("connected", connected);
    byId("status").classList.remove("lost");
    const state = `${shownName(this.world.bot)} ${connected ? "is connected" : "isn't connected"}`;
    byId("status-text").textContent = note ? `${state} · ${note}` : state;
  }

  showLost() {
    byId("status").classList.remove("connected");
    byId("status").classList.add("lost");
    byId("status-text").textContent = "The sandbox can't be reached. Trying again…";
  }
}

/** The sign before a channel's name. */
export function sign(channel) {
  const node = el("span", { class: "sign", "aria-hidden": "true" });
  if (channel.type === "group") node.append(el("span", { class: "lock" }));
  else node.textContent = channel.type === "channel" ? "#" : channel.members.length - 1;
  return node;
}
