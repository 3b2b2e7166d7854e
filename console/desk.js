// The desk to try it on: the counter beside a table with invented people's cards, readers to
// put them in, and a centre that misbehaves on request.

import { DeskReader } from "./desk_reader.js";
import { Looking, h, show, write } from "./dom.js";
import { Journey } from "./journey.js";
import { hasEnded } from "./kaqi.js";

const AGAIN_MS = 1_000;
const NOTICED_MS = 200;
const NOTICED_AT_MOST = 25; // a resource manager looks at its readers twice a second
// What the centre can be told to be, by the key of its words.
const CENTRE = {
  centre_normal: [],
  centre_slow: [{ fault: "slow", seconds: 5 }],
  centre_silent: [{ fault: "silence", seconds: 600 }],
  centre_refuses: [{ fault: "refuse", operation: "activations", words: { code: "3104", text: "卡状态不允许启用" } }],
  centre_loses_answer: [{ fault: "lose_answer", operation: "activations", times: 1 }],
};
// What is said when this was done at a reader; of anything else, that it was arranged.
const DONE = {
  insert: "desk_did_insert",
  mute: "desk_did_mute",
  remove: "desk_did_remove",
  detach: "desk_did_detach",
  attach: "desk_did_attach",
  type: "desk_did_type",
};
const ARROWS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** The counter beside the table: a hand that is at the table is left there. It knows what it
 *  has shown. */
class CounterBeside extends Journey {
  follow(id, snapshot) {
    (this.known ??= new Set()).add(id); // the first may be followed while it is being made
    return super.follow(id, snapshot);
  }

  choose() {
    const hand = document.activeElement;
    super.choose();
    if (hand?.closest(".bench")) hand.focus();
  }

  attend(target) {
    this.element.parentElement?.scrollTo(0, 0);
    if (!document.activeElement?.closest(".bench")) target.focus({ preventScroll: true });
  }
}

export class Desk extends Looking {
  constructor(app) {
    super(app);
    const { say } = app;
    this.since = new Date().toISOString(); // what was begun before is the counter's to find
    this.held = null; // the card that was taken up, one of the cast
    this.cards = new Map(); // the cast's, by name: {card, element, place}
    this.readers = new Map(); // by id
    this.journey = new CounterBeside(app);
    this.told = h("p", { class: "told", role: "status" });
    this.slots = h("section", { class: "slots", "aria-label": say("desk_readers") });
    this.table = h("div", { class: "table-top", role: "toolbar", "aria-label": say("desk_cards"), onkeydown: (event) => this.walk(event), ondragover: (event) => event.preventDefault(), ondrop: (event) => this.dropped(event) });
    this.element = h(
      "div",
      { class: "desk", onkeydown: (event) => event.key === "Escape" && this.putBack() },
      h("section", { class: "counter", "aria-label": say("desk_counter") }, this.journey.element),
      h("div", { class: "bench" }, this.slots, this.told, this.theCentre(), h("div", {}, h("h2", {}, say("desk_cards")), h("span", { class: "soft" }, say("desk_how"))), this.table),
    );
    this.keepLooking(AGAIN_MS);
  }

  close() {
    super.close();
    this.closed = true;
    this.journey.close();
  }

  again() {
    super.again();
    this.journey.again();
  }

  async load() {
    const { kaqi } = this.app;
    const paths = ["/v1/simulate/cast", "/v1/simulate/centre", `/v1/transactions?since=${encodeURIComponent(this.since)}`];
    const seen = await this.app.tried(() => Promise.all(paths.map((path) => kaqi.call("GET", path))));
    if (!seen || this.closed) return;
    const [cast, centre, begun] = seen;
    this.drawCards(cast.cast);
    this.drawReaders(cast.readers);
    this.drawCentre(centre.faults);
    this.watch(begun.transactions);
  }

  /** Whatever was begun last is shown, whoever began it, unless another goes on here. */
  watch([newest]) {
    const { journey } = this;
    if (!newest) return;
    this.since = newest.received_at;
    if (!journey.known?.has(newest.id) && (!journey.now || hasEnded(journey.now))) journey.follow(newest.id);
  }

  // The cards

  drawCards(cast) {
    if (this.cards.size) return;
    for (const card of cast) this.cards.set(card.name, this.card(card));
    show(this.table, [...this.cards.values()].map((each) => each.element));
    this.table.firstChild.tabIndex = 0;
  }

  card(card) {
    const { read, say } = this.app;
    const place = h("small", { class: "place" });
    const element = h(
      "button",
      {
        type: "button",
        class: `castcard ${card.kind} ${card.medium}`,
        tabindex: "-1",
        draggable: "true",
        "aria-pressed": "false",
        ondragstart: (event) => event.dataTransfer.setData("text/plain", card.name),
        onfocus: () => this.arrivedAt(element),
        onclick: (event) => (this.held === card ? this.putBack() : this.takeUp(card, event.detail === 0)),
      },
      h("strong", {}, read(card.label)),
      h("span", {}, read(card.story)),
      card.pin && h("small", {}, `${say("pin")} ${card.pin}`),
      place,
    );
    return { card, element, place };
  }

