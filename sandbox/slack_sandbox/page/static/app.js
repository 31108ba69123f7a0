// The sandbox's page: shows the workspace as it changes, and sends what people do to the sandbox.

import { About } from "./about.js";
import { Announcer } from "./announcer.js";
import { Working } from "./assistant.js";
import { Composer } from "./composer.js";
import { avatar, byId, el, post, shownName, typedName } from "./dom.js";
import { Failures } from "./failures.js";
import { upload } from "./files.js";
import { KeyBox } from "./key.js";
import { MessageList } from "./messages.js";
import { readPlace, writePlace } from "./place.js";
import { CardNote, Showcase } from "./showcase.js";
import { Sidebar, sign } from "./sidebar.js";
import { Surfaces } from "./surfaces.js";
import { isRoot, World } from "./world.js";

const TOAST_MS = 6000;
const RETRY_MS = 1000;
const ROOM_FOR_THREAD = window.matchMedia("(min-width: 56.25rem)");

const world = new World();
const open = { channel: null, thread: null };
const drafts = new Map();
const announcer = new Announcer(byId("announcer"));
let lastSaid = null;

const failures = new Failures(world, complain);
const sidebar = new Sidebar(world, { openChannel: (id) => { openChannel(id); mainBox.focus(); }, writeAs });
const actions = { save, remove, react, use, complain, passTime, shortcut: (shortcut, message) => surfaces.shortcut(shortcut, message) };
const main = new MessageList(world, { ...actions, earlier: showEarlier, open: (message) => openThread(message.ts) }, "Messages");
const thread = new MessageList(world, actions, "Thread");
const mainBox = new Composer({
  id: "main-box", names: namesToOffer, send: (text, files) => say(text, files, null), editLast: () => editLast(main),
  commands: () => surfaces.commands(),
});
const threadBox = new Composer({
  id: "thread-box", names: namesToOffer, send: (text, files) => say(text, files, open.thread), editLast: () => editLast(thread),
  commands: () => [],
});
const mainNote = new CardNote(world);
const threadNote = new CardNote(world);
const joining = el("div", { class: "joining", role: "status" });
byId("main").append(mainNote.node, main.node, mainBox.node, joining);
byId("thread").append(threadNote.node, thread.node, threadBox.node);
mainBox.tray.acceptDrops(byId("main"));
threadBox.tray.acceptDrops(byId("thread"));
thread.hint.hidden = true;
const keyBox = new KeyBox(world, mainBox.note, complain);
const about = new About(world);
const showcase = new Showcase(world, {
  here: () => world.channel(open.channel),
  show: openChannel,
  say: (text, files, channel, threadTs) => say(text, files, threadTs, channel, { opensAnswer: true }),
  openThread: openFar,
  complain,
});
about.acceptDrops(main.hint);
const surfaces = new Surfaces(world, {
  complain, say, actions, closeThread, names: namesToOffer, messages: [mainNote.node, main.node, mainBox.node, showcase.node],
});
mainBox.node.before(showcase.node, surfaces.prompts.node);
const threadWorking = new Working(world, threadBox.status, complain);

// ---- people's actions

/** Send a message and return its ts, or null for a command. `opensAnswer`: also where the thread covers the channel. */
async function say(text, chosen, threadTs, channel = open.channel, { opensAnswer = false } = {}) {
  const { me } = world;
  let sent = () => {};
  try {
    if (text.startsWith("/")) {
      await surfaces.command(text, channel, threadTs);
      return null;
    }
    if (!threadTs && world.app.pane === "assistant" && world.channel(channel).type === "im") {
      // In an assistant's DM, every message is in a thread.
      ({ ts: threadTs } = await post("/sandbox/start_thread", { user_id: me }));
      openThread(threadTs);
    }
    const isPane = threadTs && threadTs === surfaces.pane.ts;
    sent = (isPane ? surfaces.pane.list : threadTs ? thread : main).showSending(text);
    const files = await Promise.all(chosen.map((file) => upload(file, me)));
    const { ts } = await post("/sandbox/say", {
      user_id: me, channel, text, files, thread_ts: threadTs,
    });
    (threadTs ? thread : main).toBottom();
    if (threadTs) return ts;
    explainSilence(text, channel, ts);
    lastSaid = { ts, opensAnswer: opensAnswer || ROOM_FOR_THREAD.matches };
    world.thread(channel, ts).forEach(openAnswer);
    return ts;
  } catch (error) {
    complain(error);
    throw error;
  } finally {
    sent();
  }
}

