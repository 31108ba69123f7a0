// A bot on vercel/chat: it streams, and its SDK adds feedback buttons. It says "ready" when it is connected.

const path = require("node:path");
const { pathToFileURL } = require("node:url");

// These packages have no CommonJS, and imports by name don't look in NODE_PATH.
const load = (name) => import(pathToFileURL(path.join(process.env.NODE_PATH, name, "dist", "index.js")));

async function* words() {
  for (const word of ["All ", "is ", "**well**", "."]) yield word;
}

async function main() {
  const [{ Chat }, { createSlackAdapter }, { createMemoryState }] = await Promise.all(
    ["chat", "@chat-adapter/slack", "@chat-adapter/state-memory"].map(load),
  );
  const slack = createSlackAdapter({
    mode: "socket",
    apiUrl: process.env.SLACK_API_URL,
    appToken: process.env.SLACK_APP_TOKEN,
    botToken: process.env.SLACK_BOT_TOKEN,
    feedbackButtons: true,
  });
  const bot = new Chat({ userName: "bot", adapters: { slack }, state: createMemoryState() });
  bot.onNewMention(async (thread) => {
    await thread.subscribe();
    await thread.startTyping();
    await thread.post(words());
  });
  bot.onSubscribedMessage((thread, message) => thread.post(`You said: ${message.text}`));
  bot.onAction((event) => event.thread.postEphemeral(event.user, `Thanks: ${event.value}`, { fallbackToDM: false }));
  await bot.initialize();
  console.log("ready");
}

main();
