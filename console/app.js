// The page: who is signed in, which language, which screen, and whether the agent answers.

import { ask, h, show } from "./dom.js";
import { Kaqi, KaqiError } from "./kaqi.js";
import { Desk } from "./desk.js";
import { Journey } from "./journey.js";
import { Readers } from "./readers.js";
import { Settings } from "./settings.js";
import { Today } from "./today.js";
import { speaker } from "./words.js";

const SESSION = "kaqi.session";
const LANGUAGE = "kaqi.language";
const RETRY_MS = 2_000;
const SCREENS = { journey: Journey, today: Today, readers: Readers, settings: Settings, desk: Desk };

export class App {
  constructor(kaqi, agent) {
    this.kaqi = kaqi;
    this.agent = agent; // what it says of itself: mode, scenarios, region
    this.language = localStorage.getItem(LANGUAGE) ?? "zh-CN";
    this.screen = null;
    this.offline = false;
    this.silentSince = null;
    this.left = false; // nobody is signed in any more
    this.knocking = false;
  }

  /** Words of the catalogue in the operator's language. */
  say = (key, values) => speaker(this.language)(key, values);

  /** Of texts in both languages, as the agent sends them, the operator's. */
  read = (texts) => texts[this.language];

  /** Show a screen by its name. */
  open(name) {
    this.screen?.close();
    this.name = name;
    this.frame();
    this.screen = new SCREENS[name](this);
    show(this.main, this.screen.element);
    this.main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    location.hash = name;
  }

  /** Everything around the screen. */
  frame() {
    const { say } = this;
    document.documentElement.lang = this.language;
    document.querySelector(".skip").textContent = say("skip");
    const banner = document.querySelector(".banner");
    banner.hidden = this.agent.mode !== "simulation";
    banner.textContent = banner.hidden ? "" : say("simulated");
    const names = Object.keys(SCREENS).filter((name) => name !== "desk" || !banner.hidden);
    show(
      document.querySelector("nav"),
      names.map((name) =>
        h("button", { type: "button", "aria-current": name === this.name ? "page" : null, onclick: () => this.open(name) }, say(`screen_${name}`)),
      ),
    );
    document.querySelector("nav").setAttribute("aria-label", say("screens"));
    const switched = document.querySelector(".language");
    switched.textContent = say("other_language");
    switched.lang = this.language === "en" ? "zh-CN" : "en";
    switched.onclick = () => {
      this.language = this.language === "en" ? "zh-CN" : "en";
      localStorage.setItem(LANGUAGE, this.language);
      this.open(this.name);
    };
    const leave = document.querySelector(".leave");
    leave.textContent = say("sign_out");
    leave.onclick = () => this.signOut();
    this.title(null);
  }

  /** The tab's title; with a call when the holder or the operator must act. */
  title(call) {
    document.title = call ? `● ${call}` : `${this.say("product")} · ${this.say(`screen_${this.name}`)}`;
  }

  /** Say this to whoever does not see the page. */
  announce(text) {
    document.querySelector(".heard").textContent = text;
  }

  get main() {
    return document.querySelector("main");
  }

  /** One request whose failure is shown; resolves to undefined then. */
  async tried(request) {
    try {
      const found = await request();
      this.reached(true);
      return found;
    } catch (failed) {
      this.failed(failed);
      return undefined;
    }
  }

  /** Silence is waited out, a refusal is shown; anything else is a mistake of ours. Whoever
   *  does not know this token, or cannot prove to, is told nothing more. */
  failed(failed) {
    if (!(failed instanceof KaqiError)) reportError(failed);
    else if (failed.status === 401) this.leave();
    else if (failed.code === "client.impostor") this.leave({ keep: true });
    else if (failed.status === 0) this.reached(false);
    else this.complain(failed.problem);
  }

  /** Whether the agent answers; while it does not, the page says so and keeps trying. */
  reached(yes) {
    if (this.left || this.offline === !yes) return;
    this.offline = !yes;
    this.silentSince = yes ? null : Date.now();
    tell(yes ? null : this.say("offline"));
    if (!yes && !this.knocking) this.knock();
  }

