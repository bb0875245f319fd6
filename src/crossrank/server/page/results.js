// The two rankings side by side, and the lines between them.
import { byId, counted, drawn, element, spoken } from "./elements.js";
import { place } from "./viewer.js";

let shown = [];

/**
 * Show the first stage and the best hits of the reranking.
 *
 * @param hits All candidates in the reranker's order: key, text, title, metadata, before (rank in the first
 *   stage), stages (rank in each of its searches), firstScore, after (rank), score, probability, logit,
 *   contributions, window (the part of a long text that the score comes from), spans (where they are known).
 * @param options kept (those that are shown as reranked), activation, open (called with a hit).
 */
export function showResults(hits, { kept: best, activation, open }) {
  shown = best;
  const kept = new Set(shown.map((hit) => hit.key));
  const before = [...hits].sort((a, b) => a.before - b.before);
  const range = scale(hits, activation);
  const most = Math.max(...hits.map((hit) => hit.firstScore ?? 0));
  byId("before").replaceChildren(...before.map((hit) => firstStageItem(hit, most, kept.has(hit.key), open)));
  byId("after").replaceChildren(...shown.map((hit) => rerankedItem(hit, range, activation, open)));
  unfold();
  drawLines(true);
}

/** The share of the bar for a score: scores of a sigmoid as they are, others between the worst and the best. */
function scale(hits, activation) {
  if (activation === "sigmoid") return (score) => score;
  const scores = hits.map((hit) => hit.score).filter((score) => score !== null);
  const least = Math.min(...scores, 0);
  const most = Math.max(...scores, 0);
  return (score) => (most === least ? 0 : (score - least) / (most - least));
}

function firstStageItem(hit, most, isKept, open) {
  return element(
    "li",
    { class: isKept ? "kept" : "dropped", "data-key": hit.key },
    element("span", { class: "rank" }, String(hit.before)),
    element(
      "div",
      { class: "brief" },
      element("div", { class: "line-up" }, source(hit, open), most > 0 ? bar(hit.firstScore / most) : null),
      element("p", { class: "snippet" }, hit.text),
      isKept ? null : spoken("Not among the best after reranking."),
    ),
  );
}

function rerankedItem(hit, range, activation, open) {
  const moved = hit.before - hit.after;
  const kind = moved > 0 ? "up" : moved < 0 ? "down" : "same";
  const sign = { up: `▲ ${moved}`, down: `▼ ${-moved}`, same: "=" }[kind];
  const told = {
    up: `up ${counted(moved, "place")} from ${hit.before}`,
    down: `down ${counted(-moved, "place")} from ${hit.before}`,
    same: `stays at ${hit.before}`,
  }[kind];
  return element(
    "li",
    { class: kind, "data-key": hit.key },
    element(
      "div",
      { class: "head" },
      element("span", { class: "rank" }, String(hit.after)),
      element("span", { class: `moved ${kind}`, title: told }, element("span", { "aria-hidden": "true" }, sign),
        spoken(`${told}.`)),
      score(hit, range),
    ),
    hit.title ? element("p", { class: "title" }, hit.title) : null,
    element("p", { class: "text" }, ...marked(hit)),
    element("div", { class: "foot" }, source(hit, open), explanation(hit, activation)),
    hit.window?.count > 1 ? element("p", { class: "muted" }, `Part ${hit.window.number} of ${hit.window.count} answers best.`) : null,
    hit.truncated ? element("p", { class: "muted" }, `The last ${hit.truncated} tokens were not read.`) : null,
  );
}

/** The text of a hit; the sentence and the words that its score comes from are marked, once they are known. */
function marked({ text, spans }) {
  const best = spans?.[0];
  if (!best) return [text];
  // The server counts characters, JavaScript halves of some of them.
  const characters = Array.from(text);
  const part = (start, end) => characters.slice(start, end).join("");
  let end = best.start;
  const inside = [...best.words].sort((a, b) => a.start - b.start).flatMap((word) => {
    const before = part(end, word.start);
    end = word.end;
    return [before, element("b", {}, part(word.start, word.end))];
  });
  const title = `The sentence that answers best (${best.weight.toFixed(2)})`;
  return [part(0, best.start), element("mark", { title }, ...inside, part(end, best.end)), part(best.end)];
}

/** Mark the texts of hits that are shown. */
export function showMarks(hits) {
  const byKey = new Map(hits.map((hit) => [hit.key, hit]));
  for (const item of byId("after").children) {
    const hit = byKey.get(item.dataset.key);
    if (hit) item.querySelector(".text").replaceChildren(...marked(hit));
  }
  unfold();
  drawLines(false);
}

