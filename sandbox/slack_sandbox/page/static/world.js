// The workspace as the page knows it, and as the person who is writing sees it.

import { formatted } from "./dates.js";
import { get, shownName, typedName } from "./dom.js";

export class World {
  constructor() {
    this.users = new Map();
    this.channels = [];
    this.pages = new Map(); // id of an export's channel → what is loaded of it: hasMore, oldest
    this.messages = new Map(); // channel id → ts → message
    this.threads = new Map(); // "channel thread" → ts → reply
    this.statuses = new Map(); // "channel thread" → the app's status
    this.notifications = new Map(); // user id → how often Slack has notified them
    this.me = null;
    this.textAlone = false; // whether messages are shown as their text, and not as their blocks
  }

  load(state) {
    this.team = state.team;
    this.bot = { ...state.bot, id: state.bot.user_id, is_bot: true };
    this.people = state.people;
    this.users = new Map([this.bot, ...state.people].map((user) => [user.id, user]));
    this.channels = state.channels;
    this.byId = new Map(state.channels.map((channel) => [channel.id, channel]));
    this.pages.clear();
    this.about = state.about;
    this.since = state.now;
    this.app = state.app;
    this.guide = state.guide;
    this.token = state.token;
    this.views = new Map(state.views.map((views) => [views.user_id, views]));
    this.setTabs(state.tabs);
    this.panes = new Map(state.panes.map((pane) => [pane.channel, pane]));
    this.messages = new Map(state.channels.map((channel) => [channel.id, new Map()]));
    this.threads.clear();
    this.statuses.clear();
    this.budgets = state.budgets;
    this.answers = state.answers;
    for (const message of state.messages) this.put(message);
    if (!this.canBe(this.me)) this.me = this.people[0].id;
  }

  /** Whether the reader can write as this person. */
  canBe(id) {
    return Boolean(this.users.get(id)?.can_write);
  }

  /** Store a message's newest state. Returns whether the message is new. */
  put(message) {
    if (!this.messages.has(message.channel)) this.messages.set(message.channel, new Map());
    const known = this.messages.get(message.channel);
    // In a channel, a native stream grows for one reader. To the others it comes at its stop.
    const isNew = !known.has(message.ts) || !this.sees(known.get(message.ts));
    known.set(message.ts, message);
    if (!isRoot(message)) this.#replies(message.channel, message.thread_ts).set(message.ts, message);
    if (message.status) this.setStatus({ ...message, thread_ts: message.thread_ts || message.ts, text: message.status });
    return isNew;
  }

  /** A message as the reader sees it. */
  html(message) {
    return (this.textAlone && message.text_html) || message.html;
  }

  /** Whether a channel's newest messages are here. Those of an export come when somebody opens it. */
  isLoaded(channel) {
    return !this.channel(channel)?.is_long || this.pages.has(channel);
  }

  /** Load a page of an export's channel: its newest messages, or those before the ones that are here. */
  async loadPage(channel) {
    const before = this.pages.get(channel)?.oldest;
    const page = await this.#read({ channel, ...(before && { before }) });
    this.pages.set(channel, { hasMore: page.has_more, oldest: page.oldest || before });
  }

  /** Load a thread of an export's channel by the ts of one of its messages. */
  async loadThread(channel, thread) {
    await this.#read({ channel, thread });
  }

