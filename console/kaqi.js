// A web POS's client for the kaqi agent on this machine. Copy this file and sha256.js
// into your site; they need no build step and nothing else. Their syntax is that of
// Chromium 85, Firefox 90 and Safari 15.
//
//   import { Kaqi, hasEnded } from "./kaqi.js";
//
//   const kaqi = new Kaqi({ token });
//   let transaction = await kaqi.start("pharmacy", { posRef: "4711" });
//   while (!hasEnded(transaction)) {
//     show(transaction.step.text["zh-CN"], transaction.problem);
//     const asks = transaction.allowed_actions.includes("confirm");
//     transaction = asks && await operatorSaysYes(transaction)
//       ? await kaqi.confirm(transaction)
//       : await kaqi.next(transaction);
//   }
//   print(transaction.result?.receipt?.text["zh-CN"]);
//
// A transaction is the snapshot as the agent sent it. What fails is a KaqiError: branch on
// its `code`. Every POST carries an Idempotency-Key and is sent again with the same key
// when the answer is lost: nothing happens twice. The agent proves that it is the agent
// before it is sent the token.

import { hmacSha256, sha256, toHex } from "./sha256.js";

export const ADDRESS = "http://127.0.0.1:15274";
const ENDED = new Set(["succeeded", "failed", "cancelled", "expired"]);
const TRIES = 3;
const SHORT_MS = 10_000;
const LONG_MS = 60_000;
const ASKING_MS = 120_000; // while the browser asks a person
const LONG_POLL_SECONDS = 25;
const QUIET_MS = 4_000; // the agent keeps an idle connection for five seconds
const STREAM_QUIET_MS = 45_000; // it says every fifteen that it is still there
const AGAIN_MS = 1_000;

/** What goes wrong before the agent can say it, in the words of its catalogue. */
export const PROBLEMS = {
  "browser.local_network_denied": {
    category: "operator",
    retry: "after_action",
    action: "allow_local_network",
    messages: {
      "zh-CN": "浏览器没有允许这个网页访问本机的卡启。",
      en: "The browser has not allowed this page to reach kaqi on this computer.",
    },
    remedy: {
      "zh-CN": [
        "点击地址栏左侧的图标，允许此网站访问本机（本地网络、此设备上的应用），然后重新加载网页。",
        "浏览器对 http:// 开头的网页不会询问，只会拒绝：要由技术支持设置浏览器策略。",
        "技术支持运行 kaqi doctor，会看到策略写在哪里、写什么。",
      ],
      en: [
        "Click the icon left of the address, allow this site to reach this computer (local network, apps on this device), and load the page again.",
        "For a page at http:// the browser does not ask, it refuses: support must set a browser policy.",
        "Support runs kaqi doctor, which shows where the policy goes and what it says.",
      ],
    },
  },
  "browser.agent_unreachable": {
    category: "agent",
    retry: "same_request",
    action: "start_agent",
    messages: {
      "zh-CN": "这个网页联系不上本机的卡启。",
      en: "This page does not reach kaqi on this computer.",
    },
    remedy: {
      "zh-CN": [
        "确认卡启正在运行；不确定时运行 kaqi doctor。",
        "技术支持核对设置中的 origins：要有这个网页的来源，协议、主机、端口一字不差。",
      ],
      en: [
        "See that kaqi is running; if in doubt, run kaqi doctor.",
        "Support checks origins in the settings: this page's must be there, with the very same scheme, host and port.",
      ],
    },
  },
  "client.impostor": {
    category: "security",
    retry: "after_action",
    action: "check_port",
    messages: {
      "zh-CN": "这个端口上应答的程序不能证明自己是卡启；没有向它发送令牌。",
      en: "Whoever answers on this port cannot prove to be kaqi; no token was sent to it.",
    },
    remedy: {
      "zh-CN": [
        "运行 kaqi doctor 查看谁占用了端口。",
        "若卡启确实在运行，此客户端可能已被注销，请重新配对。",
      ],
      en: [
        "Run kaqi doctor to see who holds the port.",
        "If it is kaqi after all, this client may have been revoked: pair again.",
      ],
    },
  },
  "pairing.ended": {
    category: "operator",
    retry: "none",
    action: "pair",
    messages: {
      "zh-CN": "这个配对请求已经结束。",
      en: "This request to be paired has ended.",
    },
    remedy: {
      "zh-CN": [
        "在客户端重新发起配对。",
      ],
      en: [
        "Have the client ask again.",
      ],
    },
  },
};

