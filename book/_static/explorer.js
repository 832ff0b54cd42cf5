/* The explorer: a convolution whose numbers the reader changes.
   A classic script without any library, so that it also runs from the file system. */
(function () {
  "use strict";

  const LIMITS = { x: 8, kernel: 5, stride: 4, padding: 3, dilation: 3 };
  const LARGEST = 1e6;

  /* ---- Computing: no page is needed for this part. ---- */

  const pair = (value) => (Array.isArray(value) ? value : [value, value]);

  function whole(value, name, least) {
    for (const one of pair(value)) {
      if (!Number.isInteger(one) || one < least) {
        throw new Error(`The ${name} must be a whole number, at least ${least}.`);
      }
    }
    return pair(value);
  }

  function matrix(value, name) {
    const wide = Array.isArray(value) && value.length ? value[0].length : 0;
    if (!wide || value.some((row) => row.length !== wide)) {
      throw new Error(`The ${name} needs rows of numbers, all of one length.`);
    }
    if (value.some((row) => row.some((number) => !Number.isFinite(number)))) {
      throw new Error(`The ${name} needs numbers only.`);
    }
    return value;
  }

  const span = (k, d) => d * (k - 1) + 1;

  function outputSize(n, k, s = 1, p = 0, d = 1, side = "rows") {
    if (n + 2 * p < span(k, d)) {
      throw new Error(
        `The kernel spans ${span(k, d)} ${side}, but the input with its padding has ` +
          `only ${n + 2 * p}. Take a larger input or padding, or a smaller kernel ` +
          `or dilation.`
      );
    }
    return Math.floor((n + 2 * p - d * (k - 1) - 1) / s) + 1;
  }

  function sizeFormula(n, k, s, p, d) {
    const size = outputSize(n, k, s, p, d);
    return `⌊(${n} + 2·${p} − ${d}·(${k} − 1) − 1) / ${s}⌋ + 1 = ${size}`;
  }

  const turnedKernel = (kernel) =>
    kernel.map((row) => row.slice().reverse()).reverse();

  function pad(x, [rows, columns]) {
    const wide = x[0].length + 2 * columns;
    const zeros = () => new Array(wide).fill(0);
    const sides = new Array(columns).fill(0);
    return [
      ...Array.from({ length: rows }, zeros),
      ...x.map((row) => [...sides, ...row, ...sides]),
      ...Array.from({ length: rows }, zeros),
    ];
  }

  /* The products of one output: where, which pixel, which weight. */
  function products(padded, weights, [i, j], [sh, sw], [dh, dw]) {
    const found = [];
    weights.forEach((row, u) =>
      row.forEach((weight, v) => {
        const [a, b] = [i * sh + u * dh, j * sw + v * dw];
        found.push({ row: a, column: b, pixel: padded[a][b], weight });
      })
    );
    return found;
  }

  /* Cross-correlation, or with `turned` true convolution, of one image. */
  function conv2d(x, kernel, options = {}) {
    matrix(x, "input");
    matrix(kernel, "kernel");
    const stride = whole(options.stride ?? 1, "stride", 1);
    const padding = whole(options.padding ?? 0, "padding", 0);
    const dilation = whole(options.dilation ?? 1, "dilation", 1);
    const weights = options.turned ? turnedKernel(kernel) : kernel;
    const sizes = [x.length, x[0].length];
    const lengths = [kernel.length, kernel[0].length];
    const [rows, columns] = [0, 1].map((axis) =>
      outputSize(
        sizes[axis],
        lengths[axis],
        stride[axis],
        padding[axis],
        dilation[axis],
        axis ? "columns" : "rows"
      )
    );
    const padded = pad(x, padding);
    return Array.from({ length: rows }, (_, i) =>
      Array.from({ length: columns }, (_, j) =>
        products(padded, weights, [i, j], stride, dilation).reduce(
          (sum, { pixel, weight }) => sum + pixel * weight,
          0
        )
      )
    );
  }

  /* A number as a reader types it: 1, -2.5, 1,5 or 1/9. Null if it is none. */
  function parseNumber(text) {
    const plain = text.trim().replace(/[−–]/g, "-").replace(",", ".");
    const shape = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
    const parts = plain.split("/");
    if (parts.length > 2 || !parts.every((part) => shape.test(part))) return null;
    const value = parts.length === 2 ? Number(parts[0]) / Number(parts[1]) : +parts[0];
    return Number.isFinite(value) && Math.abs(value) <= LARGEST ? value : null;
  }

  /* A number as it is shown: whole ones in full, others with three digits. */
  function formatNumber(value) {
    const near = Math.round(value);
    const text =
      Math.abs(value - near) < 1e-9 && Math.abs(near) < 1e9
        ? String(near === 0 ? 0 : near)
        : String(Number(value.toPrecision(3)));
    return text.replace("-", "−");
  }

  const factor = (value) => (value < 0 ? `(${formatNumber(value)})` : formatNumber(value));

  window.cnnbookExplorer = {
    conv2d,
    outputSize,
    sizeFormula,
    turnedKernel,
    parseNumber,
    formatNumber,
  };

  /* ---- Examples to choose from. ---- */

  const NINTH = "1/9";
  const KERNELS = {
    "difference along a diagonal": [[1, 0], [-1, 1]],
    "nothing changes (identity)": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "shift by one": [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
    "Sobel x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "Sobel y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "Prewitt x": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "Prewitt y": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "blur": [[NINTH, NINTH, NINTH], [NINTH, NINTH, NINTH], [NINTH, NINTH, NINTH]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "Laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
  };
  const INPUTS = {
    "one bright pixel": [
      [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
    ],
    "a vertical edge": [
      [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1],
    ],
    "a slope": [
      [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5],
    ],
    "a cross": [
      [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0],
    ],
    "a line of numbers": [[1, 3, 2, 5, 4, 0, 2, 1]],
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

  function start(box) {
    if (box.classList.contains("running")) return;
    const example = JSON.parse(
      box.querySelector('script[type="application/json"]').textContent
    );
    const id = `explorer-${(boxes += 1)}`;
    const texts = (numbers) => numbers.map((row) => row.map(asTyped));
    const asTyped = (value) => String(value).replace("-", "−");

    /* What the reader typed is kept as text, also where it is not a number. */
    const state = {
      x: texts(example.input),
      kernel: texts(example.kernel),
      stride: String(example.stride),
      padding: String(example.padding),
      dilation: String(example.dilation),
      turned: false,
      step: 0,
      playing: null,
    };
    const startX = state.x.map((row) => row.slice());
    const startKernel = state.kernel.map((row) => row.slice());
    let view = null; // what could be computed from it

    /* -- Controls -- */

    const choices = make("div", { class: "explorer-choices" });
    const counters = make("div", { class: "explorer-counters" });
    const fields = {};

    function chooser(name, label, options, chosen) {
      const select = make("select", { id: `${id}-${name}`, onchange: chosen });
      for (const option of options) select.append(make("option", {}, option));
      choices.append(
        make("div", { class: "explorer-field" },
          make("label", { for: select.id }, label), select)
      );
      fields[name] = select;
    }

    function counter(name, label, value, least, most, changed) {
      const input = make("input", {
        id: `${id}-${name}`, type: "number", min: least, max: most, step: 1, value,
        oninput: () => changed(input.value),
      });
      counters.append(
        make("div", { class: "explorer-field" },
          make("label", { for: input.id }, label), input)
      );
      fields[name] = input;
    }

    chooser("inputs", "Input", ["this chapter’s", ...Object.keys(INPUTS)], () => {
      const chosen = INPUTS[fields.inputs.value];
      state.x = chosen ? texts(chosen) : startX.map((row) => row.slice());
      sizesToFields();
      restart();
    });
    chooser("kernels", "Kernel", ["this chapter’s", ...Object.keys(KERNELS)], () => {
      const chosen = KERNELS[fields.kernels.value];
      state.kernel = chosen ? texts(chosen) : startKernel.map((row) => row.slice());
      sizesToFields();
      restart();
    });
    chooser("operation", "Operation",
      ["cross-correlation", "true convolution"], () => {
        state.turned = fields.operation.selectedIndex === 1;
        restart();
      });
    for (const [name, least] of [["stride", 1], ["padding", 0], ["dilation", 1]]) {
      const label = name[0].toUpperCase() + name.slice(1);
      counter(name, label, state[name], least, LIMITS[name], (value) => {
        state[name] = value;
        restart();
      });
    }
    for (const [what, title] of [["x", "X"], ["kernel", "K"]]) {
      for (const side of ["rows", "columns"]) {
        counter(`${what}-${side}`, `${title} ${side}`, 1, 1, LIMITS[what], (value) => {
          const size = Number(value);
          if (Number.isInteger(size) && size >= 1 && size <= LIMITS[what]) {
            resize(what, side, size);
          }
          restart();
        });
      }
    }

    function resize(what, side, size) {
      const rows = state[what];
      if (side === "rows") {
        while (rows.length < size) rows.push(rows[0].map(() => "0"));
        rows.length = size;
      } else {
        for (const row of rows) {
          while (row.length < size) row.push("0");
          row.length = size;
        }
      }
    }

    function sizesToFields() {
      for (const what of ["x", "kernel"]) {
        fields[`${what}-rows`].value = state[what].length;
        fields[`${what}-columns`].value = state[what][0].length;
      }
    }

    /* -- Boards -- */

    const boards = make("div", { class: "explorer-boards" });
    const places = {};
    for (const [name, title] of [
      ["x", "Input X"], ["kernel", "Kernel K"], ["turned", "K turned"], ["y", "Output Y"],
    ]) {
      const label = make("p", { class: "explorer-label", id: `${id}-${name}-label` }, title);
      const grid = make("div", {
        class: "explorer-grid",
        role: name === "turned" ? "table" : "grid",
        "aria-labelledby": label.id,
      });
      const board = make("div", { class: `explorer-board explorer-board-${name}` }, label, grid);
      places[name] = { board, grid, label };
      boards.append(board);
    }

    const errors = make("p", { class: "explorer-error", role: "alert", hidden: true });
    const sum = make("p", { class: "explorer-sum" });
    const size = make("div", { class: "explorer-size" });
    const live = make("p", { class: "explorer-live", "aria-live": "polite" });
    const buttons = make("div", { class: "explorer-buttons", role: "group", "aria-label": "Steps" });
    const button = (text, pressed) => {
      const made = make("button", { type: "button", onclick: pressed }, text);
      buttons.append(made);
      return made;
    };
    const first = button("First", () => go(0));
    const back = button("Back", () => go(state.step - 1));
    const play = button("Play", () => (state.playing ? pause() : playOn()));
    const next = button("Next", () => go(state.step + 1));
    const reset = button("Start over", () => {
      for (const name of ["stride", "padding", "dilation"]) {
        state[name] = fields[name].value = String(example[name]);
      }
      for (const name of ["inputs", "kernels", "operation"]) fields[name].selectedIndex = 0;
      state.turned = false;
      state.x = startX.map((row) => row.slice());
      state.kernel = startKernel.map((row) => row.slice());
      sizesToFields();
      restart();
    });

    /* -- Computing from what was typed -- */

    function numbersOf(what, title) {
      return state[what].map((row, i) =>
        row.map((text, j) => {
          const value = parseNumber(text);
          if (value === null) {
            const shown = text.trim() ? `“${text.trim()}”` : "an empty cell";
            throw new Error(
              `${title}, row ${i}, column ${j}: ${shown} is not a number ` +
                `up to a million. Try 2, −1, 0.5 or 1/9.`
            );
          }
          return value;
        })
      );
    }

    function optionOf(name, least) {
      const value = Number(state[name]);
      if (state[name].trim() === "" || !Number.isInteger(value) ||
          value < least || value > LIMITS[name]) {
        throw new Error(
          `The ${name} must be a whole number from ${least} to ${LIMITS[name]}.`
        );
      }
      return value;
    }

    function countOf(what, side, title) {
      const value = Number(fields[`${what}-${side}`].value);
      if (!Number.isInteger(value) || value < 1 || value > LIMITS[what]) {
        throw new Error(`The ${title} needs 1 to ${LIMITS[what]} ${side}.`);
      }
    }

    function compute() {
      const x = numbersOf("x", "Input");
      const kernel = numbersOf("kernel", "Kernel");
      for (const side of ["rows", "columns"]) {
        countOf("x", side, "input");
        countOf("kernel", side, "kernel");
      }
      const stride = optionOf("stride", 1);
      const padding = optionOf("padding", 0);
      const dilation = optionOf("dilation", 1);
      const options = { stride, padding, dilation, turned: state.turned };
      const y = conv2d(x, kernel, options);
      const weights = state.turned ? turnedKernel(kernel) : kernel;
      return { x, kernel, weights, padded: pad(x, pair(padding)), y, ...options };
    }

    /* -- Drawing -- */

    const steps = () => (view ? view.y.length * view.y[0].length : 0);
    const placeOf = (step) => [
      Math.floor(step / view.y[0].length), step % view.y[0].length,
    ];

    /* Keep a grid's cells where only their contents change: the focus stays. */
    function fill(name, rows, columns, cell) {
      const { grid, board } = places[name];
      const shape = `${rows} x ${columns} ${name === "x" ? state.padding : ""}`;
      board.style.setProperty("--columns", columns);
      board.classList.toggle("dense", columns > 9);
      if (grid.dataset.shape !== shape) {
        grid.dataset.shape = shape;
        grid.replaceChildren(
          ...Array.from({ length: rows }, (_, i) =>
            make("div", { role: "row", class: "explorer-row" },
              ...Array.from({ length: columns }, (_, j) => cell(i, j)))
          )
        );
        const stop = grid.querySelector("[data-stop]");
        if (stop) stop.tabIndex = 0;
      }
      return (i, j) => grid.children[i].children[j];
    }

    /* The arrow keys go from cell to cell of a grid, of which one can be tabbed to. */
    function move(name, event, i, j, rows, columns, choose) {
      const away = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      }[event.key];
      const ends = { Home: [i, 0], End: [i, columns - 1] }[event.key];
      let target = away ? [i + away[0], j + away[1]] : ends;
      if (!target) return;
      const input = event.target;
      if (input.matches("input") && (ends || away[1])) {
        const all = input.selectionStart === 0 && input.selectionEnd === input.value.length;
        const edge = event.key === "ArrowLeft" ? 0 : input.value.length;
        const atEdge = !ends && input.selectionStart === edge && input.selectionEnd === edge;
        if (!all && !atEdge) return; // the caret moves inside of the text
      }
      event.preventDefault();
      target = [
        Math.min(Math.max(target[0], 0), rows - 1),
        Math.min(Math.max(target[1], 0), columns - 1),
      ];
      choose(...target);
    }

    function focusCell(name, i, j) {
      const { grid } = places[name];
      for (const one of grid.querySelectorAll("[data-stop]")) one.tabIndex = -1;
      const cell = grid.querySelector(`[data-stop="${i},${j}"]`);
      cell.tabIndex = 0;
      cell.focus();
      if (cell.select) cell.select();
    }

    function editable(name, title, i, j) {
      const input = make("input", {
        type: "text", autocomplete: "off", spellcheck: "false", tabindex: -1,
        "data-stop": `${i},${j}`, "aria-label": `${title}, row ${i}, column ${j}`,
        oninput: () => {
          state[name][i][j] = input.value;
          redraw();
        },
        onfocus: () => {
          for (const one of places[name].grid.querySelectorAll("[data-stop]")) {
            one.tabIndex = one === input ? 0 : -1;
          }
          input.select();
        },
        onkeydown: (event) =>
          move(name, event, i, j, state[name].length, state[name][0].length,
            (a, b) => focusCell(name, a, b)),
      });
      return input;
    }

    function drawInput() {
      const padding = view ? view.padding : 0;
      const [high, wide] = [state.x.length, state.x[0].length];
      const taken = new Map();
      if (view) {
        const now = products(view.padded, view.weights, placeOf(state.step),
          pair(view.stride), pair(view.dilation));
        for (const one of now) taken.set(`${one.row},${one.column}`, one.weight);
      }
      const inside = (i, j) =>
        i >= padding && i < high + padding && j >= padding && j < wide + padding;
      const at = fill("x", high + 2 * padding, wide + 2 * padding, (i, j) => {
        const cell = make("div", { role: "gridcell", class: "explorer-cell" });
        if (inside(i, j)) cell.append(editable("x", "Input", i - padding, j - padding));
        else {
          cell.classList.add("edge");
          cell.setAttribute("aria-label", "padding, 0");
          cell.append(make("span", {}, "0"));
        }
        cell.append(make("span", { class: "explorer-weight", "aria-hidden": "true" }));
        return cell;
      });
      for (let i = 0; i < high + 2 * padding; i += 1) {
        for (let j = 0; j < wide + 2 * padding; j += 1) {
          const cell = at(i, j);
          const key = `${i},${j}`;
          cell.classList.toggle("taken", taken.has(key));
          for (const [side, a, b] of [["up", -1, 0], ["down", 1, 0], ["left", 0, -1], ["right", 0, 1]]) {
            cell.classList.toggle(side, taken.has(key) && !taken.has(`${i + a},${j + b}`));
          }
          cell.lastChild.textContent = taken.has(key) ? `·${formatNumber(taken.get(key))}` : "";
          if (inside(i, j)) show(cell.firstChild, state.x[i - padding][j - padding]);
        }
      }
    }

    function show(input, text) {
      if (input.value !== text) input.value = text;
      const wrong = parseNumber(text) === null;
      input.setAttribute("aria-invalid", String(wrong));
      input.classList.toggle("long", text.length > 3);
    }

    function drawKernel() {
      const [high, wide] = [state.kernel.length, state.kernel[0].length];
      const at = fill("kernel", high, wide, (i, j) =>
        make("div", { role: "gridcell", class: "explorer-cell" }, editable("kernel", "Kernel", i, j))
      );
      state.kernel.forEach((row, i) => row.forEach((text, j) => show(at(i, j).firstChild, text)));
      places.turned.board.hidden = !state.turned;
      const turned = turnedKernel(state.kernel);
      const there = fill("turned", high, wide, () =>
        make("div", { role: "cell", class: "explorer-cell fixed" }, make("span")));
      turned.forEach((row, i) => row.forEach((text, j) => {
        there(i, j).firstChild.textContent = text;
      }));
    }

    function drawOutput() {
      places.y.board.hidden = !view;
      if (!view) return;
      const [rows, columns] = [view.y.length, view.y[0].length];
      const [a, b] = placeOf(state.step);
      const at = fill("y", rows, columns, (i, j) =>
        make("div", { role: "gridcell", class: "explorer-cell" },
          make("button", {
            type: "button", tabindex: -1, "data-stop": `${i},${j}`,
            onclick: () => go(i * view.y[0].length + j),
            onkeydown: (event) =>
              move("y", event, i, j, view.y.length, view.y[0].length, (k, l) => {
                go(k * view.y[0].length + l);
                focusCell("y", k, l);
              }),
          }))
      );
      const lengths = view.y.flat().map((value) => formatNumber(value).length);
      places.y.board.style.setProperty("--letters", Math.max(...lengths));
      view.y.forEach((row, i) => row.forEach((value, j) => {
        const cell = at(i, j);
        const chosen = i === a && j === b;
        cell.classList.toggle("taken", chosen);
        for (const side of ["up", "down", "left", "right"]) cell.classList.toggle(side, chosen);
        cell.setAttribute("aria-selected", String(chosen));
        cell.firstChild.tabIndex = chosen ? 0 : -1;
        cell.firstChild.textContent = formatNumber(value);
        cell.firstChild.classList.toggle("long", formatNumber(value).length > 3);
        cell.firstChild.setAttribute("aria-label", `Y[${i},${j}] is ${formatNumber(value)}`);
      }));
    }

    function drawWords() {
      errors.hidden = Boolean(view);
      sum.hidden = size.hidden = live.hidden = !view;
      const off = (one, yes) => one.setAttribute("aria-disabled", String(yes));
      off(first, !view || state.step === 0);
      off(back, !view || state.step === 0);
      off(next, !view || state.step === steps() - 1);
      off(play, !view);
      play.textContent = state.playing ? "Pause" : "Play";
      if (!view) return;
      const [i, j] = placeOf(state.step);
      const now = products(view.padded, view.weights, [i, j], pair(view.stride), pair(view.dilation));
      const value = formatNumber(view.y[i][j]);
      const exact = [view.y[i][j], ...now.flatMap((one) => [one.pixel, one.weight])]
        .every((v) => Number(formatNumber(v).replace("−", "-")) === v);
      const parts = now.map((one) => {
        const text = `${formatNumber(one.pixel)}·${factor(one.weight)}`;
        return make("span", { class: one.pixel * one.weight ? "" : "nothing" }, text);
      });
      const line = parts.flatMap((part, k) => (k ? [" + ", part] : [part]));
      sum.replaceChildren(
        make("strong", {}, `Y[${i},${j}]`), " = ", ...line, exact ? " = " : " ≈ ",
        make("strong", {}, value)
      );
      const formula = (side, n, k) =>
        make("p", {}, make("span", { class: "explorer-side" }, `${side} `),
          sizeFormula(n, k, view.stride, view.padding, view.dilation));
      size.replaceChildren(
        make("p", { class: "explorer-label" }, "Output size, ⌊(n + 2p − d·(k − 1) − 1) / s⌋ + 1"),
        formula("rows", view.x.length, view.kernel.length),
        formula("columns", view.x[0].length, view.kernel[0].length)
      );
      live.setAttribute("aria-live", state.playing ? "off" : "polite");
      live.textContent =
        `Step ${state.step + 1} of ${steps()}: row ${i}, column ${j} of the output is ` +
        `${value}, the sum of ${now.length} product${now.length > 1 ? "s" : ""}.`;
    }

    function redraw() {
      try {
        view = compute();
        state.step = Math.min(state.step, steps() - 1);
      } catch (error) {
        pause(false);
        view = null;
        errors.textContent = error.message;
      }
      drawInput();
      drawKernel();
      drawOutput();
      drawWords();
    }

    /* -- Moving -- */

    function restart() {
      pause(false);
      state.step = 0;
      redraw();
    }

    function go(step) {
      if (!view) return;
      pause(false);
      state.step = Math.min(Math.max(step, 0), steps() - 1);
      redraw();
    }

    function playOn() {
      if (!view) return;
      if (state.step === steps() - 1) state.step = 0;
      state.playing = window.setInterval(() => {
        if (state.step >= steps() - 1) pause();
        else {
          state.step += 1;
          redraw();
        }
      }, 900);
      redraw();
    }

    function pause(draw = true) {
      window.clearInterval(state.playing);
      state.playing = null;
      if (draw) redraw();
    }

    const still = box.querySelector(".explorer-still");
    const frame = make("div", {
      class: "explorer-frame", role: "group", "aria-label": "Convolution explorer",
    }, choices, counters, boards, buttons, errors, sum, size, live);
    sizesToFields();
    redraw();
    still.hidden = true;
    box.classList.add("running");
    box.append(frame);
  }

  const begin = () => document.querySelectorAll("div.explorer").forEach(start);
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", begin);
  } else begin();
})();
