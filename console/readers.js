// The readers, why one does not read, and what the doctor finds.

import { Kept, Looking, h, save, show } from "./dom.js";
import { KaqiError } from "./kaqi.js";
import { shownTime } from "./moments.js";

const AGAIN_MS = 2_000;
const EXAMINE_MS = 10_000;
const PATIENCE_MS = 60_000; // an examination waits for a centre that may be silent
const TONES = { ready: "good", busy: "busy", in_use_by_other: "bad", faulted: "bad", gone: "bad" };

export class Readers extends Looking {
  constructor(app) {
    super(app);
    this.seen = new Map(); // every reader that was here since this screen was opened
    this.results = new Map(); // of test reads, by reader: {stay, text}
    const { say } = app;
    this.troubles = h("div");
    const list = h("ul", { class: "plain readers" });
    this.list = new Kept(list, (reader) => (reader ? this.reader(reader) : h("li", {}, say("readers_none"))));
    this.element = h("section", {}, h("h1", {}, say("screen_readers")), h("div", { class: "panel" }, this.troubles, list), this.doctor(), this.bundle());
    this.keepLooking(AGAIN_MS);
    this.examine();
    this.examining = setInterval(() => this.examine(), EXAMINE_MS);
  }

  close() {
    super.close();
    clearInterval(this.examining);
  }

  async load() {
    const found = await this.app.tried(() => this.app.kaqi.call("GET", "/v1/readers"));
    if (!found) return;
    this.troubled(found.problems);
    const before = this.now;
    this.now = found.readers;
    this.draw();
    if (before && standing(before) !== standing(this.now)) this.examine();
  }

  draw() {
    const there = new Set(this.now.map(({ id }) => id));
    for (const reader of this.now) this.seen.set(reader.id, reader);
    for (const [id, reader] of this.seen) {
      if (!there.has(id) && reader.state !== "gone") this.seen.set(id, { ...reader, state: "gone", slot: "empty", card: null, problem: null, gone_since: new Date().toISOString() });
    }
    const shown = [...this.seen].map(([id, reader]) => [id, { ...reader, result: this.resultOf(reader) }]);
    this.list.show(shown.length ? shown : [["", null]]);
  }

  /** Why readers of one kind cannot be asked at all. */
  troubled(problems) {
    const said = JSON.stringify(problems);
    if (this.saidTroubles === said) return;
    this.saidTroubles = said;
    show(this.troubles, problems.map((problem) => this.problem(problem)));
  }

  // One reader

  reader(reader) {
    const { say } = this.app;
    const isPsam = reader.role === "psam";
    const facts = [
      isPsam && say("reader_psam"),
      reader.state !== "gone" && slotOf(reader, say),
      reader.card?.left_behind && say("reader_left_behind"),
      reader.transaction && say("reader_at_counter"),
      reader.gone_since && say("reader_gone_since", { time: shownTime(reader.gone_since) }),
    ];
    return h(
      "li",
      { "aria-label": reader.name },
      h(
        "div",
        { class: "row" },
        h("strong", { class: "grow" }, reader.name),
        h("span", { class: `chip ${TONES[reader.state]}` }, say(`reader_${reader.state}`)),
        !isPsam && reader.state !== "gone" && h("button", { type: "button", onclick: () => this.test(reader), "aria-label": `${say("test_read")}: ${reader.name}` }, say("test_read")),
      ),
      h("p", {}, facts.filter(Boolean).join(" · ")),
      reader.state === "gone" && h("p", {}, say("reader_gone_how")),
      reader.problem && this.problem(reader.problem, say("last_problem_since", { time: shownTime(reader.problem_since) })),
      reader.result && h("p", { class: "notice" }, reader.result),
    );
  }

  problem(problem, since = null) {
    const { read } = this.app;
    return h("div", { class: "wrong" }, since && h("p", { class: "soft" }, since), h("strong", {}, read(problem.messages)), h("ul", { class: "way" }, read(problem.remedy).map((step) => h("li", {}, step))));
  }

  /** What a test read has brought, as long as the same card is in. */
  resultOf(reader) {
    const result = this.results.get(reader.id);
    return result && result.stay === stayOf(reader) ? result.text : null;
  }

  async test(reader) {
    const { kaqi, say, announce } = this.app;
    this.tested(reader, say("test_reading"));
    try {
      const found = await kaqi.call("POST", `/v1/readers/${reader.id}/self-test`, { body: {} });
      const text = this.words(found);
      this.tested(found.reader, text);
      announce(text);
    } catch (failed) {
      if (!(failed instanceof KaqiError) || failed.status === 0) return this.app.failed(failed);
      this.tested(reader, this.app.read(failed.messages));
    }
    this.look();
  }

