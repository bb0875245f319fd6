// What the page says before the first question.
import { sentence } from "./asking.js";
import { copy } from "./copying.js";
import { element } from "./elements.js";

/** Elements that say what can be asked, or how to fill the index; `state` is the answer of GET /index. */
export function welcomeOf(state, mode) {
  if (mode === "paste") return pasteWelcome();
  if (isReady(state)) return indexWelcome(state);
  return state.problem !== null && state.exists ? brokenWelcome(state) : emptyWelcome(state);
}

export const isReady = (state) => state.problem === null && state.passages > 0;

const indexWelcome = (state) => [
  element("h2", {}, "Ask your files"),
  element("p", {}, "The first stage finds candidates by their words and by their meaning. The cross-encoder then reads " +
    "your question together with each candidate, and puts the best on top. Both rankings are shown, with a line for " +
    "each passage that moved."),
  element("p", { class: "muted" }, "Indexed: ", ...state.sources.slice(0, 5).flatMap((source, number) =>
    [number ? ", " : null, element("code", {}, source)]), state.sources.length > 5 ? ` and ${state.sources.length - 5} more` : null),
];

const pasteWelcome = () => [
  element("h2", {}, "Rerank passages of your own"),
  element("p", {}, "Paste the results of any search, one passage a line or with blank lines between them, and ask your " +
    "question. They stay on this server."),
];

function emptyWelcome(state) {
  const folder = state.path ?? "my-index";
  const commands = [["Add files and folders:", `crossrank index add ${shellWord(folder)} notes/ report.pdf`]];
  if (state.path === null) commands.push(["Start the server with the index:", `crossrank serve --index ${folder}`]);
  return [
    element("h2", {}, state.path === null ? "There is no index yet" : "The index is empty"),
    ...commands.flatMap(([text, command]) => [
      element("p", {}, text),
      element("div", { class: "command" }, element("code", {}, command),
        element("button", { type: "button", onclick: (event) => copy(command, event.currentTarget) }, "Copy")),
    ]),
    element("p", { class: "muted" }, state.path === null ? "Meanwhile, you can rerank passages that you paste."
      : "This page sees new files at once; there is no need to restart the server."),
  ];
}

const brokenWelcome = (state) => [
  element("h2", {}, "The index cannot be searched"),
  element("p", { class: "error" }, sentence(state.problem)),
];

const shellWord = (text) => (/^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
