// Plays the recorded calls of another bot with @slack/bolt, as player.py does. It says "ready" when it is connected.

const { App } = require("@slack/bolt");
const { bots, feedback } = require("./recorded_calls.json");
const recorded = bots[process.env.RECORDED_BOT];

const app = new App({
  token: process.env.SLACK_BOT_TOKEN,
  appToken: process.env.SLACK_APP_TOKEN,
  socketMode: true,
  clientOptions: { slackApiUrl: process.env.SLACK_API_URL },
});

function filled(value, values) {
  if (typeof value === "string") return values[value] ?? value;
  if (Array.isArray(value)) return value.map((item) => filled(item, values));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, values)]));
}

function method(client, name) {
  const path = name.split(".");
  const last = path.pop();
  const holder = path.reduce((group, key) => group[key], client);
  return holder[last].bind(holder);
}

async function play(steps, values, client, helpers) {
  for (const step of steps) {
    const call = helpers[step.call] ?? method(client, step.call);
    const result = await call(filled(step.with, values));
    if (step.call === "say_stream" || step.call === "chat_stream") {
      helpers.append = result.append.bind(result);
      helpers.stop = result.stop.bind(result);
    } else if (step.call === "chat.postMessage") {
      values.$posted_ts = result.ts;
    }
  }
}

app.event("app_mention", async ({ event, client, setStatus, sayStream }) => {
  const values = {
    $channel: event.channel,
    $ts: event.ts,
    $thread_ts: event.thread_ts ?? event.ts,
    $team: event.team,
    $user: event.user,
    $feedback: feedback,
  };
  const helpers = { set_status: setStatus, say_stream: sayStream, chat_stream: client.chatStream.bind(client) };
  await play(recorded.mention, values, client, helpers);
});

app.action("feedback", async ({ ack, body, client }) => {
  await ack();
  const values = { $channel: body.channel.id, $user: body.user.id, $message_ts: body.message.ts };
  await play(recorded.press, values, client, {});
});

app.start().then(() => console.log("ready"));
