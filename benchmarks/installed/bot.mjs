// A bot as the documentation of vercel/chat has it: each mention is answered with a model's stream.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createSlackAdapter } from "@chat-adapter/slack";
import { createMemoryState } from "@chat-adapter/state-memory";
import { streamText } from "ai";
import { Chat } from "chat";

const vendor = createOpenAICompatible({ name: "numbered", baseURL: process.env.OPENAI_BASE_URL, apiKey: "none" });
const slack = createSlackAdapter({
  mode: "socket",
  apiUrl: process.env.SLACK_API_URL,
  appToken: process.env.SLACK_APP_TOKEN,
  botToken: process.env.SLACK_BOT_TOKEN,
});
const bot = new Chat({ userName: "typist", adapters: { slack }, state: createMemoryState() });
bot.onNewMention(async (thread, message) => {
  const result = streamText({ model: vendor("numbered"), prompt: message.text, abortSignal: thread.signal });
  await thread.post(result.fullStream);
});
await bot.initialize();
