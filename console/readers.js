// The readers, why one does not read, and what the doctor finds.

import { Looking, h, save, show } from "./dom.js";

const AGAIN_MS = 2_000;

export class Readers extends Looking {
  constructor(app) {
    super(app);
    this.seen = "";
    const { say } = app;
    this.list = h("ul", { class: "plain" });
    this.found = h("ul", { class: "plain" });
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_readers")),
      h("div", { class: "panel" }, this.list),
      h("h2", {}, say("findings")),
      h("div", { class: "panel" }, this.found),
      h("button", { type: "button", onclick: () => this.bundle() }, say("support_bundle")),
    );
    this.keepLooking(AGAIN_MS);
  }

  async load() {
    const found = await this.app.tried(() => this.app.kaqi.call("GET", "/v1/diagnostics"));
    if (!found) return;
    this.diagnosed(found.checks);
    const { readers } = found;
    if ( JSON.stringify(readers) === this.seen) return;
    this.seen = JSON.stringify(readers);
    show(this.list, readers.length ? readers.map((reader) => this.reader(reader)) : h("li", {}, this.app.say("readers_none")));
  }

  reader(reader) {
    const { say } = this.app;
    const tone = reader.state === "ready" ? "good" : reader.state === "busy" ? "busy" : "bad";
    const told = h("p", { role: "status" });
    return h(
      "li",
      {},
      h("div", { class: "row" }, h("strong", { class: "grow" }, reader.name), h("span", { class: `chip ${tone}` }, say(`reader_${reader.state}`)), h("span", {}, say(`slot_${reader.slot}`)), reader.role === "psam" ? h("span", { class: "soft" }, say("reader_psam")) : h("button", { type: "button", disabled: reader.slot !== "present", onclick: () => this.test(reader, told) }, say("test_read"))),
      reader.problem && h("p", { class: "soft" }, `${say("last_problem")}: ${this.app.read(reader.problem.messages)}`),
      told,
    );
  }

  async test(reader, told) {
    const found = await this.app.tried(() => this.app.kaqi.call("POST", `/v1/readers/${reader.id}/self-test`, { body: {} }));
    if (found) told.textContent = found.problem ? this.app.read(found.problem.messages) : this.app.say("test_read_good");
  }

  diagnosed(checks) {
    const { say, read } = this.app;
    show(
      this.found,
      checks.map((check) =>
        h(
          "li",
          {},
          h("div", { class: "row" }, h("span", { class: `chip ${check.ok ? "good" : check.required ? "bad" : "doubt"}` }, say(check.ok ? "finding_good" : "finding_bad")), h("strong", {}, check.name), !check.required && h("span", { class: "soft" }, say("finding_optional"))),
          check.problem && [h("p", {}, read(check.problem.messages)), h("ul", { class: "way" }, read(check.problem.remedy).map((step) => h("li", {}, step)))],
        ),
      ),
    );
  }

  async bundle() {
    const found = await this.app.tried(() => this.app.kaqi.supportBundle());
    if (found) save("kaqi-support.zip", found);
  }
}