const ANSWERED_WITHIN_MS = 2500;

/** Say that the app answers only when mentioned, if that is why it doesn't answer a message. */
function explainSilence(text, channel, ts) {
  mainBox.whyUnanswered = "";
  const { mention_note: note } = world.guide;
  if (!note || world.channel(channel).type === "im" || text.toLowerCase().includes(`@${typedName(world.bot)}`.toLowerCase())) return;
  setTimeout(() => {
    const isLast = open.channel === channel && lastSaid?.ts === ts;
    if (isLast && !world.thread(channel, ts).some((message) => message.is_bot)) mainBox.whyUnanswered = note;
  }, ANSWERED_WITHIN_MS);
}

function save(message, text) {
  post("/sandbox/edit", { channel: message.channel, ts: message.ts, text }).catch(complain);
}

function remove(message) {
  post("/sandbox/delete", { channel: message.channel, ts: message.ts }).catch(complain);
}

function react(message, name, add) {
  const where = { user_id: world.me, channel: message.channel, ts: message.ts };
  post("/sandbox/react", { ...where, name, add }).catch(complain);
}

function use(message, control) {
  return post("query" in control ? "/sandbox/suggest" : "/sandbox/press", { user_id: world.me, channel: message.channel, ts: message.ts, ...control });
}

function editLast(list) {
  const mine = [...list.items.values()].map((item) => item.message).filter((message) => message.user_id === world.me);
  const last = mine.sort((a, b) => (a.ts < b.ts ? -1 : 1)).at(-1);
  if (last) list.edit(last.ts);
}

function namesToOffer() {
  return world.others(world.channel(open.channel));
}

/** Let time pass for the app, up to what it does next by itself. Resolves to what has happened. */
async function passTime() {
  return (await post("/sandbox/time", {})).said;
}

function complain(error) {
  const toast = byId("toast");
  toast.textContent = `That didn't work: ${error.message}`;
  toast.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { toast.hidden = true; }, TOAST_MS);
}

// ---- the open conversation and thread

function openChannel(id) {
  enterChannel(id);
  keepPlace();
}

function enterChannel(id) {
  // What was typed while the page was loading belongs to its first channel.
  drafts.set(open.channel || id, mainBox.draft);
  leaveThread();
  open.channel = id;
  showChannel();
  mainBox.draft = drafts.get(id) || { text: "", files: [] };
  mainBox.whyUnanswered = "";
  sidebar.slide(false);
}

/** Write person, conversation and thread into the address. */
function keepPlace({ isStep = true } = {}) {
  writePlace({ person: world.me, channel: open.channel, thread: open.thread }, { isStep });
}

/** Open the person, conversation and thread of the address. What no longer exists is left out. */
function openPlace() {
  const { person, channel, thread: ts } = readPlace();
  const isOther = person !== world.me && world.canBe(person);
  if (isOther) {
    world.me = person;
    sidebar.showPeople();
  }
  const target = world.readable().find((each) => each.id === channel) || world.mine()[0];
  if (isOther || target.id !== open.channel) enterChannel(target.id);
  const message = world.get(target.id, ts);
  if (message) enterThread(message.thread_ts || ts);
  else if (ts && target.is_long) openFar(target.id, ts);
  else leaveThread();
  keepPlace({ isStep: false });
}

