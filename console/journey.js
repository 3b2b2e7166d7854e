// The counter: what is to be done, one large instruction at a time, until the holder goes.

import { REFERENCE, h, show } from "./dom.js";
import { Following } from "./following.js";
import { hasEnded } from "./kaqi.js";
import { picture } from "./pictures.js";
import { pinForm } from "./pin.js";
import { isOver, movesAt } from "./where.js";

const CURRENT = "kaqi.transaction";
const SCENARIO = "kaqi.scenario";
const OPERATOR = "kaqi.operator";
const BEGUN = "kaqi.begun"; // the transaction that was begun here, not by the POS
const SOUNDED = "kaqi.sounded";
const LOOK_AGAIN_MS = 2_000;
// After so long nobody stands there any more, and what names the last holder goes: long enough
// to print the receipt and to read a refusal's way back aloud, half of what the agent keeps.
const QUIET_MS = 5 * 60_000;

// How a moment looks, by its key or its state: somebody must act, wait, or go.
const TONES = {
  "waiting_pin.at_work": "busy",
  waiting_reader: "act", waiting_card: "act", waiting_removal: "act", waiting_confirm: "act", waiting_pin: "act",
  waiting_registration: "act", reading: "busy", matching: "busy", checking: "busy", committing: "busy",
  in_doubt: "doubt", succeeded: "good", failed: "bad", cancelled: "bad", expired: "bad",
};
const CONTINUES = { waiting_registration: "registered", waiting_card: "look_again" };
const FOLDS = "waiting_card"; // what there is to know is said to everybody
const CALLS = new Set(["act", "doubt", "good", "bad"]);

/** The second click of a double click decides nothing: what it hits has only just come. */
const once = (act) => (event) => event.detail < 2 && act();

export class Journey {
  constructor(app) {
    this.app = app;
    this.element = h("section");
    this.now = null;
    this.following = null;
    this.asking = false; // a click is on its way to the agent
    this.closed = false;
    this.ticking = setInterval(() => this.tick(), 1_000);
    this.looking = setInterval(() => this.look(), LOOK_AGAIN_MS);
    this.begin();
  }

  /** Another screen is shown. The transaction goes on, and is found again. */
  close() {
    this.closed = true;
    clearInterval(this.ticking);
    clearInterval(this.looking);
    this.following?.stop();
  }

  /** The agent answers again. */
  again() {
    this.begin();
  }

  async begin() {
    const id = sessionStorage.getItem(CURRENT) ?? (await this.live());
    if (this.closed || this.following) return;
    if (id) this.follow(id);
    else if (!this.element.hasChildNodes()) this.choose();
  }

  /** A transaction that somebody began before this page was opened. */
  async live() {
    const found = await this.app.tried(() => this.app.kaqi.transactions());
    return found?.find((each) => !hasEnded(each) && each.state !== "in_doubt")?.id ?? null;
  }

  /** Nothing is going on here. Another tab or the POS may have begun something meanwhile. */
  async look() {
    if (this.following || this.asking || this.app.offline) return;
    const readers = await this.app.tried(() => this.app.kaqi.readers());
    const id = readers?.find((each) => each.transaction)?.transaction;
    if (id && !this.closed && !this.following && !this.asking) this.follow(id);
  }

  // What is to be done