  async #read(query) {
    const page = await get(`/sandbox/messages?${new URLSearchParams(query)}`);
    for (const message of page.messages) this.put(message);
    return page;
  }

  /** Whether a message stands before what is loaded of its channel. */
  isBeyond({ channel, ts, thread_ts: thread }) {
    const root = thread || ts;
    return this.channel(channel)?.is_long && !this.get(channel, root) && !(this.pages.get(channel)?.oldest <= root);
  }

  get(channel, ts) {
    return this.messages.get(channel)?.get(ts);
  }

  drop(channel, ts) {
    const message = this.get(channel, ts);
    this.messages.get(channel)?.delete(ts);
    if (message && !isRoot(message)) this.#replies(channel, message.thread_ts).delete(ts);
    return message;
  }

  #replies(channel, root) {
    const key = `${channel} ${root}`;
    if (!this.threads.has(key)) this.threads.set(key, new Map());
    return this.threads.get(key);
  }

  user(message) {
    return this.users.get(message.user_id) || { name: message.name || "unknown", is_bot: message.is_bot };
  }

  mine() {
    return this.channels.filter((channel) => channel.members.includes(this.me));
  }

  /** Whether the current person can open a conversation: as a member of it, or as a member of the workspace if it is public. */
  canRead(channel) {
    return channel.members.includes(this.me) || (channel.type === "channel" && Boolean(this.users.get(this.me)?.reads_public));
  }

  readable() {
    return this.channels.filter((channel) => this.canRead(channel));
  }

  channel(id) {
    return this.byId?.get(id);
  }

  /** The channel's other members, this app first. */
  others(channel) {
    const users = channel.members.filter((id) => id !== this.me).map((id) => this.users.get(id)).filter(Boolean);
    return users.sort((a, b) => Number(b.id === this.bot.id) - Number(a.id === this.bot.id));
  }

  title(channel) {
    if (channel.type === "channel" || channel.type === "group") return channel.name;
    return this.others(channel).map(shownName).join(", ") || shownName(this.users.get(this.me));
  }

  /** A conversation's title as a sentence names it: a channel has its sign. */
  name(channel) {
    return channel.type === "channel" || channel.type === "group" ? `#${channel.name}` : this.title(channel);
  }

  /** The app's shortcuts of a type: message or global. */
  shortcuts(type) {
    return this.app.shortcuts.filter((shortcut) => shortcut.type === type);
  }

  setTabs(tabs) {
    this.tabs = new Map(tabs.map((each) => [each.channel, each]));
  }

  /** A conversation's canvases and pins. */
  tabsOf(channel) {
    return this.tabs.get(channel.id) || { canvases: [], pins: [] };
  }

  /** The current person's DM with the app. */
  direct() {
    return this.channels.find((channel) => channel.type === "im" && channel.user_id === this.me);
  }

  sees(message) {
    return !message.only_for || message.only_for === this.me;
  }

  /** A channel's messages without replies. */
  roots(channel) {
    // A thread that was opened by a link may be older than what is loaded.
    const oldest = this.pages.get(channel)?.oldest || "";
    return this.#shown([...(this.messages.get(channel)?.values() || [])].filter((message) => isRoot(message) && message.ts >= oldest));
  }

  /** Whether somebody has asked a card's question. */
  isSeen(card) {
    return [...this.messages.values()].some((known) => [...known.values()].some((message) => message.card === card.title));
  }

  thread(channel, ts) {
    const root = this.get(channel, ts);
    return root ? [root, ...this.replies(root)] : [];
  }

  replies(message) {
    const found = this.threads.get(`${message.channel} ${message.ts}`);
    return found ? this.#shown([...found.values()]) : [];
  }

  #shown(messages) {
    return messages.filter((message) => this.sees(message)).sort((a, b) => (a.ts < b.ts ? -1 : 1));
  }

  setStatus({ channel, thread_ts: thread, text, loading }) {
    if (text) this.statuses.set(`${channel} ${thread}`, { text, loading: loading || [] });
    else this.statuses.delete(`${channel} ${thread}`);
  }

  /** What the app is doing in a thread: by its status, or by its session. */
  status(channel, thread) {
    return this.statuses.get(`${channel} ${thread}`)?.text || (this.isProcessing(channel, thread) ? "is working…" : "");
  }

  isProcessing(channel, thread) {
    return this.panes.get(channel)?.sessions[thread]?.status === "processing";
  }

  /** The app's loading messages, which are shown in turn while it works. */
  loading(channel, thread) {
    return this.statuses.get(`${channel} ${thread}`)?.loading || [];
  }

  /** Adapt the sandbox's HTML to this person: names in place of IDs, times in their time zone, and only the controls that they may see. */
  personalize(fragment) {
    for (const node of fragment.querySelectorAll("[data-visible-to]")) {
      if (!node.dataset.visibleTo.split(",").includes(this.me)) node.remove();
    }
    for (const node of fragment.querySelectorAll(".mention[data-user]")) {
      const user = this.users.get(node.dataset.user);
      if (user) node.textContent = `@${shownName(user)}`;
      node.classList.toggle("me", node.dataset.user === this.me);
    }
    for (const node of fragment.querySelectorAll(".date[data-at]")) {
      node.textContent = formatted(Number(node.dataset.at), node.dataset.format) ?? node.textContent;
    }
    for (const node of fragment.querySelectorAll(".mention[data-in]")) {
      const channel = this.channel(node.dataset.in);
      if (channel) node.textContent = `#${channel.name}`;
    }
  }

  /** Slack's form of a text as a person would type it. */
  toTyped(text) {
    return text
      .replace(/<@(\w+)(?:\|[^>]*)?>/g, (_, id) => `@${this.users.has(id) ? typedName(this.users.get(id)) : id}`)
      .replace(/<!(\w+)(?:\|[^>]*)?>/g, "@$1")
      .replace(/<(https?:[^|>]*)(?:\|[^>]*)?>/g, "$1")
      .replace(/&lt;/g, "<")
      .replace(/&gt;/g, ">")
      .replace(/&amp;/g, "&");
  }
}

export const isRoot = (message) => !message.thread_ts || message.thread_ts === message.ts;