  /** The table is one stop of the keyboard's; arrows lead from card to card. */
  walk(event) {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...this.table.children];
    all[all.indexOf(document.activeElement) + step]?.focus();
  }

  arrivedAt(element) {
    for (const each of this.table.children) each.tabIndex = each === element ? 0 : -1;
  }

  /** A card is in the hand; of one who works with keys, the hand is at a reader then. */
  takeUp(card, byKey) {
    this.held = card;
    this.shownInHand(this.app.say("desk_held", { card: this.app.read(card.label) }));
    if (!byKey) return;
    const all = [...this.readers.values()];
    (all.find((each) => each.isFree) ?? all[0])?.main.focus();
  }

  putBack() {
    if (!this.held) return;
    const { element } = this.cards.get(this.held.name);
    this.held = null;
    this.shownInHand(this.app.say("desk_did_put_back"));
    element.focus();
  }

  shownInHand(text) {
    for (const { card, element } of this.cards.values()) element.setAttribute("aria-pressed", String(card === this.held));
    for (const each of this.readers.values()) each.draw();
    this.tell(text);
  }

  // The readers

  drawReaders(readers) {
    for (const reader of readers) {
      if (!this.readers.has(reader.id)) this.readers.set(reader.id, new DeskReader(this, reader));
      this.readers.get(reader.id).shows(reader);
    }
    for (const id of this.readers.keys()) if (!readers.some((each) => each.id === id)) this.readers.delete(id);
    const elements = [...this.readers.values()].map((each) => each.element);
    if (elements.some((each, place) => each !== this.slots.children[place]) || elements.length !== this.slots.children.length) show(this.slots, elements);
    for (const { card, element, place } of this.cards.values()) {
      const there = readers.find((each) => each.card === card.name);
      if (element.classList.contains("away") === !there) element.classList.toggle("away");
      write(place, there ? this.app.say("desk_is_in", { reader: there.name }) : "");
    }
  }

  /** Where the cast's card of this name is in. */
  readerOf(name) {
    return [...this.readers.values()].find((each) => each.now.card === name);
  }

  /** Put a card of the cast there, from wherever it is, in the place of whatever is there. */
  async put(card, reader, verb = "insert") {
    const from = this.readerOf(card.name);
    if (from === reader) return;
    if (!reader.now.attached) return this.tell(this.app.say("desk_unplugged"));
    this.held = null;
    for (const each of [from, reader]) if (each && !each.isFree && !(await this.empty(each))) return;
    await this.move(reader, verb, { card: card.name }, this.app.read(card.label));
  }

  /** Take out what is in; whether the agent has noticed. */
  async empty(reader) {
    await this.move(reader, "remove");
    for (let times = 0; times < NOTICED_AT_MOST && !reader.isFree; times += 1) {
      await new Promise((resolve) => setTimeout(resolve, NOTICED_MS));
      await this.look();
    }
    return reader.isFree;
  }

  /** A card was dropped: on a reader, or back on the table. */
  async dropped(event, reader = null) {
    event.preventDefault();
    const dragged = this.cards.get(event.dataTransfer.getData("text/plain"))?.card;
    if (!dragged) return;
    if (reader) return this.put(dragged, reader);
    const from = this.readerOf(dragged.name);
    if (from) await this.move(from, "remove");
  }

  /** Do something at a reader, and say that it was done. */
  async move(reader, verb, body = {}, card = "") {
    const { app } = this;
    const done = await app.tried(() => app.kaqi.call("POST", `/v1/simulate/readers/${reader.now.id}/${verb}`, { body }));
    await this.look();
    if (done !== undefined) this.shownInHand(app.say(DONE[verb] ?? "desk_did_plan", { reader: reader.now.name, card }));
  }

  tell(text) {
    this.told.textContent = text;
  }

  // The centre

  theCentre() {
    const { say } = this.app;
    const otherwise = h("option", { disabled: true, hidden: true, value: "" }, say("desk_centre_other"));
    this.centre = h("select", { onchange: () => this.be(this.centre.value) }, otherwise, Object.keys(CENTRE).map((key) => h("option", { value: key }, say(key))));
    return h("div", { class: "panel row centre" }, h("label", {}, h("strong", {}, say("desk_centre")), this.centre), h("button", { type: "button", onclick: () => this.reset() }, say("desk_reset")));
  }

  drawCentre(faults) {
    const shape = (all) => all.map(({ fault, operation = "" }) => `${fault} ${operation}`).join();
    const is = Object.keys(CENTRE).find((key) => shape(CENTRE[key]) === shape(faults)) ?? "";
    if (this.centre.value !== is) this.centre.value = is;
  }

  async be(key) {
    const { app } = this;
    const done = await app.tried(() => app.kaqi.call("POST", "/v1/simulate/centre", { body: { faults: CENTRE[key] } }));
    await this.look();
    if (done !== undefined) this.tell(app.say("desk_centre_is", { how: app.say(key) }));
  }

  /** The first day again; what goes on at the counter is given up, where it can be. */
  async reset() {
    const { app, journey } = this;
    const { now } = journey;
    const ended = now?.allowed_actions.includes("cancel") ? await app.tried(() => app.kaqi.cancel(now)) : now;
    const done = await app.tried(() => app.kaqi.call("POST", "/v1/simulate/reset", { body: {} }));
    if (ended && (hasEnded(ended) || ended.state === "in_doubt")) await journey.done(ended);
    this.held = null;
    await this.look();
    if (done !== undefined) this.shownInHand(app.say("desk_did_reset"));
  }
}
