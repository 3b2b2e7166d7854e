// The counter: what is to be done, one large instruction at a time, until the holder goes.

import { h, show } from "./dom.js";
import { Following } from "./following.js";
import { hasEnded } from "./kaqi.js";
import { picture } from "./pictures.js";
import { pinForm } from "./pin.js";

const CURRENT = "kaqi.transaction";
const SCENARIO = "kaqi.scenario";
const OPERATOR = "kaqi.operator";
const BEGUN = "kaqi.begun"; // the transaction that was begun here, not by the POS
const RUNG = "kaqi.rung"; // for which moment the sound was heard, in any tab
const LOOK_AGAIN_MS = 2_000;
// After so long nobody stands there any more, and what names the last holder goes: long enough
// to print the receipt and to read a refusal's way back aloud, half of what the agent keeps.
const QUIET_MS = 5 * 60_000;

// How a moment looks: somebody must act, wait, or go.
const TONES = {
  waiting_reader: "act", waiting_card: "act", waiting_removal: "act", waiting_confirm: "act", waiting_pin: "act",
  waiting_registration: "act", reading: "busy", matching: "busy", checking: "busy", committing: "busy",
  in_doubt: "doubt", succeeded: "good", failed: "bad", cancelled: "bad", expired: "bad",
};

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
    const reference = h("input", { name: "pos_ref", autocomplete: "off", maxlength: 64, pattern: "[0-9A-Za-z._:/#\\-]{1,64}" });
    const operator = h("input", { name: "operator_ref", autocomplete: "off", maxlength: 64, pattern: "[0-9A-Za-z._:/#\\-]{1,64}", value: localStorage.getItem(OPERATOR) });
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
      h("h1", {}, say("what_to_do")),
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
    const tone = TONES[now.state];
    const text = app.read(now.step.text);
    const acts = tone === "act" || (hasEnded(now) && before !== null);
    app.title(acts ? text : null);
    if (acts) ring(now);
    app.announce([text, now.problem && app.read(now.problem.messages)].filter(Boolean).join(" "));
    const heading = h("h1", { class: "instruction", tabindex: "-1" }, text);
    show(
      this.element,
      h(
        "article",
        { class: `panel moment ${tone}` },
        picture(now.step.key, now.role),
        h("div", {}, heading, this.wrong(now.problem), this.notices(now), this.holder(now), this.entry(now), this.buttons(now), this.receipt(now), this.countdown(now)),
      ),
    );
    (this.element.querySelector("[autofocus]") ?? this.element.querySelector("button.primary") ?? heading).focus({ preventScroll: true });
    window.scrollTo(0, 0); // the instruction is what must be seen
    this.tick();
  }

  wrong(problem) {
    if (!problem) return null;
    const { read, say } = this.app;
    return h(
      "div",
      { class: "wrong" },
      h("strong", {}, read(problem.messages)),
      problem.way_back.length ? this.ways(problem) : h("ul", { class: "way" }, read(problem.remedy).map((step) => h("li", {}, step))),
      problem.centre && h("p", { class: "soft" }, say("centre_says", { text: problem.centre.text, code: problem.centre.code })),
    );
  }

  /** Where the holder goes, which can be taken along on paper. */
  ways(problem) {
    const { read, say } = this.app;
    const steps = h("ol", { class: "way" }, read(problem.remedy).map((step) => h("li", {}, step.replace(/^\d+\. /, ""))));
    const paper = () => this.app.print(h("h1", {}, read(problem.messages)), steps.cloneNode(true));
    return [steps, h("button", { type: "button", onclick: paper }, say("print_way"))];
  }

  notices(now) {
    const { read } = this.app;
    return now.notices.map((notice) => h("div", { class: "notice" }, h("strong", {}, read(notice.messages)), h("ul", { class: "way" }, read(notice.remedy).map((step) => h("li", {}, step)))));
  }

  holder(now) {
    const shown = now.result?.holder_masked;
    if (!shown) return null;
    const { say } = this.app;
    const facts = { holder_name: shown.name, holder_number: shown.social_security_number, holder_card: shown.card_number };
    return h("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([key, value]) => [h("dt", {}, say(key)), h("dd", {}, value)]));
  }

  entry(now) {
    if (now.expects?.what !== "pin" || !now.allowed_actions.includes("pin")) return null;
    return pinForm(now.expects, this.app.say, (typed) => this.act(() => this.app.kaqi.pin(now, typed)));
  }

  receipt(now) {
    const receipt = now.result?.receipt;
    return receipt ? h("pre", { class: "receipt" }, this.app.read(receipt.text)) : null;
  }

  buttons(now) {
    const { say, kaqi } = this.app;
    const acts = {
      confirm: h("button", { class: "primary large", type: "button", onclick: () => this.act(() => kaqi.confirm(now)) }, say("confirm")),
      continue: h("button", { class: now.state === "waiting_registration" ? "primary large" : null, type: "button", onclick: () => this.act(() => kaqi.continue(now)) }, say(now.state === "waiting_registration" ? "registered" : "look_again")),
      cancel: h("button", { class: "danger", type: "button", onclick: () => this.act(() => kaqi.cancel(now)) }, say("cancel")),
    };
    const offered = Object.keys(acts).filter((name) => now.allowed_actions.includes(name)).map((name) => acts[name]);
    const over = hasEnded(now) || now.state === "in_doubt";
    const next = over && h("button", { class: "primary large", type: "button", onclick: () => this.done(now) }, say("next_holder"));
    const paper = () => this.app.print(this.receipt(now));
    const print = now.result?.receipt && h("button", { type: "button", onclick: paper }, say("print_receipt"));
    return h("p", { class: "row" }, offered, next, print);
  }

  countdown(now) {
    return now.deadline ? h("p", { class: "countdown", "aria-hidden": "true" }) : null;
  }

  tick() {
    if (this.now && Date.now() - this.seen > QUIET_MS) this.clear();
    const place = this.element.querySelector(".countdown");
    if (!place || !this.now?.deadline) return;
    const seconds = Math.max(0, Math.round((Date.parse(this.now.deadline) - Date.now()) / 1_000));
    place.textContent = this.app.say("seconds_left", { seconds });
  }

  /** After a while the holder is gone, and what names them goes too, unless something is still
   *  waited for. What a silent agent may yet tell is shown when it does. */
  clear() {
    const id = this.following.id;
    const settled = hasEnded(this.now) || this.now.state === "in_doubt";
    if (!settled && !this.app.offline) return;
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

/** A sound, once for every moment at which somebody must act. */
function ring(now) {
  const moment = [now.id, now.step.key, now.problem?.code].join(" ");
  if (!navigator.userActivation.hasBeenActive || localStorage.getItem(RUNG) === moment) return;
  localStorage.setItem(RUNG, moment);
  beep();
}

/** A short sound: somebody must do something. Browsers allow it once the page was clicked. */
function beep() {
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = 880;
  volume.gain.setValueAtTime(0.15, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.25);
  tone.connect(volume).connect(audio.destination);
  tone.onended = () => audio.close();
  tone.start();
  tone.stop(audio.currentTime + 0.25);
}