  choose() {
    const { say, agent } = this.app;
    this.following?.stop();
    this.following = this.now = null;
    this.app.title(null);
    this.app.announce("");
    sessionStorage.removeItem(CURRENT);
    const reference = h("input", { name: "pos_ref", autocomplete: "off", maxlength: 64, pattern: REFERENCE });
    const operator = h("input", { name: "operator_ref", autocomplete: "off", maxlength: 64, pattern: REFERENCE, value: localStorage.getItem(OPERATOR) });
    const trial = h("input", { type: "checkbox", name: "trial" });
    const last = localStorage.getItem(SCENARIO);
    const first = agent.scenarios.includes(last) ? last : agent.scenarios[0];
    const start = (scenario) => {
      if (!reference.reportValidity() || !operator.reportValidity()) return;
      localStorage.setItem(SCENARIO, scenario);
      localStorage.setItem(OPERATOR, operator.value);
      this.start(scenario, {
        kind: trial.checked ? "dry_run" : "activation",
        posRef: reference.value || undefined,
        operatorRef: operator.value || undefined,
      });
    };
    show(
      this.element,
      h("h1", {}, say(agent.scenarios.length ? "what_to_do" : "nothing_to_do")),
      h(
        "div",
        { class: "choices" },
        agent.scenarios.map((scenario) =>
          h("button", { type: "button", class: scenario === first ? "primary" : null, onclick: () => start(scenario) }, say(`scenario_${scenario}`)),
        ),
      ),
      h(
        "div",
        { class: "panel row" },
        h("label", { class: "grow" }, h("span", {}, say("pos_ref")), reference),
        h("label", { class: "grow" }, h("span", {}, say("operator_ref")), operator),
        h("label", { class: "inline" }, trial, h("span", {}, say("trial"))),
      ),
    );
    this.element.querySelector("button.primary")?.focus();
  }

  async start(scenario, more) {
    const begun = await this.once(() => this.app.kaqi.start(scenario, more));
    if (!begun) return;
    sessionStorage.setItem(BEGUN, begun.id);
    this.follow(begun.id, begun);
  }

  // One transaction

  /** Show every snapshot until it has ended. */
  follow(id, snapshot = null) {
    sessionStorage.setItem(CURRENT, id);
    if (this.closed) return; // and found again when this screen is opened
    this.following?.stop();
    this.following = new Following(this.app, id, {
      shown: (now) => this.shown(now),
      lost: () => this.lost(),
    });
    this.following.begin(snapshot);
  }

  /** The agent does not know it any more: a trial ends with the run it was begun in. */
  lost() {
    const words = this.now?.kind === "dry_run" ? "lost_trial" : "lost";
    this.choose();
    this.app.trouble(this.app.say(words));
  }

  /** Draw one snapshot, unless it is the one that is there. */
  shown(now) {
    this.seen = Date.now();
    if (JSON.stringify(this.now) === JSON.stringify(now)) return;
    const before = this.now;
    this.now = now;
    const { app } = this;
    const tone = TONES[now.step.key] ?? TONES[now.state];
    const text = app.read(now.step.text);
    app.title(CALLS.has(tone) ? text : null);
    this.sound(now, tone);
    if (before) app.trouble(null); // what was refused is over
    app.announce([text, now.problem && app.read(now.problem.messages)].filter(Boolean).join(" "));
    const heading = h("h1", { class: "instruction", tabindex: "-1" }, text);
    show(
      this.element,
      h(
        "article",
        { class: `panel moment ${tone}` },
        picture(now),
        h("div", {}, heading, h("div", { class: "where", role: "status" }), this.parts(now)),
      ),
    );
    const decides = now.state === "waiting_confirm" || now.state === "waiting_registration"; // no Enter that was meant for something else
    const first = this.element.querySelector("[autofocus]") ?? this.element.querySelector("button.primary");
    this.attend(decides || !first ? heading : first);
    this.tick();
    this.where();
  }

