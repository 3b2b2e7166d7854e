// The page: who is signed in, which language, which screen, and whether the agent answers.

import { show, h } from "./dom.js";
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
    this.main.focus();
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

  /** Silence is waited out, a refusal is shown; anything else is a mistake of ours. */
  failed(failed) {
    if (!(failed instanceof KaqiError)) throw failed;
    if (failed.status === 401) signedOut(this);
    else if (failed.status === 0) this.reached(false);
    else this.complain(failed.problem);
  }

  /** Whether the agent answers; while it does not, the page says so and keeps trying. */
  reached(yes) {
    if (this.offline === !yes) return;
    this.offline = !yes;
    this.trouble(yes ? null : this.say("offline"));
    if (!yes) this.knock();
  }

  async knock() {
    while (this.offline) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      if (await this.tried(() => this.kaqi.readers())) this.screen?.again();
    }
  }

  /** A problem the agent named, above the screen. */
  complain(problem) {
    const steps = this.read(problem.remedy);
    this.trouble([h("strong", {}, this.read(problem.messages)), " ", steps.join(" ")]);
  }

  trouble(content) {
    const place = document.querySelector(".trouble");
    place.hidden = content === null;
    show(place, content === null ? [] : [content, " ", h("button", { type: "button", onclick: () => this.trouble(null) }, this.say("close"))]);
  }

  /** Print this and nothing else, with where and when. */
  print(...content) {
    const time = new Date().toLocaleString(this.language, { dateStyle: "long", timeStyle: "short" });
    const printed = h("p", { class: "printed" }, this.say("printed", { place: this.agent.institution, time }));
    show(document.querySelector(".paper"), content, printed);
    window.print();
  }
}

/** Nobody is signed in here, or no longer: what this is and how to come in, in both
 *  languages. */
function signedOut(app = null) {
  app?.screen?.close();
  sessionStorage.removeItem(SESSION);
  for (const each of ["nav", ".language", ".banner", ".trouble"]) document.querySelector(each).hidden = true;
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

/** The token of this tab: from the one-time code in the address, or from before a reload. */
async function session() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) {
    history.replaceState(null, "", location.pathname);
    const answer = await fetch("/v1/console/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    });
    if (answer.ok) sessionStorage.setItem(SESSION, (await answer.json()).token);
  }
  return sessionStorage.getItem(SESSION);
}

async function begin() {
  const token = await session();
  if (!token) return signedOut();
  const kaqi = new Kaqi({ token, address: location.origin });
  try {
    const app = new App(kaqi, await kaqi.call("GET", "/v1/agent"));
    const wanted = location.hash.slice(1);
    app.open(wanted in SCREENS ? wanted : "journey");
  } catch (failed) {
    if (failed.status !== 0) return signedOut();
    setTimeout(begin, RETRY_MS); // it is starting
  }
}

begin();
