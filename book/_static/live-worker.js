/* Python in a worker. It gets {kind: "start", ...} once, then {kind: "run", id, source},
   and posts what happens: "progress", "ready", "failed", "output", "done". */
"use strict";

const CDN = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/";
/* What is loaded from there must have these digests; the wheels' stand in the lock file. */
const DIGESTS = {
  "pyodide.js": "sha256-tMsjpTq6GcIhZZuftAovGCgdaFaR3AZkf7Cv0Ggbr5g=",
  "pyodide.asm.js": "sha256-a0yQ3ltxcoc/BPIYhNDp0idOMF/jIRZVj+Pk++NhjVE=",
  "pyodide.asm.wasm": "sha256-pQ3RhD+AWgt8RbYQN+4Neybf6F7+DhjvlaNK0k5AH18=",
  "python_stdlib.zip": "sha256-FmEVNHJuXYrCvY+SZBCy3LjW9JqiSRNGNTO0V6IRXBY=",
  "pyodide-lock.json": "sha256-nEW5FgAadQ9BAvwodJTz6rIVkJx1NcYmog24D9YzPiw=",
};
const STEPS = 5;

/* They are fetched first, so that whatever is amiss is an error here; then Pyodide, which
   asks for them once more, gets them from memory. */
const KINDS = { js: "text/javascript", wasm: "application/wasm" };
const fetched = new Map();
const plainFetch = self.fetch;

async function preload([name, integrity]) {
  const answer = await plainFetch(CDN + name, { integrity });
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  const type = KINDS[name.split(".").at(-1)] || "application/octet-stream";
  fetched.set(CDN + name, new Blob([await answer.arrayBuffer()], { type }));
}

self.fetch = async (what, options) => {
  const blob = fetched.get(String(what.url || what));
  if (!blob) return plainFetch(what, options);
  return new Response(blob, { headers: { "content-type": blob.type } });
};

const tell = (kind, content) => postMessage({ kind, ...content });
const progress = (step, text) => tell("progress", { step, steps: STEPS, text });

function script(name) {
  const address = URL.createObjectURL(fetched.get(CDN + name));
  importScripts(address);
  URL.revokeObjectURL(address);
}

async function wheelBytes({ wheel, sha256 }) {
  const address = `${wheel}?${sha256.slice(0, 16)}`;
  const bytes = sha256.match(/../g).map((hex) => parseInt(hex, 16));
  const integrity = `sha256-${btoa(String.fromCharCode(...bytes))}`;
  let answer;
  try {
    answer = await plainFetch(address, { integrity });
  } catch {
    const plain = await plainFetch(address); // is it there, and another one?
    if (!plain.ok) throw new Error(`${wheel}: ${plain.status} ${plain.statusText}`);
    throw new Error(`${wheel} isn't the file that this page was built with: reload the page`);
  }
  if (!answer.ok) throw new Error(`${wheel}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

/* Matplotlib reads the measures of PDF's own fonts when it is imported first, letter by
   letter; no page needs them. */
const WITHOUT_PDF = `
import shutil
import sysconfig
from pathlib import Path

fonts = Path(sysconfig.get_path("purelib"), "matplotlib", "mpl-data", "fonts")
for name in ("afm", "pdfcorefonts"):
    shutil.rmtree(fonts / name)
`;

const START = `
import json

from cnnbook.session import Session, settle

settle("/work", files.to_py())
session = Session(lambda kind, content: post(kind, json.dumps(content)))
`;

/* A cell may print without end; what the page can't show isn't sent, or Stop would have
   to wait behind it. */
const MOST = 1_000_000;
let python, session;
let running = null;
let sent = 0;

/* Pyodide tells of a file that it can't get, and goes on; here that is an error. */
async function load(name) {
  const troubles = [];
  const errorCallback = (text) => troubles.push(text);
  await python.loadPackage([name], { checkIntegrity: true, messageCallback() {}, errorCallback });
  if (troubles.length) throw new Error(`${name}: ${troubles.join(" ").slice(0, 300)}`);
}

async function start(message) {
  progress(1, "Python 3.12");
  const wheel = wheelBytes(message);
  await Promise.all([wheel, ...Object.entries(DIGESTS).map(preload)]);
  script("pyodide.js");
  script("pyodide.asm.js");
  python = await loadPyodide({ indexURL: CDN });
  fetched.clear();
  progress(2, "NumPy");
  await load("numpy");
  progress(3, "Matplotlib");
  await load("matplotlib");
  python.runPython(WITHOUT_PDF);
  progress(4, "cnnbook and its digits");
  python.unpackArchive(await wheel, "wheel");
  progress(5, "a session");
  python.globals.set("files", message.files || {});
  python.globals.set("post", (kind, content) => {
    const printed = kind === "stdout" || kind === "stderr";
    if (printed) sent += content.length;
    if (printed && sent > MOST) return;
    tell("output", { id: running, type: kind, content: JSON.parse(content) });
  });
  python.runPython(START);
  session = python.globals.get("session");
  tell("ready", {});
}

function run({ id, source, name }) {
  running = id;
  sent = 0;
  const began = performance.now();
  let ok = false;
  try {
    ok = session.run(source, name);
  } catch (error) {
    tell("output", { id, type: "error", content: String(error.message || error) });
    if (!(error instanceof python.ffi.PythonError)) {
      tell("ended", {}); // Python itself has failed, and would again
      return;
    }
  }
  tell("done", { id, ok, seconds: (performance.now() - began) / 1000 });
}

onmessage = async ({ data }) => {
  if (data.kind === "run") {
    run(data);
    return;
  }
  try {
    await start(data);
  } catch (error) {
    tell("failed", { text: String(error.message || error) });
  }
};
