// What is wrong with a screen as it is laid out now: text that is cut off, overlaps other
// text or leaves the page; what is too small to hit; and what cannot be seen when it has the
// focus (WCAG 2.2: 1.4.4, 1.4.10, 1.4.12, 2.4.11, 2.5.8). Returns sentences.
() => {
  const SLACK = 1.5; // CSS px, of rounding
  const TARGET = 24; // CSS px, 2.5.8
  const TARGETS = "button, a[href], input, select, textarea, summary, [role=button], [role=tab]";
  const root = document.querySelector("dialog[open]") ?? document.body;
  const found = [];
  const short = (text) => `“${text.trim().replace(/\s+/g, " ").slice(0, 40)}”`;
  const styled = (element) => getComputedStyle(element);
  const up = function* (element) {
    for (let at = element; at && at !== document.documentElement; at = at.parentElement) yield at;
  };
  const clips = (element) => styled(element).overflowX !== "visible";
  // For ears only, or kept beside the page until it has the focus.
  const unseen = (element) =>
    !element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) ||
    [...up(element)].some((each) => clips(each) && each.clientWidth <= 1) ||
    element.getBoundingClientRect().right <= 0;
  const name = (element) => element.getAttribute("aria-label") ?? element.closest("label")?.textContent ?? element.textContent;

  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.push(`the page is ${page.scrollWidth} px wide, the window ${page.clientWidth}`);

  const pieces = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { currentNode: node } = walker;
    const parent = node.parentElement;
    if (!node.data.trim() || unseen(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 0) pieces.push({ text: short(node.data), parent, box });
  }

  for (const { text, parent, box } of pieces) {
    if (box.right > innerWidth + SLACK || box.left < -SLACK) {
      if (![...up(parent)].some((each) => ["auto", "scroll"].includes(styled(each).overflowX))) found.push(`${text} leaves the page`);
    }
    for (const each of up(parent)) {
      const style = styled(each);
      if (style.display === "inline" || style.display === "contents") continue;
      const around = each.getBoundingClientRect();
      const scrolls = ["auto", "scroll"];
      const wide = (box.right > around.right + SLACK || box.left < around.left - SLACK) && !scrolls.includes(style.overflowX);
      const high = (box.top + box.height / 4 < around.top - SLACK || box.bottom - box.height / 4 > around.bottom + SLACK) && !scrolls.includes(style.overflowY);
      if (wide || high) found.push(`${text} is cut off by or sticks out of <${each.localName} class="${each.className}">`);
      if (wide || high || scrolls.includes(style.overflowX) || scrolls.includes(style.overflowY) || each === root) break;
    }
  }

  for (const field of root.querySelectorAll("input[placeholder]")) {
    if (unseen(field)) continue;
    const style = styled(field);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = style.font;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const cross = field.type === "search" ? parseFloat(style.fontSize) : 0; // what clears it
    if (pen.measureText(field.placeholder).width > room - cross) found.push(`${short(field.placeholder)} does not fit into its field`);
  }

  // Line boxes of Chinese type are higher than its ink, so the middle half counts, and of that
  // what is not scrolled out of sight.
  const scrolledInto = ({ parent, ...ink }) => {
    for (const each of up(parent)) {
      if (styled(each).overflowY === "visible") continue;
      const { top, bottom } = each.getBoundingClientRect();
      ink = { ...ink, top: Math.max(ink.top, top), bottom: Math.min(ink.bottom, bottom) };
    }
    return ink;
  };
  const ink = pieces
    .filter(({ parent }) => ![...up(parent)].some((each) => ["fixed", "sticky"].includes(styled(each).position)))
    .map(({ text, parent, box }) => scrolledInto({ text, parent, left: box.left, right: box.right, top: box.top + box.height / 4, bottom: box.bottom - box.height / 4 }));
  ink.forEach((one, place) => {
    for (const other of ink.slice(place + 1)) {
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const along = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (across > 2 && along > 2) found.push(`${one.text} and ${other.text} overlap`);
    }
  });

  const targets = [...root.querySelectorAll(TARGETS)].filter((each) => !unseen(each));
  for (const each of targets) {
    const boxes = [each, each.closest("label")].filter(Boolean).map((part) => part.getBoundingClientRect());
    const wide = Math.max(...boxes.map((box) => box.width));
    const high = Math.max(...boxes.map((box) => box.height));
    if (wide < TARGET || high < TARGET) found.push(`${short(name(each))} is ${wide} x ${high} px`);
  }

  const before = document.activeElement;
  for (const each of targets.filter((target) => !target.disabled)) {
    document.activeElement.blur(); // what has it already is not scrolled to
    each.focus();
    if (document.activeElement !== each) continue;
    const { left, top, width, height } = each.getBoundingClientRect();
    const points = [0.25, 0.5, 0.75].flatMap((x) => [0.25, 0.5, 0.75].map((y) => [left + width * x, top + height * y]));
    const there = points.filter(([x, y]) => {
      const hit = document.elementFromPoint(x, y);
      return hit && (each.contains(hit) || hit.contains(each));
    });
    if (!there.length) found.push(`${short(name(each))} is not seen when it has the focus`);
  }
  before?.focus?.({ preventScroll: true });
  scrollTo(0, 0);
  return [...new Set(found)];
};
