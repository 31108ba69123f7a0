// Building elements, and talking to the sandbox.

const TAB_KEY = "tab";

/** This tab of the browser. A reload keeps it; a modal belongs to the tab in which it was opened. */
export const TAB = sessionStorage.getItem(TAB_KEY) || Math.random().toString(36).slice(2);
sessionStorage.setItem(TAB_KEY, TAB);

/** Create an element with attributes and children. Attributes that begin with `on` are listeners. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child || child === 0));
  return node;
}

/** Whether there is a mouse. Without one, focusing a box opens a keyboard on the screen, which only a tap on the box should do. */
export const CAN_HOVER = window.matchMedia("(hover: hover)");

export const byId = (id) => document.getElementById(id);

/** What messages and mentions call a person or an app. */
export const shownName = (user) => user.real_name || user.name;

/** What is typed after an @: the handle, written as messages show the name if only its case differs. */
export const typedName = (user) => (shownName(user).toLowerCase() === user.name ? shownName(user) : user.name);

export function avatar(user) {
  const words = shownName(user).split(/[\s._-]+/).filter(Boolean);
  const initials = words.slice(0, 2).map((word) => word[0].toUpperCase()).join("");
  const node = el("span", { class: user.is_bot ? "avatar bot" : "avatar", "aria-hidden": "true" }, initials);
  if (user.color) node.style.setProperty("--color", `#${user.color.replace("#", "")}`);
  return node;
}

/** POST `body` as JSON. A refusal becomes an Error with the sandbox's own message. */
export async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, tab_id: TAB }),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok || answer.ok === false) throw new Error(answer.error || `HTTP ${response.status}`);
  return answer;
}

/** GET JSON. A refusal becomes an Error with the sandbox's own message. */
export async function get(path) {
  const response = await fetch(path);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `HTTP ${response.status}`);
  return answer;
}

/** Move the focus among `items` with arrow keys, Home and End. Only one of them is a tab stop. */
export function moveFocus(event, items) {
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (at < 0 || to === undefined || !items[to]) return;
  event.preventDefault();
  for (const item of items) item.tabIndex = item === items[to] ? 0 : -1;
  items[to].focus();
}
