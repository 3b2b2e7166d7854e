// Who may call, the region's rules in plain words, and the version.

import { Looking, h, show } from "./dom.js";

const AGAIN_MS = 3_000;

export class Settings extends Looking {
  constructor(app) {
    super(app);
    const { say, agent } = app;
    const { id, version } = agent.region_profile;
    const facts = [["version", agent.version], ["region", `${id}@${version}`]];
    this.asking = h("ul", { class: "plain" });
    this.paired = h("ul", { class: "plain" });
    this.origins = h("div", { class: "panel" });
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_settings")),
      h("h2", {}, say("pairings")),
      h("div", { class: "panel", role: "status" }, this.asking),
      h("h2", {}, say("clients")),
      h("div", { class: "panel" }, this.paired),
      h("h2", {}, say("origins")),
      this.origins,
      h("h2", {}, say("about")),
      h("dl", { class: "panel facts" }, facts.map(([key, value]) => [h("dt", {}, say(key)), h("dd", {}, value)])),
    );
    this.about();
    this.keepLooking(AGAIN_MS);
  }

  async load() {
    const { kaqi, say } = this.app;
    const [asking, paired] = await Promise.all(["pairings", "clients"].map((name) => this.app.tried(() => kaqi.call("GET", `/v1/${name}`))));
    const pairings = asking?.pairings.filter((each) => each.state === "waiting");
    const clients = paired?.clients;
    if (pairings && this.changed("asking", pairings)) show(this.asking, pairings.length ? pairings.map((each) => this.pairing(each)) : h("li", {}, say("pairings_none")));
    if (clients && this.changed("paired", clients)) show(this.paired, clients.map((each) => this.client(each)));
  }

  changed(name, found) {
    const said = JSON.stringify(found);
    const is = this[`${name}_seen`] !== said;
    this[`${name}_seen`] = said;
    return is;
  }

  pairing(asked) {
    const { say, kaqi } = this.app;
    const code = h("input", { inputmode: "numeric", pattern: "[0-9]{6}", required: true, maxlength: 6, size: 6, autocomplete: "off" });
    const decide = async (verb, body) => {
      await this.app.tried(() => kaqi.call("POST", `/v1/pairings/${asked.id}/${verb}`, { body }));
      this.load();
    };
    const approve = (event) => {
      event.preventDefault();
      decide("approve", { code: code.value });
    };
    return h(
      "li",
      {},
      h("p", {}, h("strong", {}, asked.client), asked.origin ? ` · ${asked.origin}` : "", " · ", say("client_may", { scopes: asked.scopes.join(", ") })),
      asked.replaces && h("p", { class: "notice" }, say("pairing_replaces")),
      h("form", { class: "row", onsubmit: approve }, h("label", {}, h("span", {}, say("pairing_code")), code), h("button", { class: "primary", type: "submit" }, say("approve")), h("button", { type: "button", class: "danger", onclick: () => decide("deny", {}) }, say("deny"))),
    );
  }

  client(client) {
    const { say, kaqi } = this.app;
    const revoke = async () => {
      await this.app.tried(() => kaqi.call("POST", `/v1/clients/${client.id}/revoke`, { body: {} }));
      this.load();
    };
    return h("li", { class: "row" }, h("strong", { class: "grow" }, client.id), h("span", { class: "soft" }, say("client_may", { scopes: client.scopes.join(", ") })), h("button", { type: "button", class: "danger", onclick: revoke }, say("revoke")));
  }

  async about() {
    const found = await this.app.tried(() => this.app.kaqi.call("GET", "/v1/diagnostics"));
    if (!found) return;
    const { origins } = found.settings;
    show(this.origins, origins.length ? origins.map((origin) => h("p", {}, h("code", {}, origin))) : h("p", {}, this.app.say("origins_none")));
  }
}
