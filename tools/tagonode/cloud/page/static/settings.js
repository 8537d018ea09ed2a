// The stand-in's own settings: where it is, its limits, faults for every node, the CA for real boards.

import { get, put } from "./api.js";
import { bytes, command, count, fill, h, keep } from "./dom.js";
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
  fill(main, h("h1", null, "Settings"), lan,
    h("div", { class: "columns" },
      h("section", { class: "card stack", "aria-label": "Where it is" }, h("h2", null, "Where it is"), facts,
        h("div", { class: "row" }, h("a", { class: "button", href: "/ca.pem", download: "" }, "CA as PEM"), h("a", { class: "button", href: "/ca.der", download: "" }, "CA as DER")),
        h("p", { class: "muted" }, "Trust this CA in nodes and tests, never in a browser or a system store.")),
      h("div", { class: "stack" },
        h("section", { class: "card stack", "aria-label": "Rate limit" }, h("h2", null, "Rate limit"),
          h("p", { class: "muted" }, "All nodes share it, as the devices of a TagoIO profile do. What is above it is answered 429, with the seconds until the next minute."), form, said),
        h("section", { class: "card stack", "aria-label": "Fault for every node" }, h("h2", null, "Fault for every node"), fault.element))),
    h("section", { class: "card stack", "aria-label": "A virtual node" }, h("h2", null, "A virtual node for this stand-in"), command(data.command)));

  function show() {
    const pair = (name, ...value) => [h("dt", null, name), h("dd", null, ...value)];
    keep(facts, pair("API", h("code", null, data.url)), pair("CA", h("code", null, data.ca)), pair("Time (NTP)", h("code", null, data.ntp), " UDP"),
      pair("Data", h("code", null, data.database), data.kept ? "" : " – thrown away at the end; tagonode cloud --db FILE keeps it"),
      pair("Holds", `${count(data.records)} readings of ${count(data.devices)} devices, ${bytes(data.size)}`));
    keep(lan, data.lan
      ? h("p", { class: "banner warn", role: "note" }, h("span", null, "Open to the network: whoever has this page’s address with its key can read all readings and change parameters, and plain HTTP hides neither from others in this network. Use it on a bench, and stop it when you are done."))
      : "");
    fault.show();
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
