"""Live cells in a browser: every chapter from top to bottom, and what a reader may do.

Python (Pyodide) comes from a folder: the one that $CNNBOOK_PYODIDE names, or
../shared/pyodide beside the checkout; with CNNBOOK_PYODIDE=cdn from the network.
"""

import functools
import json
import os
import re
from pathlib import Path

import pytest
from visits import CHAPTERS, ROOT, SITE, Visit, need_site

need_site()

CDN = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"
LIVE = SITE / "live"
NAMES = [name for name in CHAPTERS if (LIVE / f"{name}.json").exists()]
MINUTES = 10  # that a chapter may take


def told(name):
    return json.loads((LIVE / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pyodide():
    """The folder with Pyodide, or None if it comes from the network; or skip."""
    named = os.environ.get("CNNBOOK_PYODIDE")
    if named == "cdn":
        return None
    folder = Path(named) if named else ROOT.parent / "shared" / "pyodide"
    if not (folder / "pyodide.js").exists():
        if named:
            pytest.fail(f"CNNBOOK_PYODIDE names {folder}, which has no pyodide.js")
        pytest.skip("Pyodide isn't here: set CNNBOOK_PYODIDE to its folder, or to cdn")
    return folder


def answer(route, folder, tampered=()):
    """Answer a request to the CDN from a folder."""
    name = route.request.url.removeprefix(CDN)
    file = folder / name
    if "/" in name or not file.is_file():
        route.abort()
        return
    body = file.read_bytes() + (b"\n" if name in tampered else b"")
    headers = {"access-control-allow-origin": "*"}
    route.fulfill(status=200, body=body, headers=headers)


class Live(Visit):
    """A page over HTTP, with Python for its cells."""

    def __init__(self, browser, name, server, folder, tampered=(), **options):
        self.server, self.folder, self.tampered = server, folder, tampered
        super().__init__(browser, f"{name}.html", server=server, **options)
        self.page.set_default_timeout(20_000)

    def allow(self):
        """Requests to the CDN are answered, by the folder or the network."""
        pattern = re.compile(re.escape(CDN))
        if self.folder is None:
            self.context.route(pattern, lambda route: route.continue_())
        else:
            act = functools.partial(answer, folder=self.folder, tampered=self.tampered)
            self.context.route(pattern, act)
        return self

    def begin(self):
        """Press the button, and wait until Python is there."""
        self.allow()
        self.page.locator("button.btn-live-button").evaluate("b => b.click()")
        self.wait("Ready|could not")
        assert "Ready" in self.status()
        return self

    def status(self):
        return self.page.locator(".live-status").inner_text()

    def wait(self, pattern, seconds=120):
        self.page.wait_for_function(
            """pattern => RegExp(pattern).test(
                document.querySelector(".live-status")?.textContent)""",
            arg=pattern,
            timeout=1000 * seconds,
        )

    def cell(self, number):
        """The page's cell of a number, counted from 1."""
        return self.page.locator("article div.cell").nth(number - 1)

    def write(self, number, source):
        self.cell(number).locator("textarea").fill(source)

    def run(self, number, end="^Done|stopped"):
        self.cell(number).get_by_role("button", name=f"Run cell {number}").click()
        self.wait(end)

    def run_all(self):
        self.page.get_by_role("button", name="Run all", exact=True).click()
        self.wait("^Done|stopped|could not", 60 * MINUTES)

    def texts(self):
        """What stands below each cell, as text."""
        return self.page.eval_on_selector_all(
            "article div.cell",
            """cells => cells.map(cell => [...cell.querySelectorAll(
                ".cell_output pre")].map(pre => pre.textContent).join(""))""",
        )


@pytest.fixture
def live(browser, server, pyodide):
    """A function that opens a page live."""
    opened = []

    def open_page(name, **options):
        visit = Live(browser, name, server, pyodide, **options)
        opened.append(visit)
        return visit

    yield open_page
    for visit in opened:
        visit.context.close()


# ---- Every chapter ----

NUMBER = re.compile(r"[-−]?\d[\d,]*\.?\d*(?:e[+-]?\d+)?")


def words(text):
    """A text without its numbers and gaps; a line that repeats another counts once."""
    lines = []
    for line in text.splitlines():
        line = " ".join(NUMBER.sub("#", line).split())
        if line and line not in lines:
            lines.append(line)
    return re.sub(r"[\s|]+", " ", " ".join(lines))


def numbers(text):
    """The numbers in a text, each with half a unit of its last digit."""
    found = []
    for match in NUMBER.finditer(text.replace("−", "-")):
        digits = match[0].replace(",", "")
        mantissa, _, power = digits.partition("e")
        places = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(power or 0) - places)
        found.append((float(digits), unit))
    return found


def test_what_is_compared():
    """Gaps and rounding don't count, words and other numbers do."""
    assert words("loss 1.5\n\n  x") == words("loss   -2e3 x")
    assert words("epoch 1: 2\nepoch 2: 1") == words("epoch 1: 3")
    assert words("a 1") != words("b 1")
    assert numbers("12,000 and -1.50e-3") == [(12000, 1), (-0.0015, 1e-5)]
    assert apart("0.123", "0.124") is None and apart("0.1234", "0.2") is not None
    assert apart("1 2", "1") is not None


def apart(page, run, tolerance=1e-3):
    """The first two numbers that differ by more than a share and a last digit."""
    ours, theirs = numbers(page), numbers(run)
    if len(ours) != len(theirs):
        return f"{len(ours)} numbers and {len(theirs)}"
    for (a, unit), (b, other) in zip(ours, theirs, strict=True):
        if abs(a - b) > tolerance * max(abs(a), abs(b)) + 1.01 * max(unit, other):
            return f"{a} and {b}"
    return None