/** A refusal: branch on `code`. `messages` and `remedy` are for people, by language;
 * `status` is that of the answer, 0 when there was none; `problem` is all of it. */
export class KaqiError extends Error {
  constructor(problem, status = 0) {
    super(`${problem.code}: ${problem.messages?.en ?? status}`);
    this.name = "KaqiError";
    this.status = status;
    this.code = problem.code;
    this.messages = problem.messages;
    this.remedy = problem.remedy;
    this.problem = problem;
  }
}

/** Whether nothing will change any more. */
export const hasEnded = (transaction) => ENDED.has(transaction.state);

/** For one click; keep it with your sale, and the same click is found again after a
 * crash. */
export const newKey = () => toHex(random(16));

/** The agent, as one paired client. */
export class Kaqi {
  #token;
  #address;
  #heard = -Infinity;

  constructor({ token, address = ADDRESS }) {
    this.#token = token;
    this.#address = address;
  }

  /** Start an activation, or a "dry_run", which writes nothing. */
  start(scenario, { kind = "activation", posRef, operatorRef, readers, onClientLoss, key } = {}) {
    const body = {
      kind,
      scenario,
      readers,
      pos_ref: posRef,
      operator_ref: operatorRef,
      on_client_loss: onClientLoss,
    };
    return this.#post("/v1/transactions", body, key);
  }

  /** A snapshot of now. */
  get(id) {
    return this.call("GET", `/v1/transactions/${id}`);
  }

  /** Wait until something changes; the same again when nothing did. */
  next(transaction, { seconds = LONG_POLL_SECONDS, signal } = {}) {
    const asked = query({ wait: seconds, after_seq: transaction.seq });
    const patience = seconds * 1000 + SHORT_MS;
    const path = `/v1/transactions/${transaction.id}${asked}`;
    return this.call("GET", path, { patience, signal });
  }

  /** The transactions of this agent, of which each may be asked for. */
  async transactions({ posRef, state, unacknowledged } = {}) {
    const asked = query({ pos_ref: posRef, state, unacknowledged });
    return (await this.call("GET", `/v1/transactions${asked}`)).transactions;
  }

  /** The operator has compared the holder and says yes. */
  confirm(transaction, { key } = {}) {
    return this.#act(transaction, "confirm", {}, key);
  }

  /** Cancel; possible until the centre has the message. */
  cancel(transaction, { key } = {}) {
    return this.#act(transaction, "cancel", {}, key);
  }

  /** Look again at the cards that are in, or at a registration that was made. */
  continue(transaction, { key } = {}) {
    return this.#act(transaction, "continue", {}, key);
  }

  /** The POS has the result and has kept it. */
  acknowledge(transaction, { key } = {}) {
    return this.#act(transaction, "acknowledge", {}, key);
  }

  /** In doubt: have the centre asked now. */
  reconcile(transaction, { key } = {}) {
    return this.#act(transaction, "reconcile", {}, key);
  }

  /** Present what the holder typed for this snapshot; without a PIN, begin on the reader's
   * keypad. It is presented once. `transaction.bad_state` means that the snapshot was not
   * the last one, and that no card was asked. */
  pin(transaction, { pin, newPin, confirmLastTry = false, key } = {}) {
    const body = {
      pin, new_pin: newPin, seq: transaction.seq, confirm_last_try: confirmLastTry,
    };
    return this.#act(transaction, "pin", body, key);
  }

  /** The durable records, the newest first, or those that are `unfinished`;
   * `needs_a_person` says which wait to be settled. */
  async activations({ limit = 100, unfinished } = {}) {
    const asked = query({ limit, unfinished });
    return (await this.call("GET", `/v1/activations${asked}`)).activations;
  }

  /** A person has asked the centre: "active" or "rejected", and why. It cannot be taken
   * back. */
  settle(activation, { verdict, reason, operatorRef, key }) {
    const body = { verdict, reason, operator_ref: operatorRef };
    return this.#post(`/v1/activations/${activation}/settle`, body, key);
  }

