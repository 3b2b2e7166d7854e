// Today's activations: those in doubt first, and what a person must settle.

import { Looking, ask, h, save, show } from "./dom.js";

const TONES = { ACTIVE: "good", REJECTED: "bad", UNKNOWN: "doubt", MANUAL: "doubt", SENDING: "busy", READY: "busy", RECEIVED: "busy", CARD_STEPS: "busy", ABANDONED: "" };
const URGENCY = ["MANUAL", "UNKNOWN", "SENDING"];
const SHOWN_AT_ONCE = 100;
const AGAIN_MS = 5_000;

export class Today extends Looking {
  constructor(app) {
    super(app);
    this.records = [];
    const { say } = app;
    this.wanted = h("input", { type: "search", "aria-label": say("today_search"), placeholder: say("today_search"), oninput: () => this.draw() });
    this.everyDay = h("input", { type: "checkbox", onchange: () => this.draw() });
    this.list = h("div", { class: "scroll" });
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_today")),
      h("div", { class: "panel row" }, this.wanted, h("label", { class: "inline" }, this.everyDay, h("span", {}, say("today_all"))), h("span", { class: "grow" }), h("button", { type: "button", onclick: () => this.export() }, say("today_export"))),
      h("div", { class: "panel" }, this.list),
    );
    this.keepLooking(AGAIN_MS);
  }

  async load() {
    const found = await this.app.tried(() => this.app.kaqi.activations({ limit: SHOWN_AT_ONCE }));
    if (!found || JSON.stringify(found) === JSON.stringify(this.records)) return;
    this.records = found;
    this.draw();
  }

  /** The records that are wanted, the most urgent first. */
  get chosen() {
    return chosen(this.records, this.wanted.value, this.everyDay.checked, new Date());
  }

  draw() {
    const { say } = this.app;
    const chosen = this.chosen;
    if (!chosen.length) return show(this.list, h("p", { class: "soft" }, say("today_empty")));
    const heads = ["today_time", "today_state", "today_scenario", "today_reference", "today_doing"].map((key) => h("th", { scope: "col" }, say(key)));
    show(this.list, h("table", {}, h("thead", {}, h("tr", {}, heads, h("td"))), h("tbody", {}, chosen.map((record) => this.row(record)))));
  }

  row(record) {
    const { say, read } = this.app;
    const problem = record.problem && h("p", { class: "soft" }, read(record.problem.messages));
    return h(
      "tr",
      {},
      h("td", {}, time(record.received_at)),
      h("td", {}, h("span", { class: `chip ${TONES[record.state]}` }, say(`state_${record.state}`))),
      h("td", {}, say(`scenario_${record.scenario}`)),
      h("td", {}, record.pos_ref ?? ""),
      h("td", {}, say(`doing_${record.needs_a_person ? "MANUAL" : record.state}`), problem),
      h("td", {}, record.needs_a_person && h("button", { type: "button", class: "primary", onclick: () => this.settle(record) }, say("settle"))),
    );
  }

  async settle(record) {
    const { say, kaqi } = this.app;
    const said = await ask((answer) => settling(this.app, record, answer));
    if (!said) return;
    await this.app.tried(() => kaqi.settle(record.id, said));
    await this.load();
  }

  export() {
    const columns = ["received_at", "changed_at", "id", "state", "scenario", "pos_ref", "operator_ref", "activation_id", "test_data"];
    const cell = (value) => `"${String(value ?? "").replaceAll('"', '""').replace(/^[=+\-@]/, "'$&")}"`;
    const lines = [columns, ...this.chosen.map((record) => columns.map((name) => record[name]))];
    const text = lines.map((line) => line.map(cell).join(",")).join("\r\n");
    save(`kaqi-${new Date().toISOString().slice(0, 10)}.csv`, new Blob(["\ufeff", text], { type: "text/csv" }));
  }
}

/** Those of today, or still open, whose reference holds `wanted`; the most urgent first. */
export function chosen(records, wanted, everyDay, now) {
  const today = now.toDateString();
  const urgency = (record) => (record.needs_a_person ? 0 : 1 + URGENCY.indexOf(record.state) || URGENCY.length + 1);
  return records
    .filter((record) => (record.pos_ref ?? "").toLowerCase().includes(wanted.trim().toLowerCase()))
    .filter((record) => everyDay || URGENCY.includes(record.state) || record.needs_a_person || new Date(record.received_at).toDateString() === today)
    .toSorted((one, other) => urgency(one) - urgency(other) || other.received_at.localeCompare(one.received_at));
}

function time(moment) {
  return moment.slice(0, 19).replace("T", " ");
}

/** The dialog: the evidence a person needs on the telephone, and what was found out. */
function settling(app, record, answer) {
  const { say, read } = app;
  const evidence = { activation_number: record.activation_id, sent_as: record.sent_as, sent_times: record.sends, last_change: time(record.changed_at), today_reference: record.pos_ref };
  const reason = h("textarea", { required: true, maxlength: 500, rows: 3 });
  const operator = h("input", { required: true, maxlength: 64, pattern: "[0-9A-Za-z._:/#\\-]{1,64}" });
  const verdicts = ["active", "rejected"].map((verdict) => h("label", { class: "inline" }, h("input", { type: "radio", name: "verdict", value: verdict, required: true }), h("span", {}, say(`settle_${verdict}`))));
  const given = (event) => {
    event.preventDefault();
    const verdict = new FormData(event.target).get("verdict");
    answer({ verdict, reason: reason.value.replace(/\s+/g, " ").trim(), operatorRef: operator.value });
  };
  return h(
    "form",
    { onsubmit: given },
    h("h2", {}, say("settle")),
    h("p", {}, say("settle_how")),
    record.problem && h("div", { class: "notice" }, read(record.problem.messages)),
    h("h3", {}, say("today_evidence")),
    h("dl", { class: "facts" }, Object.entries(evidence).filter(([, value]) => value !== null && value !== undefined).map(([key, value]) => [h("dt", {}, say(key)), h("dd", {}, String(value))])),
    verdicts,
    h("label", {}, h("span", {}, say("settle_reason")), reason),
    h("label", {}, h("span", {}, say("settle_operator")), operator),
    h("p", { class: "row" }, h("button", { class: "primary", type: "submit" }, say("settle_send")), h("button", { type: "button", onclick: () => answer(null) }, say("cancel"))),
  );
}