  /** Where the hand goes on; the instruction is what must be seen. */
  attend(target) {
    target.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  /** What is below the instruction. While something is to be done here, how; when it is over
   *  the next holder comes first, and the ways, which are longer, below. */
  parts(now) {
    const steps = now.problem && this.steps(now.problem);
    const over = isOver(now);
    return [
      this.wrong(now.problem, over ? null : steps),
      this.holder(now),
      this.entry(now),
      now.state !== FOLDS && this.notices(now),
      this.consequence(now),
      this.buttons(now, steps),
      this.countdown(now),
      over ? steps : null,
      now.state === FOLDS && this.notices(now),
      this.receipt(now),
    ];
  }

  /** Once for every moment at which somebody must do something, also after a reload. */
  sound(now, tone) {
    const moment = `${now.id} ${now.step.key} ${now.problem?.code ?? ""}`;
    if (CALLS.has(tone) && sessionStorage.getItem(SOUNDED) !== moment) beep();
    sessionStorage.setItem(SOUNDED, moment);
  }

  /** Which card goes into which reader, and out of which. */
  async where() {
    const { now, app } = this;
    if (movesAt(now, []) === null) return;
    const readers = await app.tried(() => app.kaqi.readers());
    if (!readers || this.now !== now) return;
    const moves = movesAt(now, readers);
    this.emptied = isOver(now) && moves.length === 0;
    const lines = this.emptied ? [app.say("all_out")] : this.said(moves);
    const place = this.element.querySelector(".where");
    if (place.textContent !== lines.join("")) show(place, h("ul", {}, lines.map((line) => h("li", {}, line))));
  }

  /** One sentence for each card that is to be moved or left; one for all places that are free. */
  said(moves) {
    const { say } = this.app;
    if (moves[0]?.move === "put_in") return [say("put_in", { readers: moves.map((each) => each.reader).join(say("or")) })];
    return moves.map(({ move, reader, role }) => say(move, { reader, card: say(`card_${role ?? "any"}`) }));
  }

  wrong(problem, steps) {
    if (!problem) return null;
    const { read, say } = this.app;
    const { centre } = problem;
    const theirs = centre && h("p", { class: "soft", lang: "zh-CN" }, say("centre_says", { text: centre.text, code: centre.code }));
    return h("div", { class: "wrong" }, h("strong", {}, read(problem.messages)), theirs, steps);
  }

  /** What the operator should know; what is said to everybody can be opened. */
  notices(now) {
    return now.notices.map((notice) => {
      const sentence = this.app.read(notice.messages);
      if (now.state === FOLDS) return h("details", { class: "notice" }, h("summary", {}, sentence), this.steps(notice));
      return h("div", { class: "notice" }, h("strong", {}, sentence), this.steps(notice));
    });
  }

  /** What to do about it here, then the ways out of it: alternatives, each a short list. */
  steps(problem) {
    const { read, say } = this.app;
    const lines = read(problem.remedy); // the ways stand at its end, a line for every stop
    let at = lines.length - problem.way_back.flatMap((way) => way.stops).length;
    const todo = lines.slice(0, at);
    const bare = (line) => line.replace(say("or_else"), "").replace(/^\d+\. /, "");
    const ways = problem.way_back.map((way) => lines.slice(at, (at += way.stops.length)));
    const list = (kind, items) => h(kind, { class: "way" }, items.map((each) => h("li", {}, bare(each))));
    return [
      ...(todo.length ? [list("ul", todo)] : []),
      ...ways.flatMap((stops, place) => [place > 0 && h("p", { class: "or" }, say("or_else")), list(stops.length > 1 ? "ol" : "ul", stops)]),
    ].filter(Boolean);
  }

  holder(now) {
    const shown = now.result?.holder_masked;
    if (!shown || now.state === "waiting_pin") return null;
    const { say } = this.app;
    const facts = { holder_name: shown.name, holder_number: shown.social_security_number, holder_card: shown.card_number };
    return h("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([key, value]) => [h("dt", {}, say(key)), h("dd", {}, value)]));
  }

  entry(now) {
    if (now.expects?.what !== "pin") return null;
    if (!now.allowed_actions.includes("pin")) return h("p", {}, this.app.say("pin_type_now"));
    const warned = now.problem?.code === "pin.last_try";
    return pinForm(now.expects, this.app.say, warned, (typed) => this.act(() => this.app.kaqi.pin(now, typed)));
  }

  receipt(now) {
    const receipt = now.result?.receipt;
    return receipt ? h("pre", { class: "receipt" }, this.app.read(receipt.text)) : null;
  }

  /** What cannot be taken back, where the hand is. */
  consequence(now) {
    return now.allowed_actions.includes("confirm") ? h("p", { class: "consequence", id: "consequence" }, this.app.say("consequence")) : null;
  }

  buttons(now, steps) {
    const { say, read, kaqi } = this.app;
    const registers = now.state === "waiting_registration";
    const acts = {
      confirm: h("button", { class: "primary large", type: "button", "aria-describedby": "consequence", onclick: once(() => this.act(() => kaqi.confirm(now))) }, say("confirm")),
      continue: h("button", { class: registers ? "primary large" : null, type: "button", onclick: once(() => this.act(() => kaqi.continue(now))) }, say(CONTINUES[now.state] ?? "go_on")),
      cancel: h("button", { class: "danger", type: "button", onclick: once(() => this.act(() => kaqi.cancel(now))) }, say("cancel")),
    };
    const offered = Object.keys(acts).filter((name) => now.allowed_actions.includes(name)).map((name) => acts[name]);
    const next = isOver(now) && h("button", { class: "primary large", type: "button", onclick: once(() => this.done(now)) }, say("next_holder"));
    const receipt = () => this.app.print(this.receipt(now));
    const print = now.result?.receipt && h("button", { type: "button", onclick: receipt }, say("print_receipt"));
    const way = () => this.app.print(h("h1", {}, read(now.problem.messages)), steps.map((each) => each.cloneNode(true)));
    const take = now.problem?.way_back.length > 0 && h("button", { type: "button", onclick: way }, say("print_way"));
    return h("p", { class: "row" }, offered, next, print, take);
  }

  countdown(now) {
    return now.deadline ? h("p", { class: "countdown", "aria-hidden": "true" }) : null;
  }

  tick() {
    if (this.now && Date.now() - this.seen > QUIET_MS) this.clear();
    if (this.now && isOver(this.now) && !this.emptied) this.where();
    const place = this.element.querySelector(".countdown");
    if (!place || !this.now?.deadline) return;
    const seconds = Math.max(0, Math.round((Date.parse(this.now.deadline) - Date.now()) / 1_000));
    const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
    place.textContent = seconds < 120 ? this.app.say("seconds_left", { seconds }) : this.app.say("minutes_left", { minutes, seconds: rest });
  }

  /** After a while the holder is gone, and what names them goes too, unless something is still
   *  waited for. What a silent agent may yet tell is shown when it does. */
  clear() {
    const id = this.following.id;
    const settled = isOver(this.now);
    const silent = this.app.offline && Date.now() - this.app.silentSince > QUIET_MS;
    if (!settled && !silent) return;
    this.choose();
    if (!settled) sessionStorage.setItem(CURRENT, id);
  }

  /** Ask for something; what became of it comes with the next snapshot. A click that came too
   *  late does no harm: the page is brought up to date by what it follows. */
  async act(request) {
    const { following } = this;
    const now = await this.once(request);
    if (now) following.take(now);
  }

  /** One click at a time: a second one, before the first was answered, is none. */
  async once(request) {
    if (this.asking) return undefined;
    this.asking = true;
    try {
      return await request();
    } catch (failed) {
      if (failed.code !== "transaction.bad_state") this.app.failed(failed);
      return undefined;
    } finally {
      this.asking = false;
    }
  }

  /** The result has been seen; the next holder. What the POS began, the POS acknowledges. */
  async done(now) {
    const ours = sessionStorage.getItem(BEGUN) === now.id;
    this.choose();
    if (ours && hasEnded(now)) await this.app.tried(() => this.app.kaqi.acknowledge(now));
  }
}

let audio; // one for the page: a browser gives only so many

/** A short sound: somebody must do something. Browsers allow it once the page was clicked. */
function beep() {
  audio ??= new AudioContext();
  audio.resume();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = 880;
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.25);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.25);
}