  tested(reader, text) {
    this.results.set(reader.id, { stay: stayOf(reader), text });
    this.draw();
  }

  /** What came of a test read. */
  words({ problem, card, milliseconds }) {
    const { say, read } = this.app;
    if (problem) return say("test_read_bad", { why: read(problem.messages) });
    if (!card) return say("test_read_empty");
    const kind = card.role === "medical" ? say(`card_${["cpu", "stripe"].includes(card.kind) ? card.kind : "memory"}`) : say("card_version", { version: card.kind });
    const seconds = (milliseconds / 1_000).toFixed(1);
    return say(card.warnings.length ? "test_read_odd" : "test_read_good", { card: say(`card_${card.role}`), kind, seconds });
  }

  // The doctor

  doctor() {
    const { say } = this.app;
    this.found = h("p", { role: "status" }, say("examining"));
    const [bad, good] = [h("ul", { class: "plain" }), h("ul", { class: "plain" })];
    this.bad = new Kept(bad, (check) => this.check(check));
    this.good = new Kept(good, (check) => this.check(check));
    this.fine = h("details", { hidden: true }, h("summary", {}), good);
    return h("div", {}, h("h2", {}, say("findings")), h("div", { class: "panel" }, this.found, bad, this.fine));
  }

  async examine() {
    if (this.isExamining) return;
    this.isExamining = true;
    try {
      this.diagnosed((await this.app.kaqi.call("GET", "/v1/diagnostics", { patience: PATIENCE_MS })).checks);
    } catch (failed) {
      if (!(failed instanceof KaqiError)) throw failed; // that nobody answers the list of readers says
      this.found.textContent = failed.status === 0 ? this.app.say("examine_later") : this.app.read(failed.messages);
    } finally {
      this.isExamining = false;
    }
  }

  diagnosed(checks) {
    const { say } = this.app;
    const { bad, good } = sorted(checks);
    this.found.textContent = bad.length ? "" : say("findings_none");
    this.bad.show(bad.map((check) => [check.name + check.detail, check]));
    this.good.show(good.map((check) => [check.name + check.detail, check]));
    this.fine.hidden = !good.length;
    this.fine.querySelector("summary").textContent = say("findings_good", { count: good.length });
  }

  check(check) {
    const { say, read } = this.app;
    const [tone, word] = check.ok ? ["good", "finding_good"] : check.required ? ["bad", "finding_bad"] : ["doubt", "finding_optional"];
    return h(
      "li",
      {},
      h("div", { class: "row" }, h("span", { class: `chip ${tone}` }, say(word)), h("strong", {}, read(check.title)), h("span", { class: "soft" }, check.detail)),
      check.problem && this.problem(check.problem, check.since && say("last_problem_since", { time: shownTime(check.since) })),
    );
  }

  // The bundle

  bundle() {
    const { say } = this.app;
    const told = h("p", { role: "status" });
    return h(
      "div",
      {},
      h("h2", {}, say("bundle")),
      h(
        "div",
        { class: "panel" },
        h("p", {}, say("bundle_holds")),
        h("ul", { class: "way" }, ["bundle_checks", "bundle_log", "bundle_activations", "bundle_counts"].map((key) => h("li", {}, say(key)))),
        h("p", {}, h("strong", {}, say("bundle_nobody"))),
        h("button", { type: "button", onclick: () => this.fetchBundle(told) }, say("bundle_save")),
        told,
      ),
    );
  }

  async fetchBundle(told) {
    const { say, kaqi } = this.app;
    told.textContent = say("bundle_making");
    const found = await this.app.tried(() => kaqi.supportBundle());
    if (found) save("kaqi-support.zip", found);
    told.textContent = found ? say("bundle_saved") : "";
  }
}

/** The failing checks, those that transactions need first, and the good ones. */
export function sorted(checks) {
  const bad = checks.filter((check) => !check.ok);
  return { bad: bad.toSorted((one, other) => other.required - one.required), good: checks.filter((check) => check.ok) };
}

const standing = (readers) => JSON.stringify(readers.map(({ id, state }) => [id, state]));
const stayOf = (reader) => reader.card?.insertion_id ?? null;

/** What is in the slot, in words; of a card that has been read which one it is. */
function slotOf(reader, say) {
  const role = reader.card?.role;
  return role && reader.slot !== "mute" ? say("slot_holds", { card: say(`card_${role}`) }) : say(`slot_${reader.slot}`);
}
