// The panel that shows Slack's budgets at work, and lets faults happen.

import { byId, el, post } from "./dom.js";

const CLOSE_TO_LIMIT = 0.8;

export class Workings {
  constructor(onError) {
    this.onError = onError;
    this.meters = new Map();
    this.switches = new Map();
  }

  showBudgets(budgets) {
    for (const budget of budgets) {
      if (!this.meters.has(budget.method)) this.#addMeter(budget.method);
      this.#fill(this.meters.get(budget.method), budget);
    }
  }

  #addMeter(method) {
    const bar = el("span", { class: "bar-fill" });
    const numbers = el("span", { class: "numbers" });
    const meter = el("div", { class: "meter", role: "meter", "aria-label": method, "aria-valuemin": "0" }, bar);
    const node = el("li", {}, el("code", {}, method), numbers, meter);
    this.meters.set(method, { node, meter, bar, numbers });
    byId("budgets").append(node);
  }

  #fill({ node, meter, bar, numbers }, { used, limit }) {
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
      const { button, detail } = this.switches.get(fault.name);
      button.setAttribute("aria-checked", String(fault.on));
      const left = fault.on && fault.remaining ? ` · ${fault.remaining} left` : "";
      detail.textContent = `${fault.detail || ""}${left}`;
    }
  }

  #addSwitch({ name, label }) {
    const detail = el("span", { class: "detail", id: `fault-${name}` });
    const button = el(
      "button",
      { type: "button", role: "switch", "aria-checked": "false", "aria-describedby": `fault-${name}` },
      el("span", { class: "label" }, label),
      el("span", { class: "knob", "aria-hidden": "true" }),
    );
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-checked") !== "true";
      post("/sandbox/fault", { name, on }).catch(this.onError);
    });
    this.switches.set(name, { button, detail });
    byId("faults").append(el("li", {}, button, detail));
  }
}
