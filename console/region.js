// The region's rules in plain words, as `kaqi region explain` says them.

import { h } from "./dom.js";

/** All of it: the scenarios, and what holds for each of them. */
export function regionPanel(region, { say, read }) {
  return [
    h("p", {}, h("strong", {}, read(region.name)), " ", h("code", {}, `${region.id}@${region.version}`)),
    region.ways.map((way, place) => wayPanel(way, place === 0, say, read)),
    ["pins", "windows", "holders"].map((key) => [h("h3", {}, say(`region_${key}`)), h("ul", { class: "way" }, region[key].map((text) => h("li", {}, read(text))))]),
  ];
}

function wayPanel(way, open, say, read) {
  const detours = new Map(way.one_reader.map(({ after, steps }) => [after, steps]));
  const steps = way.steps.map((step, place) => {
    const more = detours.get(place + 1);
    return h("li", {}, sentence(step, read), more && h("p", { class: "soft" }, say("region_one_reader"), " ", more.map((each) => sentence(each, read)).join(" ")));
  });
  return h(
    "details",
    { open },
    h("summary", {}, h("strong", {}, `${read(way.place)} · ${read(way.name)}`)),
    h("ol", { class: "way" }, steps),
    h("dl", { class: "facts plain" }, h("dt", {}, say("region_by")), h("dd", {}, read(way.by)), h("dt", {}, say("region_lost")), h("dd", {}, read(way.lost))),
    h("details", {}, h("summary", {}, say("region_ends", { count: way.ends.length })), h("ul", { class: "way" }, way.ends.map((end) => ending(end, read)))),
  );
}

/** Who does what, and what is read meanwhile. */
function sentence(step, read) {
  const [who, does, reads] = [step.who, step.does, step.reads].map(read);
  return document.documentElement.lang === "en" ? `${who} ${does}: "${reads}"` : `${who}${does}：“${reads}”`;
}

function ending(end, read) {
  const back = read(end.way_back);
  return h("li", {}, read(end.says), back.length > 0 && h("ul", { class: "way" }, back.map((line) => h("li", {}, line.replace(/^\d+\. /, "")))));
}