function showChannel() {
  const channel = world.channel(open.channel);
  const title = world.title(channel);
  const isDirect = channel.type === "im";
  byId("title").replaceChildren(...(isDirect ? [] : [sign(channel)]), title);
  byId("members").replaceChildren(...(isDirect ? ["Direct message"] : [`${channel.members.length} members`, el("span", { class: "who" }, `: ${names(channel)}`)]));
  document.title = `${world.name(channel)} · ${world.team.name}`;
  mainBox.setLabel(`Message ${world.name(channel)}`);
  showJoining(channel);
  showMessages();
  surfaces.show(channel);
  sidebar.showConversations(open.channel);
  if (!world.isLoaded(channel.id)) loadChannel(channel.id);
}

/** Where the current person can only read, say so in place of the message box. Whoever isn't a member can join. */
function showJoining(channel) {
  const isMember = channel.members.includes(world.me);
  byId("app").classList.toggle("reads-only", !isMember || channel.archived);
  const about = channel.archived ? "is archived, so nobody can write here." : "is public. To write here, join it.";
  const join = () => post("/sandbox/join", { user_id: world.me, channel: channel.id }).then(() => mainBox.focus(), complain);
  const button = el("button", { type: "button", class: "button primary", onclick: join }, "Join channel");
  joining.replaceChildren(el("p", {}, el("strong", {}, world.name(channel)), ` ${about}`), ...(channel.archived ? [] : [button]));
}

function showMessages() {
  main.show(world.roots(open.channel));
  main.earlier.hidden = !world.pages.get(open.channel)?.hasMore;
  showNotes();
  showHint();
  showStatuses();
}

/** Load the newest messages of an export's channel, and show them if it is still open. */
async function loadChannel(id) {
  try {
    await world.loadPage(id);
  } catch (error) {
    complain(error);
    return;
  }
  if (open.channel === id) showMessages();
}

/** Load and show the messages before those of the open channel that are shown. */
async function showEarlier() {
  const id = open.channel;
  main.earlier.disabled = true;
  await world.loadPage(id).catch(complain);
  main.earlier.disabled = false;
  if (open.channel !== id) return;
  main.earlier.hidden = !world.pages.get(id)?.hasMore;
  main.prepend(world.roots(id));
}

/** Open a thread of an export's channel that isn't loaded. */
async function openFar(channel, ts) {
  try {
    await world.loadThread(channel, ts);
  } catch {
    complain(new Error("This message isn't here."));
    return;
  }
  if (channel !== open.channel) openChannel(channel);
  openThread(world.get(channel, ts).thread_ts || ts);
}

const NAMED = 30;
const names = (channel) => channel.members.slice(0, NAMED).map((id) => world.users.get(id)).filter(Boolean).map(shownName).join(", ");

/** Explain the card that is answered in the open thread, or last in the open direct message. */
function showNotes() {
  threadNote.show(world.get(open.channel, open.thread));
  const isDirect = world.channel(open.channel).type === "im";
  mainNote.show(isDirect && world.roots(open.channel).findLast((message) => !message.is_bot));
}

function showHint() {
  const channel = world.channel(open.channel);
  const isEmpty = world.isLoaded(channel.id) && !world.roots(channel.id).length;
  main.hint.hidden = !isEmpty;
  showcase.showRow(channel, isEmpty);
  if (!isEmpty) return;
  if (showcase.cards(channel).length) {
    main.hint.replaceChildren(
      avatar(world.bot),
      el("h3", {}, `See what ${shownName(world.bot)} does`),
      el("p", {}, `Pick a card. ${world.guide.cards_note}`),
      showcase.playAll("primary"),
      showcase.grid(channel),
      el("p", { class: "aside" }, world.guide.setup_note),
      otherWay(channel),
      ...(world.guide.takes_export ? [about.offer] : []),
    );
    return;
  }
  const example = channel.type === "im" ? "Tell me something worth knowing" : `@${typedName(world.bot)} hello`;
  const button = el("button", { type: "button", class: "example" }, example);
  button.addEventListener("click", () => {
    mainBox.text = example;
    mainBox.focus();
  });
  const lines = channel.type === "im"
    ? [el("h3", {}, `Just you and ${world.title(channel)}`), el("p", {}, "No mention needed here. Ask anything, for example:")]
    : [el("h3", {}, `Nothing in ${world.name(channel)} yet`), el("p", {}, "Mention the app to ask it something, for example:")];
  main.hint.replaceChildren(avatar(world.bot), ...lines, button, otherWay(channel));
}

