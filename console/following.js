// Following one transaction, whatever happens between this page and the agent: each snapshot
// is shown once, none after a newer one, and every silence is waited out.

import { KaqiError, hasEnded } from "./kaqi.js";

const AGAIN_MS = 1_000; // after a silence
const REFUSED_MS = 5_000; // after a refusal, which is read meanwhile
const GONE = new Set([404, 410]); // the agent knows no such transaction, and never will

export class Following {
  #over = new AbortController();
  #last = null; // the newest snapshot of this run of the agent
  #refused = false;

  /** `shown` hears every snapshot; `lost` why there will be none any more. */
  constructor(app, id, { shown, lost }) {
    this.app = app;
    this.id = id;
    this.shown = shown;
    this.lost = lost;
  }

  /** Until it has ended, or somebody says stop. `snapshot` is what is known already. */
  async begin(snapshot = null) {
    this.take(snapshot);
    while (!this.isOver) {
      try {
        const now = await this.#next();
        if (this.isOver) return;
        this.#answered();
        this.take(now);
        if (hasEnded(now)) return;
      } catch (failed) {
        if (this.isOver) return;
        if (GONE.has(failed.status)) return this.lost(failed);
        this.app.failed(failed);
        if (failed instanceof KaqiError) this.#last = null; // another run counts anew
        this.#refused = failed.status > 0;
        await new Promise((resolve) => setTimeout(resolve, this.#refused ? REFUSED_MS : AGAIN_MS));
      }
    }
  }

  /** One more snapshot: an answer to a click may come before what is followed, or after it. */
  take(now) {
    if (this.isOver || now?.id !== this.id) return;
    if (this.#last && now.seq <= this.#last.seq) return;
    this.#last = now;
    this.shown(now);
  }

  stop() {
    this.#over.abort();
  }

  get isOver() {
    return this.#over.signal.aborted;
  }

  #answered() {
    this.app.reached(true);
    if (this.#refused) this.app.trouble(null);
    this.#refused = false;
  }

  #next() {
    const { kaqi } = this.app;
    return this.#last ? kaqi.next(this.#last, { signal: this.#over.signal }) : kaqi.get(this.id);
  }
}
