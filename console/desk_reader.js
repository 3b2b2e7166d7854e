// One reader on the desk: what is in it, and what a hand and chance can do there. It is drawn
// once and changed in place, so that whoever works there is never moved.

import { h, write } from "./dom.js";

// What can happen at a command: the verb that plans it, and what goes with it.
const MISHAPS = {
  pull: ["tear", {}],
  lose_answer: ["tear", { answer_lost: true }],
  reset: ["reset", {}],
  hang: ["hang", { seconds: 10 }],
};

export class DeskReader {
  constructor(desk, reader) {
    this.desk = desk;
    this.now = reader;
    const { say } = desk.app;
    this.inside = h("span", { class: "inside", ondragstart: (event) => event.dataTransfer.setData("text/plain", this.now.card) });
    this.main = h("button", { type: "button", onclick: () => this.act() });
    this.mute = h("button", { type: "button", onclick: () => this.putWrongly() }, say("desk_mute"));
    this.planned = h("p", { class: "planned" });
    this.element = h(
      "div",
      {
        class: "slot panel",
        role: "group",
        "aria-label": reader.name,
        ondragover: (event) => this.over(event, true),
        ondragleave: (event) => this.over(event, this.element.contains(event.relatedTarget)),
        ondrop: (event) => {
          this.over(event, false);
          desk.dropped(event, this);
        },
      },
      h("strong", {}, reader.name),
      h("div", { class: "row" }, h("div", { class: "mouth grow" }, this.inside), this.main),
      this.planned,
      reader.keypad_asks !== null && this.keypad(),
      h(
        "details",
        { name: "mishaps" },
        h("summary", {}, say("desk_mishaps")),
        reader.mishaps.length > 0 && this.planning(reader),
        h("p", { class: "row" }, this.mute, reader.has_plug && h("button", { type: "button", onclick: () => this.simply("detach") }, say("desk_detach"))),
      ),
    );
  }

  /** Whether a card can be put in. */
  get isFree() {
    return this.now.attached && this.now.slot !== "present" && this.now.slot !== "mute";
  }

  over(event, is) {
    event.preventDefault();
    this.element.classList.toggle("over", is);
  }

  planning(reader) {
    const { say } = this.desk.app;
    const at = h("input", { type: "number", min: 1, max: 99, value: 3, required: true });
    const what = h("select", {}, Object.keys(MISHAPS).filter((each) => reader.mishaps.includes(each)).map((each) => h("option", { value: each }, say(`mishap_${each}`))));
    const plan = (event) => {
      event.preventDefault();
      const [verb, more] = MISHAPS[what.value];
      this.desk.move(this, verb, { at: at.valueAsNumber, ...more });
    };
    return h("form", { onsubmit: plan }, h("label", {}, h("span", {}, say("desk_plan")), at), h("label", { class: "grow" }, h("span", {}, say("desk_plan_what")), what), h("button", { type: "submit" }, say("desk_plan_do")));
  }

  /** The keypad that the reader has of its own, and the holder in front of it. */
  keypad() {
    const { say } = this.desk.app;
    this.asking = h("span", { class: "soft" });
    this.digits = h("input", { type: "password", inputmode: "numeric", autocomplete: "off", "aria-label": say("desk_keypad") });
    const type = (body) => {
      this.digits.value = "";
      this.desk.move(this, "type", body);
    };
    const entered = (event) => {
      event.preventDefault();
      type({ digits: this.digits.value });
    };
    return h("form", { class: "pad", onsubmit: entered }, this.asking, this.digits, h("button", { type: "submit" }, say("desk_type")), h("button", { type: "button", onclick: () => type({}) }, say("desk_type_cancel")));
  }

  /** This is how it stands now. */
  shows(reader) {
    const seen = JSON.stringify(reader);
    if (seen === this.seen) return;
    this.seen = seen;
    this.now = reader;
    this.draw();
  }

  draw() {
    const { say, read } = this.desk.app;
    const { attached, slot, planned } = this.now;
    const card = this.desk.cards.get(this.now.card)?.card;
    const state = attached ? say(`slot_${slot}`) : say("desk_unplugged");
    write(this.inside, !card ? state : slot === "mute" ? `${read(card.label)}: ${state}` : read(card.label));
    this.inside.className = `inside ${card ? card.kind : slot}`;
    this.inside.draggable = Boolean(card);
    this.element.classList.toggle("unplugged", !attached);
    write(this.main, say(this.doing));
    this.main.setAttribute("aria-disabled", String(this.doing === "desk_insert" && !this.desk.held));
    this.mute.setAttribute("aria-disabled", String(!this.isFree || !this.desk.held));
    write(this.planned, planned ? say("desk_planned", { at: planned.at, what: say(`mishap_${planned.mishap}`) }) : "");
    this.planned.hidden = !planned;
    if (this.asking) write(this.asking, say(this.now.keypad_asks ? "desk_keypad_asks" : "desk_keypad_idle"));
    this.element.classList.toggle("asks", this.now.keypad_asks === true);
  }

  /** What its button does now, by the key of its words. */
  get doing() {
    if (!this.now.attached) return "desk_attach";
    if (this.isFree) return "desk_insert";
    return this.desk.held ? "desk_swap" : "desk_remove";
  }

  act() {
    const { desk, doing } = this;
    if (doing === "desk_attach") return this.simply("attach");
    if (doing === "desk_remove") return this.simply("remove");
    return desk.held ? desk.put(desk.held, this) : desk.tell(desk.app.say("desk_choose_first"));
  }

  putWrongly() {
    const { desk } = this;
    if (desk.held && this.isFree) desk.put(desk.held, this, "mute");
    else desk.tell(desk.app.say("desk_choose_first"));
  }

  simply(verb) {
    return this.desk.move(this, verb);
  }
}
