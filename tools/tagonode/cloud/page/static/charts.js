// The charts of a node: which span is shown, what is fetched, one card a variable. plot.js draws.

import { csv, get, node as path } from "./api.js";
import { announce, clock, command, count, duration, fill, h, keep, learn, moment, now, number } from "./dom.js";
import { Plot } from "./plot.js";

const SPANS = { "1h": ["1 h", 3_600_000], "24h": ["24 h", 86_400_000], "7d": ["7 d", 604_800_000] };
const FIRST = ["temperature", "humidity", "pressure"];
// how the node itself is comes after what it is there for
const LAST = ["battery", "rssi", "queue_depth", "chip_temperature", "heap_min", "uptime", "restarts", "reset_cause", "clock_state", "clock_drift", "dropped", "quarantined"];
const RELOAD_MS = 15_000; // of gathered points; single ones are added as they come
const NARROWEST_MS = 5_000;
const YOUNG_MS = 60_000; // a node that is new fills the chart with what it has, from this on
const DELAY = "Delay";

/** The delay of each sample as a variable of its own. */
function delayOf(series) {
  const longest = series.reduce((best, one) => (one.t.length > (best?.t.length ?? 0) ? one : best), null);
  if (!longest) return [];
  return [{ name: DELAY, unit: "s", raw: longest.raw, gap: longest.gap, t: longest.t, a: longest.a, v: longest.t.map((t, i) => (longest.a[i] - t) / 1000) }];
}

function merge(old, fresh, by) {
  for (const one of fresh) {
    const known = old.find((o) => o.name === one.name);
    if (!known) {
      old.push(one);
      continue;
    }
    known.gap = one.gap;
    for (let i = 0; i < one.t.length; i++) {
      let at = known.t.length;
      while (at > 0 && known[by][at - 1] > one[by][i]) at--;
      known.t.splice(at, 0, one.t[i]);
      known.v.splice(at, 0, one.v[i]);
      known.a.splice(at, 0, one.a[i]);
    }
  }
}

function trim(series, from, by) {
  for (const one of series) {
    let gone = 0;
    while (gone < one.t.length && one[by][gone] < from) gone++;
    if (gone) for (const key of ["t", "v", "a", "lo", "hi"]) one[key]?.splice(0, gone);
  }
}

const rounded = (value) => (value === undefined ? value : Number(value.toPrecision(5)));

