// The frame: which view is open, news from the server, theme. Each view is a module with `open(main, rest)`, which
// gives {title, refresh(ids), tick(), close()}; only refresh is needed.

import { listen } from "./api.js";
import { announce, fill, h } from "./dom.js";
import * as fleet from "./fleet.js";
import * as node from "./node.js";
import * as requests from "./requests.js";
import * as settings from "./settings.js";

const VIEWS = { "": fleet, node, requests, settings };
const NAMES = { "": "fleet", node: "fleet", requests: "requests", settings: "settings" };
const main = document.getElementById("main");
const PAUSE_MS = 700; // between two refreshes
const AGEING_MS = 10_000; // a node that falls silent sends no news

let view = null;
let opened = 0;

async function route(first) {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const module = VIEWS[name] ?? fleet;
  const mine = ++opened;
  view?.close?.();
  view = null;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === NAMES[name]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const next = await module.open(main, rest);
    if (mine !== opened) return next.close?.();
    view = next;
    document.title = `${next.title} · TagoNode`;
    if (!first) {
      announce(next.title);
      main.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  } catch (error) {
    if (mine === opened) fail(error);
  }
}

function fail(error) {
  fill(
    main,
    h("h1", null, "That did not work"),
    h("p", null, error.message),
    h("p", null, h("a", { href: "#/" }, "Back to the fleet")),
  );
}

// -- news ------------------------------------------------------------------------------------------------------

let busy = false;
let lost = false;
let due = null; // ids with news since the last refresh, or "all"

async function refresh() {
  if (busy || due === null || document.hidden || lost) return;
  busy = true;
  const ids = due;
  const began = performance.now();
  due = null;
  try {
    await view?.refresh(ids === "all" ? null : ids);
  } catch {
    // the stream says whether the server is gone; what is on the screen stays
  }
  // a large fleet on a slow machine gets longer pauses
  await new Promise((done) => setTimeout(done, Math.max(PAUSE_MS, 3 * (performance.now() - began))));
  busy = false;
  refresh();
}

function news(ids) {
  if (ids === null || due === "all") due = "all";
  else due = new Set([...(due ?? []), ...ids]);
  refresh();
}

function connection(state) {
  lost = state !== "on";
  document.getElementById("live").dataset.state = state;
  document.getElementById("live-text").textContent = state === "on" ? "Live" : "Not connected";
  const banner = document.getElementById("lost");
  banner.hidden = !lost;
  if (!lost) {
    banner.textContent = "";
    news(null);
  } else if (!banner.textContent) {
    banner.textContent = "The stand-in has stopped. What you see is from before; start it again, and this page goes on by itself.";
  }
}

// -- theme -----------------------------------------------------------------------------------------------------

const theme = document.getElementById("theme");
theme.value = document.documentElement.dataset.theme;
theme.addEventListener("change", () => {
  document.documentElement.dataset.theme = theme.value;
  try {
    localStorage.setItem("tagonode-theme", theme.value);
  } catch {
    // a browser that keeps nothing
  }
  view?.recolour?.();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.recolour?.());

// -- start -----------------------------------------------------------------------------------------------------

if (new URLSearchParams(location.search).has("key")) {
  // a cookie has it now; the address bar need not show it
  history.replaceState(null, "", location.pathname + location.hash);
}
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => route(false));
document.addEventListener("visibilitychange", refresh);
setInterval(() => view?.tick?.(), 1000);
setInterval(() => news(null), AGEING_MS);
await route(true);
listen(news, connection);
