// Building elements, and the few habits that every screen shares.

/** An element: `h("button", {class: "primary", onclick}, "Yes")`. A property that is null or
 *  false is left out; children may be nested lists, and null among them is nothing. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  give(element, properties);
  element.append(...flat(children));
  return element;
}

/** The same in SVG. */
export function svg(name, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  give(element, properties);
  element.append(...flat(children));
  return element;
}

/** What is in `parent` from now on. */
export function show(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

/** What an element says from now on; one that says it already is left alone. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A screen that looks again and again while it is shown; what it looks at is in `load`. */
export class Looking {
  constructor(app) {
    this.app = app;
  }

  keepLooking(milliseconds) {
    this.look();
    this.loading = setInterval(() => this.looking ?? this.look(), milliseconds);
  }

  /** One look at a time, however long it takes; whoever asks meanwhile has it done once more. */
  look() {
    this.stale = true;
    this.looking ??= this.untilFresh().finally(() => (this.looking = null));
    return this.looking;
  }

  async untilFresh() {
    while (this.stale) {
      this.stale = false;
      await this.load();
    }
  }

  /** Another screen is shown. */
  close() {
    clearInterval(this.loading);
  }

  /** The agent answers again. */
  again() {
    this.look();
  }
}

/** A list whose elements stay while what they show does not change: nothing flickers, and the
 *  focus stays where it was, also in an element that had to be made anew. */
export class Kept {
  constructor(parent, build) {
    this.parent = parent;
    this.build = build;
    this.rows = new Map();
  }

  /** Show these from now on: pairs of a key and a value, from which `build` makes the element. */
  show(entries) {
    const focused = this.focused();
    const before = this.rows;
    this.rows = new Map(entries.map(([key, value]) => [key, this.row(before.get(key), value)]));
    const elements = [...this.rows.values()].map((row) => row.element);
    for (const { element } of before.values()) if (!elements.includes(element)) element.remove();
    elements.forEach((element, place) => {
      if (this.parent.children[place] !== element) this.parent.insertBefore(element, this.parent.children[place] ?? null);
    });
    if (focused && document.activeElement !== focused.control) controls(this.rows.get(focused.key)?.element)[focused.place]?.focus();
  }

  row(before, value) {
    const said = JSON.stringify(value);
    return before?.said === said ? before : { said, element: this.build(value) };
  }

  /** Which control of which row has the focus. */
  focused() {
    const control = document.activeElement;
    const found = [...this.rows].find(([, { element }]) => element.contains(control));
    return found && { key: found[0], control, place: controls(found[1].element).indexOf(control) };
  }
}

function controls(element) {
  return [...(element?.querySelectorAll("button, input, summary") ?? [])];
}

/** A dialog that is open until it is answered; resolves to what `answer` was called with,
 *  null when it was left by Escape. */
export function ask(build) {
  return new Promise((resolve) => {
    const dialog = h("dialog");
    let said = null;
    const answer = (value) => {
      said = value;
      dialog.close();
    };
    show(dialog, build(answer));
    dialog.setAttribute("aria-label", dialog.querySelector("h2").textContent);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(said);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What a reference of the POS or of the operator may look like. */
export const REFERENCE = "[0-9A-Za-z._:\\/#\\-]{1,64}";

/** Have the browser save these bytes. */
export function save(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

function give(element, properties) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === false || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
