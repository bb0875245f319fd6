// What is shown, as a command and as a program.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The request as a curl command for a POSIX shell. */
export function asCurl({ url, body, key }) {
  const parts = [`curl ${quoted(url)}`, "-H 'Content-Type: application/json'"];
  if (key) parts.push('-H "Authorization: Bearer $CROSSRANK_API_KEY"');
  // One leading @ would be a file.
  parts.push(`--data-raw ${quoted(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}

/** The request as a Python program that needs only the standard library. */
export function asPython({ url, body, key, shows }) {
  const headers = ['"Content-Type": "application/json"'];
  if (key) headers.push('"Authorization": f"Bearer {os.environ[\'CROSSRANK_API_KEY\']}"');
  return `import json
${key ? "import os\n" : ""}import urllib.request

body = ${pythonValue(body)}
request = urllib.request.Request(
    ${JSON.stringify(url)},
    json.dumps(body).encode(),
    {${headers.join(", ")}},
)
with urllib.request.urlopen(request) as answer:
    found = json.load(answer)
${shows}
`;
}

/** A JSON value as Python writes it. */
function pythonValue(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") {
    const items = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonValue(item)}`);
    return `{${items.join(", ")}}`;
  }
  // A JSON string is a Python string, but for halves of characters, which are no text in either.
  return JSON.stringify(value);
}

/** Copy a text, and say so on the button. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not a secure context: another machine over plain HTTP.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const label = (button.dataset.label ??= button.textContent);
  button.textContent = "Copied";
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = setTimeout(() => { button.textContent = label; }, 1500);
}
