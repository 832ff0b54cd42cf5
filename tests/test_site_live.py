"""Live cells in a browser: what a reader may do with them, and what goes wrong."""

import hashlib
import json
import re

import pytest
from live_visits import CDN, told, words
from test_site_pages import violations
from visits import ROOT, Visit, need_site

import cnnbook
from cnnbook.course import tasks

need_site()


def test_nothing_comes_from_elsewhere_before_the_button(live):
    visit = live("pooling")
    visit.page.wait_for_timeout(500)
    assert all(url.startswith((visit.server, "data:")) for url in visit.requests)
    assert not any("/live/" in url for url in visit.requests)
    visit.begin()
    others = {url for url in visit.requests if not url.startswith(visit.server)}
    assert all(url.startswith((CDN, "data:", "blob:")) for url in others)
    assert any(url.startswith(CDN) for url in others)


def test_edit_run_and_reset(warm):
    visit = warm("pooling").begin()
    number = 1
    source = visit.cell(number).locator("textarea").input_value()
    visit.write(number, "1 / 0")
    visit.run(number)
    error = visit.cell(number).locator(".live-error").inner_text()
    assert error.startswith("Traceback (most recent call last):")
    assert error.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "session.py" not in error
    assert f"Cell {number} stopped" in visit.status()
    visit.write(number, "print('é ∂ <b>')\n6 * 7")
    visit.run(number)
    assert visit.texts()[number - 1] == "é ∂ <b>\n42"
    visit.cell(number).get_by_role("button", name="Reset").click()
    assert visit.cell(number).locator("textarea").input_value() == source
    assert visit.complaints == []


def test_a_cell_runs_those_above_it_first(warm):
    visit = warm("gradcheck").begin()
    visit.unfold()
    before = visit.texts()
    runs = visit.page.eval_on_selector_all(
        "article div.cell", "all => all.map(c => !!c.querySelector('.live-run'))"
    )
    last = max(k for k, text in enumerate(before) if text.strip() and runs[k]) + 1
    visit.run(last)
    assert visit.status() == "Done."
    after = visit.texts()
    assert words(after[last - 1]) == words(before[last - 1])
    ran = visit.page.eval_on_selector_all(
        ".live-seconds", "all => all.map(s => s.textContent)"
    )
    assert sum(text.endswith(" s") for text in ran) >= last


def test_an_edited_cell_above_runs_again(warm):
    visit = warm("pooling").begin()
    visit.write(1, "asked = 1")
    visit.write(2, "print(asked)")
    visit.run(2)
    assert visit.texts()[1] == "1\n"
    visit.write(1, "asked = 2")
    visit.run(2)
    assert visit.texts()[1] == "2\n"


def test_an_error_after_many_words_is_shown(warm):
    visit = warm("pooling").begin()
    visit.write(1, "print('x' * 300_000)\nprint('y' * 300_000)\n1 / 0")
    visit.run(1)
    error = visit.cell(1).locator(".live-error").inner_text()
    assert error.rstrip().endswith("ZeroDivisionError: division by zero")
    assert len(visit.texts()[0]) < 400_000
    assert "Cell 1" in visit.cell(1).inner_text()


def test_pyplot_and_html(warm):
    """A figure that is left open is shown; HTML is shown, and can't act in the page."""
    visit = warm("pooling").begin()
    visit.write(
        1, "from matplotlib import pyplot\npyplot.plot([1, 3, 2])\npyplot.show()"
    )
    visit.run(1)
    assert visit.cell(1).locator(".live-picture img").is_visible()
    assert visit.cell(1).locator(".live-stderr").count() == 0
    bad = "<b onclick='f()'>bold</b><script>f()</script><img src=x onerror='f()'>"
    visit.write(1, f"from IPython.display import HTML\nHTML({bad!r})")
    visit.run(1)
    shown = visit.cell(1).locator(".text_html")
    assert shown.locator("b").inner_text() == "bold"
    assert shown.locator("script, [onclick], [onerror]").count() == 0


def test_python_that_fails_itself_begins_anew(live):
    """The page says that all is gone, and runs the cells above once more."""
    visit = live("pooling").begin()
    visit.write(1, "kept = 1")
    visit.run(1)
    ended = "postMessage({kind: 'ended'})"  # as the worker tells it
    visit.write(2, f"import js\njs.eval({ended!r})\nwhile True:\n    pass")
    visit.run(2, end="^Stopped")
    for _ in range(20):  # a browser gives a busy worker some seconds
        if workers(visit) == 0:
            break
    assert workers(visit) == 0
    visit.write(2, "print(kept)")
    visit.run(2)
    assert visit.texts()[1] == "1\n"  # the cell above has run again


