"""The explorer in the page: its numbers, its keys, its words; without scripts, too."""

import re

import numpy as np
import pytest
from visits import SITE, Visit, need_site

from cnnbook.convolution import convolve2d
from cnnbook.fast import conv2d
from cnnbook.shapes import conv_output_size

need_site()

PAGE = "convolution.html"


@pytest.fixture
def visit(browser):
    """The page with the explorer, opened from the file system."""
    with Visit(browser, PAGE) as opened:
        opened.page.set_default_timeout(5000)
        opened.page.wait_for_selector("div.explorer.running")
        yield opened


def cells(page, board):
    """The texts of a board, as a list of rows."""
    return page.eval_on_selector_all(
        f".explorer-board-{board} [role=row]",
        """rows => rows.map(row => [...row.children].map(cell =>
            cell.querySelector("input")?.value ?? cell.firstChild.textContent))""",
    )


def numbers(page, board):
    return np.array(
        [[float(t.replace("−", "-")) for t in row] for row in cells(page, board)]
    )


def compute(page, x, kernel, **options):
    return page.evaluate(
        """([x, kernel, options]) => {
            try { return cnnbookExplorer.conv2d(x, kernel, options); }
            catch (error) { return error.message; }
        }""",
        [x.tolist(), kernel.tolist(), options],
    )


def test_it_computes_what_the_library_computes(visit):
    """200 random cases: sizes that leave remainders, pairs, kernels too large."""
    rng = np.random.default_rng(0)
    right = refused = 0
    for _ in range(200):
        x = rng.normal(size=rng.integers(1, 10, 2))
        kernel = rng.normal(size=rng.integers(1, 5, 2))
        options = {
            "stride": rng.integers(1, 4, 2).tolist(),
            "padding": rng.integers(0, 3, 2).tolist(),
            "dilation": rng.integers(1, 4, 2).tolist(),
        }
        found = compute(visit.page, x, kernel, **options)
        try:
            expected = conv2d(x[None], kernel[None, None], **options)[0]
        except ValueError:
            assert "The kernel spans" in found
            refused += 1
            continue
        assert np.shape(found) == expected.shape
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)
        right += 1
    assert right > 100 and refused > 5


def test_turned_it_is_true_convolution(visit):
    rng = np.random.default_rng(1)
    for _ in range(40):
        kernel = rng.normal(size=rng.integers(1, 4, 2))
        x = rng.normal(size=rng.integers(4, 8, 2))
        found = compute(visit.page, x, kernel, turned=True)
        assert np.allclose(found, convolve2d(x, kernel, "valid"))
        assert not np.allclose(found, conv2d(x[None], kernel[None, None])[0]) or (
            kernel.size == 1
        )


def test_numbers_as_typed(visit):
    asked = {
        "2": 2,
        " −1.5 ": -1.5,
        "1/4": 0.25,
        "0,5": 0.5,
        "1e3": 1000,
        "": None,
        "x": None,
        "1/0": None,
        "1/2/3": None,
        "NaN": None,
        "Infinity": None,
        "1e999": None,
        "0x10": None,
        "--1": None,
    }
    for text, value in asked.items():
        found = visit.page.evaluate("text => cnnbookExplorer.parseNumber(text)", text)
        assert found == value, text


def test_it_starts_with_the_chapters_example(visit):
    x, kernel = numbers(visit.page, "x"), numbers(visit.page, "kernel")
    assert np.array_equal(
        numbers(visit.page, "y"), conv2d(x[None], kernel[None, None])[0]
    )
    assert visit.page.locator(".explorer-still").is_hidden()


def test_editing_by_keyboard(visit):
    """Tab into the grid, arrows to a cell, a number: output and formula follow."""
    page = visit.page
    before = numbers(page, "y")
    page.get_by_label("K columns", exact=True).focus()
    page.keyboard.press("Tab")
    focus = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focus) == "Input, row 0, column 0"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focus) == "Input, row 1, column 1"
    page.keyboard.type("-7")
    x, kernel = numbers(page, "x"), numbers(page, "kernel")
    assert x[1, 1] == -7
    after = numbers(page, "y")
    assert not np.array_equal(before, after)
    assert np.array_equal(after, conv2d(x[None], kernel[None, None])[0])
    assert "−7·1" in page.locator(".explorer-sum").inner_text()
    assert page.evaluate(focus) == "Input, row 1, column 1"  # the focus stayed
    page.keyboard.press("Tab")  # one stop for each grid
    assert page.evaluate(focus) == "Kernel, row 0, column 0"
    page.keyboard.press("Tab")
    assert page.evaluate(focus).startswith("Y[0,0] is")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focus).startswith("Y[0,1] is")
    assert "Step 2 of 9" in page.locator(".explorer-live").inner_text()
    assert visit.complaints == []


