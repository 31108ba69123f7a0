// The panel that shows Slack's budgets at work, and lets faults happen.

import { byId, el, post } from "./dom.js";

const CLOSE_TO_LIMIT = 0.8;

export class Workings {
  constructor(onError) {
    this.onError = onError;
    this.meters = new Map();
    this.switches = new Map();
  }

  /** A method that is not in `budgets` was not called in the last minute. */
  showBudgets(budgets) {
    const used = new Map(budgets.map((budget) => [budget.method, budget]));
    for (const { method } of budgets) if (!this.meters.has(method)) this.#addMeter(method);
    for (const [method, meter] of this.meters) {
      meter.limit = used.get(method)?.limit ?? meter.limit;
      this.#fill(meter, used.get(method)?.used ?? 0);
    }
  }

  #addMeter(method) {
    const bar = el("span", { class: "bar-fill" });
    const numbers = el("span", { class: "numbers" });
    const meter = el("div", { class: "meter", role: "meter", "aria-label": method, "aria-valuemin": "0" }, bar);
    const node = el("li", {}, el("code", {}, method), numbers, meter);
    this.meters.set(method, { node, meter, bar, numbers, limit: 0 });
    // What the budgets are about comes first.
    if (method.startsWith("chat.")) byId("budgets").prepend(node);
    else byId("budgets").append(node);
  }

  #fill({ node, meter, bar, numbers, limit }, used) {
    const share = limit ? Math.min(1, used / limit) : 0;
    numbers.textContent = `${used} / ${limit}`;
    meter.setAttribute("aria-valuenow", used);
    meter.setAttribute("aria-valuemax", limit);
    bar.style.setProperty("width", `${share * 100}%`);
    node.classList.toggle("idle", used === 0);
    meter.classList.toggle("close", share >= CLOSE_TO_LIMIT && share < 1);
    meter.classList.toggle("spent", share >= 1);
  }

  showFaults(faults) {
    for (const fault of faults) {
      if (!this.switches.has(fault.name)) this.#addSwitch(fault);
      const { button, detail, instant } = this.switches.get(fault.name);
      if (!instant) button.setAttribute("aria-checked", String(fault.on));
      const left = fault.on && fault.remaining ? ` · ${fault.remaining} left` : "";
      detail.textContent = `${fault.detail || ""}${left}`;
    }
  }

  #addSwitch({ name, label, instant }) {
    const detail = el("span", { class: "detail", id: `fault-${name}` });
    const knob = el("span", { class: instant ? "now" : "knob", "aria-hidden": "true" }, instant && "Now");
    const button = el(
      "button",
      { type: "button", role: instant ? false : "switch", "aria-describedby": `fault-${name}` },
      el("span", { class: "label" }, label),
      knob,
    );
    button.addEventListener("click", () => {
      const on = instant || button.getAttribute("aria-checked") !== "true";
      post("/sandbox/fault", { name, on }).catch(this.onError);
    });
    this.switches.set(name, { button, detail, instant });
    byId("faults").append(el("li", {}, button, detail));
  }
}
