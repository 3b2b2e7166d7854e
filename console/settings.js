// Who may call, the region's rules in plain words, and the version.

import { Kept, Looking, ask, h, show } from "./dom.js";
import { KaqiError } from "./kaqi.js";
import { fullTime } from "./moments.js";
import { regionPanel } from "./region.js";

const AGAIN_MS = 3_000;
const PATIENCE_MS = 60_000;
const SCOPES = ["read", "activate", "identity", "operate", "admin", "simulate"]; // as they are listed
const OPERATOR = "operator"; // the commands on this computer

export class Settings extends Looking {
  constructor(app) {
    super(app);
    const { say } = app;
    this.wrong = new Map(); // what was wrong with the code that was typed last, by pairing
    const [asking, paired] = [h("ul", { class: "plain" }), h("ul", { class: "plain" })];
    this.asking = new Kept(asking, (each) => (each ? this.pairing(each) : h("li", {}, say("pairings_none"))));
    this.paired = new Kept(paired, (each) => this.client(each));
    this.told = h("p", { role: "status" });
    this.origins = h("div", { class: "panel" }, say("examining"));
    this.facts = h("dl", { class: "panel facts" });
    this.region = h("div", { class: "panel" });
    this.element = h(
      "section",
      {},
      h("h1", {}, say("screen_settings")),
      h("h2", {}, say("pairings")),
      h("div", { class: "panel" }, this.told, asking),
      h("h2", {}, say("clients")),
      h("div", { class: "panel" }, paired),
      h("h2", {}, say("origins")),
      this.origins,
      h("h2", {}, say("region")),
      this.region,
      h("h2", {}, say("about")),
      this.facts,
    );
    this.keepLooking(AGAIN_MS);
    this.explain();
    this.about();
  }

  async load() {
    const { kaqi } = this.app;
    const found = await this.app.tried(() => Promise.all(["pairings", "clients"].map((name) => kaqi.call("GET", `/v1/${name}`))));
    if (!found) return;
    const [{ pairings }, { clients }] = found;
    const waiting = pairings.filter((each) => each.state === "waiting");
    const isNew = waiting.some((each) => !this.asking.rows.has(each.id));
    if (isNew) this.app.announce(this.app.say("pairing_asks", { client: waiting[0].client }));
    this.asking.show(waiting.length ? waiting.map((each) => [each.id, { ...each, tries_left: undefined }]) : [["", null]]);
    for (const each of waiting) this.showTries(each);
    this.paired.show(clients.map((each) => [each.id, each]));
  }

  // Who asks

  pairing(asked) {
    const { say } = this.app;
    const code = h("input", { inputmode: "numeric", pattern: "[0-9]{6}", required: true, maxlength: 6, size: 6, autocomplete: "off", title: say("pairing_code") });
    const approve = async (event) => {
      event.preventDefault();
      await this.decide(asked, "approve", { code: code.value });
      code.value = "";
    };
    return h(
      "li",
      { "data-pairing": asked.id },
      h("p", {}, h("strong", {}, asked.client), asked.version && ` ${asked.version}`),
      h("p", {}, asked.origin ? say("pairing_from_page", { origin: asked.origin }) : say("pairing_from_program")),
      may(asked.scopes, say),
      asked.replaces && h("p", { class: "notice" }, say("pairing_replaces")),
      h("p", { class: "wrong", role: "alert", hidden: true }),
      h(
        "form",
        { class: "row", onsubmit: approve },
        h("label", {}, h("span", {}, say("pairing_code")), code),
        h("button", { class: "primary", type: "submit" }, say("approve")),
        h("button", { type: "button", class: "danger", onclick: () => this.decide(asked, "deny", {}) }, say("deny")),
      ),
    );
  }

