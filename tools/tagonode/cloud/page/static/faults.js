// Fault switches: of one node, or under Settings of all of them.

import { node as path, put, remove } from "./api.js";
import { announce, fill, h, keep } from "./dom.js";

/** A form that switches a fault on and off. `state()` gives {fault, fault_kinds}; `changed()` is called afterwards. */
export function faultForm(id, state, changed) {
  const banner = h("div");
  const said = h("p", { class: "said", role: "status" });
  const kind = h("select", { name: "kind" }, state().fault_kinds.map((k) => h("option", { value: k.kind }, k.name)));
  const seconds = h("input", { type: "number", name: "seconds", min: "0", max: "300", step: "any", value: "10" });
  const times = h("input", { type: "number", name: "times", min: "1", max: "1000000", placeholder: "any number", size: "14" });
  const uploads = h("input", { type: "checkbox", name: "uploads" });
  const wait = h("label", { class: "field" }, "Seconds", seconds);
  const form = h("form", { class: "form" },
    h("label", { class: "field wide" }, "What happens", kind), wait,
    h("label", { class: "field" }, "How many requests", times),
    h("label", { class: "check" }, uploads, "Uploads only"),
    h("button", { type: "submit", class: "primary" }, "Switch on"));
  const timed = () => (wait.hidden = !state().fault_kinds.find((k) => k.kind === kind.value)?.timed);
  kind.addEventListener("change", timed);
  timed();

  async function act(change, text) {
    try {
      await change;
      said.classList.remove("error");
      said.textContent = text;
      await changed();
    } catch (error) {
      said.classList.add("error");
      said.textContent = error.message;
      announce(error.message);
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(
      put(path(id, "/fault"), { kind: kind.value, seconds: Number(seconds.value || 10), times: times.value ? Number(times.value) : null, uploads: uploads.checked }),
      "The fault is switched on.",
    );
  });
  const off = h("button", { type: "button", onclick: () => act(remove(path(id, "/fault")), "The fault is switched off.") }, "Switch off");
  const text = h("span");
  const on = h("div", { class: "banner note" }, text, off);
  banner.append(on);
  return {
    element: h("div", { class: "stack" }, banner, form, said),
    show() {
      const fault = state().fault;
      on.hidden = !fault;
      if (fault) keep(text, h("b", null, "On: "), `${fault.text}${fault.uploads ? ", uploads only" : ""}`);
    },
  };
}

export async function open(panel, id, data) {
  const fault = faultForm(id, () => data, async () => {});
  const state = h("p");
  const toggle = h("button", { type: "button" });
  const said = h("p", { class: "said", role: "status" });
  toggle.addEventListener("click", async () => {
    try {
      data = await put(path(id, "/active"), { active: !data.active });
      said.textContent = data.active ? "Its requests are taken again." : "Its requests are answered 403 from now on.";
    } catch (error) {
      said.textContent = error.message;
    }
    show();
  });
  fill(panel,
    h("section", { class: "card stack", "aria-label": "Faults" }, h("h2", null, "Let something go wrong"),
      h("p", { class: "muted" }, "See how this node takes it: nothing may be lost, nothing may come twice. The requests it meets are marked in the inspector."),
      fault.element),
    h("section", { class: "card stack", "aria-label": "Device" }, h("h2", null, "Device"), state, h("div", { class: "row" }, toggle), said));
  function show() {
    fault.show();
    state.textContent = data.active ? "This device is enabled." : "This device is disabled: TagoIO answers its requests 403, and the node keeps its readings.";
    toggle.textContent = data.active ? "Disable the device" : "Enable the device";
    toggle.className = data.active ? "danger" : "primary";
  }
  show();
  return {
    refresh(fresh) {
      data = fresh;
      show();
    },
  };
}
