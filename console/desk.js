// The desk to try it on: invented people's cards on a table, and readers to put them in.

import { h, show } from "./dom.js";

const AGAIN_MS = 1_000;

export class Desk {
  constructor(app) {
    this.app = app;
    this.held = null; // the card that was chosen
    const { say } = app;
    this.slots = h("div", { class: "slots" });
    this.cards = h("div", { class: "table-top" });
    this.centre = h("div", { class: "panel row" });
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_desk")),
      h("p", {}, say("desk_how")),
      this.slots,
      h("h2", {}, say("desk_cards")),
      h("div", { class: "panel" }, this.cards),
      h("h2", {}, say("desk_centre")),
      this.centre,
    );
    this.load();
    this.loading = setInterval(() => this.load(), AGAIN_MS);
  }

  close() {
    clearInterval(this.loading);
  }

  again() {
    this.load();
  }

  async load() {
    const { kaqi } = this.app;
    const cast = this.cast ? this.cast : await this.app.tried(() => kaqi.cast());
    const readers = await this.app.tried(() => kaqi.readers());
    if (!cast || !readers) return;
    const seen = JSON.stringify([cast, readers, this.held]);
    if (seen === this.seen) return;
    this.seen = seen;
    this.cast = cast;
    this.draw(cast, readers);
  }
}