  async decide(asked, verb, body) {
    const { kaqi, say, read } = this.app;
    try {
      await kaqi.call("POST", `/v1/pairings/${asked.id}/${verb}`, { body });
      this.wrong.delete(asked.id);
      this.told.textContent = say(`pairing_${verb}`, { client: asked.client });
    } catch (failed) {
      if (!(failed instanceof KaqiError) || failed.status === 0) return this.app.failed(failed);
      const text = [read(failed.messages), ...read(failed.remedy)].join(" ");
      if (failed.code === "pairing.wrong_code") this.wrong.set(asked.id, text);
      else this.told.textContent = text;
    }
    await this.look();
    if (this.wrong.has(asked.id) && !this.asking.rows.has(asked.id)) {
      this.wrong.delete(asked.id);
      this.told.textContent = say("pairing_void", { client: asked.client });
    }
  }

  /** What was wrong with the last code, and how many more there may be. */
  showTries(asked) {
    const text = this.wrong.get(asked.id);
    if (!text) return;
    const place = this.asking.rows.get(asked.id).element.querySelector(".wrong");
    place.hidden = false;
    place.textContent = `${text} ${this.app.say("pairing_tries", { tries: asked.tries_left })}`;
  }

  // Who is paired

  client(client) {
    const { say } = this.app;
    const isOurs = client.id === OPERATOR;
    return h(
      "li",
      { class: "row" },
      h(
        "div",
        { class: "grow" },
        h("p", {}, h("strong", {}, client.id)),
        h("p", { class: "soft" }, say("client_since", { time: fullTime(client.paired_at) }), client.origin && ` · ${say("pairing_from_page", { origin: client.origin })}`),
        isOurs ? h("p", {}, say("client_operator")) : may(client.scopes, say),
      ),
      h("button", { type: "button", class: "danger", onclick: () => this.revoke(client), "aria-label": `${say("revoke")}: ${client.id}` }, say("revoke")),
    );
  }

  async revoke(client) {
    const { say, kaqi } = this.app;
    if (!(await ask((answer) => revoking(client, say, answer)))) return;
    const done = await this.app.tried(() => kaqi.call("POST", `/v1/clients/${client.id}/revoke`, { body: {} }));
    if (done) this.told.textContent = say("revoked", { client: client.id });
    await this.look();
    this.app.main.focus(); // what was clicked is gone
  }

  // What is set

  async explain() {
    const found = await this.app.tried(() => this.app.kaqi.call("GET", "/v1/region"));
    if (found) show(this.region, regionPanel(found, this.app));
  }

  async about() {
    const { say } = this.app;
    const found = await this.app.tried(() => this.app.kaqi.call("GET", "/v1/diagnostics", { patience: PATIENCE_MS }));
    if (!found) return;
    const { agent, settings } = found;
    const { id, version } = agent.region_profile;
    const facts = {
      version: agent.version,
      region: `${id}@${version}`,
      institution: `${settings.institution} · ${say(`kind_${settings.institution_kind}`)}`,
      running_since: fullTime(found.started_at),
      log_folder: found.log_folder,
      system: found.system,
    };
    show(this.facts, Object.entries(facts).map(([key, value]) => [h("dt", {}, say(key)), h("dd", {}, value)]));
    const listed = settings.origins.map((origin) => h("li", {}, h("code", {}, origin)));
    show(
      this.origins,
      h("p", {}, say("origins_are")),
      listed.length ? h("ul", { class: "way" }, listed) : h("p", {}, h("strong", {}, say("origins_none"))),
      h("p", {}, say("origins_how")),
      h("p", {}, h("code", {}, 'origins = ["https://pos.example"]')),
      h("p", {}, say("origins_then")),
    );
  }
}

/** What these scopes allow, one by one. */
function may(scopes, say) {
  return h("div", {}, say("client_may"), h("ul", { class: "way" }, SCOPES.filter((scope) => scopes.includes(scope)).map((scope) => h("li", {}, say(`scope_${scope}`)))));
}

function revoking(client, say, answer) {
  return h(
    "div",
    {},
    h("h2", {}, say("revoke_sure", { client: client.id })),
    h("p", {}, say(client.id === OPERATOR ? "revoke_means_operator" : "revoke_means")),
    h("p", { class: "row" }, h("button", { type: "button", class: "danger", onclick: () => answer(true) }, say("revoke_do")), h("button", { type: "button", class: "primary", autofocus: true, onclick: () => answer(null) }, say("cancel"))),
  );
}
