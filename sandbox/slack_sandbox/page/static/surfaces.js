// The app's surfaces besides messages: modal, Home, commands, shortcuts, the assistant's pane, an agent's prompts.

import { Pane, Prompts } from "./assistant.js";
import { byId, post } from "./dom.js";
import { Home, Modal } from "./modal.js";
import { TabPanel, Tabs } from "./tabs.js";

/**
 * `page`: complain(error), say(text, files, threadTs, channel), names(), closeThread(), the `actions` of MessageList,
 * and `messages`: the nodes that the app's Home replaces.
 */
export class Surfaces {
  constructor(world, page) {
    this.world = world;
    this.page = page;
    this.modal = new Modal(world);
    this.home = new Home(world);
    this.pane = new Pane(world, page);
    this.prompts = new Prompts((text) => page.say(text, [], null, this.channel.id));
    this.tabs = new Tabs(world, (tab) => this.#open(tab));
    this.tabPanel = new TabPanel(world);
  }

  /** Show the surfaces for a channel and the current person. */
  show(channel) {
    const isNew = this.channel?.id !== channel.id || this.me !== this.world.me;
    this.channel = channel;
    this.me = this.world.me;
    const isDirect = Boolean(channel.user_id);
    this.tabs.offer(channel);
    this.modal.show();
    this.pane.show();
    this.#showTab("messages");
    if (isNew && isDirect) this.#open("messages");
    if (isNew && !isDirect && this.world.app.pane) this.#tell("look_at", { channel: channel.id });
  }

  /** The commands and global shortcuts to offer after a /. */
  commands() {
    const commands = this.world.app.commands.map(({ command, description, usage_hint }) =>
      ({ name: command, detail: [usage_hint, description].filter(Boolean).join(" · ") }));
    const shortcuts = this.world.shortcuts("global").map((shortcut) =>
      ({ name: shortcut.name, detail: `Shortcut · ${shortcut.description}`, act: () => this.shortcut(shortcut) }));
    return [...commands, ...shortcuts];
  }

  async command(text, channel, threadTs) {
    const [command] = text.split(" ");
    if (threadTs) throw new Error(`${command} is not supported in threads`);
    const known = this.world.app.commands.some((each) => each.command === command);
    if (!known) throw new Error(`${command} is not a valid command`);
    await post("/sandbox/command", { user_id: this.world.me, channel, text });
  }

  shortcut({ callback_id }, message) {
    this.#tell("shortcut", { callback_id, channel: message?.channel, ts: message?.ts });
  }

  onViews(views) {
    this.world.views.set(views.user_id, views);
    if (views.user_id !== this.world.me) return;
    this.modal.show();
    if (this.tab === "home") this.home.show();
  }

  onPane(pane) {
    const isNew = this.world.panes.get(pane.channel)?.thread_ts !== pane.thread_ts;
    this.world.panes.set(pane.channel, pane);
    if (pane.channel !== this.world.direct()?.id) return;
    if (isNew) this.pane.show();
    else this.pane.refresh();
    this.#showPrompts();
  }

  onTabs(tabs) {
    this.world.setTabs(tabs);
    this.tabs.offer(this.channel);
    this.#showTab(this.tabs.has(this.tab) ? this.tab : "messages");
  }

  #open(tab) {
    this.#showTab(tab);
    // Slack tells the app about its own tabs only.
    if (this.channel.user_id && ["home", "messages"].includes(tab)) this.#tell("open_tab", { tab });
  }

  #showTab(tab) {
    const isHome = tab === "home";
    const isMessages = tab === "messages";
    this.tab = tab;
    this.tabs.select(tab);
    byId("home").hidden = !isHome;
    for (const node of this.page.messages) node.hidden = !isMessages;
    if (isHome) this.home.show();
    if (isHome || isMessages) this.tabPanel.hide();
    else this.tabPanel.show(tab, this.channel).catch(this.page.complain);
    this.#showPrompts();
  }

  // An agent's prompts belong to the whole DM; an assistant's belong to a thread in its pane.
  #showPrompts() {
    const isAgents = this.world.app.pane === "agent" && this.channel.user_id && this.tab === "messages";
    if (isAgents) this.prompts.show(this.world.panes.get(this.channel.id).suggestions);
    else this.prompts.hide();
  }

  #tell(what, said) {
    post(`/sandbox/${what}`, { user_id: this.world.me, ...said }).catch(this.page.complain);
  }
}