  async knock() {
    this.knocking = true;
    while (this.offline && !this.left) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      if (!this.left && (await this.tried(() => this.kaqi.readers()))) this.screen?.again();
    }
    this.knocking = false;
  }

  /** The operator goes; what is under way at the counter goes on in the agent. */
  async signOut() {
    const { say } = this;
    const sure = await ask((answer) => [
      h("h2", {}, say("sign_out")),
      h("p", {}, say("sign_out_sure")),
      h("p", { class: "row" }, h("button", { type: "button", autofocus: true, onclick: () => answer(null) }, say("stay")), h("button", { type: "button", class: "danger", onclick: () => answer(true) }, say("sign_out"))),
    ]);
    if (!sure) return;
    await this.tried(() => this.kaqi.call("POST", "/v1/console/session/end", { body: {} }));
    this.leave();
  }

  /** Nobody is signed in any more; `keep` the token for when the agent itself answers. */
  leave({ keep = false } = {}) {
    this.left = true;
    this.screen?.close();
    if (!keep) sessionStorage.removeItem(SESSION);
    signedOut();
  }

  /** A problem the agent named, above the screen. */
  complain(problem) {
    const steps = this.read(problem.remedy);
    this.trouble([h("strong", {}, this.read(problem.messages)), " ", steps.join(" ")]);
  }

  trouble(content) {
    if (this.left) return;
    const close = () => h("button", { type: "button", onclick: () => this.trouble(null) }, this.say("close"));
    tell(content === null ? null : [content, " ", close()]);
  }

  /** Print this and nothing else, with where and when, and keep none of it. */
  print(...content) {
    const time = new Date().toLocaleString(this.language, { dateStyle: "long", timeStyle: "short" });
    const printed = h("p", { class: "printed" }, this.say("printed", { place: this.agent.institution, time }));
    const paper = document.querySelector(".paper");
    const simulated = this.agent.mode === "simulation" && h("p", { class: "printed" }, this.say("simulated"));
    show(paper, simulated, content, printed);
    window.addEventListener("afterprint", () => show(paper), { once: true });
    window.print();
  }
}

/** Above the screen, until somebody says null. */
function tell(content) {
  const place = document.querySelector(".trouble");
  place.hidden = content === null;
  show(place, content);
}

/** In the operator's language, also before anybody is signed in. */
const speak = () => speaker(localStorage.getItem(LANGUAGE) ?? "zh-CN");

/** Something failed that nobody has foreseen. The page goes on as well as it can. */
function stumbled() {
  const say = speak();
  tell([say("page_failed"), " ", h("button", { type: "button", onclick: () => location.reload() }, say("reload"))]);
}

/** Nobody is signed in here, or no longer: what this is and how to come in, in both
 *  languages. */
function signedOut() {
  for (const each of ["nav", ".language", ".leave", ".banner", ".trouble"]) document.querySelector(each).hidden = true;
  document.querySelector(".heard").textContent = "";
  const say = speak();
  document.title = say("product");
  show(document.querySelector("main"), ["zh-CN", "en"].map(wayIn));
}

function wayIn(language) {
  const say = speaker(language);
  return h(
    "section",
    { class: "panel", lang: language },
    h(language === "en" ? "h2" : "h1", {}, say("signed_out")),
    h("p", {}, say("running")),
    h("p", {}, say("sign_in_how")),
    h("p", {}, h("code", {}, "kaqi console")),
    h("p", { class: "soft" }, say("makers")),
  );
}

/** The token of this tab: from the one-time code in the address, or from before a reload; null
 *  when there is none, undefined while the agent does not answer. */
async function session() {
  const code = inAddress("code");
  if (code) {
    const body = JSON.stringify({ code });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/v1/console/session", { method: "POST", headers, body }).catch(() => null);
    if (answer === null) return undefined;
    history.replaceState(null, "", `${location.pathname}#${inAddress("screen") ?? ""}`);
    if (answer.ok) sessionStorage.setItem(SESSION, (await answer.json()).token);
  }
  return sessionStorage.getItem(SESSION);
}

const inAddress = (name) => new URLSearchParams(location.hash.slice(1)).get(name);
const screenInAddress = () => Object.keys(SCREENS).find((name) => location.hash === `#${name}`);

let app = null; // of whoever is signed in

/** Let whoever has a token in; while the agent is silent, try again and say so. */
async function begin() {
  const token = await session();
  if (token === null) return signedOut();
  if (token === undefined) return beginLater();
  try {
    const kaqi = new Kaqi({ token, address: location.origin });
    app = new App(kaqi, await kaqi.call("GET", "/v1/agent"));
  } catch (failed) {
    if (!(failed instanceof KaqiError)) throw failed;
    if (failed.status === 401) sessionStorage.removeItem(SESSION);
    if (failed.status === 401 || failed.code === "client.impostor") return signedOut();
    return beginLater();
  }
  tell(null);
  app.open(screenInAddress() ?? "journey");
}

function beginLater() {
  const say = speak();
  tell(say("connecting"));
  setTimeout(begin, RETRY_MS);
}

/** Another screen by the browser's own buttons, or another code in the same tab. */
function addressed() {
  const wanted = screenInAddress();
  if (inAddress("code")) location.reload();
  else if (wanted && app && !app.left && wanted !== app.name) app.open(wanted);
}

window.addEventListener("hashchange", addressed);
window.addEventListener("error", stumbled);
window.addEventListener("unhandledrejection", stumbled);
begin();
