// Runs chapters as their live pages do, under Node: quicker than a browser.
//
//   node scripts/live_node.mjs FOLDER CHAPTER...
//
// FOLDER has Pyodide 0.27.7 with NumPy and Matplotlib; the chapters are taken from the
// site in _build/html. For each chapter it prints one line of JSON: its name and, for
// each cell, whether it is hidden, whether it ran to its end, its seconds and outputs.
// If a cell that the page shows doesn't run to its end, it exits with 1.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [folder, ...chapters] = process.argv.slice(2);
if (!folder || !chapters.length) {
  console.error("usage: node scripts/live_node.mjs FOLDER CHAPTER...");
  process.exit(2);
}
const live = resolve(dirname(fileURLToPath(import.meta.url)), "../_build/html/live");
const place = resolve(folder);
const { loadPyodide } = await import(pathToFileURL(`${place}/pyodide.mjs`).href);

for (const chapter of chapters) {
  const told = JSON.parse(readFileSync(`${live}/${chapter}.json`, "utf-8"));
  const python = await loadPyodide({ indexURL: `${place}/` });
  const quiet = { messageCallback() {} };
  await python.loadPackage(["numpy", "matplotlib"], quiet);
  python.unpackArchive(new Uint8Array(readFileSync(`${live}/${told.wheel}`)), "wheel");
  let outputs = [];
  python.globals.set("files", told.files);
  python.globals.set("post", (kind, content) =>
    outputs.push([kind, JSON.parse(content)])
  );
  python.runPython(`
import json

from cnnbook.session import Session, settle

settle("/work", files.to_py())
session = Session(lambda kind, content: post(kind, json.dumps(content)))
`);
  const session = python.globals.get("session");
  const cells = [];
  for (const { source, hidden, needs } of told.cells) {
    if (needs) continue;
    outputs = [];
    const began = performance.now();
    const ok = session.run(source);
    const seconds = (performance.now() - began) / 1000;
    for (const [, shown] of outputs) delete shown["image/svg+xml"];
    cells.push({ hidden, ok, seconds, outputs });
    if (!ok && !hidden) process.exitCode = 1;
  }
  console.log(JSON.stringify({ chapter, cells }));
}
