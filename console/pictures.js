// Drawings of what to do with which card: a reader, a card, and where it goes. They are for
// the eye only; the words beside them say the same.

import { svg } from "./dom.js";

const CARDS = {
  medical: { body: "#f4c542", edge: "#7a5b00", mark: stripe },
  social_security: { body: "#1f6fb2", edge: "#0b3d66", mark: chip },
};

/** The drawing of a moment, by the key of its step. */
export function picture(key, role) {
  const kind = key.split(".")[0];
  const draw = DRAWINGS[kind] ?? DRAWINGS.checking;
  const drawing = svg("svg", { viewBox: "0 0 360 240", class: "picture", "aria-hidden": "true" });
  drawing.append(...draw(role));
  return drawing;
}

const DRAWINGS = {
  waiting_reader: () => [reader(), cable()],
  waiting_card: (role) => [card(role, 130, 20), arrow("down"), reader()],
  reading: (role) => [card(role, 130, 78), reader(), waves()],
  waiting_removal: (role) => [card(role, 130, 20), arrow("up"), reader()],
  matching: () => [card("medical", 50, 80), card("social_security", 210, 80), equals()],
  checking: () => [card("social_security", 40, 80), waves(190), house()],
  waiting_confirm: () => [card("social_security", 130, 50), tick("#0b3d66")],
  waiting_pin: (role) => [card(role, 20, 60), keypad()],
  waiting_registration: () => [card("social_security", 40, 80), house()],
  committing: () => [card("social_security", 40, 80), waves(190), house()],
  in_doubt: () => [card("social_security", 40, 80), waves(190), house(), clock()],
  succeeded: () => [card("social_security", 130, 60), tick("#1b7a3d")],
  failed: () => [card("social_security", 130, 60), cross()],
  cancelled: () => [card("social_security", 130, 60), cross()],
  expired: () => [card("social_security", 130, 60), clock()],
};

function box(x, y, width, height, radius, fill, stroke) {
  return svg("rect", { x, y, width, height, rx: radius, fill, stroke, "stroke-width": 3 });
}

function line(d, stroke, width = 6) {
  return svg("path", { d, fill: "none", stroke, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" });
}

function card(role, x, y) {
  const look = CARDS[role] ?? CARDS.social_security;
  return svg("g", { transform: `translate(${x} ${y})` }, box(0, 0, 100, 64, 8, look.body, look.edge), look.mark(look.edge));
}

function chip(edge) {
  return svg("g", {}, box(12, 20, 24, 20, 4, "#f2d68b", edge), line("M48 26h40M48 38h30", "#ffffff", 4));
}

function stripe(edge) {
  return svg("g", {}, svg("rect", { x: 0, y: 10, width: 100, height: 13, fill: edge }), line("M12 40h46M12 50h30", edge, 4));
}

function reader() {
  return svg("g", {}, box(90, 150, 180, 70, 12, "#3b4652", "#1d242b"), svg("rect", { x: 120, y: 146, width: 120, height: 8, fill: "#0c0f12" }), svg("circle", { cx: 250, cy: 200, r: 6, fill: "#6ee7a0" }));
}

function cable() {
  return line("M180 150V90M150 90h60M165 90V60M195 90V60", "#3b4652", 8);
}

function arrow(way) {
  return line(way === "down" ? "M180 94v38M162 116l18 18 18-18" : "M180 134V96M162 112l18-18 18 18", "#b3261e", 8);
}

function waves(x = 150) {
  return svg("g", { class: "waves" }, ...[0, 22, 44].map((step) => svg("circle", { cx: x + step, cy: 112, r: 6, fill: "#0b3d66" })));
}

function equals() {
  return line("M165 104h30M165 122h30", "#0b3d66", 8);
}

function house() {
  return svg("g", {}, line("M250 110l50-40 50 40", "#0b3d66"), box(262, 110, 76, 56, 2, "#e8eef4", "#0b3d66"), line("M300 122v32M284 138h32", "#b3261e", 7));
}

function tick(stroke) {
  return line("M140 165l28 28 54-60", stroke, 14);
}

function cross() {
  return line("M152 150l56 56M208 150l-56 56", "#b3261e", 14);
}

function clock() {
  return svg("g", {}, svg("circle", { cx: 180, cy: 180, r: 32, fill: "#fff", stroke: "#7a5b00", "stroke-width": 6 }), line("M180 162v18l14 10", "#7a5b00", 6));
}

function keypad() {
  const keys = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => box(178 + column * 48, 40 + row * 48, 38, 38, 6, "#e8eef4", "#0b3d66")));
  return svg("g", {}, box(164, 26, 162, 162, 12, "#ffffff", "#0b3d66"), ...keys);
}
