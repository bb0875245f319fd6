// Elements are made of names, attributes and texts, never of HTML.

/**
 * An element. Attributes that are null or false are left out; "on..." are listeners; children are elements
 * or texts.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

/** An element of a drawing. */
export function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Text for screen readers alone. */
export const spoken = (text) => element("span", { class: "hidden" }, text);

export const byId = (id) => document.getElementById(id);

export const counted = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

/** Milliseconds, as exact as they matter. */
export function duration(milliseconds) {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** The last part of a path. */
export const fileName = (path) => path.split(/[\\/]/).filter(Boolean).pop() ?? path;