/** Show texts whole where the mark would be below the lines that are shown. */
function unfold() {
  for (const item of byId("after").children) {
    const bottom = (selector) => item.querySelector(selector)?.getBoundingClientRect().bottom ?? 0;
    if (bottom("mark") > bottom(".text")) item.classList.add("whole");
  }
}

function score(hit, range) {
  if (hit.score === null) return element("span", { class: "score muted" }, "not scored");
  const probability = hit.probability === null ? null
    : element("span", { class: "muted" }, ` · probability ${hit.probability.toFixed(2)}`);
  return element("span", { class: "score" }, bar(range(hit.score)), spoken("Score "), element("b", {}, hit.score.toFixed(3)), probability);
}

/** A bar that is filled by a share from 0 to 1. */
function bar(share) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  const track = drawn("svg", { class: "track", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
  track.append(drawn("rect", { class: "rail", width: 100, height: 6 }), drawn("rect", { class: "fill", width, height: 6 }));
  return track;
}

/** Where a passage is from; a button if its file can be opened. */
function source(hit, open) {
  const text = place(hit.metadata) || hit.name;
  if (!hit.id) return element("span", { class: "source" }, text);
  return element(
    "button",
    { type: "button", class: "source", title: hit.metadata.file ?? hit.id, onclick: () => open(hit) },
    spoken("Open "), text,
  );
}

/** How a score came about: what each part added. */
function explanation(hit, activation) {
  const parts = Object.entries(hit.contributions ?? {});
  if (parts.length === 0 && Object.keys(hit.stages ?? {}).length === 0) return null;
  const names = { logit: "cross-encoder", similarity: "similarity", word_match: "word match", constant: "constant" };
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  const sum = parts.reduce((total, [, value]) => total + value, 0);
  const ranks = Object.entries(hit.stages ?? {}).map(([name, rank]) => `${{ lexical: "words", dense: "vectors" }[name] ?? name} ${rank}`);
  const rows = parts.map(([name, value]) => [names[name] ?? name, signed(value)]);
  if (parts.length) rows.push([activation === "none" ? "sum" : `${activation} of ${signed(sum)}`, hit.score.toFixed(3)]);
  return element(
    "details",
    { ontoggle: () => drawLines(false) },
    element("summary", {}, "Why"),
    element("dl", {}, rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
    ranks.length ? element("p", { class: "muted" }, `First stage: ${ranks.join(", ")}`) : null,
  );
}

/** Draw a line from each passage on the left to the same one on the right. */
export function drawLines(animated) {
  const svg = byId("lines");
  const box = svg.getBoundingClientRect();
  if (box.width === 0) return;
  svg.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  const middles = (list) => new Map([...byId(list).children].map((item) => {
    const anchor = (item.querySelector(".rank") ?? item).getBoundingClientRect();
    return [item.dataset.key, anchor.top + anchor.height / 2 - box.top];
  }));
  const left = middles("before");
  const right = middles("after");
  svg.replaceChildren(...shown.flatMap((hit) => {
    const from = left.get(hit.key);
    const to = right.get(hit.key);
    if (from === undefined || to === undefined) return [];
    const bend = box.width * 0.5;
    const kind = hit.before > hit.after ? "up" : hit.before < hit.after ? "down" : "same";
    const line = drawn("path", {
      d: `M0 ${from}C${bend} ${from} ${box.width - bend} ${to} ${box.width} ${to}`,
      class: animated ? `line ${kind} new` : `line ${kind}`,
      pathLength: 1,
      "data-key": hit.key,
    });
    return [line, ...[[0, from], [box.width, to]].map(([cx, cy]) => drawn("circle", { cx, cy, r: 3, class: kind, "data-key": hit.key }))];
  }));
}

/** Emphasise one passage everywhere. */
function emphasise(key) {
  byId("lists").classList.toggle("emphasised", key !== undefined);
  for (const one of byId("lists").querySelectorAll("[data-key]")) {
    one.classList.toggle("chosen", one.dataset.key === key);
  }
}

const keyOf = (event) => event.target.closest("[data-key]")?.dataset.key;
for (const [event, key] of [["pointerover", keyOf], ["focusin", keyOf], ["pointerleave", () => undefined], ["focusout", () => undefined]]) {
  byId("lists").addEventListener(event, (given) => emphasise(key(given)));
}
// Up and down go from source to source.
byId("lists").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const list = event.target.closest("ol");
  if (!step || !list || !event.target.matches("button.source")) return;
  const buttons = [...list.querySelectorAll("button.source")];
  buttons[buttons.indexOf(event.target) + step]?.focus();
  event.preventDefault();
});
new ResizeObserver(() => drawLines(false)).observe(byId("lists"));