function otherWay(channel) {
  const me = world.users.get(world.me);
  if (me.is_bot) return el("p", { class: "aside" }, `You're writing as ${me.real_name}. ${me.about}`);
  const direct = world.mine().find((other) => other.type === "im" && other.id !== channel.id);
  if (!direct) return el("p", { class: "aside" }, "To write as somebody else, choose a person under Writing as.");
  const link = el("button", { type: "button", class: "link" }, "a direct message");
  link.addEventListener("click", () => {
    openChannel(direct.id);
    mainBox.focus();
  });
  return el("p", { class: "aside" }, `Mention @${typedName(world.bot)}, or write `, link, ".");
}

function openThread(ts) {
  enterThread(ts);
  keepPlace();
}

function enterThread(ts) {
  surfaces.pane.leave();
  open.thread = ts;
  byId("thread").hidden = false;
  byId("app").classList.add("thread-open");
  const channel = world.channel(open.channel);
  byId("thread-where").textContent = world.name(channel);
  threadBox.setLabel("Reply…");
  thread.show(world.thread(open.channel, ts));
  const root = world.get(open.channel, ts);
  if (channel.is_long && root?.reply_count > world.replies(root).length) loadRest(channel.id, ts);
  showNotes();
  showStatuses();
  threadBox.focus();
}

/** Load the older replies of a thread, and show them if it is still open. */
async function loadRest(channel, ts) {
  await world.loadThread(channel, ts).catch(complain);
  if (open.channel === channel && open.thread === ts) thread.show(world.thread(channel, ts));
}

/** Open the channel that a link leads to, or a message in it. */
function goTo(channel, ts) {
  const message = world.get(channel, ts);
  if (!world.channel(channel)) {
    complain(new Error("This conversation isn't here."));
  } else if (!world.canRead(world.channel(channel))) {
    complain(new Error(`${shownName(world.users.get(world.me))} isn't a member of that conversation.`));
  } else if (!ts) {
    openChannel(channel);
  } else if (!message && world.channel(channel).is_long) {
    openFar(channel, ts);
  } else if (!message || !world.sees(message)) {
    complain(new Error("This message was deleted."));
  } else {
    if (channel !== open.channel || surfaces.tab !== "messages") openChannel(channel);
    if (!isRoot(message) && open.thread !== message.thread_ts) openThread(message.thread_ts);
    // Where the thread covers the channel, it would cover the message.
    if (isRoot(message) && open.thread && !ROOM_FOR_THREAD.matches) closeThread();
    (isRoot(message) ? main : thread).reveal(ts);
  }
}

function closeThread() {
  leaveThread();
  keepPlace();
}

function leaveThread() {
  if (!open.thread) return;
  const ts = open.thread;
  const hadFocus = byId("thread").contains(document.activeElement);
  open.thread = null;
  byId("thread").hidden = true;
  byId("app").classList.remove("thread-open");
  threadNote.show(null);
  threadBox.draft = { text: "", files: [] };
  if (hadFocus) main.focus(ts);
}

function writeAs(id) {
  world.me = id;
  sidebar.showPerson();
  const stays = world.canRead(world.channel(open.channel));
  const former = world.channel(open.channel);
  const likewise = world.mine().find((channel) => channel.type === former.type) || world.mine()[0];
  if (stays) {
    showChannel();
    if (open.thread) thread.show(world.thread(open.channel, open.thread));
    keepPlace();
  } else {
    openChannel(likewise.id);
  }
}