def test_the_sum_that_is_written_out_is_right(visit):
    page = visit.page
    page.get_by_label("Padding", exact=True).fill("1")
    page.get_by_label("Dilation", exact=True).fill("2")
    y, kernel = numbers(page, "y"), numbers(page, "kernel")
    padded = numbers(page, "x")
    expected = conv2d(padded[None], kernel[None, None], dilation=2)[0]
    assert np.array_equal(y, expected)
    for place in np.ndindex(*y.shape):
        text = page.locator(".explorer-sum").inner_text().replace("−", "-")
        name, terms, value = re.fullmatch(r"(\S+) = (.+) = (\S+)", text).groups()
        assert name == f"Y[{place[0]},{place[1]}]"
        products = [t.split("·") for t in terms.split(" + ")]
        total = sum(float(a) * float(b.strip("()")) for a, b in products)
        assert total == float(value) == y[place]
        if place != (y.shape[0] - 1, y.shape[1] - 1):
            page.get_by_role("button", name="Next").click()


@pytest.mark.parametrize(("s", "p", "d"), [(1, 0, 1), (2, 1, 1), (3, 3, 2), (2, 2, 3)])
def test_size_formula(visit, s, p, d):
    page = visit.page
    for label, value in (("Stride", s), ("Dilation", d)):
        page.get_by_label(label, exact=True).fill(str(value))
    page.get_by_label("Padding", exact=True).fill(str(p))
    size = conv_output_size(4, 2, s, p, d)
    text = page.locator(".explorer-size").inner_text()
    line = f"⌊(4 + 2·{p} − {d}·(2 − 1) − 1) / {s}⌋ + 1 = {size}"
    assert text.count(line) == 2
    assert numbers(page, "y").shape == (size, size)
    taken = page.locator(".explorer-board-x .taken")
    assert taken.count() == 4


def test_stepping_playing_and_pausing(visit):
    page = visit.page
    live = page.locator(".explorer-live")
    assert live.get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert live.inner_text().startswith("Step 3 of 9: row 0, column 2")
    page.get_by_role("button", name="Back").click()
    assert live.inner_text().startswith("Step 2 of 9")
    page.get_by_role("button", name="Play").click()
    assert live.get_attribute("aria-live") == "off"  # not a sentence a second
    page.wait_for_function(
        "document.querySelector('.explorer-live').textContent.startsWith('Step 4')"
    )
    page.get_by_role("button", name="Pause").click()
    assert live.get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="First").click()
    assert live.inner_text().startswith("Step 1 of 9")
    page.locator(".explorer-board-y button").nth(5).click()
    assert live.inner_text().startswith("Step 6 of 9: row 1, column 2")


def test_presets_and_true_convolution(visit):
    page = visit.page
    page.get_by_label("Input", exact=True).select_option("one bright pixel")
    page.get_by_label("Kernel", exact=True).select_option("Sobel x")
    x, kernel = numbers(page, "x"), numbers(page, "kernel")
    assert np.array_equal(numbers(page, "y"), kernel[::-1, ::-1])
    page.get_by_label("Operation", exact=True).select_option("true convolution")
    assert np.array_equal(numbers(page, "y"), convolve2d(x, kernel, "valid"))
    assert np.array_equal(numbers(page, "turned"), kernel[::-1, ::-1])
    page.get_by_role("button", name="Start over").click()
    assert numbers(page, "kernel").shape == (2, 2)
    assert page.locator(".explorer-board-turned").is_hidden()


def test_errors_are_told_in_words(visit):
    page = visit.page
    error = page.locator(".explorer-error")
    assert error.is_hidden()
    cell = page.get_by_label("Input, row 0, column 1", exact=True)
    for wrong in ("two", "", "1/0", "1e999"):
        cell.fill(wrong)
        assert "Input, row 0, column 1" in error.inner_text()
        assert cell.get_attribute("aria-invalid") == "true"
        assert page.locator(".explorer-board-y").is_hidden()
    cell.fill("1/2")
    assert error.is_hidden() and cell.get_attribute("aria-invalid") == "false"
    page.get_by_label("K rows", exact=True).fill("5")
    assert "The kernel spans 5 rows, but the input" in error.inner_text()
    page.get_by_label("Padding", exact=True).fill("1")
    assert error.is_hidden()
    for label, value in (("Stride", "0"), ("Stride", ""), ("Dilation", "1.5")):
        page.get_by_label(label, exact=True).fill(value)
        assert "must be a whole number" in error.inner_text()
        page.get_by_label(label, exact=True).fill("1")
    page.get_by_label("X rows", exact=True).fill("99")
    assert "needs 1 to 8 rows" in error.inner_text()
    box = page.locator(".explorer-frame").inner_text()
    assert "NaN" not in box and "undefined" not in box
    assert visit.complaints == []


