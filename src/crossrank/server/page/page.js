// The page: a question and its options, kept in the fragment of the address; two rankings.
import { ask, keepKey, key } from "./asking.js";
import { asCurl, asPython, copy } from "./copying.js";
import { byId, counted, drawn, duration, element } from "./elements.js";
import { drawLines, showMarks, showResults } from "./results.js";
import { openPassage } from "./viewer.js";
import { isReady, welcomeOf } from "./welcome.js";

const form = byId("form");
let state = { exists: false, passages: 0, problem: null, path: null, sources: [], files: 0 };
let model = "";
let found = null; // the last answer: hits, activation, stages in milliseconds, notices
let asking = null; // the AbortController of the request under way
let marking = null; // the same of the request for what to mark
let waiting = 0; // the timer that looks for an index
let best = 5; // how many of the best are wanted, if there are that many

// ---- what the form says

const mode = () => form.elements.mode.value;
const pasted = () => {
  const text = byId("passages").value.trim();
  const parts = /\n\s*\n/.test(text) ? text.split(/\n\s*\n/) : text.split("\n");
  return parts.map((part) => part.trim()).filter(Boolean);
};
const filters = () => byId("filter").value.split(";").map((one) => one.trim()).filter(Boolean);

const reading = () => (byId("windows").checked ? { long_documents: "windows" } : {});
/** The least probability that is asked for, if the model has probabilities. */
const least = () => (byId("probability-option").hidden ? 0 : Number(byId("min-probability").value));

function request() {
  const query = byId("query").value.trim();
  if (mode() === "paste") return { path: "v2/rerank", body: { query, documents: pasted(), ...reading() } };
  const body = { query, candidates: Number(byId("candidates").value), top_n: null, ...reading() };
  if (filters().length) body.filters = filters();
  return { path: "search", body };
}

/** The request as a reader would send it: only the best. */
function shownRequest() {
  const { path, body } = request();
  const top = { ...body, top_n: Number(byId("top-n").value) };
  if (least()) top.min_probability = least();
  return { url: new URL(path, document.baseURI).href.split("#")[0], body: top, key: key() };
}

const SHOWS = {
  index: 'for hit in found["hits"]:\n    print(hit["rank"], hit["score"], hit["document"]["id"], hit["text"])',
  paste: 'for hit in found["results"]:\n    print(hit["relevance_score"], body["documents"][hit["index"]])',
};

// ---- the view in the address: in the fragment, which browsers do not send

function remember() {
  const view = new URLSearchParams({ q: byId("query").value.trim() });
  if (mode() === "paste") view.set("passages", byId("passages").value);
  else {
    view.set("candidates", byId("candidates").value);
    if (byId("filter").value) view.set("filter", byId("filter").value);
  }
  view.set("top_n", byId("top-n").value);
  if (byId("windows").checked) view.set("long_documents", "windows");
  if (Number(byId("min-probability").value)) view.set("min_probability", byId("min-probability").value);
  history.replaceState(null, "", `#${view}`);
}

function recall() {
  const view = new URLSearchParams(location.hash.slice(1));
  if (!view.has("q")) return false;
  byId("query").value = view.get("q");
  form.elements.mode.value = view.has("passages") ? "paste" : "index";
  byId("passages").value = view.get("passages") ?? "";
  byId("filter").value = view.get("filter") ?? "";
  if (view.has("candidates")) byId("candidates").value = view.get("candidates");
  best = Number(view.get("top_n")) || 5;
  byId("min-probability").value = view.get("min_probability") ?? 0;
  byId("windows").checked = view.get("long_documents") === "windows";
  showMode();
  return true;
}

// ---- asking the server

async function rank() {
  asking?.abort();
  marking?.abort();
  byId("error").hidden = true;
  const { path, body } = request();
  if (!body.query) return;
  if (body.documents?.length === 0) return fail(new Error("Paste at least one passage."));
  remember();
  const own = (asking = new AbortController());
  document.body.classList.add("busy");
  const started = performance.now();
  try {
    const answer = await ask(path, {
      method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal: own.signal,
    });
    found = { query: body.query, ...(mode() === "paste" ? ofTexts(answer, body, performance.now() - started) : ofSearch(answer)) };
    show();
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    if (asking === own) document.body.classList.remove("busy");
  }
}

function ofSearch(answer) {
  const hits = answer.hits.map((hit) => ({
    key: hit.document.id,
    id: hit.document.id,
    name: hit.document.id,
    text: hit.text,
    title: hit.document.title,
    metadata: hit.document.metadata,
    before: hit.candidate.rank,
    stages: hit.candidate.stage_ranks,
    firstScore: hit.candidate.score,
    after: hit.rank,
    score: hit.score,
    probability: hit.probability,
    contributions: hit.contributions,
    truncated: hit.truncated_tokens,
    window: hit.window,
  }));
  const { first_stage: first = 0, rerank = 0 } = answer.timings;
  const stages = [["First stage", first * 1000], ["Reranking", rerank * 1000]];
  return { hits, activation: answer.activation, stages, notices: answer.notices };
}

function ofTexts(answer, body, milliseconds) {
  const ordered = [...answer.results].sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index);
  const hits = ordered.map(({ index, relevance_score: score, probability = null, window = null }, position) => ({
    key: String(index),
    id: null,
    name: `Passage ${index + 1}`,
    text: body.documents[index],
    title: "",
    metadata: {},
    before: index + 1,
    after: position + 1,
    score,
    probability,
    window,
  }));
  return { hits, activation: "sigmoid", stages: [["Reranking", milliseconds]], notices: answer.meta?.warnings ?? [] };
}

// ---- showing

