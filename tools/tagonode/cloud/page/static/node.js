// One node: its facts, and under them charts, requests, parameters or faults.

import { get, node as path } from "./api.js";
import * as charts from "./charts.js";
import { ago, count, duration, fill, h, keep, setNow } from "./dom.js";
import * as faults from "./faults.js";
import { NO_BATTERY, STARTED, alarmList, everywhere, figure, pill, signal } from "./fleet.js";
import * as parameters from "./parameters.js";
import { inspector } from "./requests.js";

const TABS = {
  "": ["Charts", charts],
  requests: ["Requests", { open: (panel, id) => inspector(panel, id) }],
  parameters: ["Parameters", parameters],
  faults: ["Faults", faults],
};

// a rhythm is told in the steps that one sets it in
const usual = (ms) => (ms > 250 ? Math.round(ms / 100) * 100 : ms > 50 ? Math.round(ms / 10) * 10 : ms);

export async function open(main, [id, tab = ""]) {
  const [name, module] = TABS[tab] ?? TABS[""];
  let data = await get(path(id));
  const title = h("h1");
  const state = h("span");
  const facts = h("dl", { class: "facts" });
  const alarms = h("div");
  const fault = h("div");
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": "Node" },
    Object.entries(TABS).map(([key, [label]]) =>
      h("a", { href: `#/node/${id}${key ? `/${key}` : ""}`, "aria-current": label === name ? "page" : null }, label),
    ),
  );
  const panel = h("div", { class: "stack" });
  fill(
    main,
    h("div", { class: "head" }, h("a", { href: "#/", "aria-label": "Back to the fleet" }, "← Fleet"), title, state),
    h("section", { class: "card stack", "aria-label": "State" }, facts, alarms),
    fault,
    tabs,
    panel,
  );

  function show() {
    setNow(data.now);
    keep(title, data.name);
    keep(state, pill(data.state));
    const fact = (label, value) => h("div", null, h("dt", null, label), h("dd", null, value));
    keep(
      facts,
      fact("Last seen", data.last_seen ? h("span", { "data-at": data.last_seen }, ago(data.last_seen)) : "never"),
      fact("Samples every", duration(usual(data.sample_ms))),
      fact("Uploads every", duration(usual(data.upload_ms))),
      fact("Queue", figure(data.queue)),
      fact("Signal", signal(data.rssi)),
      fact("Battery", figure(data.battery, NO_BATTERY, "battery")),
      fact("Version", figure(data.version, STARTED)),
      fact("Readings", count(data.records)),
    );
    keep(fault, everywhere(data));
    keep(alarms, data.alarms.length ? alarmList(data.alarms) : "");
    alarms.hidden = !data.alarms.length;
  }
  show();
  const part = await module.open(panel, id, data);
  return {
    title: `${data.name}: ${name}`,
    async refresh(ids) {
      if (ids && !ids.has(id) && !ids.has("") && !ids.has("*")) return;
      data = await get(path(id));
      show();
      await part.refresh?.(data);
    },
    tick() {
      for (const age of facts.querySelectorAll("[data-at]")) age.textContent = ago(Number(age.dataset.at));
      part.tick?.();
    },
    recolour: () => part.recolour?.(),
    close: () => part.close?.(),
  };
}