  /** Every reader. */
  async readers() {
    return (await this.call("GET", "/v1/readers")).readers;
  }

  /** Every problem the agent can name, with its remedy. */
  async errors() {
    return (await this.call("GET", "/v1/errors")).errors;
  }

  /** What happens, as it happens: {type, id, data}. Goes on after a broken connection with
   * what was missed (`stream.gap` when that is gone), until `signal` is aborted. */
  async *events({ after, signal } = {}) {
    let last = after;
    while (!signal?.aborted) {
      try {
        for await (const event of this.#stream(last, signal)) {
          last = event.id ?? last;
          yield event;
        }
      } catch (failed) {
        if (signal?.aborted) return;
        if (!mayBeTriedAgain(failed)) throw failed;
      }
      await pause(AGAIN_MS, signal);
    }
  }

  /** A zip for support, which names nobody: a Blob. */
  supportBundle() {
    return this.call("GET", "/v1/diagnostics/bundle", { as: "blob", patience: LONG_MS });
  }

  /** One request that carries the token. `path` begins with a slash; what is in the answer
   * comes `as` "json" or "blob". */
  async call(method, path, { body, key, as, patience = SHORT_MS, signal } = {}) {
    await this.#prove(signal);
    const asked = { method, headers: this.#headers(key), body, as };
    const found = await this.#send(path, asked, patience, signal);
    this.#heard = performance.now();
    return found;
  }

  #headers(key) {
    const headers = { Authorization: `Bearer ${this.#token}` };
    if (key !== undefined) headers["Idempotency-Key"] = key;
    return headers;
  }

  #act(transaction, verb, body, key) {
    return this.#post(`/v1/transactions/${transaction.id}/${verb}`, body, key);
  }

  /** Send until an answer comes, always with the same key. */
  async #post(path, body, key = newKey()) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.call("POST", path, { body, key });
      } catch (failed) {
        if (!isSilence(failed) || attempt === TRIES) throw failed;
      }
    }
  }

  /** Whether it is the agent: anew after a failure, and after a silence, when somebody
   * else may have its port. */
  async #prove(signal) {
    if (performance.now() - this.#heard < QUIET_MS) return;
    const nonce = toHex(random(32));
    const body = { client_id: this.#token.split("~")[0], nonce };
    const asked = { method: "POST", headers: {}, body };
    const patience = await patienceOfBrowser();
    const found = await this.#send("/v1/hello", asked, patience, signal);
    if (found?.proof !== proofOf(this.#token, nonce, new URL(this.#address).host)) {
      throw problem("client.impostor");
    }
    this.#heard = performance.now();
  }

  async #send(path, asked, patience, signal) {
    try {
      return await send(this.#address + path, asked, patience, signal);
    } catch (failed) {
      if (!failed.status) this.#heard = -Infinity;
      throw failed;
    }
  }

  async *#stream(last, signal) {
    await this.#prove(signal);
    const headers = this.#headers();
    if (last !== undefined) headers["Last-Event-ID"] = String(last);
    const deadline = new Deadline(SHORT_MS, signal);
    try {
      const asked = { headers };
      const url = `${this.#address}/v1/events`;
      const body = await request(url, asked, deadline, (answer) => answer.body);
      yield* eventsIn(body, () => deadline.set(STREAM_QUIET_MS));
    } finally {
      this.#heard = -Infinity;
      deadline.end();
    }
  }
}

/** Pair this site: shows a code, which whoever runs the till types into `kaqi pair` or the
 * console, and returns the token. Keep it with your own origin; nobody is told it again. To
 * somebody whom it does not know yet the agent cannot prove itself. */
export async function pair({ client, version, scopes, showCode, address = ADDRESS, signal }) {
  const body = { client, version, scopes };
  const asked = { method: "POST", headers: {}, body };
  const patience = await patienceOfBrowser();
  const begun = await send(`${address}/v1/pairings`, asked, patience, signal);
  showCode(begun.code, begun.expires_at);
  const headers = { Authorization: `Bearer ${begun.secret}` };
  for (;;) {
    await pause(begun.poll_seconds * 1000, signal);
    const path = `${address}/v1/pairings/${begun.id}`;
    const { state, token } = await send(path, { headers }, SHORT_MS, signal);
    if (token) return token;
    if (state !== "waiting") throw problem("pairing.ended");
  }
}

