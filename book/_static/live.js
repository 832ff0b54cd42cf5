/* Live cells: a page's cells as editors, run by Python in a worker (live-worker.js).
   A classic script without any library. */
(function () {
  "use strict";

  const here = document.getElementById("live-script");
  const chapter = here.dataset.chapter;
  const site = new URL("../", here.src).href;

  const make = (tag, options = {}, ...children) => {
    const { text, on, ...attributes } = options;
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    if (text !== undefined) element.textContent = text;
    for (const [event, act] of Object.entries(on || {})) {
      element.addEventListener(event, act);
    }
    element.append(...children);
    return element;
  };

  /* ---- Python in a worker. ---- */

  class Python {
    constructor(files, tell) {
      Object.assign(this, { files, tell, worker: null, ready: null, jobs: new Map() });
      this.last = 0;
      this.ended = () => {}; // called when what was computed is gone
    }

    start() {
      if (this.ready) return this.ready;
      this.worker = new Worker(new URL("live-worker.js", here.src));
      this.ready = new Promise((resolve, reject) => {
        this.worker.onmessage = ({ data }) => {
          const job = this.jobs.get(data.id);
          if (data.kind === "progress") this.tell(data);
          else if (data.kind === "ready") resolve();
          else if (data.kind === "output" && job) job.show(data.type, data.content);
          else if (data.kind === "done" && job) {
            this.jobs.delete(data.id);
            job.end(data);
          } else if (data.kind === "failed") reject(new Error(data.text));
          else if (data.kind === "ended") this.end();
        };
        this.worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message || "the worker could not be started"));
          this.end();
        };
        this.reject = reject;
      });
      this.ready.catch(() => this.end());
      this.worker.postMessage({ kind: "start", ...this.files });
      return this.ready;
    }

    /* Run a cell; the promise has {ok, seconds}, or {stopped: true}. */
    async run(source, show, name = "") {
      if (!this.ready) return { ok: false, stopped: true }; // ended since it was started
      await this.ready;
      const id = ++this.last;
      return new Promise((end) => {
        this.jobs.set(id, { show, end });
        this.worker.postMessage({ kind: "run", id, source, name });
      });
    }

    end() {
      if (this.worker) this.worker.terminate();
      this.worker = this.ready = null;
      for (const job of this.jobs.values()) job.end({ ok: false, stopped: true });
      this.jobs.clear();
      this.ended();
    }

    stop() {
      if (this.reject) this.reject(new Error("stopped"));
      this.end();
    }
  }

  /* ---- Words of Python, for their colors. ---- */

  const KEYWORDS = new Set(
    ("and as assert async await break class continue def del elif else except finally " +
      "for from global if import in is lambda nonlocal not or pass raise return try " +
      "while with yield match case").split(" ")
  );
  const CONSTANTS = new Set(["True", "False", "None"]);
  const WORD =
    /(#[^\n]*)|((?:[rRbBfFuU]{0,2})(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))|(\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?j?)|\.\d+)|([A-Za-z_]\w*)|([^\w\s])|(\s+)|([^])/gu;

  function colored(source) {
    const pieces = [];
    let before = "";
    for (const [word, comment, string, number, name, sign] of source.matchAll(WORD)) {
      let kind = "";
      if (comment) kind = "c1";
      else if (string) kind = "s2";
      else if (number) kind = "mi";
      else if (name && CONSTANTS.has(name)) kind = "kc";
      else if (name && KEYWORDS.has(name)) kind = "k";
      else if (name && before === "def") kind = "nf";
      else if (name && before === "class") kind = "nc";
      else if (name) kind = "n";
      else if (sign) kind = "o";
      if (name) before = name;
      else if (word.trim()) before = "";
      pieces.push(kind ? make("span", { class: kind, text: word }) : word);
    }
    return pieces;
  }

  /* ---- An editor: a text area, with the same text in colors behind it. ---- */

  class Editor {
    constructor(source, label, run) {
      /* Not a pre: the theme makes those reachable by Tab where they scroll. */
      this.colors = make("div", { class: "live-colors", "aria-hidden": "true" });
      this.area = make("textarea", {
        rows: "1", // the colored text behind it has the height
        "aria-label": label,
        spellcheck: "false",
        autocapitalize: "off",
        autocomplete: "off",
        wrap: "off",
        on: {
          input: () => this.paint(),
          scroll: () => {
            this.colors.scrollLeft = this.area.scrollLeft;
          },
          keydown: (event) => {
            if (event.key !== "Enter") return;
            if (event.shiftKey || event.ctrlKey || event.metaKey) {
              event.preventDefault();
              run();
            } else if (!event.altKey && !event.isComposing) {
              event.preventDefault();
              this.newLine();
            }
          },
        },
      });
      this.element = make(
        "div",
        { class: "live-editor highlight notranslate" },
        this.colors,
        this.area
      );
      this.text = source;
    }

    get text() {
      return this.area.value;
    }

    set text(source) {
      this.area.value = source;
      this.paint();
    }

    newLine() {
      const before = this.area.value.slice(0, this.area.selectionStart);
      const line = before.slice(before.lastIndexOf("\n") + 1);
      const deeper = /:\s*(#.*)?$/.test(line) ? "    " : "";
      const text = "\n" + line.match(/^ */)[0] + deeper;
      /* insertText keeps the browser's own undo; where it is gone, setRangeText does. */
      if (!document.execCommand("insertText", false, text)) {
        const { selectionStart, selectionEnd } = this.area;
        this.area.setRangeText(text, selectionStart, selectionEnd, "end");
        this.area.dispatchEvent(new Event("input"));
      }
    }

    paint() {
      this.colors.replaceChildren(...colored(this.area.value), "\n");
    }
  }

  /* ---- What a cell prints and shows. ---- */

  function tableFrom(markdown) {
    const lines = markdown.trim().split("\n");
    if (lines.length < 2 || !/^\s*\|?[\s:|-]+\|?\s*$/.test(lines[1])) return null;
    const cells = (line) =>
      line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
    const row = (line, tag) =>
      make("tr", {}, ...cells(line).map((text) => make(tag, { text })));
    return make(
      "table",
      { class: "table" },
      make("thead", {}, row(lines[0], "th")),
      make("tbody", {}, ...lines.slice(2).map((line) => row(line, "td")))
    );
  }

  /* What a cell shows as HTML may look like anything, but not act in the page. */
  function harmless(html) {
    const { body } = new DOMParser().parseFromString(html, "text/html");
    for (const element of body.querySelectorAll("*")) {
      if (/^(script|iframe|object|embed|link|meta|base|form)$/i.test(element.localName)) {
        element.remove();
      }
      for (const { name, value } of [...element.attributes]) {
        if (/^on/i.test(name) || /^[\s\u0000-\u001f]*javascript:/i.test(value)) {
          element.removeAttribute(name);
        }
      }
    }
    return body.childNodes;
  }

  const MOST = 200_000; // letters below a cell

  class Output {
    constructor(element) {
      this.element = element;
      this.length = 0;
      this.original = [...element.childNodes].map((node) => node.cloneNode(true));
      this.fresh = false;
    }

    /* What the next run shows takes the place of all that is there, captions apart. */
    begin(edited = true) {
      this.figure = this.element.querySelector("figure");
      this.image = this.figure && this.figure.querySelector("img");
      if (this.image) {
        this.image.hidden = true;
        this.words ??= this.image.alt; // what the page says of its own picture
        this.edited = edited;
      }
      this.element.replaceChildren(...(this.figure ? [this.figure] : []));
      this.last = null;
      this.length = 0;
    }

    put(node) {
      if (this.figure) this.figure.before(node);
      else this.element.append(node);
    }

    say(kind, text) {
      const printed = kind === "stdout" || kind === "stderr";
      if (printed && this.length > MOST) return;
      if (printed) this.length += text.length;
      if (printed && this.length > MOST) {
        text = `${text.slice(0, 1000)}\n... and more than fits into a page\n`;
      }
      if (!this.last || this.last.dataset.kind !== kind) {
        this.last = make("pre", { "data-kind": kind });
        this.put(
          make(
            "div",
            { class: `output live-${kind} highlight-none notranslate` },
            make("div", { class: "highlight" }, this.last)
          )
        );
      }
      this.last.append(text);
    }

    draw(svg, words) {
      const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      const shown = this.image || make("img", { class: "dark-light", alt: words });
      for (const event of ["load", "error"]) {
        shown.addEventListener(event, () => URL.revokeObjectURL(address), { once: true });
      }
      if (this.image) {
        this.image.classList.add("dark-light");
        this.image.hidden = false;
        this.image.alt = this.edited ? words : this.words;
        this.image.removeAttribute("width");
        this.image.removeAttribute("height");
        const link = this.image.closest("a[href]");
        if (link) link.removeAttribute("href");
        this.image = null;
      } else {
        this.put(make("div", { class: "output live-picture" }, shown));
      }
      shown.src = address;
    }

    show(kind, content) {
      if (kind !== "display") {
        this.say(kind, kind === "error" ? `${content}\n` : content);
        return;
      }
      this.last = null;
      const plain = content["text/plain"];
      const table = content["text/markdown"] && tableFrom(content["text/markdown"]);
      if (content["image/svg+xml"]) this.draw(content["image/svg+xml"], plain);
      else if (content["text/html"]) {
        this.put(make("div", { class: "output text_html" }, ...harmless(content["text/html"])));
      } else if (table) {
        this.put(make("div", { class: "output pst-scrollable-table-container" }, table));
      } else {
        this.say("value", content["text/markdown"] || plain);
        this.last = null;
      }
    }

    restore() {
      this.last = this.figure = this.image = null;
      this.element.replaceChildren(...this.original.map((node) => node.cloneNode(true)));
    }
  }

  /* ---- A cell of the page, and one that the page doesn't show. ---- */

  const edits = new Map(); // of cells, while the page is open

  class Cell {
    constructor(page, number, told, box) {
      Object.assign(this, { page, number, told, box, ran: false });
      if (box) this.open();
    }

    open() {
      const input = this.box.querySelector(":scope .cell_input");
      let output = this.box.querySelector(":scope .cell_output");
      this.added = [];
      if (!output) {
        output = make("div", { class: "cell_output docutils container" });
        this.box.append(output);
        this.added.push(output);
      }
      this.output = new Output(output);
      this.seconds = make("span", { class: "live-seconds" });
      const notes = [];
      if (this.told.needs) {
        notes.push(`Not run here: it needs ${this.told.needs}, which the browser lacks.`);
      }
      for (const [old, smaller] of this.told.smaller) {
        notes.push(`Smaller here than on the page: ${smaller} instead of ${old}`);
      }
      const note = notes.map((text) => make("p", { class: "live-note", text }));
      if (input && !this.told.needs) {
        const begun = edits.get(this.number) ?? this.told.source;
        this.editor = new Editor(begun, `Cell ${this.number}`, () => this.go());
        this.editor.area.addEventListener("input", () => {
          edits.set(this.number, this.editor.text);
          this.page.changed(this);
        });
        const bar = make(
          "div",
          { class: "live-bar" },
          make("span", { class: "live-number", text: `Cell ${this.number}` }),
          this.seconds,
          make("button", {
            type: "button",
            text: "Reset",
            "aria-label": `Reset cell ${this.number}`,
            on: { click: () => this.reset() },
          }),
          make("button", {
            type: "button",
            class: "live-run",
            text: "Run",
            "aria-label": `Run cell ${this.number}`,
            on: { click: () => this.go() },
          })
        );
        input.hidden = true;
        input.after(...note, this.editor.element, bar);
        this.added.push(...note, this.editor.element, bar);
      } else {
        this.box.prepend(...note);
        this.added.push(...note);
      }
      this.box.classList.add("live");
    }

    get source() {
      return this.editor ? this.editor.text : this.told.source;
    }

    go() {
      return this.page.runUpTo(this);
    }

    reset() {
      if (this.page.refuses()) return;
      this.editor.text = this.told.source;
      edits.delete(this.number);
      this.output.restore();
      this.seconds.textContent = "";
      this.page.changed(this);
    }

    async run(python) {
      let told = "";
      if (this.output) {
        this.output.begin(this.source !== this.told.source);
        this.box.classList.add("live-running");
        this.box.setAttribute("aria-busy", "true");
        this.seconds.textContent = "running";
      }
      const name = this.box ? String(this.number) : `before ${this.number}, hidden`;
      const show = (kind, content) => {
        if (kind === "error") told = content;
        if (this.output) this.output.show(kind, content);
      };
      const { ok, seconds, stopped } = await python.run(this.source, show, name);
      if (this.output) {
        this.box.classList.remove("live-running");
        this.box.removeAttribute("aria-busy");
        this.seconds.textContent = stopped ? "stopped" : `${seconds.toFixed(1)} s`;
      }
      this.ran = !stopped && ok;
      return { ok, stopped, told };
    }

    close() {
      if (!this.box) return;
      this.output.restore();
      for (const element of this.added) element.remove();
      this.box.querySelectorAll(":scope .cell_input").forEach((e) => (e.hidden = false));
      this.box.classList.remove("live", "live-running");
      this.box.removeAttribute("aria-busy");
    }
  }

  /* ---- An exercise: its stub as an editor, kept for the next visit. ---- */

  class Exercise {
    constructor(page, box, block) {
      Object.assign(this, { page, box, block });
      const place = new URL(site).pathname; // there may be several copies of the book
      this.key = `cnnbook:${place}${chapter}:${box.id || block.textContent.slice(0, 40)}`;
      this.stub = block.textContent.replace(/\n+$/, "");
      const title = box.querySelector("p.admonition-title");
      const name = title ? title.textContent.trim() : "Exercise";
      this.editor = new Editor(this.kept() || this.stub, name, () => this.go());
      this.editor.area.addEventListener("input", () => this.keep());
      const element = make("div", { class: "cell_output" });
      this.output = new Output(element);
      this.seconds = make("span", { class: "live-seconds" });
      const bar = make(
        "div",
        { class: "live-bar" },
        this.seconds,
        make("button", { type: "button", text: "Reset", on: { click: () => this.reset() } }),
        make("button", {
          type: "button",
          class: "live-run",
          text: "Run and check",
          on: { click: () => this.go() },
        })
      );
      this.element = make("div", { class: "live live-exercise" }, this.editor.element, bar, element);
      if (this.outdated) {
        const text = "The exercise has changed since you wrote this. Reset shows it.";
        this.element.prepend(make("p", { class: "live-note", text }));
      }
      block.hidden = true;
      block.after(this.element);
    }

    /* A browser may refuse to keep anything; then the work lasts as long as the page. */
    kept() {
      try {
        const { stub, text } = JSON.parse(localStorage.getItem(this.key));
        this.outdated = stub !== this.stub;
        return text;
      } catch {
        return null; // nothing is kept, or nothing may be
      }
    }

    keep() {
      try {
        if (this.editor.text === this.stub) localStorage.removeItem(this.key);
        else {
          const { stub, editor } = this;
          localStorage.setItem(this.key, JSON.stringify({ stub, text: editor.text }));
        }
      } catch {
        this.page.say("This browser keeps nothing: copy your solution before you leave.");
      }
    }

    go() {
      return this.page.check(this);
    }

    async run(python) {
      this.output.begin();
      this.seconds.textContent = "running";
      const show = (kind, content) => this.output.show(kind, content);
      const ran = await python.run(this.editor.text, show, "of an exercise");
      const { ok, seconds, stopped } = ran;
      this.seconds.textContent = stopped ? "stopped" : `${seconds.toFixed(1)} s`;
      return { ok, stopped };
    }

    reset() {
      if (this.page.refuses()) return;
      this.editor.text = this.stub;
      this.keep();
      this.output.begin();
      this.seconds.textContent = "";
    }

    close() {
      this.element.remove();
      this.block.hidden = false;
    }
  }

  /* ---- The page. ---- */

  const CHECKS = "import numpy as np\n\nfrom cnnbook.exercises import check";

  class Page {
    constructor(told) {
      const boxes = [...document.querySelectorAll("article div.cell")];
      const shown = told.cells.filter((cell) => !cell.hidden);
      if (boxes.length !== shown.length || told.digest !== here.dataset.cells) {
        throw new Error("the page and its cells are of two builds: reload the page");
      }
      this.python = new Python(filesOf(told), (progress) => this.progress(progress));
      this.python.ended = () => this.ended();
      this.data = told.data ? ` ${told.data}` : "";
      this.busy = false;
      this.bar();
      let visible = 0;
      this.cells = told.cells.map(
        (cell) =>
          new Cell(this, visible + 1, cell, cell.hidden ? null : boxes[visible++])
      );
      this.exercises = [];
      for (const block of document.querySelectorAll("div.exercise div.highlight-python")) {
        if (/\bcheck\(/.test(block.textContent)) {
          this.exercises.push(new Exercise(this, block.closest("div.exercise"), block));
        }
      }
    }

    bar() {
      this.status = make("span", { class: "live-status", role: "status" });
      this.meter = make("progress", { "aria-label": "Loading", hidden: true });
      const button = (text, words, act) =>
        make("button", { type: "button", text, title: words, on: { click: act } });
      this.stopButton = button("Stop", "End Python; what it computed is gone", () => this.stop());
      this.allButton = button("Run all", "Run all cells from the top", () => this.runAll());
      this.element = make(
        "div",
        { class: "live-panel", role: "region", "aria-label": "Live cells" },
        this.status,
        this.meter,
        this.allButton,
        this.stopButton,
        button("Close", "Give the page back as it was", () => this.close())
      );
      document.querySelector("article").prepend(this.element);
      this.idle();
    }

    say(text) {
      this.status.textContent = text;
    }

    progress({ step, steps, text }) {
      this.meter.hidden = false;
      Object.assign(this.meter, { max: steps, value: step - 1 });
      this.say(`Loading ${text} (${step} of ${steps}); about 25 MB, once.`);
    }

    idle() {
      this.stopButton.disabled = !this.busy && !this.python.ready;
      this.allButton.disabled = this.busy;
    }

    /* One thing at a time. */
    refuses() {
      if (this.busy) this.say("Python is busy: wait, or press Stop.");
      return this.busy;
    }

    async alone(act) {
      if (this.refuses()) return;
      this.busy = true;
      this.idle();
      try {
        await this.python.start();
        this.meter.hidden = true;
        await act();
      } catch (error) {
        this.meter.hidden = true;
        if (error.message !== "stopped") this.trouble(error);
      } finally {
        this.busy = false;
        this.idle();
      }
    }

    trouble(error) {
      const reach = navigator.onLine === false ? "this computer is offline" : error.message;
      const hint = /fetch|offline/i.test(reach)
        ? " It comes from cdn.jsdelivr.net, which must be reachable; then press Run again."
        : "";
      this.say(`Python could not be loaded (${reach}).${hint}`);
    }

    load() {
      return this.alone(async () => this.say(`Ready. Edit a cell and press Run.${this.data}`));
    }

    async each(cells) {
      const hiddenTroubles = [];
      for (const cell of cells) {
        if (cell.told.needs) continue;
        const all = this.cells.filter((other) => other.box).length;
        this.say(`Running cell ${Math.min(cell.number, all)} of ${all}`);
        const { ok, stopped, told } = await cell.run(this.python);
        if (stopped) return;
        if (!ok && cell.box) {
          this.say(`Cell ${cell.number} stopped; its error stands below it.`);
          cell.box.scrollIntoView({ block: "nearest" });
          return;
        }
        if (!ok) {
          cell.ran = true; // it holds the page's numbers to its words; the reader's differ
          hiddenTroubles.push(told.trim().split("\n").at(-1));
        }
      }
      this.hiddenTroubles = hiddenTroubles;
      this.say(
        hiddenTroubles.length
          ? `Done. A hidden cell, which holds the page's numbers to its sentences, stopped: ${hiddenTroubles[0]}`
          : "Done."
      );
    }

    runUpTo(cell) {
      const place = this.cells.indexOf(cell);
      const above = this.cells.slice(0, place).filter((other) => !other.ran);
      /* Hidden cells right after it belong to it. */
      const after = this.cells.slice(place + 1).findIndex((other) => other.box);
      const below = this.cells.slice(place + 1, after < 0 ? undefined : place + 1 + after);
      return this.alone(() => this.each([...above, cell, ...below]));
    }

    runAll() {
      return this.alone(() => this.each(this.cells));
    }

    check(exercise) {
      return this.alone(async () => {
        this.say("Checking");
        let told = "";
        const first = await this.python.run(CHECKS, (_, content) => {
          told = content;
        });
        if (first.stopped) return;
        if (!first.ok) {
          this.say(told.trim().split("\n").at(-1));
          return;
        }
        const { ok, stopped } = await exercise.run(this.python);
        if (!stopped) this.say(ok ? "Done." : "The exercise stopped with an error.");
      });
    }

    /* A cell was edited: what it and those below it computed may be of old words. */
    changed(cell) {
      for (const other of this.cells.slice(this.cells.indexOf(cell))) other.ran = false;
    }

    ended() {
      for (const cell of this.cells) cell.ran = false;
      this.meter.hidden = true;
      this.say("Stopped. What was computed is gone; Run begins anew with the first cell.");
      this.idle();
    }

    stop() {
      this.python.stop();
    }

    close() {
      this.python.stop();
      for (const part of [...this.cells, ...this.exercises]) part.close();
      this.element.remove();
      page = null;
    }
  }

  /* ---- What the site says of the page's cells. ---- */

  async function told() {
    const answer = await fetch(`${site}live/${chapter}.json`, { cache: "no-cache" });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    return answer.json();
  }

  const filesOf = ({ wheel, sha256, files }) => ({
    wheel: `${site}live/${wheel}`,
    sha256,
    files,
  });

  /* ---- The button. ---- */

  let page = null;
  let opening = false;

  function forget() {
    document.querySelectorAll(".live-notice").forEach((box) => box.remove());
  }

  function notice(...words) {
    forget();
    const box = make("div", { class: "live-panel live-notice", role: "status" });
    for (const word of words) box.append(word);
    box.append(
      make("button", { type: "button", text: "Close", on: { click: () => box.remove() } })
    );
    document.querySelector("article").prepend(box);
    box.scrollIntoView({ block: "nearest" });
  }

  async function begin() {
    if (page) {
      page.element.scrollIntoView({ block: "nearest" });
      return;
    }
    if (opening) return;
    if (location.protocol === "file:") {
      const name = location.pathname.split("/").pop();
      notice(
        make("p", {
          text:
            "This page was opened from a folder, where browsers don't let Python run. " +
            "Start a server in the folder of the site,",
        }),
        make("pre", { text: "python -m http.server 8000" }),
        make("p", {}, "and open ", make("code", { text: `http://localhost:8000/${name}` }), ", or read "),
        make("a", { href: here.dataset.address, text: "this page on the web" })
      );
      return;
    }
    opening = true;
    try {
      page = new Page(await told());
      forget();
    } catch (error) {
      notice(`The page's cells could not be loaded (${error.message}).`);
    } finally {
      opening = false;
    }
    if (page) await page.load();
  }

  window.cnnbookLive = {
    begin,
    parts: { make, colored, Python, load: async () => filesOf(await told()) },
    get page() {
      return page;
    },
  };
})();
