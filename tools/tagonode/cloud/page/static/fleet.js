// The fleet: all nodes at a glance.

import { get } from "./api.js";
import { ago, command, count, fill, h, keep, learn, none, number, setNow, spark } from "./dom.js";

export const STATES = {
  live: ["good", "Live", "Readings come as they usually do"],
  late: ["warn", "Late", "An upload is missing"],
  silent: ["bad", "Silent", "Several uploads are missing"],
  never: ["dim", "Waiting", "Nothing has come yet"],
  off: ["note", "Disabled", "Its requests are answered 403"],
};
export const STARTED = "not reported: a node says it when it starts, while [health] is on in node.toml";
const HEALTH = "not reported: it comes with a node's health readings, [health] in node.toml";

export const NO_BATTERY = 'not reported: add a sensor with driver = "battery"';
const MANY = 8; // nodes from which on one may look for some by name

export function pill(state) {
  const [kind, text, why] = STATES[state];
  return h("span", { class: `pill ${kind}`, title: why }, text);
}

export function alarmList(alarms) {
  if (!alarms.length) return h("span", { class: "muted" }, "none");
  return h("ul", { class: "alarms" }, alarms.map((a) => h("li", { class: a.level }, a.text.replace(/(^|\s)-(?=\d)/g, "$1−"))));
}

/** A value with its unit, e.g. the battery; a dash with a reason where the node sends none. */
export function figure(one, why = HEALTH, kind = undefined) {
  if (!one || one.value === null) return none(why);
  return h("span", { class: "whole" }, number(one.value, kind), one.unit ? ` ${one.unit}` : "");
}

export function signal(rssi) {
  if (!rssi || typeof rssi.value !== "number") return none("not reported: add a sensor with driver = \"rssi\"");
  const lit = rssi.value >= -60 ? 4 : rssi.value >= -70 ? 3 : rssi.value >= -80 ? 2 : 1;
  const bars = h("span", { class: `bars${lit < 2 ? " weak" : ""}`, "aria-hidden": "true" });
  for (let i = 0; i < 4; i++) bars.append(h("i", i < lit ? { class: "lit" } : null));
  return h("span", { class: "whole" }, bars, `${number(rssi.value)} ${rssi.unit ?? "dBm"}`);
}

const FIRST = ["temperature", "humidity", "pressure"];
const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
// these have columns of their own, or belong to the node's page
const ROLES = new Set(["rssi", "battery", "queue_depth", "queue", "queued", "uptime", "reset_cause", "restarts", "heap_min", "dropped", "quarantined", "clock_state", "clock_drift", "chip_temperature"]);

function values({ latest, trend }) {
  const shown = Object.entries(latest).filter(([name, one]) => !ROLES.has(name) && !name.startsWith("failed_") && !name.endsWith("_alarm") && typeof one.value === "number");
  if (!shown.length) return none("no numbers yet");
  const chips = shown
    .sort(([a], [b]) => rank(a) - rank(b))
    .slice(0, 4)
    .map(([name, one]) =>
      h("span", { title: name }, h("small", null, `${name} `), number(one.value, name), one.unit ? ` ${one.unit}` : "", trend?.name === name && trend.values.length > 4 ? spark(trend.values) : null),
    );
  if (shown.length > 4) chips.push(h("span", { class: "muted" }, `+${shown.length - 4}`));
  return h("div", { class: "values" }, chips);
}

const COLUMNS = [
  ["Last seen", (n) => (n.last_seen ? h("span", { class: "whole", "data-at": n.last_seen }, ago(n.last_seen)) : none("nothing has come yet"))],
  ["Newest readings", values],
  ["Queue", (n) => figure(n.queue), "num"],
  ["Signal", (n) => signal(n.rssi)],
  ["Battery", (n) => figure(n.battery, NO_BATTERY, "battery"), "num"],
  ["Version", (n) => figure(n.version, STARTED)],
  ["Stored", (n) => count(n.records), "num"],
  ["Alarms", (n) => alarmList(n.alarms)],
];

function makeRow(n) {
  const link = h("a", { href: `#/node/${n.id}` }, n.name);
  const state = h("span");
  const row = h(
    "tr",
    { class: "go", "data-node": n.id },
    h("th", { scope: "row" }, h("div", { class: "named" }, link, state)),
    COLUMNS.map(([label, , kind]) => h("td", { "data-label": label, class: kind })),
  );
  row.addEventListener("click", (event) => {
    if (!event.target.closest("a") && !String(getSelection())) location.hash = link.hash;
  });
  let shown = "";
  row.update = (fresh) => {
    const text = JSON.stringify(fresh);
    if (text === shown) return;
    shown = text;
    if (link.textContent !== fresh.name) link.textContent = fresh.name;
    keep(state, pill(fresh.state));
    COLUMNS.forEach(([, cell], i) => keep(row.cells[i + 1], cell(fresh)));
  };
  return row;
}

