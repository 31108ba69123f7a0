// Buttons, menus and fields in an app's blocks: in messages, modals and the app's Home.

import { confirmed } from "./dialog.js";
import { el, moveFocus } from "./dom.js";
import { placeBelow } from "./menu.js";

const UNANSWERED = "This app did not respond in time.";

const TYPING_MS = 250;

/** Make the controls in `root` work. `use({block_id, action_id, value}, control)` sends a use and returns a promise; with `query` in place of `value`, it asks for a menu's options. */
export function makeUsable(root, use) {
  root.addEventListener("click", (event) => {
    const control = event.target.closest("button[data-action], a[data-action]");
    const menu = event.target.closest("[data-menu]");
    if (menu) toggleMenu(menu, menu.getAttribute("aria-expanded") !== "true");
    if (!control) return;
    closeMenu(control);
    act(control, control.dataset.value ?? null, use);
  });
  root.addEventListener("change", (event) => {
    const control = event.target.closest("[data-action]");
    const input = control?.closest(".input");
    if (!control || control.matches("button, a, textarea, [type=text], [type=email], [type=url], [type=number]")) return;
    if (!input || "dispatch" in input.dataset) act(control, valueOf(control), use);
  });
  root.addEventListener("input", (event) => {
    const box = event.target.closest("[data-query]");
    if (!box) return;
    clearTimeout(box.timer);
    box.timer = setTimeout(() => suggest(box, use), TYPING_MS);
  });
  root.addEventListener("keydown", (event) => {
    onMenuKey(event);
    const dispatches = event.key === "Enter" && event.target.matches("[data-dispatch] > input[data-action]");
    if (!dispatches || event.isComposing) return;
    event.preventDefault();
    act(event.target, valueOf(event.target), use);
  });
  root.addEventListener("submit", (event) => event.preventDefault());
}

/** A control's value: a text, several texts, or null. */
export function valueOf(control) {
  if (control.tagName !== "FORM") return control.value || null;
  const checked = [...control.querySelectorAll(":checked")].map((box) => box.value);
  return control.querySelector("[type=radio]") ? checked[0] ?? null : checked;
}

/** The values of all fields in `root`: block_id → action_id → value. */
export function valuesIn(root) {
  const values = {};
  for (const control of root.querySelectorAll("form[data-action], select, input[data-action], textarea[data-action]")) {
    (values[control.dataset.block] ||= {})[control.dataset.action] = valueOf(control);
  }
  return values;
}

/** Set the values of fields that were rendered again. */
export function restore(root, values) {
  for (const [block, fields] of Object.entries(values)) {
    for (const [action, value] of Object.entries(fields)) {
      const at = `[data-block="${CSS.escape(block)}"][data-action="${CSS.escape(action)}"]`;
      const control = root.querySelector(`form${at}, select${at}, input${at}, textarea${at}`);
      if (control?.tagName === "FORM") {
        for (const box of control.querySelectorAll("input")) box.checked = [].concat(value ?? []).includes(box.value);
      } else if (control) control.value = value ?? "";
    }
  }
}

/** Put the options that the app has for what is typed into the menu beside the box; what is chosen stays. */
async function suggest(box, use) {
  const menu = box.parentElement.querySelector("[data-action]");
  const { block: block_id, action: action_id } = menu.dataset;
  const typed = box.value;
  await attempt(box, async () => {
    const { options } = await use({ block_id, action_id, query: typed }, menu);
    if (box.value === typed) show(menu, options);
  });
}

function show(menu, options) {
  const isSelect = menu.tagName === "SELECT";
  const chosen = [...menu.querySelectorAll(":checked")].filter((each) => each.value);
  const kept = new Set(chosen.map((each) => each.value));
  const made = options.filter(({ value }) => !kept.has(value)).map(({ value, text }) => {
    if (isSelect) return el("option", { value }, text);
    return el("label", {}, el("input", { type: "checkbox", name: "choice", value }), " ", el("span", {}, text));
  });
  const first = isSelect ? [menu.options[0]] : [];
  const stay = chosen.map((each) => (isSelect ? each : each.closest("label")));
  menu.replaceChildren(...first, ...stay, ...made);
}

async function act(control, value, use) {
  if (control.dataset.confirm && !(await confirmed(JSON.parse(control.dataset.confirm)))) return;
  await attempt(control, async () => {
    await use({ block_id: control.dataset.block, action_id: control.dataset.action, value }, control);
    for (const thumb of control.closest(".feedback")?.children || []) {
      thumb.setAttribute("aria-pressed", String(thumb === control));
    }
  });
}

/** Do what waits for the app; a sign beside the control tells where that fails. */
async function attempt(control, wait) {
  const place = control.closest(".overflow") || control;
  if (place.nextElementSibling?.matches(".unanswered")) place.nextElementSibling.remove();
  control.classList.add("busy");
  try {
    await wait();
  } catch (error) {
    const text = error.message === "app_not_responding" ? UNANSWERED : `That didn't work: ${error.message}`;
    place.after(el("span", { class: "unanswered", role: "img", "aria-label": text, title: text }, "⚠️"));
  } finally {
    control.classList.remove("busy");
  }
}

function toggleMenu(button, isOpen) {
  const list = button.nextElementSibling;
  button.setAttribute("aria-expanded", String(isOpen));
  // A popover is above everything, so that the edge of the list of messages doesn't cut it off.
  list.togglePopover(isOpen);
  if (!isOpen) return;
  placeBelow(list, button);
  list.querySelector("[role=menuitem]").focus();
}

function closeMenu(node) {
  const button = node.closest(".overflow")?.querySelector("[data-menu]");
  if (!button || button.getAttribute("aria-expanded") !== "true") return false;
  toggleMenu(button, false);
  button.focus();
  return true;
}

function onMenuKey(event) {
  const list = event.target.closest("[role=menu]");
  if (!list) return;
  if (event.key === "Escape" && closeMenu(list)) event.stopPropagation();
  if (event.key === "Tab") closeMenu(list);
  moveFocus(event, [...list.querySelectorAll("[role=menuitem]")]);
}

const openMenus = () => document.querySelectorAll('[data-menu][aria-expanded="true"]');

// A press outside of an open menu closes it.
document.addEventListener("pointerdown", (event) => {
  for (const button of openMenus()) {
    if (!button.parentElement.contains(event.target)) toggleMenu(button, false);
  }
});

// An open menu stays at its button while an answer above it grows.
document.addEventListener("scroll", () => {
  for (const button of openMenus()) placeBelow(button.nextElementSibling, button);
}, true);
