// The request inspector: what came, what was answered, in full on demand. Tokens never leave the server.

import { get, remove } from "./api.js";
import { bytes, clock, command, count, duration, fill, h, keep, moment, none, setNow } from "./dom.js";

const HANDSHAKES = {
  new: ["note", "new", "a full TLS handshake"],
  resumed: ["note", "resumed", "a TLS handshake that took up an earlier session"],
  reused: ["dim", "reused", "an open connection was used again"],
  none: ["dim", "no TLS", "plain HTTP"],
};

export function statusPill(row) {
  if (row.status === null) return h("span", { class: "pill plain bad" }, "no answer");
  const kind = row.status >= 500 ? "bad" : row.status >= 400 ? "warn" : "good";
  return h("span", { class: `pill plain ${kind}` }, String(row.status));
}

function handshake(row) {
  const [kind, text, why] = HANDSHAKES[row.handshake];
  return h("span", { class: `pill plain ${kind}`, title: why }, text);
}

const COLUMNS = [
  ["Time", (r) => clock(r.at, true)],
  ["Request", null],
  ["Node", (r) => (r.node ? h("a", { href: `#/node/${r.node}` }, r.name || r.node) : r.name || none("no known token"))],
  ["Status", (r) => h("span", { class: "row" }, statusPill(r), r.fault ? h("span", { class: "pill plain note" }, "fault") : null)],
  ["Body up / down", (r) => `${bytes(r.body_up)} / ${bytes(r.body_down)}`, "num"],
  ["On the wire", (r) => (r.wire_up === null ? "–" : `${bytes(r.wire_up)} / ${bytes(r.wire_down)}`), "num"],
  ["Duration", (r) => duration(r.ms), "num"],
  ["Handshake", handshake],
];

/** A list of requests in `panel`: of one node, or of all. */
export async function inspector(panel, node = null) {
  let failed = false;
  let paused = false;
  let first = null;
  const columns = COLUMNS.filter(([label]) => !(node && label === "Node"));
  const body = h("tbody");
  const rows = new Map();
  const only = h("input", { type: "checkbox", onchange: () => { failed = only.checked; rows.clear(); body.replaceChildren(); load(); } });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) load();
  } }, "Pause");
  const clear = h("button", { type: "button", title: "Forgets the requests of all nodes", onclick: async () => { await remove("requests"); rows.clear(); load(); } }, "Clear");
  const shown = h("p", { class: "muted" });
  const table = h("section", { class: "card flush", "aria-label": "Requests" }, h("div", { class: "scroll" },
    h("table", { class: "cards requests" }, h("caption", { class: "away" }, "Requests, the newest first"),
      h("thead", null, h("tr", null, columns.map(([label, , kind]) => h("th", { scope: "col", class: kind }, label)))), body)));
  const empty = h("div");
  fill(panel, h("div", { class: "head" }, h("label", { class: "check" }, only, "Only what was not accepted"), h("span", { class: "grow" }), pause, clear), shown, empty, table);

  function makeRow(r) {
    return h("tr", { "data-number": r.number }, columns.map(([label, cell, kind]) => {
      if (cell) return h("td", { "data-label": label, class: kind }, cell(r));
      const open = h("button", { type: "button", class: "open path", onclick: () => inspect(r.number) }, `${r.method} ${r.path}`);
      return h("td", { "data-label": label }, open);
    }));
  }
  async function load() {
    if (paused) return;
    const query = new URLSearchParams({ ...(node ? { node } : {}), ...(failed ? { failed: "true" } : {}) });
    const data = await get(`requests?${query}`);
    setNow(data.now);
    // in the order in which they came; they are numbered as they ended
    const wanted = data.requests.sort((a, b) => b.at - a.at || b.number - a.number).map((r) => {
      if (!rows.has(r.number)) rows.set(r.number, makeRow(r));
      return rows.get(r.number);
    });
    const numbers = new Set(data.requests.map((r) => r.number));
    for (const number of rows.keys()) if (!numbers.has(number)) rows.delete(number);
    for (const row of [...body.children]) if (!wanted.includes(row)) row.remove();
    wanted.forEach((row, i) => body.children[i] !== row && body.insertBefore(row, body.children[i] ?? null));
    first ??= data.last;
    table.hidden = !wanted.length;
    shown.hidden = !wanted.length;
    shown.textContent = `${count(wanted.length)} shown, the newest first; ${count(data.last)} since the stand-in was started.`;
    if (wanted.length) fill(empty);
    else if (!empty.hasChildNodes() || empty.dataset.of !== String(failed)) {
      empty.dataset.of = String(failed);
      fill(empty, h("section", { class: "card next stack" },
        h("h2", null, failed ? "Every request was accepted" : "No requests yet"),
        h("p", null, failed ? "Switch a fault on, on a node’s page or under Settings, to see how a node takes it." : "Start a virtual node in another terminal:"),
        failed ? null : command((await get("settings")).command)));
    }
  }
  await load();
  return { refresh: load };
}

