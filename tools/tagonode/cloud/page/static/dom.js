// Elements and the words for numbers and times. Nothing here asks the server.

/** An element: `h("a", {href: "#/", onclick: f, class: "x"}, "text", child, …)`; null children are left out. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put `children` in place of what `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set an element's content only where it differs, so that a reader or a selection is not disturbed. */
export function keep(element, ...children) {
  const draft = h("div", null, ...children);
  if (draft.innerHTML !== element.innerHTML) element.replaceChildren(...draft.childNodes);
}

/** Say something to screen readers, politely. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}

let ahead = 0; // ms that the stand-in's clock is ahead of this browser's
export const setNow = (server) => (ahead = server - Date.now());
export const now = () => Date.now() + ahead;

const grouped = new Intl.NumberFormat("en");
export const count = (value) => grouped.format(value);

const MOST_PLACES = 4;
const places = new Map();
const rounded = (value) => Number(value.toPrecision(7));

/** How many decimals a number has: 21.25 has two. */
export function decimals(value) {
  const text = String(rounded(value));
  return text.includes("e") ? 0 : (text.split(".")[1] ?? "").length;
}

/** Look at values of one kind before they are written: its numbers then have as many decimals as any of it had. */
export function learn(kind, values) {
  let most = places.get(kind) ?? 0;
  for (const value of values) if (typeof value === "number" && most < MOST_PLACES) most = Math.max(most, Math.min(MOST_PLACES, decimals(value)));
  places.set(kind, most);
}

/** A value as text; with a `kind` that was learnt, figures that change do not jump. */
export function number(value, kind) {
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value !== "number") return String(value);
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e15)) return String(rounded(value)).replace(/-/g, "−");
  const least = kind === undefined ? 0 : places.get(kind) ?? 0;
  const most = Math.max(least, Math.min(decimals(value), 6));
  return value.toLocaleString("en", { minimumFractionDigits: least, maximumFractionDigits: most }).replace("-", "−");
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${(value / 1000).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 90) return `${s < 10 ? Math.round(s * 10) / 10 : Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

export function ago(at) {
  const ms = now() - at;
  return ms < 1500 ? "just now" : `${duration(Math.floor(ms / 1000) * 1000)} ago`;
}

const two = (value) => String(value).padStart(2, "0");
export function clock(at, millis = false) {
  const d = new Date(at);
  const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return millis ? `${time}.${String(d.getMilliseconds()).padStart(3, "0")}` : time;
}
export function moment(at) {
  const d = new Date(at);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return new Date().toDateString() === d.toDateString() ? clock(at) : `${day} ${clock(at)}`;
}

/** A line through values, to be seen at a glance; beside its newest value it tells a reader nothing. */
export function spark(values) {
  const [w, h2] = [64, 18];
  const low = Math.min(...values), high = Math.max(...values);
  const at = (v, i) => `${((i / (values.length - 1)) * (w - 4) + 2).toFixed(1)},${(high === low ? h2 / 2 : h2 - 3 - ((v - low) / (high - low)) * (h2 - 6)).toFixed(1)}`;
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const svg = make("svg", { class: "spark", viewBox: `0 0 ${w} ${h2}`, width: w, height: h2, "aria-hidden": "true" });
  const [x, y] = at(values.at(-1), values.length - 1).split(",");
  svg.append(make("polyline", { points: values.map(at).join(" ") }), make("circle", { cx: x, cy: y, r: 2.2 }));
  return svg;
}

/** A dash that says why there is nothing. */
export const none = (why) => h("span", { class: "none", title: why }, "–", h("span", { class: "away" }, ` ${why}`));

/** A command to paste, with a button that copies it. */
export function command(text) {
  const button = h("button", { type: "button" }, "Copy");
  const code = h("code", { tabindex: "0" }, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      announce("Command copied");
    } catch {
      // not over plain HTTP from another machine: select it for the keyboard's copy
      getSelection().selectAllChildren(code);
      button.textContent = "Ctrl+C copies";
    }
    setTimeout(() => (button.textContent = "Copy"), 2500);
  });
  return h("div", { class: "command" }, code, button);
}
