// The dialog by which a person settles what the centre was asked about by telephone.

import { REFERENCE, ask, h, show } from "./dom.js";
import { KaqiError, newKey } from "./kaqi.js";
import { fullTime } from "./moments.js";

// What is wrong with a field, by the place that the agent names.
const WRONG = { "/body/reason": "settle_wrong_reason", "/body/operator_ref": "settle_wrong_operator" };

/** Show the evidence and take the verdict; `settled` is called when the record has changed. */
export async function settle(app, record, settled) {
  if (await ask((answer) => new Settling(app, record, answer).element)) app.announce(app.say("settle_done"));
  await settled();
  if (document.activeElement === document.body) app.main.focus(); // what was clicked is gone
}

class Settling {
  constructor(app, record, answer) {
    this.app = app;
    this.record = record;
    this.answer = answer;
    this.key = newKey(); // a click that comes twice settles once
    const { say } = app;
    this.reason = h("textarea", { required: true, maxlength: 500, rows: 3 });
    this.operator = h("input", { required: true, maxlength: 64, pattern: REFERENCE, title: say("settle_operator_form"), autocomplete: "off" });
    this.wrong = h("div", { class: "wrong", role: "alert", hidden: true });
    this.form = this.built();
    this.element = h("div", {}, h("h2", {}, say("settle")), this.form);
  }

  built() {
    const { app, record } = this;
    const { say, read } = app;
    const verdicts = ["active", "rejected"].map((verdict) => h("label", { class: "inline" }, h("input", { type: "radio", name: "verdict", value: verdict, required: true }), h("span", {}, say(`settle_${verdict}`))));
    return h(
      "form",
      { onsubmit: (event) => this.given(event) },
      h("p", {}, say(record.sent_as || record.activation_id ? "settle_how" : "settle_how_card")),
      record.problem && h("div", { class: "notice" }, read(record.problem.messages)),
      h("h3", {}, say("today_evidence")),
      h("dl", { class: "facts" }, evidence(record, say).map(([key, value]) => [h("dt", {}, say(key)), h("dd", {}, value)])),
      h("fieldset", {}, h("legend", {}, say("settle_verdict")), verdicts),
      this.wrong,
      h("label", {}, h("span", {}, say("settle_reason")), this.reason),
      h("label", {}, h("span", {}, say("settle_operator")), this.operator),
      h("p", { class: "row" }, h("button", { class: "primary", type: "submit" }, say("settle_next")), h("button", { type: "button", onclick: () => this.answer(null) }, say("cancel"))),
    );
  }

  /** Filled in: say what it means before it is done. */
  given(event) {
    event.preventDefault();
    const { say } = this.app;
    const said = {
      verdict: new FormData(event.target).get("verdict"),
      reason: this.reason.value.replace(/\s+/g, " ").trim(),
      operatorRef: this.operator.value,
    };
    if (!said.reason) return this.refused(say("settle_wrong_reason"));
    const sends = h("button", { class: "primary", type: "button", onclick: () => this.send(said, sends) }, say("settle_send"));
    const means = h(
      "div",
      {},
      h("p", {}, h("strong", {}, say(`settle_${said.verdict}`))),
      h("p", {}, say(`settle_means_${said.verdict}`)),
      h("p", {}, say("settle_for_good")),
      h("p", { class: "row" }, sends, h("button", { type: "button", onclick: () => this.back() }, say("settle_back"))),
    );
    this.wrong.hidden = true;
    this.form.replaceWith((this.means = means));
    sends.focus();
  }

  back() {
    this.means.replaceWith(this.form);
    this.form.querySelector(":checked").focus();
  }

  async send(said, button) {
    button.disabled = true;
    try {
      await this.app.kaqi.settle(this.record.id, { ...said, key: this.key });
      this.answer(true);
    } catch (failed) {
      if (!(failed instanceof KaqiError)) throw failed;
      this.key = failed.status === 0 ? this.key : newKey();
      this.back();
      this.refused(this.why(failed));
    }
  }

  /** A refusal in words: of a field what is wrong with it. */
  why(failed) {
    const { say, read } = this.app;
    const places = (failed.problem.errors ?? []).map(({ pointer }) => WRONG[pointer]).filter(Boolean);
    if (places.length) return places.map((key) => say(key)).join(" ");
    return [read(failed.messages), ...read(failed.remedy)].join(" ");
  }

  /** In sight, and where it can be mended. */
  refused(text) {
    this.wrong.hidden = false;
    show(this.wrong, h("strong", {}, text));
    this.reason.focus();
    this.wrong.scrollIntoView({ block: "center" });
  }
}

/** What is said on the telephone: [key of the words, value]. */
export function evidence(record, say) {
  const { refusal } = record;
  const facts = {
    institution: record.institution,
    sent_as: record.sent_as ?? record.activation_id,
    sent_at: record.sent_at && fullTime(record.sent_at),
    sent_times: record.sends || null,
    begun_at: fullTime(record.received_at),
    centre_said: say(refusal ? "centre_says" : "centre_said_nothing", refusal ?? {}),
    today_reference: record.pos_ref,
    today_scenario: say(`scenario_${record.scenario}`),
    activation_number: record.id,
  };
  return Object.entries(facts).filter(([, value]) => value !== null && value !== undefined).map(([key, value]) => [key, String(value)]);
}
