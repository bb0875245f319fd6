// Requests to the server.
import { byId } from "./elements.js";

const KEY = "crossrank-key";

/** The key of this server, if it needs one; kept until the tab is closed. */
export const key = () => sessionStorage.getItem(KEY) ?? "";
export const keepKey = (value) => sessionStorage.setItem(KEY, value);

/** Ask the server for JSON; what it refuses is an error with its sentence. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer; is it still running?");
  }
  const text = await answer.text();
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Told below.
  }
  if (answer.status === 401) byId("key-option").hidden = false;
  if (!answer.ok) throw new Error(sentence(problemOf(value) ?? `The server answered with status ${answer.status}`));
  return value;
}

/** The message of an error: each API has it elsewhere. */
function problemOf(value) {
  const given = value?.error?.message ?? value?.error ?? value?.message ?? value?.detail;
  return typeof given === "string" ? given : null;
}

/** A message as a sentence. */
export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?)]$/.test(text) ? "" : "."}`;