export async function open(panel, id, data) {
  let span = "1h";
  let zoom = null; // [from, to] in ms
  let axis = "time";
  let found = null;
  let loaded = 0;
  const cards = new Map();

  // -- controls ------------------------------------------------------------------------------------------------
  const segment = (label, options, chosen, pick) => {
    const group = h("div", { class: "segments", role: "group", "aria-label": label });
    for (const [key, text] of options) {
      const button = h("button", { type: "button", "aria-pressed": String(key === chosen) }, text);
      button.addEventListener("click", () => {
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
        pick(key);
      });
      group.append(button);
    }
    return group;
  };
  const step = (text, label, act) => h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
  const reset = h("button", { type: "button", onclick: () => zoomTo(null) }, "Reset zoom");
  const download = h("a", { class: "button", download: "", title: "What is shown, as a CSV file" }, "CSV");
  const whole = h("a", { class: "button", download: "", href: csv(id, { range: "all" }), title: "All readings of this node, as a CSV file" }, "CSV of all");
  const tools = h(
    "div",
    { class: "head chart-tools" },
    segment("Range", Object.entries(SPANS).map(([key, [text]]) => [key, text]), span, (key) => {
      span = key;
      zoomTo(null);
    }),
    segment("Time axis", [["time", "By sample time"], ["arrived", "By arrival"]], axis, (key) => {
      axis = key;
      load();
    }),
    h("div", { class: "row", role: "group", "aria-label": "Zoom" },
      step("+", "Zoom in", () => scale(0.5)), step("−", "Zoom out", () => scale(2)),
      step("←", "Earlier", () => shift(-0.5)), step("→", "Later", () => shift(0.5)), reset),
    h("span", { class: "grow" }),
    h("div", { class: "row", role: "group", "aria-label": "Export" }, download, whole),
  );
  const shown = h("p", { class: "muted" });
  const key = h("div", { class: "key", "aria-label": "Legend" },
    h("span", null, h("i", { class: "swatch line" }), "readings at their sample time"),
    h("span", null, h("i", { class: "swatch tick" }), "an upload arrived"),
    h("span", null, h("i", { class: "swatch hollow" }), "came without a time: stamped on arrival"),
    h("span", null, h("i", { class: "swatch" }), "gap: no samples"));
  const grid = h("div", { class: "charts" });
  const texts = h("div");
  const empty = h("div");
  fill(panel, tools, shown, empty, grid, key, texts);

  function edges() {
    if (zoom) return zoom;
    const to = now();
    const from = to - SPANS[span][1];
    if (axis !== "time" || !found?.first || found.first <= from || found.first > to) return [from, to];
    const age = Math.max(YOUNG_MS, to - found.first);
    return [Math.max(from, to - age * 1.04), to];
  }
  function scale(factor) {
    const [from, to] = edges();
    const width = Math.max(NARROWEST_MS, (to - from) * factor);
    if (width >= SPANS["7d"][1]) return zoomTo(null);
    // the newest readings stay in sight
    const last = lastSample();
    const end = last > from && last <= to ? Math.min(to, last + width * 0.05) : (from + to + width) / 2;
    return zoomTo([end - width, end]);
  }
  function shift(part) {
    const [from, to] = edges();
    const by = (to - from) * part;
    return zoomTo([from + by, to + by]);
  }
  const lastSample = () => Math.max(0, ...found.variables.map((one) => (axis === "time" ? one.t : one.a).at(-1) ?? 0)) || now();
  async function zoomTo(next) {
    zoom = next && next[1] - next[0] >= NARROWEST_MS ? next.map(Math.round) : null;
    await load();
    announce(zoom ? `Showing ${moment(zoom[0])} to ${moment(zoom[1])}` : `Showing the last ${SPANS[span][0]}`);
  }

  // -- data ----------------------------------------------------------------------------------------------------
  async function load() {
    const query = zoom ? `from=${Math.max(0, zoom[0])}&to=${Math.max(0, zoom[1])}` : `range=${span}`;
    const fresh = await get(path(id, `/series?${query}&by=${axis}`));
    found = fresh;
    loaded = Date.now();
    download.href = csv(id, zoom ? { from: Math.max(0, zoom[0]), to: Math.max(0, zoom[1]) } : { range: span });
    draw(true);
  }
  async function more() {
    if (zoom) return;
    if (found.variables.some((one) => !one.raw) || !found.variables.length) {
      if (!found.variables.length || Date.now() - loaded > RELOAD_MS) await load();
      return;
    }
    const fresh = await get(path(id, `/series?range=${span}&after=${found.last}&by=${axis}`));
    merge(found.variables, fresh.variables, axis === "time" ? "t" : "a");
    found.last = fresh.last;
    found.first = fresh.first;
    trim(found.variables, now() - SPANS[span][1], axis === "time" ? "t" : "a");
    draw(false);
  }

  // -- drawing -------------------------------------------------------------------------------------------------
  function draw(whole) {
    const rank = ({ name }) => (LAST.includes(name) ? 2 + LAST.indexOf(name) : FIRST.includes(name) ? FIRST.indexOf(name) - FIRST.length : 0);
    const series = [...found.variables].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
    const all = axis === "time" ? [...series, ...delayOf(series)] : series;
    const names = new Set(all.map((one) => one.name));
    for (const [name, card] of cards)
      if (!names.has(name)) {
        card.plot.destroy();
        card.element.remove();
        cards.delete(name);
      }
    const [from, to] = edges();
    for (const one of all) {
      if (!cards.has(one.name)) cards.set(one.name, makeCard(one));
      const card = cards.get(one.name);
      if (grid.children[all.indexOf(one)] !== card.element) grid.insertBefore(card.element, grid.children[all.indexOf(one)] ?? null);
      card.show(one, { from, to, axis, whole, live: !zoom });
    }
    reset.disabled = !zoom;
    const points = series.reduce((sum, one) => sum + one.t.length, 0);
    grid.hidden = !points;
    shown.textContent = zoom ? `${moment(zoom[0])} to ${moment(zoom[1])}: drag over a chart to look closer, double-click to go back` : "Live. Drag over a chart, or use + and −, to look closer.";
    key.hidden = !points;
    shown.hidden = !points;
    fill(empty, points ? [] : nothing());
  }
  function nothing() {
    const seen = data.last_seen !== null;
    return h("section", { class: "card next stack" },
      h("h2", null, seen ? "No numbers in this range" : "Nothing has come from this node yet"),
      h("p", null, seen ? "Choose a longer range above, or go back to it with the arrows." : "Start a virtual node, or send a reading with this node’s token:"),
      seen ? null : command(data.command));
  }
  function makeCard(one) {
    const title = h("h2", null, one.name === DELAY ? "Delay from sample to arrival (s)" : one.name);
    const value = h("span", { class: "now" });
    const holder = h("div", { class: "plot", role: "img" });
    const read = h("p", { class: "read" });
    const kind = one.name;
    const rows = h("tbody");
    const table = h("details", null, h("summary", null, "Table", h("span", { class: "away" }, ` of the newest, ${title.textContent}`)),
      h("table", null, h("thead", null, h("tr", null, ["Sampled", "Value", "Arrived"].map((t) => h("th", { scope: "col", class: t === "Value" ? "num" : null }, t)))), rows));
    const element = h("section", { class: "card chart", "data-variable": one.name, "aria-label": title.textContent },
      h("header", null, title, value), holder, read, table);
    const plot = new Plot(holder, {
      hover: (i) => (read.textContent = i === null ? card.summary : said(card.one, i)),
      select: (from, to) => zoomTo([from, to]),
      back: () => zoomTo(null),
    });
    const card = {
      element, plot, one, summary: "",
      show(fresh, options) {
        card.one = fresh;
        if (fresh.raw && fresh.name !== DELAY) learn(kind, fresh.v);
        const newest = !zoom && data.latest[fresh.name] ? data.latest[fresh.name].value : fresh.raw ? fresh.v.at(-1) : rounded(fresh.v.at(-1));
        if (fresh.name === DELAY) keep(value, newest === undefined ? "" : duration(newest * 1000));
        else keep(value, newest === undefined ? "" : number(newest, kind), fresh.unit ? h("small", null, ` ${fresh.unit}`) : null);
        const low = (fresh.lo ?? fresh.v).reduce((a, b) => Math.min(a, b), Infinity);
        const high = (fresh.hi ?? fresh.v).reduce((a, b) => Math.max(a, b), -Infinity);
        const unit = fresh.unit ? ` ${fresh.unit}` : "";
        plot.show(fresh, options);
        const gaps = plot.gaps.length ? `, ${plot.gaps.length} ${plot.gaps.length > 1 ? "gaps" : "gap"}` : "";
        card.summary = fresh.v.length ? `${count(fresh.v.length)} ${fresh.raw ? "readings" : "intervals"}${gaps}, ${fresh.name === DELAY ? `${duration(low * 1000)} to ${duration(high * 1000)}` : `${number(low, kind)} to ${number(high, kind)}${unit}`}` : "nothing in this range";
        holder.setAttribute("aria-label", `${title.textContent}${unit}: ${card.summary}${newest === undefined ? "" : `, newest ${fresh.name === DELAY ? duration(newest * 1000) : number(newest, kind)}`}`);
        if (!plot.hovering) read.textContent = card.summary;
        keep(rows, fresh.t.slice(-8).map((_, k, cut) => fresh.t.length - 1 - k).map((i) =>
          h("tr", null, h("td", null, moment(fresh.t[i])), h("td", { class: "num" }, fresh.name === DELAY ? duration(fresh.v[i] * 1000) : number(fresh.v[i], kind)), h("td", null, moment(fresh.a[i])))));
      },
    };
    return card;
  }
  function said(one, i) {
    const unit = one.unit ? ` ${one.unit}` : "";
    const kind = one.name;
    if (!one.raw) return `${moment(one.t[i])}: mean ${number(rounded(one.v[i]))}${unit}${one.lo ? `, from ${number(one.lo[i], kind)} to ${number(one.hi[i], kind)}` : ""}`;
    const late = one.a[i] - one.t[i];
    const when = late === 0 ? `came without a time, stamped on arrival ${clock(one.a[i], true)}` : `sampled ${clock(one.t[i], true)}, arrived ${clock(one.a[i], true)}, ${duration(Math.abs(late))} ${late < 0 ? "before that" : "later"}`;
    return `${one.name === DELAY ? duration(one.v[i] * 1000) : `${number(one.v[i], kind)}${unit}`} · ${when}`;
  }
  function showTexts() {
    if (!data.texts.length) return fill(texts);
    return keep(texts, h("section", { class: "card stack" }, h("h2", null, "Messages"),
      h("div", { class: "scroll" }, h("table", { class: "cards" },
        h("thead", null, h("tr", null, ["Sampled", "Variable", "Value"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", null, data.texts.slice(0, 30).map((one) => h("tr", null,
          h("td", { "data-label": "Sampled" }, moment(one.time)), h("td", { "data-label": "Variable" }, one.variable),
          h("td", { class: "wrap", "data-label": "Value" }, one.value === null ? "–" : String(one.value)))))))));
  }

  const escape = (event) => event.key === "Escape" && zoom && !document.querySelector("dialog[open]") && zoomTo(null);
  addEventListener("keydown", escape);
  await load();
  showTexts();
  return {
    async refresh(fresh) {
      data = fresh;
      showTexts();
      await more();
    },
    tick: () => !zoom && found.variables.length && cards.forEach((card) => card.plot.slide(...edges())),
    recolour: () => draw(true),
    close() {
      removeEventListener("keydown", escape);
      cards.forEach((card) => card.plot.destroy());
    },
  };
}
