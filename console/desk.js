// The desk to try it on: invented people's cards on a table, readers to put them in, and a
// centre that misbehaves on request.

import { Looking, h, show } from "./dom.js";

const AGAIN_MS = 1_000;
// What the centre can be told to do, by the key of its words.
const CENTRE = {
  centre_normal: [],
  centre_slow: [{ fault: "slow", seconds: 5 }],
  centre_silent: [{ fault: "silence" }],
  centre_refuses: [{ fault: "refuse", operation: "activations", words: { code: "3104", text: "卡状态不允许启用" } }],
  centre_loses_answer: [{ fault: "lose_answer", operation: "activations", times: 1 }],
};

export class Desk extends Looking {
  constructor(app) {
    super(app);
    this.held = null; // the name of the card that was chosen
    const { say } = app;
    this.slots = h("div", { class: "slots" });
    this.cards = h("ul", { class: "plain table-top" });
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_desk")),
      h("p", {}, say("desk_how")),
      this.slots,
      h("h2", {}, say("desk_cards")),
      this.cards,
      h("h2", {}, say("desk_centre")),
      h("div", { class: "panel row" }, this.centre()),
    );
    this.keepLooking(AGAIN_MS);
  }

  async load() {
    const { kaqi } = this.app;
    const cast = await this.app.tried(() => kaqi.call("GET", "/v1/simulate/cast"));
    const readers = cast && (await this.app.tried(() => kaqi.readers()));
    if (!readers) return;
    const seen = JSON.stringify([cast, readers.map((each) => each.slot), this.held]);
    if (seen === this.seen) return;
    this.seen = seen;
    this.draw(cast, new Map(readers.map((each) => [each.id, each.slot])));
  }

  draw(cast, slots) {
    const focused = document.activeElement?.dataset?.key;
    show(this.slots, cast.readers.map((reader) => this.reader(reader, slots.get(reader.id) ?? "empty")));
    show(this.cards, cast.cast.map((card) => h("li", {}, this.card(card))));
    this.element.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  card(card) {
    const { read } = this.app;
    const hold = () => {
      this.held = card.name === this.held ? null : card.name;
      this.load();
    };
    const dragged = (event) => event.dataTransfer.setData("text/plain", card.name);
    return h(
      "button",
      { type: "button", class: `castcard ${card.kind}`, draggable: "true", ondragstart: dragged, onclick: hold, "aria-pressed": String(card.name === this.held), "data-key": card.name },
      read(card.label),
      h("small", {}, read(card.story)),
      card.pin && h("small", {}, `${this.app.say("pin")}: ${card.pin}`),
    );
  }

  reader(reader, slot) {
    const { say } = this.app;
    const full = slot !== "empty";
    const button = (key, disabled, move) => h("button", { type: "button", disabled, onclick: move, "data-key": `${reader.id} ${key}` }, say(key));
    const dropped = (event) => {
      event.preventDefault();
      this.insert(reader, event.dataTransfer.getData("text/plain"));
    };
    const at = h("input", { type: "number", min: 1, max: 99, value: 3, "aria-label": say("desk_tear_at") });
    return h(
      "div",
      { class: "panel slot", role: "group", "aria-label": reader.name, ondragover: (event) => event.preventDefault(), ondrop: dropped },
      h("h2", {}, reader.name),
      h("p", {}, reader.attached ? say(`slot_${slot}`) : say("desk_unplugged")),
      h("p", { class: "row" }, button("desk_insert", full || !this.held, () => this.insert(reader, this.held)), button("desk_wrongly", full || !this.held, () => this.insert(reader, this.held, "mute")), button("desk_remove", !full, () => this.move(reader, "remove"))),
      h("p", { class: "row" }, h("span", {}, say("desk_tear_at")), at, button("desk_tear", false, () => this.move(reader, "tear", { at: at.valueAsNumber }))),
      reader.attached ? button("desk_detach", false, () => this.move(reader, "detach")) : button("desk_attach", false, () => this.move(reader, "attach")),
    );
  }

  insert(reader, card, verb = "insert") {
    this.held = null;
    return this.move(reader, verb, { card });
  }

  async move(reader, verb, body = {}) {
    await this.app.tried(() => this.app.kaqi.call("POST", `/v1/simulate/readers/${reader.id}/${verb}`, { body }));
    await this.load();
  }

  centre() {
    const { say, kaqi } = this.app;
    const told = h("span", { role: "status" });
    const be = async (key) => {
      const body = { faults: CENTRE[key] };
      await this.app.tried(() => kaqi.call("POST", "/v1/simulate/centre", { body }));
      told.textContent = say("desk_centre_is", { how: say(key) });
    };
    return [...Object.keys(CENTRE).map((key) => h("button", { type: "button", onclick: () => be(key) }, say(key))), told];
  }
}
