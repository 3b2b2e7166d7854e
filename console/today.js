// Today's activations: those in doubt first, and what a person must settle.

import { Kept, Looking, h, save, show } from "./dom.js";
import { fullTime, isSameDay, shownDate, shownTime } from "./moments.js";
import { settle } from "./settling.js";

const TONES = { ACTIVE: "good", REJECTED: "bad", UNKNOWN: "doubt", MANUAL: "doubt", SENDING: "busy", READY: "busy", RECEIVED: "busy", CARD_STEPS: "busy", ABANDONED: "" };
const URGENCY = ["MANUAL", "UNKNOWN", "SENDING"];
const OPEN = ["RECEIVED", "CARD_STEPS", "READY", ...URGENCY];
const PAGE = 100;
const AGAIN_MS = 5_000;
const TYPING_MS = 300;
const BETWEEN_PAGES_MS = 60; // the agent lets a client ask twenty times a second
const COLUMNS = ["today_time", "today_state", "today_scenario", "today_reference", "today_doing"];

export class Today extends Looking {
  constructor(app) {
    super(app);
    this.forget();
    const { say } = app;
    this.wanted = h("input", { type: "search", "aria-label": say("today_search"), placeholder: say("today_search"), maxlength: 64, oninput: () => this.typed() });
    this.everyDay = h("input", { type: "checkbox", onchange: () => this.draw() });
    this.rows = h("tbody");
    this.kept = new Kept(this.rows, (record) => this.row(record));
    this.table = h("table", { hidden: true }, h("thead", {}, h("tr", {}, COLUMNS.map((key) => h("th", { scope: "col" }, say(key))), h("td"))), this.rows);
    this.told = h("p", { class: "soft", role: "status" });
    this.exported = h("p", { role: "status" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.showMore() }, say("today_more"));
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_today")),
      h("div", { class: "panel row" }, this.wanted, h("label", { class: "inline" }, this.everyDay, h("span", {}, say("today_all"))), h("span", { class: "grow" }), h("button", { type: "button", onclick: () => this.export() }, say("today_export"))),
      this.exported,
      h("div", { class: "panel" }, h("div", { class: "scroll" }, this.table), this.told, this.more),
    );
    this.keepLooking(AGAIN_MS);
  }

  close() {
    super.close();
    this.closed = true;
    clearTimeout(this.typing);
  }

  /** Nothing has been asked for yet. */
  forget() {
    this.records = new Map(); // by id, as far as they were asked for
    this.older = undefined; // where the next page begins; null where nothing is left
  }

  /** The newest, those that have not ended, and what has ended meanwhile. */
  async load() {
    const asked = this.asked();
    const found = await this.app.tried(() => Promise.all([this.page(asked), this.unfinished()]));
    if (!found || this.isStale(asked)) return;
    const [newest, open] = found;
    const isGap = !newest.activations.some(({ id }) => this.records.has(id));
    if (isGap) this.forget();
    if (this.older === undefined) this.older = newest.next;
    const fresh = [...newest.activations, ...open];
    await this.ended(new Set(fresh.map(({ id }) => id)));
    this.take(fresh);
    await this.searchOn(asked);
  }

  /** Those that were open when we last looked, and are neither among these. */
  async ended(known) {
    const gone = [...this.records.values()].filter((record) => OPEN.includes(record.state) && !known.has(record.id));
    for (const { id } of gone) {
      const now = await this.app.tried(() => this.app.kaqi.call("GET", `/v1/activations/${id}`));
      if (now) this.records.set(id, now);
    }
  }

  /** A search goes on from page to page until there is something to show. */
  async searchOn(asked) {
    while (asked.pos_ref && this.older && !this.chosen.length && !this.isStale(asked)) {
      this.told.textContent = this.app.say("today_searching");
      if (!(await this.next(asked))) return;
      await pause(BETWEEN_PAGES_MS);
    }
  }

  async showMore() {
    const asked = this.asked();
    await this.next(asked);
    await this.searchOn(asked);
  }

  /** One page more; whether it came. */
  async next(asked) {
    const found = await this.app.tried(() => this.page({ ...asked, before: this.older }));
    if (!found || this.isStale(asked)) return false;
    this.older = found.next;
    this.take(found.activations);
    return true;
  }

  page(asked) {
    return this.app.kaqi.call("GET", `/v1/activations?${new URLSearchParams({ limit: PAGE, ...asked })}`);
  }

  async unfinished() {
    const found = [];
    for (let asked = { unfinished: true }; asked; ) {
      const page = await this.page(asked);
      found.push(...page.activations);
      asked = page.next && { unfinished: true, before: page.next };
    }
    return found;
  }

  /** What the agent is asked for, by what is typed. */
  asked() {
    const wanted = this.wanted.value.trim();
    return wanted ? { pos_ref: wanted } : {};
  }

  /** Something else is wanted by now. */
  isStale(asked) {
    return this.closed || asked.pos_ref !== this.asked().pos_ref;
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.forget();
      this.draw();
      this.look();
    }, TYPING_MS);
  }

  take(records) {
    for (const record of records) this.records.set(record.id, record);
    this.draw();
  }

  /** The records that are wanted, the most urgent first. */
  get chosen() {
    return chosen([...this.records.values()], this.wanted.value, this.everyDay.checked, new Date());
  }

  draw() {
    const { say } = this.app;
    const { chosen } = this;
    this.table.hidden = !chosen.length;
    this.kept.show(chosen.map((record) => [record.id, { ...record, day: shownDate(new Date()) }]));
    const isOver = this.older !== undefined;
    this.told.textContent = chosen.length || !isOver ? "" : say(this.wanted.value.trim() ? "today_not_found" : "today_empty");
    this.more.hidden = !this.older || !reachesOn([...this.records.values()], this.wanted.value, this.everyDay.checked, new Date());
  }

  row(record) {
    const { say } = this.app;
    const settles = () => settle(this.app, record, () => this.look());
    return h(
      "tr",
      {},
      h("td", {}, shownTime(record.received_at)),
      h("td", {}, h("span", { class: `chip ${TONES[record.state]}` }, say(`state_${record.state}`))),
      h("td", {}, say(`scenario_${record.scenario}`)),
      h("td", { class: "reference", id: `reference-${record.id}` }, record.pos_ref ?? ""),
      h("td", {}, this.doing(record)),
      h("td", {}, record.needs_a_person && h("button", { type: "button", class: "primary", onclick: settles, "aria-describedby": `reference-${record.id}` }, say("settle"))),
    );
  }

  /** What the agent does about it, and what it was told. */
  doing(record) {
    const { say, read } = this.app;
    const { problem, refusal, settlement } = record;
    const more = [
      record.next_try_at && say("today_next_try", { time: shownTime(record.next_try_at) }),
      problem && read(problem.messages),
      refusal && say("centre_says", refusal),
      settlement && say("today_settled", { operator: settlement.operator_ref, time: shownTime(settlement.at) }),
    ];
    return [say(`doing_${doingOf(record)}`), more.filter(Boolean).map((text) => h("p", { class: "soft" }, text))];
  }

  /** Every record that is wanted, also those that were never shown. */
  async export() {
    const { say } = this.app;
    const asked = this.asked();
    const all = new Map(this.records);
    const wants = [this.wanted.value, this.everyDay.checked, new Date()];
    let next = "";
    do {
      const page = await this.app.tried(() => this.page(next ? { ...asked, before: next } : asked));
      if (!page) return this.exported.replaceChildren();
      for (const record of page.activations) all.set(record.id, record);
      next = page.next;
      this.exported.textContent = say("today_reading", { count: all.size });
      await pause(BETWEEN_PAGES_MS);
    } while (next && reachesOn([...all.values()], ...wants));
    const found = chosen([...all.values()], ...wants);
    save(`kaqi-${shownDate(new Date())}.csv`, new Blob([table(found, say)], { type: "text/csv" }));
    this.exported.textContent = say("today_exported", { count: found.length });
  }
}

