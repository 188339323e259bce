// What a reader has made of a graph, and how it is written in the address.
// The address is not trusted: what does not name something in this graph is left out.
/** @import { GraphModel, GraphState } from "../types" */

const MOST = { address: 20000, groups: 40, name: 40 };
const DRAWN = 150;

/**
 * Visible characters only, on one line, at most 40 of them.
 * @param {string} text
 */
const name = (text) =>
  Array.from(text.replace(/\p{C}/gu, "").replace(/\s+/gu, " ").trim()).slice(0, MOST.name).join("");
export const groupName = name;

/**
 * @param {GraphModel} model
 * @returns {GraphState}
 */
export const usualState = (model) => ({
  links: Math.min(DRAWN, model.links.length),
  influence: 1,
  errors: true,
  near: false,
  paths: false,
  trace: false,
  pinned: null,
  groups: [],
});

/** @param {string | null} text */
function share(text) {
  return /^(0(\.\d{1,4})?|1)$/.test(text || "") ? Number(text) : null;
}

/**
 * @param {GraphModel} model
 * @param {string} text
 * @param {Set<number>} taken
 */
function groupOf(model, text, taken) {
  const star = text.indexOf("*");
  if (star < 0) return null;
  const members = [];
  for (const id of text.slice(0, star).split(" ")) {
    const node = model.byId.get(id);
    if (!node || taken.has(node.place)) continue;
    taken.add(node.place);
    members.push(node.place);
  }
  members.sort((a, b) => a - b);
  return members.length > 1 ? { name: name(text.slice(star + 1)) || "group", members } : null;
}

/**
 * @param {GraphModel} model
 * @param {string} address
 */
export function readState(model, address) {
  const state = usualState(model);
  if (address.length > MOST.address) return state;
  const parts = new URLSearchParams(address);
  const links = parts.get("links");
  if (/^\d{1,7}$/.test(links || "")) state.links = Math.min(Number(links), model.links.length);
  const influence = share(parts.get("influence"));
  if (influence !== null) state.influence = influence;
  state.errors = parts.get("errors") !== "no";
  state.near = parts.get("near") === "yes";
  state.paths = parts.get("paths") === "yes";
  const pinned = model.byId.get(parts.get("pin") || "");
  if (pinned) state.pinned = pinned.place;
  state.trace = state.pinned !== null && parts.get("trace") === "yes";
  const taken = new Set();
  state.groups = parts
    .getAll("group")
    .slice(0, MOST.groups)
    .map((text) => groupOf(model, text, taken))
    .filter((group) => group !== null);
  return state;
}

/**
 * @param {GraphModel} model
 * @param {GraphState} state
 */
export function writeState(model, state) {
  const usual = usualState(model);
  const parts = new URLSearchParams();
  if (state.pinned !== null) parts.set("pin", model.nodes[state.pinned].id);
  if (state.links !== usual.links) parts.set("links", String(state.links));
  if (state.influence < 1) parts.set("influence", String(state.influence));
  if (!state.errors) parts.set("errors", "no");
  if (state.near) parts.set("near", "yes");
  if (state.paths) parts.set("paths", "yes");
  if (state.trace) parts.set("trace", "yes");
  for (const group of state.groups) {
    parts.append("group", group.members.map((place) => model.nodes[place].id).join(" ") + "*" + group.name);
  }
  // A colon is part of many ids and needs no escape behind the #.
  return parts.toString().replaceAll("%3A", ":");
}
