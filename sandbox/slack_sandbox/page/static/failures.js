// The panel "Simulate Slack failures": meters of Slack's limits, the calls that each answer cost, and the switches.

import { byId, el, post } from "./dom.js";
import { Meter } from "./meter.js";

const ALWAYS_SHOWN = new Set(["chat.postMessage", "chat.update"]);
const ORDER = [/^chat\.update/, /^chat\.postMessage/, /^chat\./, /^posts in/, /^/];
const rank = (name) => ORDER.findIndex((pattern) => pattern.test(name));

export class Failures {
  constructor(world, onError) {
    this.world = world;
    this.onError = onError;
    this.meters = new Map();
    this.switches = new Map();
    byId("failures-toggle").addEventListener("click", () => this.show(byId("failures").hidden));
    byId("failures-close").addEventListener("click", () => {
      this.show(false);
      byId("failures-toggle").focus();
    });
    byId("failures-reset").addEventListener("click", () => post("/sandbox/stop_faults", {}).catch(onError));
  }

  show(isOpen) {
    byId("failures").hidden = !isOpen;
    byId("app").classList.toggle("failures-open", isOpen);
    byId("failures-toggle").setAttribute("aria-expanded", String(isOpen));
  }

  /** Show the meters of all methods, and of the channels in `budgets`. Methods without a call stay folded away. */
  showBudgets(budgets) {
    const shown = new Set();
    for (const { method, channel, used, limit, called } of budgets) {
      const place = this.world.channel(channel);
      // The page doesn't know a channel that the app has just opened, or one that a call named and nobody has.
      if (channel && !place) continue;
      const name = place ? `posts in ${this.world.name(place)}` : method;
      shown.add(name);
      if (!this.meters.has(name)) this.#addMeter(name);
      const meter = this.meters.get(name);
      meter.fill(used, limit);
      if (!meter.isListed && (called || ALWAYS_SHOWN.has(name))) this.#list(meter, name);
    }
    for (const [name, { node }] of this.meters) {
      if (shown.has(name)) continue;
      node.remove();
      this.meters.delete(name);
    }
    const idle = byId("idle-budgets").childElementCount;
    byId("idle-title").textContent = `${idle} other ${idle === 1 ? "method" : "methods"}, not called yet`;
    byId("idle-title").parentElement.hidden = !idle;
  }

  /** Show the newest answers and their calls. */
  showAnswers(answers) {
    byId("no-answers").hidden = Boolean(answers.length);
    byId("answers").replaceChildren(...answers.map((answer) => {
      const total = answer.calls.reduce((sum, { count }) => sum + count, 0);
      const failed = answer.failed ? `, ${answer.failed} failed` : "";
      const calls = answer.calls.map(({ method, count }) => el("li", {}, `${count} × `, el("code", {}, method)));
      return el(
        "li",
        {},
        el("p", {}, el("b", {}, answer.asker), ` ${this.world.toTyped(answer.text)}`),
        el("p", { class: "total" }, `${total} ${total === 1 ? "call" : "calls"}${failed}`),
        el("ul", {}, ...calls),
      );
    }));
  }

  /** Show why calls of the app were refused, and what it left unacknowledged. */
  showProblems(problems) {
    byId("problems-part").hidden = !problems.length;
    byId("problems").replaceChildren(...problems.map(({ text, times }) => el("li", {}, times > 1 ? `${text} (${times} times)` : text)));
  }

  showFaults(faults) {
    for (const fault of faults) {
      if (!this.switches.has(fault.name)) this.#addSwitch(fault);
      const { button, detail, instant } = this.switches.get(fault.name);
      if (!instant) button.setAttribute("aria-checked", String(fault.on));
      const left = fault.on && fault.remaining ? ` · ${fault.remaining} left` : "";
      detail.textContent = `${fault.detail || ""}${left}`;
    }
    const on = faults.filter((fault) => fault.on).length;
    byId("failures-count").textContent = on ? `${on} on` : "";
    byId("failures-reset").disabled = !on;
  }

  #addMeter(name) {
    const meter = new Meter(name, el("code", { title: name }, name));
    this.meters.set(name, meter);
    byId("idle-budgets").append(meter.node);
  }

  /** Move a meter from the folded list to the others. The methods that show answers come first. */
  #list(meter, name) {
    meter.isListed = true;
    const next = [...byId("budgets").children].find((node) => rank(node.textContent) > rank(name));
    byId("budgets").insertBefore(meter.node, next || null);
  }

  #addSwitch({ name, group, label, instant }) {
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
    this.#group(group).append(el("li", {}, button, detail));
  }

  #group(name) {
    const id = `faults-${name.replaceAll(" ", "-").toLowerCase()}`;
    if (!byId(id)) byId("faults").append(el("h4", { id: `${id}-title` }, name), el("ul", { id, "aria-labelledby": `${id}-title` }));
    return byId(id);
  }
}
