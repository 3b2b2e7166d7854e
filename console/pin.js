// Typing a PIN: a large keypad, digits that are never shown, and what must be known before
// the last try. What is typed lives in these fields only, and is wiped when it was sent.

import { h } from "./dom.js";

/** The form for what `expects` asks; `warned` says that the last try was spoken of;
 *  `submit({pin, newPin, confirmLastTry})` is called with what fits it, and not again before it
 *  has come back. `say` speaks the operator's language. */
export function pinForm(expects, say, warned, submit) {
  if (expects.on_reader) return onReader(say, submit);
  const names = expects.entry === "new" ? ["pin_present", "pin_new", "pin_again"] : ["pin"];
  const fields = names.map((name, place) => field(name, expects, say, place === 0));
  const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const sure = expects.last_try ? h("input", { type: "checkbox", name: "sure", "aria-required": "true" }) : null;
  let active = fields[0];
  let sent = false;
  for (const each of fields) each.addEventListener("focus", () => (active = each));

  async function given(event) {
    event.preventDefault();
    if (sent) return;
    const [pin, newPin, again] = fields.map((each) => each.value);
    const objection = objectionTo(expects, pin, newPin, again, sure);
    for (const each of fields) each.value = "";
    if (objection) {
      wrong.textContent = say(objection, { digits: digitsOf(expects) });
      wrong.hidden = false;
      fields[0].focus();
      return;
    }
    sent = true;
    await submit({ pin, newPin: expects.entry === "new" ? newPin : undefined, confirmLastTry: sure?.checked });
    sent = false;
    fields[0].focus(); // it was refused, if this is still here
  }

  return h(
    "form",
    { class: "pin", autocomplete: "off", novalidate: true, onsubmit: given },
    h(
      "div",
      {},
      !(warned && expects.last_try) && tries(expects, say),
      fields.map((each, place) => h("label", {}, h("span", {}, say(names[place])), each)),
      sure && h("label", { class: "inline" }, sure, h("span", {}, say("pin_last_try_known"))),
      wrong,
      h("button", { class: "primary large", type: "submit" }, say("pin_send")),
    ),
    keypad(say, () => active),
  );
}

/** Why this must not be sent, by the key of its words; null when nothing speaks against it. */
export function objectionTo(expects, pin, newPin, again, sure) {
  const fits = (value) => new RegExp(`^[0-9]{${expects.digits_min},${expects.digits_max}}$`).test(value);
  if (!fits(pin) || (expects.entry === "new" && !fits(newPin))) return "pin_length";
  if (expects.entry === "new" && newPin !== again) return "pin_differs";
  if (sure && !sure.checked) return "pin_unsure";
  return null;
}

function digitsOf(expects) {
  const { digits_min: least, digits_max: most } = expects;
  return least === most ? least : `${least}–${most}`;
}

function onReader(say, submit) {
  const begin = () => submit({});
  return h("div", { class: "begin" }, h("p", {}, say("pin_on_reader")), h("button", { class: "primary large", type: "button", onclick: begin }, say("pin_begin")));
}

function tries(expects, say) {
  if (expects.last_try) return h("p", { class: "wrong", role: "alert" }, h("strong", {}, say("pin_last_try")));
  if (expects.tries_left === null || expects.tries_left === undefined) return null;
  return h("p", {}, h("strong", {}, say("pin_tries", { tries: expects.tries_left })));
}

function field(name, expects, say, first) {
  return h("input", {
    type: "password",
    inputmode: "numeric",
    autocomplete: "one-time-code", // so that no browser offers to keep it for the next holder
    name,
    maxlength: expects.digits_max,
    autofocus: first,
  });
}

function keypad(say, active) {
  const press = (digit) => {
    const field = active();
    if (field.value.length < field.maxLength) field.value += digit;
  };
  const key = (digit) => h("button", { type: "button", tabindex: "-1", onclick: () => press(digit) }, digit);
  const stay = (event) => event.preventDefault(); // the field keeps the focus, and is seen to have it
  return h(
    "div",
    { class: "keypad", role: "group", "aria-label": say("pin_keypad"), onmousedown: stay },
    [..."123456789"].map(key),
    h("button", { type: "button", tabindex: "-1", onclick: () => (active().value = "") }, say("pin_clear")),
    key("0"),
    h("button", { type: "button", tabindex: "-1", "aria-label": say("pin_back"), onclick: () => (active().value = active().value.slice(0, -1)) }, "⌫"),
  );
}