def test_keys(warm):
    """Shift and Enter run; Enter keeps the indentation; Tab leaves the editor."""
    visit = warm("pooling").begin()
    area = visit.cell(1).locator("textarea")
    area.fill("")
    area.focus()
    visit.page.keyboard.type("for k in range(2):")
    visit.page.keyboard.press("Enter")
    visit.page.keyboard.type("print(k)")
    assert area.input_value() == "for k in range(2):\n    print(k)"
    visit.page.keyboard.press("Shift+Enter")
    visit.wait("^Done")
    assert visit.texts()[0] == "0\n1\n"
    area.focus()
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.tagName") == "BUTTON"


def test_a_figure_keeps_its_caption_and_name(warm):
    visit = warm("pooling").begin()
    figure = visit.page.locator("article div.cell figure").first
    number = figure.evaluate(
        """f => [...document.querySelectorAll("article div.cell")]
            .indexOf(f.closest("div.cell")) + 1"""
    )
    caption, name = (
        figure.locator("figcaption").inner_text(),
        figure.get_attribute("id"),
    )
    old = figure.locator("img").get_attribute("src")
    visit.run(number)
    assert visit.status() == "Done."
    figure = visit.page.locator("article div.cell figure").first
    assert figure.get_attribute("id") == name
    assert figure.locator("figcaption").inner_text() == caption
    image = figure.locator("img")
    assert image.get_attribute("src") != old and image.is_visible()
    assert len(image.get_attribute("alt")) >= 20
    visit.write(number, "raise ValueError('no picture')")
    visit.run(number)
    assert image.is_hidden() and figure.locator("figcaption").is_visible()
    visit.cell(number).get_by_role("button", name="Reset").click()
    figure = visit.page.locator("article div.cell figure").first
    assert figure.locator("img").get_attribute("src") == old


def test_words_come_while_a_cell_runs(warm):
    visit = warm("pooling").begin()
    visit.write(1, "import time\nprint('first')\ntime.sleep(3)\nprint('last')")
    visit.cell(1).get_by_role("button", name="Run cell 1").click()
    visit.page.wait_for_function(
        """document.querySelector("article div.cell .live-stdout")
            ?.textContent === "first\\n" """
    )
    assert visit.status().startswith("Running")
    visit.wait("^Done")
    assert visit.texts()[0] == "first\nlast\n"


def test_stop_ends_an_endless_loop(live):
    visit = live("pooling").begin()
    stop = visit.page.get_by_role("button", name="Stop", exact=True)
    visit.write(1, "kept = 1\nwhile True:\n    pass")
    visit.cell(1).get_by_role("button", name="Run cell 1").click()
    visit.wait("^Running")
    visit.page.wait_for_timeout(300)
    visit.cell(2).get_by_role("button", name="Run cell 2").click()
    assert "busy" in visit.status()
    stop.click()
    visit.wait("^Stopped")
    assert "stopped" in visit.cell(1).inner_text()
    visit.write(1, "'kept' in globals()")
    visit.run(1)  # Python begins anew
    assert visit.texts()[0] == "False"
    assert visit.complaints == []


def test_stop_while_python_is_loaded(live):
    visit = live("pooling").allow()
    visit.page.locator("button.btn-live-button").evaluate("b => b.click()")
    visit.wait("^Loading")
    visit.page.get_by_role("button", name="Stop", exact=True).click()
    visit.wait("^Stopped")
    visit.write(1, "1 + 1")
    visit.run(1)
    assert visit.texts()[0] == "2"


def test_close_gives_the_page_back(warm):
    visit = warm("pooling").allow()
    visit.page.wait_for_timeout(500)
    page = "document.querySelector('article').innerHTML"
    before = visit.page.evaluate(page)
    visit.begin()
    visit.run(3)
    visit.page.get_by_role("button", name="Close").click()
    after = visit.page.evaluate(page)
    strip = re.compile(r' (?:hidden=""|class=""|tabindex="(?:0|-1)")')
    assert strip.sub("", after) == strip.sub("", before)
    visit.begin()  # and once more
    visit.run(1)
    assert visit.status() == "Done."


def workers(visit):
    """How many workers run in the page, after a moment."""
    visit.page.wait_for_timeout(500)
    return len(visit.page.workers)


@pytest.mark.parametrize("button", ["Stop", "Close"])
def test_no_python_is_left_after_stopping_a_check(live, button):
    visit = live("shapes").begin()
    assert workers(visit) == 1
    visit.unfold()
    visit.page.evaluate(
        """name => {
            document.querySelector(".live-exercise .live-run").click();
            [...document.querySelectorAll(".live-panel button")]
                .find(b => b.textContent === name).click();
        }""",
        button,
    )
    assert workers(visit) == 0
    assert visit.complaints == []


