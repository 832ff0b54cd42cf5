"""Every chapter in a browser, from top to bottom, compared with its page."""

import json
import re
import shutil
import subprocess

import pytest
from live_visits import NAMES, SAMPLE, apart, native, numbers, told, words
from visits import ROOT, need_site

need_site()


def test_what_is_compared():
    """Gaps and rounding don't count, words and other numbers do."""
    assert words("loss 1.5\n\n  x") == words("loss   -2e3 x")
    assert words("epoch 1: 2\nepoch 2: 1") == words("epoch 1: 3")
    assert words("a 1") != words("b 1")
    assert numbers("12,000 and -1.50e-3") == [(12000, 1), (-0.0015, 1e-5)]
    assert apart("0.123", "0.124") is None and apart("0.1234", "0.2345") is not None
    assert apart("1 2", "1") is not None


TRUTH = re.compile(r"\b(?:True|False|better|worse|higher|lower)\b")


@pytest.mark.parametrize("name", NAMES)
def test_chapter_runs_from_top_to_bottom(warm, name, tmp_path):
    """Every cell, in order; what it prints is what the page says.

    Words are the same. Numbers are the same to a thousandth, or to a unit of their
    last digit. Where the browser has other data than the page (the sample, not all
    of MNIST), or a smaller setting, the page says something else. Then the same cells
    run on this machine, too, and their numbers are the same to a tenth, or to three
    units: what is learned depends a little on how sums are rounded.

    Python is started once for all chapters, and has no names, files or modules of the
    last chapter's when the next begins (that a page starts it is tested elsewhere).
    """
    cells = told(name)["cells"]
    shown = [cell for cell in cells if not cell["hidden"]]
    visit = warm(name)
    before = visit.texts()
    assert len(before) == len(shown)
    visit.begin()
    visit.run_all()
    assert visit.status() == "Done."
    after = visit.texts()
    same = not any(cell["smaller"] for cell in cells)
    same = same and (SAMPLE or not told(name)["data"])
    here = before if same else native(name, tmp_path)
    for number, cell in enumerate(shown, 1):
        page, run, other = before[number - 1], after[number - 1], here[number - 1]
        if cell["needs"]:
            assert page == run, number
            continue
        assert bool(page.strip()) == bool(run.strip()), number
        if same:
            assert words(page) == words(run), number
            assert apart(page, run) is None, (number, apart(page, run))
        else:
            assert words(TRUTH.sub("#", other)) == words(TRUTH.sub("#", run)), number
            found = apart(other, run, 0.1, units=3)
            assert found is None, (number, found)
        assert visit.cell(number).locator(".live-error, .live-stderr").count() == 0
    broken = visit.page.eval_on_selector_all(
        "article div.cell.live .cell_output img",
        "all => all.filter(i => i.hidden || !i.naturalWidth).length",
    )
    assert broken == 0
    assert visit.complaints == []


@pytest.mark.parametrize("name", ["lowering", "gradcheck"])  # that have no data
def test_the_same_under_node(warm, pyodide, name):
    """The script for quick checks prints what the browser shows."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js isn't installed")
    if pyodide is None:
        pytest.skip("Pyodide comes from the network, and Node.js needs a folder")
    command = [node, str(ROOT / "scripts" / "live_node.mjs"), str(pyodide), name]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["chapter"] == name and all(cell["ok"] for cell in found["cells"])
    printed = [
        "".join(
            content.get("text/plain", "") if kind == "display" else content
            for kind, content in cell["outputs"]
        )
        for cell in found["cells"]
        if not cell["hidden"]
    ]
    page = warm(name).texts()
    shown = [cell for cell in told(name)["cells"] if not cell["hidden"]]
    expected = [t for t, cell in zip(page, shown, strict=True) if not cell["needs"]]
    for one, other in zip(expected, printed, strict=True):
        if one:  # a drawing's words stand in its alternative text
            assert words(one) == words(other)
            assert apart(one, other) is None