def test_without_scripts_there_is_a_figure(browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((SITE / PAGE).as_uri())
    still = page.locator("div.explorer .explorer-still")
    assert still.is_visible()
    text = still.inner_text()
    assert "⌊(4 + 2·0 − 1·(2 − 1) − 1) / 1⌋ + 1 = 3" in text
    image = still.locator("img")
    assert image.is_visible() and image.bounding_box()["width"] > 200
    assert "Step 1: Y[0,0] is" in image.get_attribute("alt")
    assert page.locator(".explorer-frame").count() == 0
    context.close()


def luminance(colour):
    channels = [float(c) / 255 for c in re.findall(r"[\d.]+", colour)[:3]]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_in_both_themes(browser, theme):
    """Letters against the ground that they stand on: 4.5 to 1."""
    with Visit(browser, PAGE, theme) as visit:
        visit.page.wait_for_selector("div.explorer.running")
        pairs = visit.page.evaluate(
            """() => {
            const ground = e => {
                for (; e; e = e.parentElement) {
                    const c = getComputedStyle(e).backgroundColor;
                    if (!/, 0\\)$|transparent/.test(c)) return c;
                }
                return "rgb(255, 255, 255)";
            };
            const all = document.querySelectorAll(`.explorer-frame :is(label, p, input,
                select, button, .explorer-cell > span)`);
            return [...all].filter(e => e.offsetParent).map(
                e => [e.className || e.tagName, getComputedStyle(e).color, ground(e)]);
        }"""
        )
        assert len(pairs) > 30
        for name, ink, paper in pairs:
            a, b = sorted((luminance(ink), luminance(paper)))
            assert (b + 0.05) / (a + 0.05) >= 4.5, (name, ink, paper)
        assert visit.complaints == []


def test_targets_and_width_on_a_telephone(browser):
    """No sideways scroll at 390 pixels with the widest input; targets of 24."""
    with Visit(browser, PAGE, width=390) as visit:
        page = visit.page
        page.wait_for_selector("div.explorer.running")
        page.get_by_label("X columns", exact=True).fill("8")
        page.get_by_label("Padding", exact=True).fill("3")
        extra = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert extra <= 0
        boxes = page.eval_on_selector_all(
            ".explorer-frame :is(input, select, button)",
            """all => all.filter(e => e.offsetParent).map(e => {
                const r = (e.closest('.explorer-cell') || e).getBoundingClientRect();
                return [r.width, r.height];
            })""",
        )
        assert len(boxes) > 40 and np.min(boxes) >= 23.99


def test_every_control_has_a_name(visit):
    snapshot = visit.page.locator(".explorer-frame").aria_snapshot()
    controls = re.findall(r"- (textbox|spinbutton|combobox|button)(.*)", snapshot)
    assert len(controls) > 30
    assert all('"' in rest for _, rest in controls), controls


def test_focus_is_visible(visit):
    for label in ("Stride", "Input, row 0, column 0"):
        visit.page.get_by_label(label, exact=True).focus()
        width = visit.page.evaluate(
            "parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
        )
        assert width >= 2, label


def test_only_pages_with_an_explorer_load_it(pages):
    for name, page in pages.items():
        loads = [s for s in page.select("script[src]") if "/explorer." in s["src"]]
        styles = [s for s in page.select("link[href]") if "/explorer." in s["href"]]
        has = 1 if page.select("div.explorer") else 0
        assert len(loads) == len([s for s in styles if "css" in s["href"]]) == has, name
    assert pages[PAGE].select("div.explorer")


def test_it_runs_over_http(browser, server):
    context = browser.new_context()
    page, complaints = context.new_page(), []
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto(f"{server}{PAGE}")
    page.wait_for_selector("div.explorer.running")
    assert numbers(page, "y").shape == (3, 3)
    assert complaints == []
    context.close()
