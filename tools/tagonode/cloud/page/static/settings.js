// The stand-in's own settings: where it is, its limits, faults for every node, the CA for real boards.

import { get, put, remove } from "./api.js";
import { bytes, command, count, duration, fill, h, keep } from "./dom.js";
import { faultForm } from "./faults.js";

const PLANS = { none: "No limit", free: "TagoIO Free", starter: "TagoIO Starter", scale: "TagoIO Scale", own: "A number of your own" };

export async function open(main) {
  let data = await get("settings");
  const facts = h("dl", { class: "pair" });
  const lan = h("div");
  const plan = h("select", { name: "plan" }, Object.entries(PLANS).map(([key, text]) =>
    h("option", { value: key }, data.plans[key] ? `${text}: ${count(data.plans[key])} uploads a minute` : text)));
  const limit = h("input", { type: "number", name: "limit", min: "0", max: "1000000" });
  const own = h("label", { class: "field" }, "Uploads and questions a minute, each", limit);
  const said = h("p", { class: "said", role: "status" });
  const form = h("form", { class: "form" }, h("label", { class: "field wide" }, "Rate limit", plan), own, h("button", { type: "submit", class: "primary" }, "Apply"));
  plan.value = data.plan;
  limit.value = data.plan === "own" ? data.limit : 250;
  const toggle = () => (own.hidden = plan.value !== "own");
  plan.addEventListener("change", toggle);
  toggle();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      data = await put("settings", { plan: plan.value, limit: plan.value === "own" ? Number(limit.value) : null });
      said.classList.remove("error");
      said.textContent = data.limit === null ? "Any number of requests is taken." : `More than ${count(data.limit)} uploads in a minute are answered 429.`;
    } catch (error) {
      said.classList.add("error");
      said.textContent = error.message;
    }
    show();
  });
  const fault = faultForm("*", () => ({ fault: data.every_fault, fault_kinds: data.fault_kinds }), async () => {
    data = await get("settings");
    show();
  });
  const certificate = certificateForm(data.certificate_kinds, async () => {
    data = await get("settings");
    show();
  });
  fill(main, h("h1", null, "Settings"), lan,
    h("div", { class: "columns" },
      h("div", { class: "stack" },
      h("section", { class: "card stack", "aria-label": "Where it is" }, h("h2", null, "Where it is"), facts,
        h("div", { class: "row" }, h("a", { class: "button", href: "/ca.pem", download: "" }, "CA as PEM"), h("a", { class: "button", href: "/ca.der", download: "" }, "CA as DER")),
        h("p", { class: "muted" }, "Trust this CA in nodes and tests, never in a browser or a system store.")),
        h("section", { class: "card stack", "aria-label": "A virtual node" }, h("h2", null, "A virtual node for this stand-in"), command(data.command))),
      h("div", { class: "stack" },
        h("section", { class: "card stack", "aria-label": "Rate limit" }, h("h2", null, "Rate limit"),
          h("p", { class: "muted" }, "All nodes share it, as the devices of a TagoIO profile do. What is above it is answered 429, with the seconds until the next minute."), form, said),
        h("section", { class: "card stack", "aria-label": "Fault for every node" }, h("h2", null, "Fault for every node"), fault.element),
        h("section", { class: "card stack", "aria-label": "Bad certificate" }, h("h2", null, "Bad certificate"),
          h("p", { class: "muted" }, "Every new connection meets it, and those that are open end. A node that is built well sends nothing, keeps its readings, and says why."), certificate.element))));

  function show() {
    const pair = (name, ...value) => [h("dt", null, name), h("dd", null, ...value)];
    keep(facts, pair("API", h("code", null, data.url)), pair("CA", h("code", null, data.ca)), pair("Time (NTP)", h("code", null, data.ntp), " UDP"),
      pair("Data", h("code", null, data.database), data.kept ? "" : " – thrown away at the end; tagonode cloud --db FILE keeps it"),
      pair("Holds", `${count(data.records)} readings of ${count(data.devices)} ${data.devices === 1 ? "device" : "devices"}, ${bytes(data.size)}`));
    keep(lan, data.lan
      ? h("p", { class: "banner warn", role: "note" }, h("span", null, "Open to the network: whoever has this page’s address with its key can read all readings and change parameters, and plain HTTP hides neither from others in this network. Use it on a bench, and stop it when you are done."))
      : "");
    fault.show();
    certificate.show(data.certificate);
  }
  show();
  return {
    title: "Settings",
    async refresh() {
      data = await get("settings");
      show();
    },
  };
}

/** A form that gives new connections a bad certificate, with what came of it. `changed()` is called afterwards. */
function certificateForm(kinds, changed) {
  const kind = h("select", { name: "certificate" }, kinds.map((k) => h("option", { value: k.kind }, k.name[0].toUpperCase() + k.name.slice(1))));
  const seconds = h("input", { type: "number", name: "certificate-seconds", min: "1", max: "86400", placeholder: "until switched off", size: "16" });
  const text = h("span");
  const on = h("div", { class: "banner note" }, text, h("button", { type: "button", onclick: () => act(remove("certificate"), "The good certificate is back.") }, "Switch off"));
  const said = h("p", { class: "said", role: "status" });
  const form = h("form", { class: "form" }, h("label", { class: "field wide" }, "The certificate is one", kind), h("label", { class: "field" }, "For seconds", seconds),
    h("button", { type: "submit", class: "primary" }, "Switch on"));
  async function act(change, done) {
    try {
      await change;
      said.classList.remove("error");
      said.textContent = done;
      await changed();
    } catch (error) {
      said.classList.add("error");
      said.textContent = error.message;
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(put("certificate", { kind: kind.value, seconds: seconds.value ? Number(seconds.value) : null }), "Switched on.");
  });
  return {
    element: h("div", { class: "stack" }, on, form, said),
    show(bad) {
      on.hidden = !bad;
      if (!bad) return;
      const left = bad.seconds === null ? "" : `, for ${duration(bad.seconds * 1000)} more`;
      const came = !bad.begun ? "No client has come since" : bad.begun === 1 ? "1 client has come since" : `${count(bad.begun)} clients have come since`;
      const took = bad.accepted ? h("b", { class: "bad plain" }, ` ${count(bad.accepted)} accepted it: who does that verifies nothing.`) : bad.begun ? " None accepted it." : "";
      keep(text, h("b", null, "On: "), `a ${bad.text}${left}. ${came}.`, took);
    },
  };
}