// ---- changes in the workspace

function onMessage(message) {
  if (world.isBeyond(message)) {
    const isNew = message.ts > world.since && message.user_id !== world.me;
    if (isNew && !world.isLoaded(message.channel)) sidebar.markUnread(message.channel);
    return;
  }
  const isNew = world.put(message);
  if (!world.sees(message)) return;
  surfaces.pane.refresh();
  if (message.channel === open.channel) showMessage(message, isNew);
  else if (isNew && message.user_id !== world.me && !surfaces.pane.shows(message)) sidebar.markUnread(message.channel);
}

function showMessage(message, isNew) {
  if (isRoot(message)) {
    main.upsert(message);
    if (isNew) showNotes();
    if (isNew) showHint();
  } else if (isNew) {
    refreshRoot(message);
  }
  openAnswer(message);
  if (open.thread && (message.ts === open.thread || message.thread_ts === open.thread)) thread.upsert(message);
  if (message.user_id !== world.me) announce(message);
}

// Where there is room beside the channel, the answer to a new question opens by itself. A card's answer always does.
function openAnswer(message) {
  const isAwaited = message.is_bot && !isRoot(message) && message.thread_ts === lastSaid?.ts;
  if (!isAwaited || !lastSaid.opensAnswer) return;
  lastSaid = null;
  if (open.thread === message.thread_ts || threadBox.text) return;
  const focused = document.activeElement;
  openThread(message.thread_ts);
  // On a phone, the thread's box would open the keyboard, and the pressed card may be gone or hidden now.
  document.activeElement.blur();
  focused.focus();
}

function refreshRoot(message) {
  const root = world.get(message.channel, message.thread_ts);
  if (root && message.channel === open.channel) main.upsert(root);
}

function onDeleted({ channel, ts }) {
  const message = world.drop(channel, ts);
  surfaces.pane.refresh();
  if (channel !== open.channel) return;
  main.remove(ts);
  thread.remove(ts);
  if (ts === open.thread) closeThread();
  if (message && !isRoot(message)) refreshRoot(message);
  showNotes();
  showHint();
}

function announce({ channel, ts }) {
  announcer.note(`${channel} ${ts}`, () => {
    const newest = world.get(channel, ts);
    const item = thread.items.get(ts) || main.items.get(ts);
    return newest && item && { author: shownName(world.user(newest)), body: item.body, files: newest.files.map((file) => file.name) };
  });
}

/** Show messages as screen readers and notifications on phones get them, or as everybody else sees them. */
byId("text-alone").addEventListener("click", () => {
  world.textAlone = !world.textAlone;
  byId("text-alone").setAttribute("aria-checked", String(world.textAlone));
  main.reconcile(world.roots(open.channel));
  if (open.thread) thread.reconcile(world.thread(open.channel, open.thread));
  surfaces.pane.refresh();
});

function showStatuses() {
  const direct = world.channel(open.channel).type === "im";
  const channelStatus = direct ? world.roots(open.channel).map((root) => world.status(open.channel, root.ts)) : [];
  mainBox.status.textContent = said(channelStatus.findLast(Boolean));
  threadWorking.show(open.channel, open.thread);
  const title = world.panes.get(open.channel)?.sessions[open.thread]?.title;
  byId("thread-title").textContent = title || "Thread";
}

const said = (status) => (status ? `${shownName(world.bot)} ${status}` : "");

// ---- the connection

