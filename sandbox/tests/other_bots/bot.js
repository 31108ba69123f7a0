// The sample bot with @slack/bolt. It says "ready" when it is connected.

const { App } = require("@slack/bolt");

const CITIES = ["Berlin", "Bergen", "Oslo"];
const plain = (text) => ({ type: "plain_text", text, emoji: true });
const section = (text) => ({ type: "section", text: { type: "mrkdwn", text } });
const input = (block_id, label, element) => ({ type: "input", block_id, label: plain(label), element });
const orderForm = {
  type: "modal",
  callback_id: "order",
  title: plain("Order"),
  submit: plain("Send"),
  blocks: [
    input("what", "What", { type: "plain_text_input", action_id: "what" }),
    input("where", "Where", { type: "external_select", action_id: "city", min_query_length: 1 }),
  ],
};

const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
});

app.event("app_mention", async ({ event, say }) => {
  const button = { type: "button", action_id: "wave", value: "waved", text: plain("Wave") };
  const blocks = [section(`Hello <@${event.user}>`), { type: "actions", elements: [button] }];
  await say({ text: "Hello", blocks, thread_ts: event.ts });
});

app.action("wave", async ({ ack, body, action, client }) => {
  await ack();
  const text = `${body.user.name} ${action.value}`;
  await client.chat.update({ channel: body.channel.id, ts: body.message.ts, text, blocks: [section(text)] });
});

app.command("/echo", async ({ ack, command, respond }) => {
  await ack();
  await respond(`You said ${command.text}`);
});

app.command("/order", async ({ ack, body, client }) => {
  await ack();
  await client.views.open({ trigger_id: body.trigger_id, view: orderForm });
});

app.options("city", async ({ ack, payload }) => {
  const found = CITIES.filter((city) => city.toLowerCase().startsWith(payload.value.toLowerCase()));
  await ack({ options: found.map((city) => ({ text: plain(city), value: city })) });
});

app.view("order", async ({ ack, view, client }) => {
  await ack();
  const { what, where } = view.state.values;
  await client.chat.postMessage({ channel: "#general", text: `${what.what.value} to ${where.city.selected_option.value}` });
});

app.event("reaction_added", async ({ event, client }) => {
  const { channel, ts } = event.item;
  const { message } = await client.reactions.get({ channel, timestamp: ts });
  const text = message.reactions.map(({ name, count }) => `${name} ${count}`).join(", ");
  await client.chat.postMessage({ channel, thread_ts: ts, text });
});

app.message(/^report$/, async ({ message, client }) => {
  const file = Buffer.from("All is well");
  await client.filesUploadV2({ channel_id: message.channel, thread_ts: message.ts, filename: "report.txt", file });
});

app.message(/^who is (\S+)$/, async ({ context, say, client }) => {
  const email = context.matches[1].replace("<mailto:", "").split("|")[0];
  const { user } = await client.users.lookupByEmail({ email });
  await say(`That is <@${user.id}>`);
});

app.message(/^channels$/, async ({ say, client }) => {
  const pages = [];
  for await (const page of client.paginate("conversations.list", { limit: 2 })) {
    pages.push(page.channels.map(({ name }) => name).join(" "));
  }
  await say(pages.join(" | "));
});

app.start().then(() => console.log("ready"));
