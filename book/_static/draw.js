/* Draw a digit: the network that this book trained answers while one draws.
   A classic script without any library, so that it also runs from the file system. */
(function () {
  "use strict";

  const [SIDE, BOX, MIDDLE, PEN, EDGE] = [28, 20, 14, 2.6, 1.5];
  const SMALLEST = 0.03;
  const here = document.currentScript ? document.currentScript.src : location.href;

  /* ---- Computing: no page is needed for this part. ---- */

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  /* The strokes' middle and the longer side of their box, in shares of the canvas. */
  function box(strokes) {
    const points = strokes.flat();
    const [low, high] = [Math.min, Math.max].map((most) =>
      [0, 1].map((axis) => points.reduce((a, p) => most(a, p[axis]), points[0][axis]))
    );
    return {
      middle: [0, 1].map((axis) => (low[axis] + high[axis]) / 2),
      extent: Math.max(high[0] - low[0], high[1] - low[1]),
    };
  }

  /* The ink of each pixel follows from its distance to the nearest segment. */
  function ink(strokes, middle, scale, place) {
    const pixels = new Float64Array(SIDE * SIDE);
    const reach = (PEN + EDGE) / 2;
    for (const stroke of strokes) {
      const path = stroke.map((p) =>
        [0, 1].map((axis) => (p[axis] - middle[axis]) * scale + place[axis])
      );
      for (let k = 0; k < Math.max(path.length - 1, 1); k += 1) {
        const [a, b] = [path[k], path[Math.min(k + 1, path.length - 1)]];
        const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        const square = dx * dx + dy * dy;
        const [left, top] = [0, 1].map((axis) =>
          Math.max(Math.ceil(Math.min(a[axis], b[axis]) - reach), 0));
        const [right, low] = [0, 1].map((axis) =>
          Math.min(Math.floor(Math.max(a[axis], b[axis]) + reach), SIDE - 1));
        for (let y = top; y <= low; y += 1) {
          for (let x = left; x <= right; x += 1) {
            const along = square ? ((x - a[0]) * dx + (y - a[1]) * dy) / square : 0;
            const share = clamp(along, 0, 1);
            const away = Math.hypot(x - a[0] - share * dx, y - a[1] - share * dy);
            const dark = clamp((PEN / 2 - away) / EDGE + 0.5, 0, 1);
            if (dark > pixels[y * SIDE + x]) pixels[y * SIDE + x] = dark;
          }
        }
      }
    }
    return pixels;
  }

  /* Strokes (lists of [x, y], in shares of the canvas) as MNIST has its digits. */
  function render(strokes) {
    const some = strokes.filter((stroke) => stroke.length);
    if (!some.length) return new Float64Array(SIDE * SIDE);
    if (!some.flat(2).every(Number.isFinite)) {
      throw new Error("The strokes need numbers only.");
    }
    const { middle, extent } = box(some);
    const scale = (BOX - PEN) / Math.max(extent, SMALLEST);
    const first = ink(some, middle, scale, [MIDDLE, MIDDLE]);
    let [mass, across, down] = [0, 0, 0];
    first.forEach((dark, k) => {
      mass += dark;
      across += dark * (k % SIDE);
      down += dark * Math.floor(k / SIDE);
    });
    const [least, most] = [(BOX - 1) / 2, SIDE - (BOX + 1) / 2]; // the box stays inside
    const place = [across, down].map((sum) =>
      clamp(2 * MIDDLE - sum / mass, least, most));
    return ink(some, middle, scale, place);
  }

  function numbersOf(record) {
    const letters = atob(record.data);
    const bytes = new Uint8Array(letters.length);
    for (let k = 0; k < bytes.length; k += 1) bytes[k] = letters.charCodeAt(k);
    const view = new DataView(bytes.buffer);
    const values = new Float32Array(bytes.length / 4);
    for (let k = 0; k < values.length; k += 1) values[k] = view.getFloat32(4 * k, true);
    if (values.length !== record.shape.reduce((a, b) => a * b, 1)) {
      throw new Error("The network's file is damaged.");
    }
    return { shape: record.shape, values };
  }

  /* A packed network with its weights as numbers. */
  function unpack(packed) {
    const layers = packed.layers.map((layer) => {
      if (!(layer.kind in LAYERS)) throw new Error(`There is no layer ${layer.kind}.`);
      const made = { ...layer };
      for (const name of ["weight", "bias"]) {
        if (layer[name]) made[name] = numbersOf(layer[name]);
      }
      return made;
    });
    return { input: packed.input, layers };
  }

  /* The windows of an image: for each output the first row and column it looks at. */
  function sizesOut([high, wide], [kh, kw], layer) {
    const [[top, bottom], [left, right]] = layer.padding;
    const [dh, dw] = layer.dilation || [1, 1];
    return [
      Math.floor((high + top + bottom - dh * (kh - 1) - 1) / layer.stride[0]) + 1,
      Math.floor((wide + left + right - dw * (kw - 1) - 1) / layer.stride[1]) + 1,
    ];
  }

  function conv2d({ shape, values }, layer) {
    const [channels, high, wide] = shape;
    const [filters, , kh, kw] = layer.weight.shape;
    const [rows, columns] = sizesOut([high, wide], [kh, kw], layer);
    const [[top], [left]] = layer.padding;
    const [[sh, sw], [dh, dw]] = [layer.stride, layer.dilation];
    const weight = layer.weight.values;
    const out = new Float64Array(filters * rows * columns);
    for (let f = 0, at = 0; f < filters; f += 1) {
      const start = layer.bias ? layer.bias.values[f] : 0;
      for (let i = 0; i < rows; i += 1) {
        for (let j = 0; j < columns; j += 1, at += 1) {
          let sum = start;
          for (let c = 0; c < channels; c += 1) {
            for (let u = 0; u < kh; u += 1) {
              const y = i * sh + u * dh - top;
              if (y < 0 || y >= high) continue;
              for (let v = 0; v < kw; v += 1) {
                const x = j * sw + v * dw - left;
                if (x < 0 || x >= wide) continue;
                sum += values[(c * high + y) * wide + x] *
                  weight[((f * channels + c) * kh + u) * kw + v];
              }
            }
          }
          out[at] = sum;
        }
      }
    }
    return { shape: [filters, rows, columns], values: out };
  }

  function maxPool2d({ shape, values }, layer) {
    const [channels, high, wide] = shape;
    const [rows, columns] = sizesOut([high, wide], layer.size, layer);
    const [[top], [left]] = layer.padding;
    const out = new Float64Array(channels * rows * columns).fill(-Infinity);
    for (let c = 0, at = 0; c < channels; c += 1) {
      for (let i = 0; i < rows; i += 1) {
        for (let j = 0; j < columns; j += 1, at += 1) {
          for (let u = 0; u < layer.size[0]; u += 1) {
            const y = i * layer.stride[0] + u - top;
            if (y < 0 || y >= high) continue;
            for (let v = 0; v < layer.size[1]; v += 1) {
              const x = j * layer.stride[1] + v - left;
              if (x < 0 || x >= wide) continue;
              out[at] = Math.max(out[at], values[(c * high + y) * wide + x]);
            }
          }
        }
      }
    }
    return { shape: [channels, rows, columns], values: out };
  }

  function linear({ values }, layer) {
    const [outputs, inputs] = layer.weight.shape;
    const weight = layer.weight.values;
    const out = Float64Array.from({ length: outputs }, (_, e) => {
      let sum = layer.bias ? layer.bias.values[e] : 0;
      for (let d = 0; d < inputs; d += 1) sum += weight[e * inputs + d] * values[d];
      return sum;
    });
    return { shape: [outputs], values: out };
  }

  const LAYERS = {
    conv2d,
    maxpool2d: maxPool2d,
    linear,
    relu: ({ shape, values }) => ({ shape, values: values.map((v) => Math.max(v, 0)) }),
    flatten: ({ values }) => ({ shape: [values.length], values }),
  };

  /* Subtracting the largest first keeps exp from overflowing. */
  function softmax(logits) {
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = logits.map((logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }

  /* What each layer makes of an image, and the probabilities at the end. */
  function forward(network, image) {
    let now = { shape: network.input, values: Float64Array.from(image) };
    if (now.values.length !== network.input.reduce((a, b) => a * b, 1)) {
      throw new Error(`The image needs ${network.input.join(" x ")} numbers.`);
    }
    const steps = network.layers.map((layer) => {
      now = LAYERS[layer.kind](now, layer);
      return { kind: layer.kind, ...now };
    });
    return { steps, logits: now.values, probabilities: softmax(now.values) };
  }

  /* The network comes when it is needed, once for all drawings of a page. */
  let coming = null;
  function load() {
    coming = coming || new Promise((resolve, reject) => {
      const done = () => {
        try {
          if (!window.cnnbookNetwork) throw new Error("There is no network in its file.");
          resolve(unpack(window.cnnbookNetwork));
        } catch (error) {
          reject(error);
        }
      };
      if (window.cnnbookNetwork) {
        done();
        return;
      }
      const script = document.createElement("script");
      script.src = new URL("../draw/network.js", here).href;
      script.onload = done;
      script.onerror = () => reject(new Error("The file draw/network.js is not there."));
      document.head.append(script);
    }).catch((error) => {
      coming = null; // the next touch tries again
      throw error;
    });
    return coming;
  }

  window.cnnbookDraw = { render, unpack, forward, softmax, load };

  /* ---- Words ---- */

  function percent(share) {
    if (share > 0.9995) return ">99.9%"; // never quite sure, never quite impossible
    return share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
  }

  const signed = (value) => value.toFixed(1).replace("-", "−").replace(/^−0\.0$/, "0.0");

  function ranking(probabilities) {
    const order = [...probabilities.keys()];
    return order.sort((a, b) => probabilities[b] - probabilities[a]);
  }

  const named = (digit) => (digit === 8 ? "an 8" : `a ${digit}`);

  function said(probabilities) {
    const [first, second] = ranking(probabilities).map((digit) =>
      `${named(digit)}, with ${percent(probabilities[digit])}`
        .replace(">", "over ").replace("<", "under "));
    const most = probabilities.reduce((a, b) => Math.max(a, b), 0);
    if (most > 0.98) return `I read ${first}.`;
    return most < 0.6
      ? `I am not sure: ${first}, or ${second}.` : `I read ${first}; next comes ${second}.`;
  }

  const NAMES = {
    conv2d: "Convolution", relu: "ReLU", maxpool2d: "Max pooling", linear: "Dense layer",
  };

  /* ---- Building the page. ---- */

  let boxes = 0;

  function make(tag, settings = {}, ...inside) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(settings)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) {
        element.setAttribute(name, value === true ? "" : value);
      }
    }
    element.append(...inside);
    return element;
  }

  /* Numbers as grays, one pixel each: from 0 (black) or, signed, around middle gray. */
  function paint(canvas, values, most, isSigned) {
    const context = canvas.getContext("2d");
    const picture = context.createImageData(canvas.width, canvas.height);
    for (let k = 0; k < canvas.width * canvas.height; k += 1) {
      const share = k < values.length ? values[k] / (most || 1) : 0;
      const gray = isSigned ? 127.5 * (1 + share) : 255 * share;
      picture.data.set([gray, gray, gray, 255], 4 * k);
    }
    context.putImageData(picture, 0, 0);
  }

  function bars(name) {
    const list = make("ul", { class: `draw-bars ${name}`, role: "list" });
    for (let digit = 0; digit < 10; digit += 1) {
      list.append(
        make("li", {},
          make("span", { class: "draw-digit" }, String(digit)),
          make("span", { class: "draw-track", "aria-hidden": "true" }, make("span")),
          make("span", { class: "draw-number" }, "–"))
      );
    }
    return list;
  }

  function start(whole) {
    if (whole.classList.contains("running")) return;
    const examples = JSON.parse(
      whole.querySelector('script[type="application/json"]').textContent
    );
    const id = `draw-${(boxes += 1)}`;
    const STEP = 0.04;

    const strokes = []; // of points in shares of the canvas
    let active = null; // the stroke that is being drawn, and by which pointer
    let network = null;
    let awaited = false; // the network was asked for
    let planned = false; // a redraw is
    let showing = null; // an example that is being drawn
    let next = 0;
    const pen = { x: 0.5, y: 0.5, down: false, seen: false }; // the keyboard's

    /* -- The parts -- */

    const help = make("p", { class: "draw-help", id: `${id}-help` },
      "Draw a digit from 0 to 9 with the mouse, a finger or a pen. By keyboard: arrow " +
      "keys move the pen (with Shift further), the space bar puts it down and lifts it, " +
      "Backspace takes the last stroke back.");
    const canvas = make("canvas", {
      class: "draw-canvas", tabindex: 0, role: "application",
      "aria-label": "Canvas to draw a digit on", "aria-describedby": help.id,
    });
    const buttons = make("div", { class: "draw-buttons" });
    const button = (text, pressed) => {
      const made = make("button", { type: "button", onclick: pressed }, text);
      buttons.append(made);
      return made;
    };
    const undo = button("Undo", takeBack);
    const clear = button("Clear", clearAll);
    button("Show me one", showOne);
    const answer = make("p", { class: "draw-answer" });
    const chances = bars("draw-chances");
    const seen = make("canvas", {
      class: "draw-seen", width: SIDE, height: SIDE, role: "img",
      "aria-label": "The picture of 28 x 28 pixels that the network gets",
    });
    const live = make("p", { class: "draw-live", "aria-live": "polite" });
    const error = make("p", { class: "draw-error", role: "alert", hidden: true });
    const layers = make("div", { class: "draw-layers", hidden: true });
    const frame = make("div", { class: "draw-frame", role: "group", "aria-label": "Draw a digit" },
      help,
      make("div", { class: "draw-top" },
        make("div", { class: "draw-paper" }, canvas, buttons),
        make("div", { class: "draw-sees" },
          make("p", { class: "draw-label" }, "What the network sees"), seen),
        make("div", { class: "draw-reads" }, answer, chances)),
      error, live, layers);

    /* -- Drawing -- */

    function paper() {
      const width = canvas.clientWidth;
      const size = Math.max(1, Math.round(width * (window.devicePixelRatio || 1)));
      if (canvas.width !== size) canvas.width = canvas.height = size;
      const context = canvas.getContext("2d");
      context.fillStyle = "#101010";
      context.fillRect(0, 0, size, size);
      Object.assign(context, { lineCap: "round", lineJoin: "round" });
      Object.assign(context, { strokeStyle: "#fff", lineWidth: 0.065 * size });
      for (const stroke of strokes) {
        context.beginPath();
        stroke.forEach(([x, y]) => context.lineTo(x * size, y * size));
        if (stroke.length === 1) context.lineTo(stroke[0][0] * size, stroke[0][1] * size);
        context.stroke();
      }
      if (!strokes.length && !pen.seen) {
        Object.assign(context, { fillStyle: "#a8a8a8", textAlign: "center" });
        context.font = `${Math.round(0.07 * size)}px sans-serif`;
        context.fillText("Draw here", size / 2, size / 2);
      }
      if (!pen.seen) return;
      const [x, y, arm] = [pen.x * size, pen.y * size, 0.05 * size];
      for (const [color, thick] of [["#101010", 5], ["#ffb454", 2]]) {
        Object.assign(context, { strokeStyle: color, lineWidth: (thick * size) / width });
        context.beginPath();
        for (const [dx, dy] of [[arm, 0], [0, arm]]) {
          context.moveTo(x - dx, y - dy);
          context.lineTo(x + dx, y + dy);
        }
        context.stroke();
        context.beginPath();
        if (pen.down) context.arc(x, y, arm * 0.7, 0, 2 * Math.PI);
        context.stroke();
      }
    }

    function plan() {
      if (planned) return;
      planned = true;
      window.requestAnimationFrame(() => {
        planned = false;
        redraw();
      });
    }

    function disable(one, yes) {
      one.setAttribute("aria-disabled", String(yes));
    }

    const isDot = () => box(strokes).extent < SMALLEST;

    /* What there is to say; null where the network answers. */
    function waiting() {
      if (!strokes.length) return "Nothing is drawn yet.";
      if (isDot()) return "So far this is a dot.";
      if (!error.hidden) return "No answer.";
      return network ? null : "Loading the network …";
    }

    function redraw() {
      paper();
      const image = render(strokes);
      paint(seen, image, 1, false);
      disable(undo, !strokes.length);
      disable(clear, !strokes.length);
      const words = waiting();
      answer.classList.toggle("draw-read", words === null);
      layers.hidden = words !== null;
      if (words !== null) {
        answer.textContent = words;
        fill(chances, null);
        return null;
      }
      const found = forward(network, image);
      const [best] = ranking(found.probabilities);
      answer.replaceChildren(
        make("strong", {}, String(best)), " ", percent(found.probabilities[best])
      );
      fill(chances, found.probabilities);
      showLayers(found.steps);
      return found;
    }

    function fill(list, values) {
      const isLogits = list.classList.contains("draw-logits");
      const most = isLogits && values ? Math.max(...values.map(Math.abs)) || 1 : 1;
      const best = values ? ranking(values)[0] : -1;
      [...list.children].forEach((row, digit) => {
        const share = values ? values[digit] / most : 0;
        const bar = row.children[1].firstChild;
        row.classList.toggle("best", digit === best);
        row.children[2].textContent =
          values ? (isLogits ? signed : percent)(values[digit]) : "–";
        bar.style.width = `${(isLogits ? 50 : 100) * Math.abs(share)}%`;
        if (isLogits) bar.style.marginLeft = `${share < 0 ? 50 * (1 + share) : 50}%`;
      });
    }

    /* -- Layer by layer -- */

    let stages = null;

    function makeStages(steps) {
      layers.append(make("p", { class: "draw-heading" }, "Layer by layer"));
      stages = steps.map((step, k) => {
        if (step.kind === "flatten") return null;
        const above = step.kind === "maxpool2d" && k ? steps[k - 1].kind : step.kind;
        const stage = { isSigned: above !== "relu", canvases: [] }; // pooling keeps signs
        stage.words = make("p", { class: "draw-label" });
        const part = make("div", { class: "draw-stage" }, stage.words);
        if (k === steps.length - 1) {
          stage.list = bars("draw-logits");
          part.append(stage.list);
        } else {
          const maps = step.shape.length === 3;
          const [count, high, wide] = maps
            ? step.shape : [1, Math.ceil(step.shape[0] / 32), 32];
          stage.canvases = Array.from({ length: count }, () =>
            make("canvas", { width: wide, height: high, "aria-hidden": "true" }));
          stage.holder = make("div", {
            class: maps ? "draw-maps" : "draw-units", role: "img",
          }, ...stage.canvases);
          part.append(stage.holder);
        }
        layers.append(part);
        return stage;
      });
    }

    function showLayers(steps) {
      if (!stages) makeStages(steps);
      steps.forEach((step, k) => {
        const stage = stages[k];
        if (!stage) return;
        const name = NAMES[step.kind];
        if (stage.list) {
          stage.words.textContent =
            `${name}: the ten logits. Softmax makes the probabilities of them.`;
          fill(stage.list, step.values);
          return;
        }
        const most = step.values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        const each = step.values.length / stage.canvases.length;
        stage.canvases.forEach((one, c) =>
          paint(one, step.values.subarray(c * each, (c + 1) * each), most, stage.isSigned));
        const shades = stage.isSigned
          ? "Zero is middle gray, brighter is more." : "Zero is black, brighter is more.";
        const maps = step.shape.length === 3;
        const count = maps
          ? `${step.shape[0]} maps of ${step.shape[1]} x ${step.shape[2]}`
          : `${step.shape[0]} units, ${step.values.filter((v) => v > 0).length} above zero`;
        stage.words.textContent = `${name}: ${count}. ${shades}`;
        stage.holder.setAttribute("aria-label", `After ${name}: ${count}`);
      });
    }

    /* -- What happens -- */

    function wake() {
      if (network || awaited) return;
      awaited = true;
      error.hidden = true;
      live.textContent = "Loading the network …";
      load().then((loaded) => {
        network = loaded;
        live.textContent = "";
        if (strokes.length && !active && !showing) finish();
        else plan();
      }, (problem) => {
        awaited = false;
        error.hidden = false;
        live.textContent = "";
        error.textContent =
          `The network could not be loaded, so nothing can be read. ${problem.message} ` +
          "Touch the canvas again to try once more.";
        plan();
      });
    }

    /* A stroke is complete: answer, and have it spoken. */
    function finish() {
      const found = redraw();
      if (found) live.textContent = said(found.probabilities);
      else if (network || !strokes.length) live.textContent = waiting() || "";
    }

    function begin(point, pointer) {
      active = { points: [point], pointer };
      strokes.push(active.points);
      plan();
    }

    function extend(point) {
      const last = active.points[active.points.length - 1];
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.002) return;
      active.points.push(point);
      plan();
    }

    function end() {
      if (!active) return;
      active = null;
      pen.down = false;
      finish();
    }

    function takeBack() {
      stopShowing();
      active = null;
      pen.down = false;
      strokes.pop();
      finish();
    }

    function clearAll() {
      stopShowing();
      active = null;
      pen.down = false;
      strokes.length = 0;
      finish();
    }

    /* -- By pointer: one at a time, so that a second finger draws nothing. -- */

    function pointOf(event) {
      const edge = canvas.getBoundingClientRect();
      return [
        clamp((event.clientX - edge.left - canvas.clientLeft) / canvas.clientWidth, 0, 1),
        clamp((event.clientY - edge.top - canvas.clientTop) / canvas.clientHeight, 0, 1),
      ];
    }

    const isMine = (event) => active && active.pointer === event.pointerId;

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || (active && active.pointer !== undefined)) return;
      event.preventDefault();
      stopShowing();
      end(); // of a stroke by keyboard
      pen.seen = false;
      canvas.focus({ preventScroll: true, focusVisible: false });
      pen.seen = false;
      canvas.setPointerCapture(event.pointerId);
      wake();
      begin(pointOf(event), event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!isMine(event)) return;
      const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const one of all.length ? all : [event]) extend(pointOf(one));
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => {
        if (isMine(event)) end();
      });
    }

    /* -- By keyboard -- */

    canvas.addEventListener("focus", () => {
      wake();
      pen.seen = canvas.matches(":focus-visible");
      plan();
    });
    canvas.addEventListener("blur", () => {
      pen.seen = false;
      if (pen.down) end();
      plan();
    });
    canvas.addEventListener("keydown", (event) => {
      const ways = {
        ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0],
      };
      if (active && active.pointer !== undefined) return;
      const key = event.key;
      const taken = key in ways || [" ", "Enter", "Backspace"].includes(key);
      if (!taken || event.ctrlKey || event.metaKey || event.altKey) {
        if (key === "Escape" && pen.down) end();
        return;
      }
      event.preventDefault();
      stopShowing();
      pen.seen = true;
      if (key === "Backspace") takeBack();
      else if (key in ways) {
        const far = STEP * (event.shiftKey ? 3 : 1);
        pen.x = clamp(pen.x + far * ways[key][0], 0, 1);
        pen.y = clamp(pen.y + far * ways[key][1], 0, 1);
        if (pen.down) extend([pen.x, pen.y]);
        plan();
      } else if (!event.repeat) {
        if (pen.down) end();
        else {
          wake();
          pen.down = true;
          begin([pen.x, pen.y]);
          live.textContent =
            `The pen is down, ${Math.round(100 * pen.x)}% from the left and ` +
            `${Math.round(100 * pen.y)}% from the top.`;
        }
      }
    });

    /* -- An example -- */

    function showOne() {
      stopShowing();
      clearAll();
      wake();
      const example = examples[next % examples.length];
      next += 1;
      showing = { rest: example.map((stroke) => stroke.slice()), fresh: true, timer: 0 };
      if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) stopShowing();
      else showMore();
    }

    function showPoint() {
      const { rest } = showing;
      if (showing.fresh) strokes.push([]);
      strokes[strokes.length - 1].push(rest[0].shift());
      showing.fresh = !rest[0].length;
      if (showing.fresh) rest.shift();
    }

    function showMore() {
      showPoint();
      plan();
      if (showing.rest.length) showing.timer = window.setTimeout(showMore, 25);
      else stopShowing();
    }

    function stopShowing() {
      if (!showing) return;
      window.clearTimeout(showing.timer);
      while (showing.rest.length) showPoint();
      showing = null;
      finish();
    }

    const still = whole.querySelector(".draw-still");
    still.hidden = true;
    whole.classList.add("running");
    whole.append(frame);
    redraw();
    if (window.ResizeObserver) new ResizeObserver(plan).observe(canvas);
  }

  const beginAll = () => document.querySelectorAll("div.draw").forEach(start);
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", beginAll);
  } else beginAll();
})();
