/* Starts a deck: ground, formulas, size of every slide, reveal.js. A classic script, since browsers load no modules from file: addresses. */
(function () {
  "use strict";
  const root = document.documentElement;
  const sheet = document.currentScript.dataset.reveal;
  const onPaper = /print-pdf/i.test(location.search);
  const KEY = "cnnbook-slides-theme";

  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch (refused) {
      return null; // some browsers keep nothing for pages from a folder
    }
  }

  function setTheme(theme) {
    root.dataset.theme = theme;
  }

  function switchTheme() {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    setTheme(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch (refused) {
      // then it holds for this deck only
    }
  }

  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(onPaper ? "light" : remembered() || (dark ? "dark" : "light"));
  root.classList.add("scripted");

  /* -- Size ------------------------------------------------------------- */

  const LEAST = 0.6; // of the full size: below that nobody can read it
  const MOST = 1.2;
  const READABLE = 1.2; // a figure's letters, times this, are as large as code
  const WANTED = 0.7; // a figure that stays below it does without its code
  const LAYOUTS = [[], ["beside"], ["beside", "halves"]];

  function steps(from, to, step) {
    const values = [];
    for (let k = from; k > to - step / 2; k -= step) values.push(Math.round(100 * k) / 100);
    return values;
  }

  /* No line begins with the comma behind a formula, and none ends inside of "3 x 3". */
  function keepTogether() {
    document.querySelectorAll(".slides h2, .slides p, .slides li").forEach((block) => {
      const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode;
        if (text.parentElement.closest("code, pre, .math")) continue;
        const kept = text.data.replace(/(\d) ([x×]) (?=\d)/g, "$1\u00a0$2\u00a0");
        if (kept !== text.data) text.data = kept;
      }
    });
    document.querySelectorAll("span.math").forEach((formula) => {
      const next = formula.nextSibling;
      const found = next && next.nodeType === Node.TEXT_NODE && /^[^\s\p{L}\p{N}]+/u.exec(next.data);
      if (!found) return;
      next.splitText(found[0].length);
      const together = document.createElement("span");
      together.className = "together";
      formula.before(together);
      together.append(formula, next);
    });
  }

  /* A slide has a body of fixed size and in it a box that fits or does not. */
  function fit(section) {
    const body = section.querySelector(".body");
    const box = body && body.querySelector(".fit");
    if (!box) return;
    const heading = section.querySelector("h1, h2");
    const plain = !section.matches(".start, .question");
    if (plain) {
      // a title of two lines takes its place from the body
      const top = Math.max(124, heading.offsetTop + heading.offsetHeight + 20);
      body.style.top = top + "px";
      body.style.height = 656 - top + "px";
    } else if (section.matches(".question")) {
      const top = Math.max(330, heading.offsetTop + heading.offsetHeight + 30);
      body.style.top = top + "px";
      body.style.height = 656 - top + "px";
    } else {
      section.classList.toggle("long", heading.offsetHeight > 100);
    }
    const [width, height] = [body.clientWidth, body.clientHeight];
    const pictures = [...box.querySelectorAll("img:not(.part img), .parts")];
    const natural = pictures.map((picture) => picture.naturalWidth); // none of one in parts

    function attempt(layout, scale, zoom) {
      box.classList.remove("beside", "halves", "legend");
      box.classList.add(...layout);
      box.style.width = width / scale + "px";
      pictures.forEach((picture, k) => {
        if (natural[k]) picture.style.width = natural[k] * zoom + "px";
        else picture.style.setProperty("--zoom", zoom);
      });
      const high = box.scrollHeight * scale <= height + 0.5;
      return high && box.scrollWidth <= Math.ceil(width / scale) + 1;
    }

    /* A picture may be cut short by its column: what counts is what is seen. */
    function shownZoom() {
      const seen = (picture, k) =>
        natural[k] ? picture.clientWidth / natural[k] : picture.style.getPropertyValue("--zoom");
      return Math.min(...pictures.map(seen));
    }

    const parts = box.children.length === 1 && box.firstElementChild.matches(".cell")
      ? box.firstElementChild.children.length
      : box.children.length;
    const layouts = parts === 2 && pictures.length ? LAYOUTS : [[]];
    const zooms = pictures.length ? steps(2.4, 0.6, 0.2) : [1];
    function search(layouts, zooms) {
      let best = null;
      for (const layout of layouts) {
        for (const scale of steps(plain ? MOST : 1, LEAST, 0.05)) {
          if (best && Math.min(scale, 1) < best.score) break;
          for (const zoom of zooms) {
            if (!attempt(layout, scale, zoom)) continue;
            const seen = pictures.length ? (scale * shownZoom()) / READABLE : 1;
            const score = Math.min(scale, seen, 1);
            const sum = scale + seen;
            if (!best || score > best.score || (score === best.score && sum > best.sum)) {
              best = { layout, scale, zoom, score, sum };
            }
            break;
          }
        }
      }
      return best;
    }

    /* A figure that would be too small: its code stays in the chapter, its caption may stand beside it. */
    const codes = [...box.querySelectorAll(".cell")]
      .filter((cell) => cell.querySelector(".cell_output img"))
      .flatMap((cell) => [...cell.querySelectorAll(".cell_input")]);
    const show = (shown) => codes.forEach((code) => (code.hidden = !shown));
    show(true);
    let best = search(layouts, zooms);
    if (pictures.length && (!best || best.score < WANTED)) {
      show(false);
      const bare = search([...layouts, ["legend"]], steps(2.4, 0.4, 0.05));
      if (bare && (!best || bare.score > best.score)) best = bare;
      else show(true);
    }
    const { layout, scale, zoom } = best || { layout: [], scale: LEAST, zoom: 0.6 };
    attempt(layout, scale, zoom);
    const left = Math.max(0, height - box.scrollHeight * scale);
    const shift = plain ? Math.min(left * 0.4, 120) : 0;
    box.style.transform = `translateY(${shift}px) scale(${scale})`;
    section.dataset.scale = scale;
    section.dataset.seen = best ? best.score : 0;
    section.dataset.fits = Boolean(best);
  }

  /* -- Start ------------------------------------------------------------ */

  function loadSheet() {
    return new Promise((done, failed) => {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = sheet;
      link.onload = done;
      link.onerror = failed;
      document.head.prepend(link); // our own rules come later and win
    });
  }

  async function start() {
    if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
    if (document.fonts) await document.fonts.ready;
    keepTogether();
    document.querySelectorAll(".slides > section").forEach(fit);
    await loadSheet();
    await Reveal.initialize({
      width: 1280,
      height: 720,
      margin: 0,
      minScale: 0.1,
      maxScale: 4,
      center: false,
      hash: true,
      transition: "none",
      backgroundTransition: "none",
      pdfMaxPagesPerSlide: 1,
      pdfSeparateFragments: false,
      scrollActivationWidth: null,
      plugins: window.RevealNotes ? [RevealNotes] : [],
    });
    Reveal.addKeyBinding(
      { keyCode: 68, key: "D", description: "Light or dark ground" },
      switchTheme
    );
    root.classList.add("ready");
  }

  window.addEventListener("load", () => {
    start().catch((error) => {
      root.classList.remove("scripted"); // then at least as a page
      throw error;
    });
  });
})();