/** What only who knows this token can answer to this nonce at this host:port. */
export function proofOf(token, nonce, authority) {
  const message = ["kaqi-hello", nonce, authority].join("\n");
  return toHex(hmacSha256(sha256(bytes(token)), bytes(message)));
}

/** The events in a body of text/event-stream (HTML Living Standard, 9.2.6), whatever the
 * borders of its chunks. `heard` is called for each chunk. */
export async function* eventsIn(body, heard = () => {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = {};
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "" || line === "\r") {
          if (event.data !== undefined) yield finished(event);
          event = {};
        } else {
          take(line, event);
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function take(line, event) {
  const [, name, value] = /^([^:]*):? ?(.*?)\r?$/.exec(line);
  if (name === "data") event.data = event.data ? `${event.data}\n${value}` : value;
  if (name === "id" || name === "event") event[name] = value;
}

const finished = ({ event, id, data }) => ({ type: event, id, data: JSON.parse(data) });

/** "granted", "denied" or "prompt": what this browser lets the page do on loopback; null
 * where it has no such permission, or the page came from here itself. */
export async function localNetworkPermission() {
  if (["127.0.0.1", "localhost", "[::1]"].includes(location.hostname)) return null;
  for (const name of ["loopback-network", "local-network-access"]) {
    try {
      const { state } = await navigator.permissions.query({ name });
      return isSecureContext ? state : "denied";
    } catch { /* this browser does not know it by that name */ }
  }
  return null;
}

async function patienceOfBrowser() {
  return (await localNetworkPermission()) === "prompt" ? ASKING_MS : SHORT_MS;
}

async function whyUnreachable() {
  const permission = await localNetworkPermission();
  const denied = permission === "denied" || permission === "prompt";
  return denied ? "browser.local_network_denied" : "browser.agent_unreachable";
}

/** One request and what it is answered with. */
async function send(url, { body, as = "json", ...asked }, patience, signal) {
  if (body !== undefined) {
    asked.headers["Content-Type"] = "application/json";
    asked.body = JSON.stringify(body);
  }
  const deadline = new Deadline(patience, signal);
  try {
    const read = (answer) => (answer.status === 204 ? {} : answer[as]());
    return await request(url, asked, deadline, read);
  } finally {
    deadline.end();
  }
}

/** What `read` finds in the answer. A refusal is a KaqiError, and so is silence. */
async function request(url, asked, deadline, read) {
  const closed = { credentials: "omit", cache: "no-store", redirect: "error" };
  try {
    const answer = await fetch(url, { ...closed, ...asked, signal: deadline.signal });
    if (answer.ok) return await read(answer);
    const refused = await answer.json();
    throw refused.code ? new KaqiError(refused, answer.status) : new Error("no kaqi");
  } catch (failed) {
    if (failed instanceof KaqiError || deadline.isAborted) throw failed;
    throw problem(await whyUnreachable());
  }
}

/** Ends a request that takes too long, or when the caller's signal says so. */
class Deadline {
  #controller = new AbortController();
  #timer;
  #outer;
  #abort = () => this.#controller.abort();

  constructor(milliseconds, outer) {
    this.#outer = outer;
    outer?.addEventListener("abort", this.#abort);
    if (outer?.aborted) this.#abort();
    this.set(milliseconds);
  }

  get signal() {
    return this.#controller.signal;
  }

  /** Whether the caller has lost interest. */
  get isAborted() {
    return this.#outer?.aborted ?? false;
  }

  set(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#abort, milliseconds);
  }

  end() {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }
}

const problem = (code) => new KaqiError({ code, ...PROBLEMS[code] });
const isSilence = (failed) => failed.code === "browser.agent_unreachable";
const mayBeTriedAgain = (failed) => !(failed instanceof KaqiError)
  || failed.problem.retry === "same_request";

function query(values) {
  const said = Object.entries(values).filter(([, value]) => value !== undefined);
  return said.length ? `?${new URLSearchParams(said)}` : "";
}

function random(count) {
  return crypto.getRandomValues(new Uint8Array(count));
}

function bytes(text) {
  return new TextEncoder().encode(text);
}

/** Ends early when the signal is aborted. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    if (signal?.aborted) resolve();
  });
}
