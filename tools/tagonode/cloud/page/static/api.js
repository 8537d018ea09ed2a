// The page's own JSON API, and its stream of events.

const BASE = "/page/api/";

async function call(method, path, body) {
  const answer = await fetch(BASE + path, {
    method,
    headers: { "x-tagonode-page": "1", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let found = null;
  try {
    found = JSON.parse(text);
  } catch {
    // a refusal of the guard is plain text
  }
  if (!answer.ok) {
    const detail = found?.detail;
    throw new Error(typeof detail === "string" ? detail : detail?.[0]?.msg ?? (text.trim() || `answered ${answer.status}`));
  }
  return found;
}

export const get = (path) => call("GET", path);
export const put = (path, body) => call("PUT", path, body);
export const remove = (path) => call("DELETE", path);
export const node = (id, rest = "") => `nodes/${encodeURIComponent(id)}${rest}`;
export const csv = (id, query) => `${BASE}${node(id, "/data.csv")}?${new URLSearchParams(query)}`;

/**
 * Call `news(ids or null)` whenever nodes have news, `state("on" | "lost")` when the stream comes or goes. Only while the
 * page is looked at: a browser has six connections to a server, for all its tabs together.
 */
export function listen(news, state) {
  let source = null;
  function open() {
    if (source || document.hidden) return;
    source = new EventSource(BASE + "events");
    source.onopen = () => state("on");
    source.onmessage = (event) => news(JSON.parse(event.data).nodes);
    source.onerror = () => {
      state("lost");
      if (source?.readyState === EventSource.CLOSED) {
        // refused: it does not try again by itself
        close();
        setTimeout(open, 2000);
      }
    };
  }
  function close() {
    source?.close();
    source = null;
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
