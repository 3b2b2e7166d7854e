// When something was, in the local time of this computer.

/** The time of day; with the date when that is not today's. `moment` is RFC 3339. */
export function shownTime(moment, now = new Date()) {
  const at = new Date(moment);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(":");
  return isSameDay(at, now) ? time : `${shownDate(at)} ${time}`;
}

/** Date and time, whatever day it is. */
export function fullTime(moment) {
  return shownTime(moment, new Date(NaN));
}

/** The date, as in 2026-03-02. */
export function shownDate(at) {
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
}

/** Whether both are on one day here. */
export function isSameDay(one, other) {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

const twoDigits = (number) => String(number).padStart(2, "0");
