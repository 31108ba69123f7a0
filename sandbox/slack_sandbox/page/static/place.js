// The page's address. It names person, conversation and thread, so that a reload returns to them.

const KEYS = ["person", "channel", "thread"];

/** The person, channel and thread in the address; null for each that is missing. */
export function readPlace() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(KEYS.map((key) => [key, query.get(key)]));
}

/** Write a place into the address: as a new step for Back, or in place of the current one. */
export function writePlace(place, { isStep }) {
  const query = new URLSearchParams(KEYS.filter((key) => place[key]).map((key) => [key, place[key]]));
  if (`?${query}` === location.search) return;
  history[isStep ? "pushState" : "replaceState"](null, "", `?${query}`);
}