export async function open(main) {
  const panel = h("div", { class: "stack" });
  fill(main, h("h1", null, "Requests"), panel);
  const list = await inspector(panel);
  return { title: "Requests", refresh: list.refresh };
}

// -- one request in full -----------------------------------------------------------------------------------------

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** JSON, indented and coloured; any other text as it is. */
function pretty(text) {
  let formatted;
  try {
    formatted = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return [text];
  }
  const parts = [];
  let last = 0;
  for (const found of formatted.matchAll(TOKENS)) {
    parts.push(formatted.slice(last, found.index));
    const [all, string, colon] = found;
    if (string) parts.push(h("span", { class: colon ? "json-key" : "json-text" }, string), colon ?? "");
    else parts.push(h("span", { class: /^[tfn]/.test(all) ? "json-word" : "json-number" }, all));
    last = found.index + all.length;
  }
  parts.push(formatted.slice(last));
  return parts;
}

function section(title, size, headers, body) {
  return h("section", { class: "stack" }, h("h3", null, title),
    h("details", null, h("summary", null, `${headers.length} headers`),
      h("dl", { class: "pair mono" }, headers.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]))),
    size ? h("pre", { class: "body-text", tabindex: "0", "aria-label": `${title}: body` }, pretty(body)) : h("p", { class: "muted" }, "No body"),
    size > 16384 ? h("p", { class: "muted" }, `Only the beginning of ${bytes(size)} is kept.`) : null);
}

export async function inspect(number) {
  let r;
  const body = h("div", { class: "body" });
  const title = h("h2", { id: "request-title" }, "Request");
  const dialog = h("dialog", { "aria-labelledby": "request-title" },
    h("header", null, title, h("button", { type: "button", onclick: () => dialog.close() }, "Close")), body);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  try {
    r = await get(`requests/${number}`);
  } catch (error) {
    fill(body, h("p", null, error.message));
    dialog.showModal();
    return;
  }
  keep(title, h("span", { class: "path" }, `${r.method} ${r.path}`));
  const pair = (name, ...value) => [h("dt", null, name), h("dd", null, ...value)];
  const wire = r.wire_up === null ? "not counted here" : `${bytes(r.wire_up)} up, ${bytes(r.wire_down)} down, TLS ${r.handshake === "reused" ? "" : "and handshake "}included`;
  fill(body,
    h("dl", { class: "pair" },
      pair("Status", statusPill(r), r.status === null ? " the connection was ended without one" : null),
      r.fault ? pair("Fault", h("span", { class: "pill plain note" }, r.fault)) : null,
      pair("Came", moment(r.at)), pair("Duration", duration(r.ms)),
      pair("From", r.node ? h("a", { href: `#/node/${r.node}`, onclick: () => dialog.close() }, r.name || r.node) : r.name || "nobody known: the token opens nothing here"),
      pair("Body", `${bytes(r.body_up)} up, ${bytes(r.body_down)} down`), pair("On the wire", wire),
      pair("Connection", r.connection === null ? "–" : `number ${r.connection}, its ${nth(r.nth)} request, handshake `, r.connection === null ? null : handshake(r))),
    section("Request", r.body_up, r.request_headers, r.request_body),
    r.status === null ? null : section("Answer", r.body_down, r.answer_headers, r.answer_body));
  dialog.showModal();
}

function nth(n) {
  const end = n % 100 > 10 && n % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th";
  return `${n}${end}`;
}
