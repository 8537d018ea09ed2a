// Configuration parameters of a node, which it fetches with GET /device/params.

import { get, node as path, put, remove } from "./api.js";
import { announce, fill, h } from "./dom.js";

const STATE = {
  true: ["good", "read", "the node has marked it as read"],
  false: ["warn", "waiting", "the node has not marked it as read yet"],
};

const WHAT = "Names are those of node.toml, sample.every for example; a value is written as there, texts without quotes.";

export async function open(panel, id, data) {
  const body = h("tbody");
  const rows = new Map();
  const said = h("p", { class: "said", role: "status" });
  const table = h("table", { class: "cards" }, h("caption", { class: "away" }, "Parameters"),
    h("thead", null, h("tr", null, ["Name", "Value", "State", "Change"].map((t) => h("th", { scope: "col" }, t)))), body);
  const empty = h("p", null, "This node has no parameters yet. Add one below: the node finds it when it asks the next time.");
  const settings = await get("parameter-names");
  const about = new Map(settings.map((one) => [one.key, one.about]));
  const known = h("datalist", { id: "settings-known" }, settings.map((one) => h("option", { value: one.key }, one.about)));
  const hint = h("p", { class: "muted" }, WHAT);
  const name = h("input", { type: "text", name: "key", required: true, list: "settings-known", oninput: () => (hint.textContent = about.get(name.value.trim()) ?? WHAT), maxlength: "100", autocomplete: "off", spellcheck: "false" });
  const value = h("input", { type: "text", name: "value", maxlength: "6000", autocomplete: "off" });
  const form = h("form", { class: "form" },
    h("label", { class: "field wide" }, "Name", name), h("label", { class: "field wide" }, "Value", value),
    h("button", { type: "submit", class: "primary" }, "Add"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(put(path(id, "/parameters"), { key: name.value, value: value.value }), `${name.value} is set. It waits for the node.`).then((good) => {
      if (!good) return;
      form.reset();
      hint.textContent = WHAT;
      name.focus();
    });
  });
  fill(panel,
    h("section", { class: "card stack", "aria-label": "Parameters" },
      h("h2", null, "Parameters"),
      h("p", { class: "muted" }, "Settings that the node fetches by itself. A change makes a parameter unread again; it counts as read once the node says so."),
      empty, h("div", { class: "scroll" }, table), said),
    h("section", { class: "card stack", "aria-label": "Add a parameter" }, h("h2", null, "Add or change"), form, hint, known));

  async function act(change, text) {
    try {
      data = await change;
      show();
      said.classList.remove("error");
      said.textContent = text;
      return true;
    } catch (error) {
      said.classList.add("error");
      said.textContent = error.message;
      announce(error.message);
      return false;
    }
  }
  function makeRow(one) {
    const input = h("input", { type: "text", "aria-label": `Value of ${one.key}`, maxlength: "6000", autocomplete: "off" });
    input.value = one.value;
    const save = h("button", { type: "submit", "aria-label": `Save ${one.key}` }, "Save");
    const own = h("form", { class: "row" }, input, save);
    own.addEventListener("submit", (event) => {
      event.preventDefault();
      act(put(path(id, "/parameters"), { key: one.key, value: input.value }), `${one.key} is changed. It waits for the node.`);
    });
    const state = h("span");
    const drop = h("button", { type: "button", class: "danger", "aria-label": `Remove ${one.key}`, onclick: () => act(remove(path(id, `/parameters/${one.id}`)), `${one.key} is removed.`) }, "Remove");
    const row = h("tr", { "data-key": one.key }, h("th", { scope: "row", class: "wrap" }, h("code", null, one.key)),
      h("td", { "data-label": "Value" }, own), h("td", { "data-label": "State" }, state), h("td", { "data-label": "Change" }, drop));
    row.update = (fresh) => {
      // what is being typed is the user's
      if (input.value === one.value && document.activeElement !== input) input.value = fresh.value;
      one = fresh;
      const [kind, text, why] = STATE[fresh.sent];
      if (state.textContent !== text) fill(state, h("span", { class: `pill ${kind}`, title: why }, text));
    };
    return row;
  }
  function show() {
    for (const one of data.parameters) {
      if (!rows.has(one.id)) rows.set(one.id, makeRow(one));
      rows.get(one.id).update(one);
    }
    const ids = new Set(data.parameters.map((one) => one.id));
    for (const [key, row] of rows)
      if (!ids.has(key)) {
        row.remove();
        rows.delete(key);
      }
    data.parameters.forEach((one, i) => body.children[i] !== rows.get(one.id) && body.insertBefore(rows.get(one.id), body.children[i] ?? null));
    table.hidden = !data.parameters.length;
    empty.hidden = Boolean(data.parameters.length);
  }
  show();
  return {
    refresh(fresh) {
      data = fresh;
      show();
    },
  };
}
