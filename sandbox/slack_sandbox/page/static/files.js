// Files in the message box and in messages.

import { el, post } from "./dom.js";
import { patch } from "./patch.js";

const MAX_FILES = 10; // Slack's own limit for one message.

const size = (bytes) => {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
};

/** Upload one file as a person. `file.transcript` is what Slack has written down of a clip. Resolves to its id. */
export async function upload(file, userId) {
  const query = new URLSearchParams({ user_id: userId, name: file.name });
  if (file.transcript) query.set("transcript", file.transcript);
  const response = await fetch(`/sandbox/upload?${query}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: file,
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(`${file.name}: ${answer.error || `HTTP ${response.status}`}`);
  return answer.id;
}

/** The files of the next message. They are chosen, dropped, or pasted into `form`. */
export class FileTray {
  constructor(form, onChange) {
    this.onChange = onChange;
    this.chosen = [];
    this.input = el("input", { type: "file", multiple: true, hidden: true, onchange: () => this.#onChosen() });
    this.button = el(
      "button",
      { type: "button", class: "attach", "aria-label": "Attach files", title: "Attach files", onclick: () => this.input.click() },
      el("span", { "aria-hidden": "true" }, "+"),
    );
    this.node = el("div", { class: "tray", role: "group", "aria-label": "Files to send", hidden: true });
    form.addEventListener("paste", (event) => this.#take(event, event.clipboardData));
  }

  /** Accept files that are dropped on this part of the page. */
  acceptDrops(zone) {
    zone.addEventListener("drop", (event) => {
      zone.classList.remove("dropping");
      this.#take(event, event.dataTransfer);
    });
    zone.addEventListener("dragover", (event) => {
      if (event.dataTransfer.types.includes("Files")) zone.classList.add("dropping");
    });
    zone.addEventListener("dragleave", (event) => {
      if (!zone.contains(event.relatedTarget)) zone.classList.remove("dropping");
    });
  }

  get files() {
    return this.chosen;
  }

  set files(files) {
    this.chosen = files.slice(0, MAX_FILES);
    this.node.replaceChildren(...this.chosen.map((file) => this.#chip(file)));
    this.node.hidden = !this.chosen.length;
    this.onChange();
  }

  #onChosen() {
    this.files = [...this.chosen, ...this.input.files];
    this.input.value = "";
    this.button.focus();
  }

  #take(event, transfer) {
    if (!transfer?.files.length) return;
    event.preventDefault();
    this.files = [...this.chosen, ...transfer.files];
  }

  #chip(file) {
    const remove = () => {
      const at = this.chosen.indexOf(file);
      this.files = this.chosen.filter((other) => other !== file);
      (this.node.querySelectorAll("button")[Math.min(at, this.chosen.length - 1)] || this.button).focus();
    };
    return el(
      "span",
      { class: "chip" },
      el("span", { class: "name" }, file.name),
      el("span", { class: "size" }, size(file.size)),
      el("button", { type: "button", "aria-label": `Remove ${file.name}`, onclick: remove }, "×"),
    );
  }
}

/** The card of one of a message's files. */
export function fileCard(file, world) {
  if (file.deleted) return el("p", { class: "file deleted" }, "This file was deleted.");
  const caption = el(
    "figcaption",
    {},
    el("span", { class: "name" }, file.title),
    el("span", { class: "kind" }, [file.pretty_type, file.size && size(file.size)].filter(Boolean).join(" · ")),
    file.is_absent ? el("span", { class: "kind" }, "not in the export") : el("a", { href: file.url, download: file.name, "aria-label": `Download ${file.name}` }, "Download"),
  );
  const card = el("figure", { class: "file", "data-file": file.id }, caption);
  if (file.is_image) card.append(picture(file));
  else if (file.html !== undefined) card.append(...canvas(file, world));
  else if (file.preview) card.append(...preview(file));
  else if (file.transcript) card.append(el("p", { class: "said", tabindex: "0" }, file.transcript));
  else if (file.is_clip) card.append(transcription(file));
  return card;
}

/** In Slack, a click has a clip transcribed. The sandbox can't hear, so the person writes what is said in it. */
function transcription(file) {
  const button = el("button", { type: "button", class: "more" }, "View transcript");
  button.addEventListener("click", () => {
    const words = el("input", { name: "words", placeholder: "What does the clip say? The sandbox can't listen.", required: true });
    const form = el("form", { class: "said" }, words, el("button", { class: "button" }, "Transcribe"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      post("/sandbox/transcribe", { file_id: file.id, text: words.value }).catch((error) => {
        words.setCustomValidity(error.message);
        words.reportValidity();
      });
    });
    button.replaceWith(form);
    words.focus();
  });
  return button;
}

function picture(file) {
  const image = el("img", { src: file.url, alt: file.alt_txt || file.name });
  return el("a", { href: file.url, target: "_blank", rel: "noopener" }, image);
}

function preview(file) {
  const code = el("code", {}, file.preview);
  const pre = el("pre", { class: "text", tabindex: "0" }, code);
  return withRest(file, pre, file.url, async (response) => { code.textContent = await response.text(); });
}

function canvas(file, world) {
  const body = el("div", { class: "text body", tabindex: "0" });
  patch(body, file.html, world);
  return withRest(file, body, `/sandbox/canvases/${file.id}`, async (response) => patch(body, (await response.json()).html, world));
}

/** The beginning of a file's text, and a button that loads all of it. */
function withRest(file, node, url, show) {
  if (!file.preview_is_truncated) return [node];
  const more = file.lines_more ? `Show ${file.lines_more} more ${file.lines_more === 1 ? "line" : "lines"}` : "Show all";
  const button = el("button", { type: "button", class: "more" }, more);
  button.addEventListener("click", async () => {
    const response = await fetch(url).catch(() => null);
    if (response?.ok) await show(response);
    else node.textContent = "The file can't be read right now.";
    node.focus();
    button.remove();
  });
  return [node, button];
}