export async function open(main) {
  let data = await get("fleet");
  const tiles = h("dl", { class: "tiles" });
  const rows = new Map();
  const body = h("tbody");
  const first = h("div");
  const table = h(
    "section",
    { class: "card flush", "aria-labelledby": "nodes" },
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "cards" },
        h("caption", { class: "away", id: "nodes" }, "Nodes"),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "Node"), COLUMNS.map(([label, , kind]) => h("th", { scope: "col", class: kind }, label)))),
        body,
      ),
    ),
  );
  const fault = h("div");
  const wanted = h("input", { type: "search", placeholder: "Name or alarm", "aria-label": "Look for nodes", autocomplete: "off", oninput: () => show() });
  const found = h("span", { class: "muted", role: "status" });
  const look = h("div", { class: "row" }, wanted, found);
  fill(main, h("div", { class: "head" }, h("h1", null, "Fleet"), h("span", { class: "grow" }), look), tiles, fault, first, table);

  function show() {
    setNow(data.now);
    const seen = data.nodes.filter((n) => n.last_seen);
    const alarms = data.nodes.flatMap((n) => n.alarms.filter((a) => a.level !== "note"));
    const tile = (name, value, rest, kind = "") => h("div", { class: `tile ${kind}` }, h("dt", null, name), h("dd", null, value, rest ? h("small", null, ` ${rest}`) : null));
    keep(
      tiles,
      tile("Nodes live", count(data.nodes.filter((n) => n.state === "live").length), `of ${count(data.nodes.length)}`),
      tile("Readings stored", count(data.records)),
      tile("Requests, last minute", count(data.requests_minute), data.refused_minute ? `${count(data.refused_minute)} not accepted` : data.requests_minute ? "all accepted" : ""),
      tile("Alarms", count(alarms.length), alarms.length ? `at ${count(data.nodes.filter((n) => n.alarms.some((a) => a.level !== "note")).length)} of the nodes` : seen.length ? "all well" : "", alarms.some((a) => a.level === "bad") ? "is-bad" : alarms.length ? "is-warn" : ""),
    );
    keep(fault, everywhere(data));
    look.hidden = data.nodes.length <= MANY;
    const text = look.hidden ? "" : wanted.value.trim().toLowerCase();
    if (!seen.length && !first.hasChildNodes()) first.append(welcome(data.command));
    if (seen.length) fill(first);
    const order = { silent: 0, late: 1, live: 2, off: 3, never: 4 };
    for (const n of data.nodes) for (const [name, one] of Object.entries(n.latest)) learn(name, [one.value]);
    const alarmed = (n) => n.alarms.some((a) => a.level !== "note");
    const chosen = data.nodes.filter((n) => !text || n.name.toLowerCase().includes(text) || n.alarms.some((a) => a.text.toLowerCase().includes(text)));
    const sorted = chosen.sort((a, b) => order[a.state] - order[b.state] || alarmed(b) - alarmed(a));
    found.textContent = text ? `${count(chosen.length)} of ${count(data.nodes.length)}` : "";
    for (const n of sorted) {
      if (!rows.has(n.id)) rows.set(n.id, makeRow(n));
      rows.get(n.id).update(n);
    }
    const lines = sorted.map((n) => rows.get(n.id));
    if (lines.some((row, i) => body.children[i] !== row) || body.children.length !== lines.length) body.replaceChildren(...lines);
  }
  show();
  return {
    title: "Fleet",
    async refresh() {
      data = await get("fleet");
      show();
    },
    tick() {
      for (const age of body.querySelectorAll("[data-at]")) age.textContent = ago(Number(age.dataset.at));
    },
  };
}

/** What every node meets: a fault of all requests, a bad certificate; null where all is as it should be. */
export function everywhere(data) {
  const banner = (text) => h("p", { class: "banner note" }, h("span", null, text), h("a", { href: "#/settings" }, "Change"));
  const parts = [];
  if (data.every_fault) parts.push(banner(`Every request meets a fault: ${data.every_fault.text}`));
  if (data.certificate) parts.push(banner(`Every new connection meets a ${data.certificate.text}`));
  return parts.length ? h("div", { class: "stack" }, parts) : "";
}

function welcome(text) {
  return h(
    "section",
    { class: "card next stack", "aria-labelledby": "welcome" },
    h("h2", { id: "welcome" }, "No readings yet"),
    h("p", null, "Start a virtual node in another terminal. It shows up here with its first reading."),
    command(text),
    h("p", { class: "muted" }, "A board of your own: tagonode new, build and deploy, with this stand-in’s address and CA (", h("a", { href: "#/settings" }, "Settings"), ")."),
  );
}
