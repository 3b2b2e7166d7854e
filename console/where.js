// Which card goes into which reader, and out of which: what the readers' names are for.

import { hasEnded } from "./kaqi.js";

/** Whether the holder need not wait for anything any more. */
export const isOver = (now) => hasEnded(now) || now.state === "in_doubt";

const holdsCard = (reader) => reader.slot === "present" || reader.slot === "mute";
const isTurnedAway = (now, reader) => now.problem && holdsCard(reader) && !reader.card?.accepted;
const isAskedOut = (now, reader) => holdsCard(reader) && (now.role === null || reader.card?.role === now.role);
// A stripe that has passed leaves nothing behind, but no chip goes there.
const isFree = (now, reader) => reader.slot === "empty" || (reader.slot === "swiped" && now.role !== "social_security");
const isAtWork = (now, reader) => reader.id === now.reader;

// By state: what is to be done at which readers, the first that fits any.
const MOVES = {
  waiting_card: [["take_out", isTurnedAway], ["put_in", isFree]],
  waiting_removal: [["take_out", isAskedOut]],
  reading: [["leave_in", isAtWork]],
  waiting_pin: [["leave_in", isAtWork]],
};
const AFTERWARDS = [["take_out", (now, reader) => holdsCard(reader)]];

/** What is to be done at this moment of a transaction, as {move, reader, role}: "put_in",
 *  "take_out" or "leave_in". `readers` are those of the agent; where there is no choice
 *  nobody is told which one. Null where it does not matter what lies where. */
export function movesAt(now, readers) {
  const moves = isOver(now) ? AFTERWARDS : MOVES[now.state];
  if (!moves) return null;
  const ours = readers.filter((reader) => reader.role !== "psam" && [null, now.id].includes(reader.transaction));
  for (const [move, fits] of moves) {
    const found = ours.filter((reader) => fits(now, reader));
    const matters = move === "take_out" || ours.length > 1;
    if (found.length) return matters ? found.map((reader) => ({ move, reader: reader.name, role: reader.card?.role ?? null })) : [];
  }
  return [];
}