def test_edits_last_while_the_page_is_open(warm):
    visit = warm("pooling").begin()
    visit.write(1, "print('mine')")
    visit.page.get_by_role("button", name="Close").click()
    visit.begin()
    assert visit.cell(1).locator("textarea").input_value() == "print('mine')"
    visit.run(1)
    assert visit.texts()[0] == "mine\n"


def test_reset_waits_until_the_cell_has_ended(warm):
    visit = warm("pooling").begin()
    visit.write(1, "import time\nfor k in range(6):\n    print(k)\n    time.sleep(0.3)")
    visit.cell(1).get_by_role("button", name="Run cell 1").click()
    visit.wait("^Running")
    visit.cell(1).get_by_role("button", name="Reset").click()
    assert "busy" in visit.status()
    visit.wait("^Done")
    assert visit.texts()[0].split() == list("012345")


def test_printing_without_end_can_be_stopped(live):
    visit = live("pooling").begin()
    visit.write(1, "while True:\n    print('x' * 60)")
    visit.cell(1).get_by_role("button", name="Run cell 1").click()
    visit.page.wait_for_timeout(3000)
    visit.page.get_by_role("button", name="Stop", exact=True).click(timeout=5000)
    visit.wait("^Stopped", 5)
    text = visit.texts()[0]
    assert "more than fits" in text and len(text) < 400_000


def test_the_two_boxes_leave_each_other_alone(browser):
    with Visit(browser, "digits.html") as visit:
        page = visit.page
        train = page.get_by_role("button", name="Train it here")
        train.click()
        assert page.locator(".live-notice").count() == 1
        train.click()
        assert page.locator(".live-notice").count() == 1
        assert train.is_visible()


def test_a_cell_that_needs_more_is_marked_and_skipped(warm):
    cells = [cell for cell in told("convolution")["cells"] if not cell["hidden"]]
    number = 1 + next(k for k, cell in enumerate(cells) if cell["needs"] == "scipy")
    visit = warm("convolution").begin()
    cell = visit.cell(number)
    assert "Not run here: it needs scipy" in cell.inner_text()
    assert cell.locator("textarea").count() == 0
    assert cell.locator(".cell_input").is_visible()


def test_a_smaller_setting_is_stated(warm):
    cells = [cell for cell in told("digits")["cells"] if not cell["hidden"]]
    number = 1 + next(k for k, cell in enumerate(cells) if cell["smaller"])
    old, new = cells[number - 1]["smaller"][0]
    visit = warm("digits").begin()
    cell = visit.cell(number)
    note = f"Smaller here than on the page: {new} instead of {old}"
    assert note in cell.inner_text()
    assert new in cell.locator("textarea").input_value()


def test_the_library_is_this_builds(live):
    code = (
        "import cnnbook, hashlib, pathlib\n"
        "lib = pathlib.Path(cnnbook.__file__).parent\n"
        "total = hashlib.sha256()\n"
        "for path in sorted(lib.glob('*.py')):\n"
        "    total.update(path.read_bytes())\n"
        "print(total.hexdigest(), cnnbook.__version__)\n"
        "print(*map(len, cnnbook.load_mnist()))"
    )
    visit = live("pooling").begin()
    visit.write(1, code)
    visit.run(1)
    total = hashlib.sha256()
    for path in sorted((ROOT / "cnnbook").glob("*.py")):
        total.update(path.read_bytes())
    expected = f"{total.hexdigest()} {cnnbook.__version__}\n12000 2000\n"
    assert visit.texts()[0] == expected


