// The text of a file, opened at a passage.
import { byId, element, fileName } from "./elements.js";

const AROUND = 100000;

/** Where a passage is from, in a few words: file, and line or page. */
export function place(metadata) {
  if (!metadata.file) return "";
  const { line, page } = metadata;
  const name = fileName(metadata.file);
  if (Number.isInteger(line)) return `${name}:${line}`;
  return Number.isInteger(page) ? `${name}, page ${page}` : name;
}

/** Open the file of a passage at the passage; `get` asks the server. */
export async function openPassage(id, get) {
  const passage = await get(`passages/${encodeURIComponent(id)}?around=${AROUND}`);
  const viewer = byId("viewer");
  byId("viewer-heading").textContent = passage.title || fileName(passage.metadata.file ?? id);
  byId("viewer-place").textContent = [
    passage.metadata.file ?? id,
    Number.isInteger(passage.metadata.line) ? `line ${passage.metadata.line}` : null,
    Number.isInteger(passage.metadata.page) ? `page ${passage.metadata.page}` : null,
    passage.complete ? null : "a part of the file",
  ].filter(Boolean).join(" · ");
  const marked = element("mark", { tabindex: "-1" }, passage.text);
  byId("viewer-text").replaceChildren(passage.before, marked, passage.after);
  viewer.showModal();
  marked.scrollIntoView({ block: "center" });
  marked.focus({ preventScroll: true });
}

byId("viewer-close").addEventListener("click", () => byId("viewer").close());
byId("viewer").addEventListener("click", (event) => {
  // The backdrop belongs to the dialog itself.
  if (event.target === event.currentTarget) event.currentTarget.close();
});
