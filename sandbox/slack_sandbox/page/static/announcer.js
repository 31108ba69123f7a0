// Tells screen readers what messages say: their words without controls, and of a growing one what is new.

const AFTER_MS = 1500;
const AT_LATEST_MS = 8000;
const CONTROLS = "button, select, input, textarea, summary, [role=menu], .actions, .knob";
const INLINE = new Set(["A", "B", "CODE", "EM", "I", "S", "SPAN", "STRONG", "TIME"]);

export class Announcer {
  constructor(region) {
    this.region = region;
    this.messages = new Map();
  }

  /** Announce a message once its edits have stopped, and while they go on every few seconds. `read` returns its author, body and files, or null. */
  note(key, read) {
    const entry = this.messages.get(key) || { said: "", since: null };
    this.messages.set(key, entry);
    clearTimeout(entry.timer);
    entry.since ??= Date.now();
    entry.timer = setTimeout(() => this.#say(entry, read()), Math.max(0, Math.min(AFTER_MS, entry.since + AT_LATEST_MS - Date.now())));
  }

  #say(entry, message) {
    entry.since = null;
    if (!message) return;
    const text = [words(message.body), ...message.files].filter(Boolean).join(" ");
    const fresh = text.slice(common(entry.said, text)).trim();
    const name = entry.said ? "" : `${message.author}: `;
    entry.said = text;
    if (fresh) this.region.textContent = name + fresh;
  }
}

/** How much of a text was said before, up to the end of a word. */
function common(said, text) {
  let at = 0;
  while (at < said.length && said[at] === text[at]) at += 1;
  while (at && at < text.length && /\w/.test(text[at - 1]) && /\w/.test(text[at])) at -= 1;
  return at;
}

/** The words of a body, with a space between its blocks, which end as sentences do. */
function words(body) {
  const blocks = [""];
  const read = (node) => {
    if (node.nodeType === Node.TEXT_NODE) blocks[blocks.length - 1] += node.data;
    if (node.nodeType !== Node.ELEMENT_NODE || node.matches(CONTROLS)) return;
    const isApart = !INLINE.has(node.tagName);
    if (isApart) blocks.push("");
    node.childNodes.forEach(read);
    if (isApart) blocks.push("");
  };
  body.childNodes.forEach(read);
  const said = blocks.map((block) => block.replace(/\s+/g, " ").trim()).filter(Boolean);
  return said.map((block) => (/[\p{L}\p{N}]$/u.test(block) ? `${block}.` : block)).join(" ");
}