function show() {
  const { hits, activation, stages, notices } = found;
  byId("welcome").hidden = true;
  byId("answer").hidden = false;
  byId("before-heading").textContent = mode() === "paste" ? "As pasted" : "First stage";
  fit();
  const topN = Number(byId("top-n").value);
  showTimings(stages);
  byId("notices").replaceChildren(...notices.map((notice) => element("li", {}, notice)));
  byId("probability-option").hidden = hits.every((hit) => hit.probability === null);
  const best = hits.filter((hit) => hit.after <= topN);
  const kept = least() ? best.filter((hit) => hit.probability >= least()) : best;
  showResults(hits, { kept, activation, open });
  const times = stages.map(([name, time]) => `${name} ${duration(time)}`).join(", ");
  const told = hits.length ? `${counted(kept.length, "result")} of ${counted(hits.length, "candidate")}. ${times}.` : "No passage matches.";
  byId("status").textContent = told;
  byId("lists").classList.toggle("empty", hits.length === 0);
  if (hits.length === 0) byId("notices").append(element("li", {}, "No passage matches."));
  else if (kept.length === 0) byId("notices").append(element("li", {}, "No passage is relevant enough."));
  document.title = `${found.query} – crossrank`;
  mark(kept);
}

/** Ask which sentence and words the score of each shown hit comes from, and mark them. */
async function mark(kept) {
  const own = found;
  const wanted = kept.filter((hit) => hit.score !== null && !hit.spans);
  marking?.abort();
  if (wanted.length === 0) return;
  marking = new AbortController();
  const documents = wanted.map((hit) => hit.text);
  const body = JSON.stringify({ query: own.query, documents, explain: true, ...reading() });
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await ask("v2/rerank", { method: "POST", body, headers, signal: marking.signal });
    for (const { index, spans } of answer.results) wanted[index].spans = spans;
    if (own === found) showMarks(wanted);
  } catch {
    // The ranking is as good without marks.
  }
}

function showTimings(stages) {
  const total = stages.reduce((sum, [, time]) => sum + time, 0);
  const bar = drawn("svg", { class: "stages", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
  let x = 0;
  stages.forEach(([, time], number) => {
    const width = total ? (time / total) * 100 : 0;
    bar.append(drawn("rect", { x, width, height: 6, class: `stage-${stages.length === 1 ? 1 : number}` }));
    x += width;
  });
  const names = stages.map(([name, time], number) =>
    element("li", { class: `stage-${stages.length === 1 ? 1 : number}` }, `${name} `, element("b", {}, duration(time))));
  byId("timings").replaceChildren(bar, element("ul", {}, ...names));
}

function fail(error) {
  byId("error").textContent = error.message;
  byId("error").hidden = false;
}

async function open(hit) {
  try {
    await openPassage(hit.id, ask);
  } catch (error) {
    fail(error);
  }
}

/** Keep the slider of the best within the candidates. */
function fit() {
  const most = mode() === "paste" ? Math.max(1, pasted().length) : Number(byId("candidates").value);
  byId("top-n").max = Math.min(most, 100);
  byId("top-n").value = best;
  for (const name of ["candidates", "top-n", "min-probability"]) byId(`${name}-value`).value = byId(name).value;
}

function showMode() {
  const paste = mode() === "paste";
  byId("paste").hidden = !paste;
  byId("candidates-option").hidden = paste;
  byId("filter-option").hidden = paste;
  fit();
}

// ---- before the first question

function welcome() {
  const ready = isReady(state);
  byId("about").textContent = [
    ready ? counted(state.files, "file") : null,
    ready ? counted(state.passages, "passage") : null,
    model,
  ].filter(Boolean).join(" · ");
  byId("query").placeholder = ready && mode() === "index" ? `Ask a question about ${counted(state.files, "file")}` : "Ask a question";
  if (found) return;
  byId("welcome").hidden = false;
  byId("welcome").replaceChildren(...welcomeOf(state, mode()));
}

async function look() {
  clearTimeout(waiting);
  try {
    state = await ask("index");
    model ||= (await ask("v1/models")).data[0].id;
  } catch (error) {
    if (!byId("key-option").hidden) fail(error);
  }
  welcome();
  // An index that is being filled, or a model that is loading.
  if (state.passages === 0 || !model) waiting = setTimeout(look, 3000);
}

// ---- what readers do

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (byId("key").value) {
    keepKey(byId("key").value);
    byId("key").value = "";
    byId("key-option").hidden = true;
    look();
  }
  rank();
});
form.addEventListener("change", (event) => {
  if (event.target.name === "mode") {
    showMode();
    found = null;
    byId("answer").hidden = true;
    byId("error").hidden = true;
    welcome();
  } else if (["candidates", "filter", "windows"].includes(event.target.id)) rank();
});
form.addEventListener("input", (event) => {
  if (["candidates", "passages"].includes(event.target.id)) fit();
  if (["top-n", "min-probability"].includes(event.target.id)) {
    best = Number(byId("top-n").value);
    fit();
    if (found) {
      show();
      remember();
    }
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=range], [type=radio]), textarea") || byId("viewer").open) return;
  event.preventDefault();
  byId("query").select();
});
byId("copy-link").addEventListener("click", (event) => {
  remember();
  copy(location.href, event.currentTarget);
});
byId("copy-curl").addEventListener("click", (event) => copy(asCurl(shownRequest()), event.currentTarget));
byId("copy-python").addEventListener("click", (event) =>
  copy(asPython({ ...shownRequest(), shows: SHOWS[mode()] }), event.currentTarget));
addEventListener("hashchange", () => recall() && rank());
document.fonts?.ready.then(() => drawLines(false));

showMode();
if (recall()) rank();
look();