def test_an_exercise_is_checked_and_kept(warm):
    """The reader's code is kept in the browser, and checked in the page."""
    visit = warm("shapes").begin()
    page = visit.page
    visit.unfold()
    exercise = page.locator("div.exercise:has(.live-exercise)").first
    area = exercise.locator("textarea")
    stub = area.input_value()
    assert "check(" in stub and "raise NotImplementedError" in stub
    run = exercise.get_by_role("button", name="Run and check")
    run.click()
    visit.wait("^Done|stopped")
    assert exercise.locator(".cell_output").inner_text().strip()
    name = re.search(r"^def (\w+)", stub, re.M)[1]
    check = stub[stub.index("check(") :]
    area.fill(f"def {name}(*arguments, **options):\n    return 0\n\n\n{check}")
    run.click()
    visit.wait("^Done|stopped")
    said = exercise.locator(".cell_output").inner_text()
    assert said.strip() and "is right" not in said
    text = (ROOT / "book" / "shapes.md").read_text(encoding="utf-8")
    named = re.search(r'check\("([^"]+)"', stub)[1]
    task = next(task for task in tasks("shapes", text) if task.name == named)
    solution = "\n\n".join(code for kind, code in task.solution if kind == "code")
    area.fill(solution)
    run.click()
    visit.wait("^Done|stopped")
    assert "is right" in exercise.locator(".cell_output").inner_text()
    page.reload()
    visit.begin()
    area = page.locator("div.exercise:has(.live-exercise) textarea").first
    assert area.input_value() == solution
    page.locator("div.live-exercise").first.get_by_role("button", name="Reset").click()
    assert area.input_value() == stub
    page.reload()
    visit.begin()
    assert area.input_value() == stub
    assert visit.complaints == []


def test_from_the_file_system_it_says_what_to_do(browser):
    with Visit(browser, "pooling.html") as visit:
        visit.page.locator("button.btn-live-button").evaluate("b => b.click()")
        panel = visit.page.locator(".live-panel")
        said = panel.inner_text()
        assert "python -m http.server 8000" in said
        assert "http://localhost:8000/pooling.html" in said
        address = panel.locator("a").get_attribute("href")
        assert address.startswith("https://") and address.endswith("/pooling.html")
        panel.get_by_role("button", name="Close").click()
        assert panel.count() == 0
        assert visit.complaints == []


def test_without_a_network_it_says_so(live):
    visit = live("pooling")  # requests to other hosts are refused
    visit.page.locator("button.btn-live-button").evaluate("b => b.click()")
    visit.wait("could not be loaded")
    assert "cdn.jsdelivr.net" in visit.status()
    visit.allow()
    visit.run(1)  # the network is back
    assert visit.status() == "Done."


@pytest.mark.parametrize(
    "file",
    [
        *("pyodide.js", "pyodide.asm.wasm", "pyodide-lock.json"),
        "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl",
    ],
)
def test_a_file_with_another_digest_is_refused(live, file):
    visit = live("pooling", tampered=(file,)).allow()
    visit.page.locator("button.btn-live-button").evaluate("b => b.click()")
    visit.wait("could not be loaded|Ready")
    assert "could not be loaded" in visit.status()


def test_a_page_and_cells_of_two_builds(live):
    visit = live("pooling")
    wrong = {**told("pooling"), "cells": told("pooling")["cells"][:3]}
    visit.context.route(
        "**/live/pooling.json", lambda route: route.fulfill(body=json.dumps(wrong))
    )
    visit.page.locator("button.btn-live-button").evaluate("b => b.click()")
    visit.page.wait_for_selector(".live-panel")
    assert "reload the page" in visit.page.locator(".live-panel").inner_text()


def test_wheel_of_another_build_is_refused(live):
    visit = live("pooling").allow()
    wrong = {**told("pooling"), "sha256": "0" * 64}
    visit.context.route(
        "**/live/pooling.json", lambda route: route.fulfill(body=json.dumps(wrong))
    )
    visit.page.locator("button.btn-live-button").evaluate("b => b.click()")
    visit.wait("could not be loaded")
    assert "reload the page" in visit.status()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_live_page_is_accessible(warm, theme, width):
    """Nothing that axe-core finds, no sideways scroll, targets of 24 pixels."""
    visit = warm("pooling", theme=theme, width=width).begin()
    page = visit.page
    page.emulate_media(reduced_motion="reduce")
    visit.write(1, "print('words')\n1 / 0")
    visit.run(1)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    page.wait_for_timeout(300)
    where = {"include": [[".live-panel"], ["div.cell.live"]]}
    assert violations(page, where) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    boxes = page.eval_on_selector_all(
        ".live-panel button, .live-bar button",
        """all => all.filter(e => e.offsetParent).map(e => {
            const r = e.getBoundingClientRect(); return [r.width, r.height]; })""",
    )
    assert len(boxes) > 10 and min(min(box) for box in boxes) >= 24


def test_letters_lie_on_letters(warm):
    """The text that is written and its colors are one over the other."""
    visit = warm("pooling").begin()
    sizes = visit.page.eval_on_selector_all(
        "div.live-editor",
        """all => all.filter(e => e.offsetParent).map(e => {
            const [a, b] = [e.firstElementChild, e.querySelector("textarea")];
            const s = (x) => { const c = getComputedStyle(x);
                return [c.fontFamily, c.fontSize, c.lineHeight, c.paddingTop,
                    c.paddingLeft, c.letterSpacing, c.tabSize].join(); };
            return [s(a) === s(b), a.scrollHeight - b.scrollHeight,
                b.scrollHeight - b.clientHeight, a.textContent === b.value + "\\n"];
        })""",
    )
    assert len(sizes) > 10
    for same, apart_by, cut, text in sizes:
        assert same and abs(apart_by) <= 1 and cut <= 1 and text


