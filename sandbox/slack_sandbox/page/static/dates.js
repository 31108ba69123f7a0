// Times in an app's messages, in the reader's own time zone: https://docs.slack.dev/messaging/formatting-message-text

const SHORT = { month: "short", day: "numeric", year: "numeric" };
const LONG = { weekday: "long", month: "long", day: "numeric", year: "numeric" };
const STYLES = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { month: "long", day: "numeric", year: "numeric" },
  date_short: SHORT,
  date_long: LONG,
  time: { hour: "numeric", minute: "2-digit" },
  time_secs: { hour: "numeric", minute: "2-digit", second: "2-digit" },
};
const NEAR = { "-1": "yesterday", 0: "today", 1: "tomorrow" };

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
const daysFromToday = (date) => Math.round((midnight(date) - midnight(new Date())) / 86_400_000);

/** A time as Slack shows it for a format such as "{date_short_pretty} at {time}"; null for a format it doesn't know. */
export function formatted(seconds, format) {
  const date = new Date(seconds * 1000);
  let isKnown = true;
  const text = format.replace(/\{(\w+)\}/g, (_, token) => {
    const near = token.endsWith("_pretty") && NEAR[daysFromToday(date)];
    const style = STYLES[token.replace(/_pretty$/, "")];
    isKnown &&= Boolean(style);
    return near || (style ? new Intl.DateTimeFormat(undefined, style).format(date) : "");
  });
  return isKnown ? text : null;
}