async function readState() {
  // People live where the visitor does, so that "at 9" means the visitor's nine o'clock.
  const { timeZone: zone } = Intl.DateTimeFormat().resolvedOptions();
  await post("/sandbox/zone", { zone }).catch(() => {});
  const response = await fetch("/sandbox/state");
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

function show(state) {
  const isFirst = !world.team;
  world.load(state);
  if (!isFirst && !world.channel(open.channel)) {
    // The sandbox has started again with another workspace.
    location.assign("/");
    return;
  }
  byId("app").classList.remove("loading");
  for (const box of [mainBox, threadBox, surfaces.pane.box]) box.isLost = false;
  if (isFirst) {
    keyBox.show();
    sidebar.showPeople();
    openPlace();
    about.show();
    if (!open.thread) mainBox.focus();
  } else {
    keyBox.show();
    sidebar.showConversations(open.channel);
    if (world.isLoaded(open.channel)) main.reconcile(world.roots(open.channel));
    else loadChannel(open.channel);
    // A restarted sandbox doesn't have the thread.
    if (open.thread && !world.get(open.channel, open.thread)) closeThread();
    if (open.thread) thread.reconcile(world.thread(open.channel, open.thread));
    showHint();
    showStatuses();
    surfaces.show(world.channel(open.channel));
  }
  sidebar.showBot(state.bot);
  onEvent.budgets(state.budgets);
  onEvent.answers(state.answers);
  failures.showProblems(state.problems);
  onEvent.notifications(state.notifications);
  failures.showFaults(state.faults);
}

const onEvent = {
  message: onMessage,
  deleted: onDeleted,
  budgets: (budgets) => {
    world.budgets = budgets;
    failures.showBudgets(budgets);
    threadNote.refresh();
  },
  notifications: (counts) => {
    world.notifications = new Map(counts.map(({ user_id: id, count }) => [id, count]));
    sidebar.showPerson();
  },
  problems: (problems) => failures.showProblems(problems),
  answers: (answers) => {
    world.answers = answers;
    failures.showAnswers(answers);
    threadNote.refresh();
  },
  faults: (faults) => failures.showFaults(faults),
  bot: (bot) => sidebar.showBot(bot),
  guide: (guide) => {
    world.guide = guide;
    keyBox.onGuide();
    showHint();
  },
  members: ({ channel, members }) => {
    world.channel(channel).members = members;
    if (channel === open.channel) showChannel();
    else sidebar.showConversations(open.channel);
  },
  tabs: (tabs) => surfaces.onTabs(tabs),
  views: (views) => surfaces.onViews(views),
  pane: (pane) => {
    surfaces.onPane(pane);
    if (pane.channel !== open.channel) return;
    showStatuses();
    for (const thread of Object.keys(pane.sessions)) refreshRoot({ channel: pane.channel, thread_ts: thread });
  },
  status: (status) => {
    world.setStatus(status);
    surfaces.pane.refresh();
    if (status.channel !== open.channel) return;
    showStatuses();
    refreshRoot(status);
  },
};

/** Open the feed, then read the state. Events that arrive in between are applied after the state. */
function connect() {
  const source = new EventSource("/sandbox/events");
  let waiting = [];
  source.addEventListener("open", async () => {
    waiting = [];
    const state = await readState().catch(() => null);
    if (!state) {
      reconnect(source);
      return;
    }
    show(state);
    for (const [name, data] of waiting) onEvent[name](data);
    waiting = null;
  });
  for (const name of Object.keys(onEvent)) {
    source.addEventListener(name, ({ data }) => {
      if (waiting) waiting.push([name, JSON.parse(data)]);
      else onEvent[name](JSON.parse(data));
    });
  }
  source.addEventListener("error", () => {
    sidebar.showLost();
    for (const box of [mainBox, threadBox, surfaces.pane.box]) box.isLost = true;
    reconnect(source);
  });
}

// EventSource reconnects by itself, but gives up after an HTTP error.
function reconnect(source) {
  if (source.isLeft) return;
  source.isLeft = true;
  source.close();
  setTimeout(connect, RETRY_MS);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-in]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  goTo(link.dataset.in, link.dataset.message);
});
byId("thread-close").addEventListener("click", closeThread);
byId("main").addEventListener("click", () => sidebar.slide(false));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  if (!sidebar.slide(false)) closeThread();
});

// Without this, a file that is dropped outside of a conversation would replace the page.
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
}

window.addEventListener("popstate", openPlace);
connect();