def test_words_of_python_are_told_apart(live):
    visit = live("pooling").allow()
    source = "def f(x):  # why\n    return \"a # b\" + f'{x}' if x > 1.5e3 else None"
    kinds = visit.page.evaluate(
        """source => cnnbookLive.parts.colored(source).filter(p => p.className)
            .map(p => [p.className, p.textContent])""",
        source,
    )
    assert ["c1", "# why"] in kinds and ["s2", '"a # b"'] in kinds
    assert ["s2", "f'{x}'"] in kinds and ["mi", "1.5e3"] in kinds
    odd = "1j5 = '𝑥' # 😀\\n𝑥"
    pieces = visit.page.evaluate(
        """source => cnnbookLive.parts.colored(source)
            .map(p => p.textContent ?? p).join("")""",
        odd,
    )
    assert pieces == odd
    assert ["nf", "f"] in kinds and ["kc", "None"] in kinds and ["k", "return"] in kinds


# ---- A network learns in the page ----


def test_train_it_here_alone(live):
    """Loss, accuracy and filters, live; 1,500 images a second (measured alone)."""
    visit = live("digits").allow()
    page = visit.page
    box = page.locator("div.train-here")
    box.get_by_role("button", name="Train it here").click()
    page.wait_for_selector("div.train-here .train-line", timeout=60_000)
    first = page.eval_on_selector_all(
        ".train-filters canvas", "all => all.map(c => c.toDataURL())"
    )
    page.wait_for_function(
        "cnnbookTraining.status.textContent.startsWith('Done')", timeout=120_000
    )
    last = page.evaluate("cnnbookTraining.last")
    assert last["images"] == 33_000 and last["valid"] > 0.93
    assert last["loss"] < 0.3 and last["speed"] >= 1500, last["speed"]
    said = box.locator(".live-status").inner_text()
    assert "33,000 images" in said and "held back" in said
    points = page.locator(".train-line").first.get_attribute("points").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert len(points) > 40 and heights[0] < heights[-1] - 30  # the loss falls
    assert page.locator(".train-dots rect").count() == 3
    after = page.eval_on_selector_all(
        ".train-filters canvas", "all => all.map(c => c.toDataURL())"
    )
    assert len(after) == 8 and after != first
    assert visit.complaints == []


def test_training_can_be_stopped_and_begun_again(live):
    visit = live("digits").allow()
    page = visit.page
    box = page.locator("div.train-here")
    begin = box.get_by_role("button", name="Train it here")
    begin.click()
    page.wait_for_selector("div.train-here .train-line", timeout=60_000)
    box.get_by_role("button", name="Stop").click()
    assert box.locator(".live-status").inner_text().startswith("Stopped")
    page.evaluate("cnnbookTraining.valid = 0.5")  # of the first training
    begin.click()
    page.wait_for_function(
        "/images,/.test(cnnbookTraining.status.textContent)", timeout=60_000
    )
    assert "held back" not in box.locator(".live-status").inner_text()
    box.get_by_role("button", name="Stop").click()
    assert visit.complaints == []


def test_training_from_the_file_system_says_what_to_do(browser):
    with Visit(browser, "digits.html") as visit:
        visit.page.get_by_role("button", name="Train it here").click()
        assert "http.server" in visit.page.locator(".live-panel").first.inner_text()
        assert visit.complaints == []


def test_sums_are_sooner_done_by_einsum_alone(live):
    """What the library does where NumPy has no library of products pays there."""
    code = (
        "import time, numpy as np\n"
        "from cnnbook import threads\n"
        "a, b = np.ones((128, 1352), 'f'), np.ones((1352, 64), 'f')\n"
        "def best(f):\n"
        "    times = []\n"
        "    for _ in range(9):\n"
        "        began = time.perf_counter(); f()\n"
        "        times.append(time.perf_counter() - began)\n"
        "    return min(times)\n"
        "ratio = best(lambda: a @ b) / best(lambda: threads.product(a, b))\n"
        "print(threads.LIBRARY, ratio)"
    )
    visit = live("pooling").begin()
    visit.write(1, code)
    visit.run(1)
    library, ratio = visit.texts()[0].split()
    assert library == "False" and float(ratio) > 1.2
