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
    this.load();
    this.loading = setInterval(() => this.load(), milliseconds);
  }

  /** Another screen is shown. */
  close() {
    clearInterval(this.loading);
  }

  /** The agent answers again. */
  again() {
    this.load();
  }
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
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(said);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

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
