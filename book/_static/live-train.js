/* "Train it here": a network learns in the page, and the page draws what it looks like.
   Python runs as in live cells (live.js); what it runs is cnnbook.watch. */
(function () {
  "use strict";

  const box = document.querySelector("div.train-here");
  const { make, load, Python } = window.cnnbookLive.parts;
  const SOURCE = `
from IPython.display import display

from cnnbook.watch import watched

for look in watched(epochs=EPOCHS):
    display(look)
`;
  const EPOCHS = 3;
  const IMAGES = 11000;
  const SVG = "http://www.w3.org/2000/svg";

  const draw = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /* A curve over the images seen, from 0 to the top; dots at the ends of epochs. */
  class Curve {
    constructor(title, top, format) {
      Object.assign(this, { title, top, format, points: [], dots: [] });
      this.line = draw("polyline", { class: "train-line", points: "" });
      this.marks = draw("g", { class: "train-dots" });
      this.svg = draw("svg", { viewBox: "0 0 320 150", role: "img", "aria-label": title });
      this.svg.append(draw("text", { x: 36, y: 14, class: "train-title" }, title));
      for (const share of [0, 0.5, 1]) {
        const y = 130 - 100 * share;
        this.svg.append(
          draw("line", { x1: 36, x2: 312, y1: y, y2: y, class: "train-grid" }),
          draw("text", { x: 32, y: y + 4, "text-anchor": "end" }, format(share * top))
        );
      }
      for (let epoch = 0; epoch <= EPOCHS; epoch++) {
        const x = 36 + (276 * epoch) / EPOCHS;
        this.svg.append(draw("text", { x, y: 146, "text-anchor": "middle" }, String(epoch)));
      }
      this.svg.append(this.line, this.marks);
    }

    place(images, value) {
      const x = 36 + (276 * images) / (EPOCHS * IMAGES);
      return [x.toFixed(1), (130 - 100 * Math.min(1, value / this.top)).toFixed(1)];
    }

    add(images, value, dot) {
      this.points.push(this.place(images, value).join(","));
      this.line.setAttribute("points", this.points.join(" "));
      if (dot !== null) {
        const [x, y] = this.place(images, dot);
        this.marks.append(draw("rect", { x: x - 4, y: y - 4, width: 8, height: 8 }));
      }
      this.svg.setAttribute("aria-label", `${this.title}, now ${this.format(value)}`);
    }
  }

  /* A filter as a small picture; zero is middle gray. */
  function paint(canvas, rows, most) {
    const picture = new ImageData(rows[0].length, rows.length);
    rows.flat().forEach((weight, k) => {
      const gray = Math.round(127.5 + (127.5 * weight) / most);
      picture.data.set([gray, gray, gray, 255], 4 * k);
    });
    canvas.width = rows[0].length;
    canvas.height = rows.length;
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  class Training {
    constructor() {
      this.status = make("p", { class: "live-status", role: "status" });
      this.meter = make("progress", { "aria-label": "Loading", hidden: true });
      this.startButton = make("button", {
        type: "button",
        text: "Train it here",
        on: { click: () => this.start() },
      });
      this.stopButton = make("button", {
        type: "button",
        text: "Stop",
        disabled: true,
        on: { click: () => this.stop() },
      });
      this.bar = make(
        "div",
        { class: "live-panel train-panel" },
        this.startButton,
        this.stopButton,
        this.meter,
        this.status
      );
      this.board = make("div", { class: "train-board", hidden: true });
      box.replaceChildren(this.bar, this.board);
    }

    say(text) {
      this.status.textContent = text;
    }

    async start() {
      if (location.protocol === "file:") {
        window.cnnbookLive.begin();
        return;
      }
      this.startButton.disabled = true;
      this.stopButton.disabled = false;
      this.stopped = false;
      this.python = null;
      this.status.setAttribute("aria-live", "polite");
      try {
        const files = await load();
        if (this.stopped) throw new Error("stopped");
        this.python = new Python(files, ({ step, steps, text }) => {
          this.meter.hidden = false;
          Object.assign(this.meter, { max: steps, value: step - 1 });
          this.say(`Loading ${text} (${step} of ${steps}); about 25 MB, once.`);
        });
        await this.python.start();
        if (this.stopped) throw new Error("stopped");
        this.prepare();
        this.say("The first images");
        let error = "";
        const source = SOURCE.replace("EPOCHS", EPOCHS);
        const ran = await this.python.run(source, (kind, content) => {
          if (kind === "display") this.look(JSON.parse(content["application/json"]));
          if (kind === "error") error = content;
        });
        this.status.setAttribute("aria-live", "polite");
        if (error) this.say(error.trim().split("\n").at(-1));
        else if (!ran.stopped) this.end();
        else if (!this.stopped) this.say("Python ended before the training did. Try again.");
      } catch (error) {
        if (!this.stopped) {
          this.say(`Python could not be loaded (${error.message}). Are you online?`);
        }
      }
      if (this.python) this.python.stop();
      this.meter.hidden = true;
      this.startButton.disabled = false;
      this.stopButton.disabled = true;
    }

    stop() {
      this.stopped = true;
      this.status.setAttribute("aria-live", "polite");
      if (this.python) this.python.stop();
      this.say("Stopped. What was learned is gone; a new training begins anew.");
    }

    prepare() {
      this.meter.hidden = true;
      this.valid = undefined;
      this.numbers = "";
      this.loss = new Curve("loss", 2.4, (value) => value.toFixed(1));
      this.accuracy = new Curve("accuracy", 1, (value) => `${Math.round(100 * value)}%`);
      this.filters = Array.from({ length: 8 }, () => make("canvas"));
      this.board.replaceChildren(
        this.loss.svg,
        this.accuracy.svg,
        make("div", { class: "train-filters", role: "img", "aria-label": "" }, ...this.filters),
        make("p", {
          class: "train-note",
          text:
            "By epoch: lines on the images just seen, squares on images held back. " +
            "Below, the eight filters; zero is middle gray.",
        })
      );
      this.board.hidden = false;
    }

    look(look) {
      this.last = look;
      this.loss.add(look.images, look.loss, null);
      this.accuracy.add(look.images, look.accuracy, look.valid);
      const most = Math.max(...look.filters.flat(2).map(Math.abs)) || 1;
      look.filters.forEach((rows, k) => paint(this.filters[k], rows, most));
      if (look.valid !== null) this.valid = look.valid;
      const judged = this.valid === undefined ? "" : `, held back ${this.percent(this.valid)}`;
      const seen = look.images.toLocaleString("en");
      const speed = Math.round(look.speed).toLocaleString("en");
      this.board.querySelector(".train-filters").setAttribute(
        "aria-label",
        `The eight filters after ${seen} images`
      );
      this.numbers =
        `${seen} images, ${speed} a second: loss ${look.loss.toFixed(2)}, ` +
        `accuracy ${this.percent(look.accuracy)}${judged}`;
      /* Said aloud only now and then. */
      this.status.setAttribute("aria-live", look.valid === null ? "off" : "polite");
      this.say(this.numbers);
    }

    percent(share) {
      return `${(100 * share).toFixed(1)}%`;
    }

    end() {
      this.status.setAttribute("aria-live", "polite");
      this.say(`Done: ${this.numbers}.`);
    }
  }

  if (box) window.cnnbookTraining = new Training();
})();
