// A meter: its label, how much of a limit is used, and a bar.

import { el } from "./dom.js";

const CLOSE_TO_LIMIT = 0.8;

export class Meter {
  /** `name`: what screen readers call it. `label`: the node that names it for all others. */
  constructor(name, label) {
    this.bar = el("span", { class: "bar-fill" });
    this.numbers = el("span", { class: "numbers" });
    this.meter = el("div", { class: "meter", role: "meter", "aria-label": name, "aria-valuemin": "0" }, this.bar);
    this.node = el("li", {}, label, this.numbers, this.meter);
  }

  fill(used, limit) {
    const share = limit ? Math.min(1, used / limit) : 0;
    this.numbers.textContent = `${used} of ${limit} calls`;
    this.meter.setAttribute("aria-valuetext", this.numbers.textContent);
    this.meter.setAttribute("aria-valuenow", used);
    this.meter.setAttribute("aria-valuemax", limit);
    this.bar.style.setProperty("width", `${share * 100}%`);
    this.node.classList.toggle("idle", used === 0);
    this.meter.classList.toggle("close", share >= CLOSE_TO_LIMIT && share < 1);
    this.meter.classList.toggle("spent", share >= 1);
  }
}
