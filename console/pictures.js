// Drawings of what to do with which card: a reader, a card, and where it goes. They are for
// the eye only; the words beside them say the same.

import { svg } from "./dom.js";

const CARDS = {
  medical: { body: "#f4c542", edge: "#7a5b00", mark: stripe },
  social_security: { body: "#1f6fb2", edge: "#0b3d66", mark: chip },
  unknown: { body: "#d5dce3", edge: "#4a5a68", mark: question },
};
const BLUE = "#0b3d66";
const RED = "#b3261e";
const GREEN = "#1b7a3d";

/** The drawing of a snapshot: of its problem where that has one, else of its moment. */
export function picture(now) {
  const { key } = now.step;
  const keypad = key.endsWith(".reader") ? "waiting_pin.reader" : key;
  const draw = WRONG[now.state]?.[now.problem?.action] ?? DRAWINGS[keypad] ?? DRAWINGS[now.state] ?? DRAWINGS.checking;
  const drawing = svg("svg", { viewBox: "0 0 360 240", class: "picture", "aria-hidden": "true" });
  drawing.append(...draw(now.role ?? "unknown"));
  return drawing;
}

const DRAWINGS = {
  waiting_reader: () => [reader(), cable()],
  waiting_card: (role) => [card(role, 130, 20), arrow("down"), reader()],
  reading: (role) => [card(role, 130, 90), reader(), waves(150, 60)],
  waiting_removal: (role) => [card(role, 130, 20), arrow("up"), reader()],
  matching: () => [card("medical", 40, 80), card("social_security", 220, 80), equals()],
  checking: () => [card("social_security", 40, 80), waves(), house()],
  waiting_confirm: () => [card("medical", 30, 80), struck(30, 80), onward(), card("social_security", 230, 80)],
  waiting_pin: (role) => [card(role, 20, 60), keypad()],
  "waiting_pin.reader": (role) => [card(role, 130, 90), reader(), keys(154, 162, 14, 18)],
  "waiting_pin.at_work": (role) => [card(role, 130, 90), reader(), waves(150, 60)],
  waiting_registration: () => [card("social_security", 30, 80), onward(), house()],
  committing: () => [card("social_security", 40, 80), waves(), house()],
  in_doubt: () => [card("social_security", 60, 20), arrow("up", -70), reader(-70), clock()],
  succeeded: () => [card("social_security", 60, 20), arrow("up", -70), reader(-70), tick()],
  failed: () => [card("social_security", 60, 20), arrow("up", -70), reader(-70), cross()],
  cancelled: () => [card("unknown", 60, 20), arrow("up", -70), reader(-70), cross()],
  expired: () => [card("unknown", 60, 20), arrow("up", -70), reader(-70), clock()],
};
// What is to be done first about a card that was turned away, by the action of its problem.
const OUT = () => [card("unknown", 130, 20), arrow("up"), reader()];
const WRONG = {
  waiting_card: {
    other_card: OUT,
    remove_card: OUT,
    other_reader: OUT,
    replace_card: OUT,
    reinsert_card: () => [card("unknown", 130, 20), arrow("up", -30), arrow("down", 30), reader()],
    turn_card: (role) => [turned(role), arrow("down"), reader()],
  },
};

function box(x, y, width, height, radius, fill, stroke) {
  return svg("rect", { x, y, width, height, rx: radius, fill, stroke, "stroke-width": 3 });
}

function line(d, stroke, width = 6) {
  return svg("path", { d, fill: "none", stroke, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" });
}

function moved(x, y, ...parts) {
  return svg("g", { transform: `translate(${x} ${y})` }, ...parts);
}

function card(role, x, y) {
  const look = CARDS[role];
  return moved(x, y, box(0, 0, 100, 64, 8, look.body, look.edge), look.mark(look.edge));
}

function chip(edge) {
  return svg("g", {}, box(12, 20, 24, 20, 4, "#f2d68b", edge), line("M48 26h40M48 38h30", "#ffffff", 4));
}

function stripe(edge) {
  return svg("g", {}, svg("rect", { x: 0, y: 10, width: 100, height: 13, fill: edge }), line("M12 40h46M12 50h30", edge, 4));
}

function question(edge) {
  return svg("g", {}, line("M41 24c0-12 20-12 20 0 0 8-10 8-10 16", edge, 5), svg("circle", { cx: 51, cy: 50, r: 3.5, fill: edge }));
}

/** The chip up and first: with a bent arrow round the card. */
function turned(role) {
  return svg("g", {}, card(role, 130, 20), line("M250 30c30 10 30 44 0 52M262 70l-14 12 16 10", RED, 7));
}

function reader(x = 0) {
  return moved(x, 0, box(90, 150, 180, 70, 12, "#3b4652", "#1d242b"), svg("rect", { x: 120, y: 146, width: 120, height: 8, fill: "#0c0f12" }), svg("circle", { cx: 255, cy: 208, r: 6, fill: "#6ee7a0" }));
}

function cable() {
  return line("M180 150V90M150 90h60M165 90V60M195 90V60", "#3b4652", 8);
}

function arrow(way, x = 0) {
  return moved(x, 0, line(way === "down" ? "M180 94v38M162 116l18 18 18-18" : "M180 134V96M162 112l18-18 18 18", RED, 8));
}

function onward() {
  return line("M150 112h52M184 94l18 18-18 18", BLUE, 8);
}

function waves(x = 158, y = 112) {
  return svg("g", { class: "waves" }, ...[0, 22, 44].map((step) => svg("circle", { cx: x + step, cy: y, r: 6, fill: BLUE })));
}

function equals() {
  return line("M165 104h30M165 122h30", BLUE, 8);
}

function house() {
  return svg("g", {}, line("M240 110l50-40 50 40", BLUE), box(252, 110, 76, 56, 2, "#e8eef4", BLUE), line("M290 122v32M274 138h32", RED, 7));
}

function struck(x, y) {
  return moved(x, y, line("M6 6l88 52M94 6L6 58", RED, 8));
}

function tick() {
  return line("M240 120l28 28 54-60", GREEN, 14);
}

function cross() {
  return line("M252 90l56 56M308 90l-56 56", RED, 14);
}

function clock() {
  return svg("g", {}, svg("circle", { cx: 285, cy: 118, r: 38, fill: "#fff", stroke: "#7a5b00", "stroke-width": 7 }), line("M285 96v22l16 12", "#7a5b00", 7));
}

function keys(x, y, size, step) {
  return svg("g", {}, ...[0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => box(x + column * step, y + row * step, size, size, 3, "#e8eef4", BLUE))));
}

function keypad() {
  return svg("g", {}, box(164, 26, 162, 162, 12, "#ffffff", BLUE), keys(178, 40, 38, 48));
}