/** By what the agent does about a record: its state, but for the one that waits for its card. */
function doingOf({ state, needs_a_person }) {
  return needs_a_person && state === "UNKNOWN" ? "until_the_card_returns" : state;
}

/** Those of today, or still open, and of a search those of every day; the most urgent
 *  first. */
export function chosen(records, wanted, everyDay, now) {
  const part = wanted.trim().toLowerCase();
  const urgency = (record) => (record.needs_a_person ? 0 : 1 + URGENCY.indexOf(record.state) || URGENCY.length + 1);
  return records
    .filter((record) => (record.pos_ref ?? "").toLowerCase().includes(part))
    .filter((record) => part || everyDay || OPEN.includes(record.state) || isSameDay(record.received_at, now))
    .toSorted((one, other) => urgency(one) - urgency(other) || Date.parse(other.received_at) - Date.parse(one.received_at) || (other.id < one.id ? -1 : 1));
}

/** Whether older records than these, which follow each other from the newest, can be wanted. */
export function reachesOn(records, wanted, everyDay, now) {
  if (wanted.trim() || everyDay) return true;
  const ended = records.filter((record) => !OPEN.includes(record.state));
  return ended.every((record) => isSameDay(record.received_at, now));
}

/** These records as CSV that Excel opens: in the operator's words, nothing personal, and
 *  nothing that a spreadsheet would take for a formula. */
export function table(records, say) {
  const columns = {
    today_time: (record) => fullTime(record.received_at),
    last_change: (record) => fullTime(record.changed_at),
    today_state: (record) => say(`state_${record.state}`),
    today_scenario: (record) => say(`scenario_${record.scenario}`),
    today_reference: (record) => record.pos_ref,
    settle_operator: (record) => record.operator_ref,
    sent_as: (record) => record.sent_as,
    sent_times: (record) => record.sends,
    sent_at: (record) => record.sent_at && fullTime(record.sent_at),
    activation_number: (record) => record.id,
    simulated: (record) => (record.test_data ? "✓" : ""),
  };
  const lines = [Object.keys(columns).map((key) => say(key)), ...records.map((record) => Object.values(columns).map((of) => of(record)))];
  return `\ufeff${lines.map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** One cell. What a spreadsheet would calculate, round or shorten stays text. */
export function cell(value) {
  const text = String(value ?? "").replaceAll('"', '""');
  return `"${/^[=+\-@\t\r]|^0\d|^\d{12,}$|^\d+[eE]\d+$/.test(text) ? "'" : ""}${text}"`;
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
