// The counter: what is to be done, one large instruction at a time, until the holder goes.

import { h, show } from "./dom.js";
import { hasEnded } from "./kaqi.js";
import { picture } from "./pictures.js";
import { pinForm } from "./pin.js";

const CURRENT = "kaqi.transaction";
const SCENARIO = "kaqi.scenario";
const OPERATOR = "kaqi.operator";
const RETRY_MS = 1_000;

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
    this.closed = false;
    this.ticking = setInterval(() => this.tick(), 1_000);
    this.begin();
  }

  /** Another screen is shown. The transaction goes on, and is found again. */
  close() {
    this.closed = true;
    clearInterval(this.ticking);
    this.following?.abort();
  }

  /** The agent answers again. */
  again() {
    this.begin();
  }

  async begin() {
    const id = sessionStorage.getItem(CURRENT) ?? (await this.live());
    if (this.closed) return;
    if (id) await this.follow(id);
    else this.choose();
  }

  /** A transaction that somebody began before this page was opened. */
  async live() {
    const found = await this.app.tried(() => this.app.kaqi.transactions());
    return found?.find((each) => !hasEnded(each) && each.state !== "in_doubt")?.id ?? null;
  }

  // What is to be done

  choose() {
    const { say, agent } = this.app;
    this.now = null;
    this.app.title(null);
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
    const begun = await this.app.tried(() => this.app.kaqi.start(scenario, more));
    if (begun) await this.follow(begun.id, begun);
  }

  // One transaction

  /** Show every snapshot until it has ended. */
  async follow(id, snapshot = null) {
    sessionStorage.setItem(CURRENT, id);
    this.following?.abort();
    const following = (this.following = new AbortController());
    const { kaqi } = this.app;
    let now = snapshot;
    if (now) this.shown(now);
    while (!following.signal.aborted) {
      try {
        now = now === null ? await kaqi.get(id) : await kaqi.next(now, { signal: following.signal });
        this.app.reached(true);
        if (following.signal.aborted) return;
        this.shown(now);
        if (hasEnded(now)) return;
      } catch (failed) {
        if (following.signal.aborted) return;
        if (failed.status !== 0) return this.lost(failed);
        this.app.reached(false);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        now = null;
      }
    }
  }

  /** The agent does not know it any more. What it promised is in its journal all the same. */
  lost(failed) {
    this.choose();
    this.app.failed(failed);
  }

  /** Draw one snapshot, unless it is the one that is there. */
  shown(now) {
    if (this.now && this.now.id === now.id && this.now.seq === now.seq) return;
    const before = this.now;
    this.now = now;
    const { app } = this;
    const tone = TONES[now.state];
    const text = app.read(now.step.text);
    const acts = tone === "act" || (hasEnded(now) && before !== null);
    app.title(acts ? text : null);
    if (acts && before?.step.key !== now.step.key) beep();
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
    this.attend(this.element.querySelector("[autofocus]") ?? this.element.querySelector("button.primary") ?? heading);
    this.tick();
  }

  /** Where the hand goes on; the instruction is what must be seen. */
  attend(target) {
    target.focus({ preventScroll: true });
    window.scrollTo(0, 0);
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
    const place = this.element.querySelector(".countdown");
    if (!place || !this.now?.deadline) return;
    const seconds = Math.max(0, Math.round((Date.parse(this.now.deadline) - Date.now()) / 1_000));
    place.textContent = this.app.say("seconds_left", { seconds });
  }

  /** Ask for something; what became of it comes with the next snapshot. A click that came too
   *  late does no harm: the page is only brought up to date. */
  async act(request) {
    try {
      this.shown(await request());
    } catch (failed) {
      if (failed.code !== "transaction.bad_state") this.app.failed(failed);
      if (failed.status === 0) return;
      this.now = null;
      await this.follow(sessionStorage.getItem(CURRENT));
    }
  }

  /** The result has been seen; the next holder. */
  async done(now) {
    this.following?.abort();
    if (hasEnded(now)) await this.app.tried(() => this.app.kaqi.acknowledge(now));
    this.choose();
  }
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
