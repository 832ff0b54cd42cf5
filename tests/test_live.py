"""What a browser gets of a chapter: cells, files, the wheel."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from cnnbook.live import (
    build_wheel,
    can_run,
    live_cells,
    live_chapter,
    missing_imports,
)
from cnnbook.pages import parts
from cnnbook.weave import read_chapter

ROOT = Path(__file__).resolve().parent.parent
PARTS = list(parts(ROOT / "_toc.yml").items())[:5]


def cells_of(text):
    return live_cells(read_chapter("page.md", text))


def cell(source, header=""):
    return f"```{{code-cell}}\n{header}{source}\n```\n\n"


def test_cells_with_their_marks():
    text = "# Page\n\n" + "".join(
        [
            cell("#| default_exp page", ":tags: [remove-cell]\n\n"),
            cell("#| export\nx = 1"),
            cell("y = 2", ":tags: [remove-cell]\n\n"),
            cell("import torch", ":tags: [needs-torch]\n\n"),
            cell("z = 3", ":tags: [remove-input]\n\n"),
            cell("import a\nassert fast", ":tags: [remove-cell, not-live]\n\n"),
            cell("main()", ":tags: [skip-execution]\n\n"),
            cell("main()", ":tags: [remove-cell, skip-execution]\n\n"),
            cell("import PIL", ":tags: [needs-pillow]\n\n"),
        ]
    )
    cells = cells_of(text)
    assert [c["source"] for c in cells] == [
        "",
        "x = 1",
        "y = 2",
        "import torch",
        "z = 3",
        "import a",
        "main()",
        "import PIL",
    ]
    hidden = [True, False, True, False, False, True, False, False]
    assert [c["hidden"] for c in cells] == hidden
    needs = [None, None, None, "torch", None, None, "a command line", None]
    assert [c["needs"] for c in cells] == needs


def test_smaller_settings():
    header = '---\nlive: {"epochs=10": "epochs=2", "a": "b"}\n---\n'
    (found,) = cells_of("# Page\n\n" + cell("fit(a, epochs=10)", header))
    assert found["source"] == "fit(b, epochs=2)"
    assert found["smaller"] == [("epochs=10", "epochs=2"), ("a", "b")]
    with pytest.raises(ValueError, match="live: 'epochs=10' must stand once"):
        cells_of("# Page\n\n" + cell("fit(a, epochs=20)", header))


def test_a_hidden_cell_has_no_smaller_setting():
    """The page couldn't state it."""
    header = '---\nlive: {"epochs=10": "epochs=2"}\ntags: [remove-cell]\n---\n'
    with pytest.raises(ValueError, match="live: the page can't state"):
        cells_of("# Page\n\n" + cell("fit(epochs=10)", header))


@pytest.mark.parametrize(
    "wrong", ["{'': 'z'}", "{1000: 10}", "{'e': 'f'}", "{'there': 'there'}"]
)
def test_settings_that_say_nothing_clear(wrong):
    with pytest.raises(ValueError, match="live: "):
        cells_of("# Page\n\n" + cell("there = 1000", f"---\nlive: {wrong}\n---\n"))


@pytest.mark.parametrize(
    ("source", "lacks"),
    [
        ("import numpy as np, torch.nn", {"torch"}),
        ("from scipy.signal import x", {"scipy"}),
        ("def f():\n    import scipy", set()),
        ("try:\n    import torch\nexcept ImportError:\n    pass", set()),
        ("try:\n    import torch\nfinally:\n    pass", {"torch"}),
        ("try:\n    f()\nexcept E:\n    pass\nfinally:\n    import torch", {"torch"}),
        ("import sqlite3, tkinter.font, json", {"sqlite3", "tkinter"}),
        ("with a():\n    import sphinx", {"sphinx"}),
        ("class A:\n    import docutils", {"docutils"}),
        ("from . import pooling", set()),
        ("import os, json\nfrom IPython.display import HTML", set()),
        ("%config a = 1\nimport matplotlib.pyplot", set()),
        ("", set()),
    ],
)
def test_missing_imports(source, lacks):
    assert missing_imports(source) == lacks


def test_can_run():
    lib = ROOT / "cnnbook"

    def page(*sources, needs=None, hidden=False):
        return [
            {"source": source, "needs": needs, "hidden": hidden} for source in sources
        ]

    assert can_run(page("from cnnbook.pooling import max_pool2d"), [], lib)
    assert not can_run(page("from cnnbook.pages import cards"), [], lib)  # Sphinx
    assert not can_run(page("import torch"), [], lib)
    assert can_run(page("import torch", needs="torch") + page("1"), [], lib)
    assert not can_run(page("import torch", needs="torch"), [], lib)
    assert not can_run(page("1", hidden=True), [], lib)
    assert not can_run(page("from benchmarks import race"), [], lib)
    assert can_run(page("from benchmarks import race"), ["benchmarks"], lib)
    assert can_run(page("import cnnbook"), [], lib)
    assert not can_run([], [], lib)


@pytest.mark.parametrize("name", [name for _, names in PARTS for name in names])
def test_every_chapter_of_the_first_five_parts_runs_live(name):
    chapter = live_chapter(name, ROOT)
    assert chapter is not None
    assert any(not cell["hidden"] for cell in chapter["cells"])
    assert sum(map(len, chapter["files"].values())) < 1_000_000


def test_chapters_that_need_sphinx_do_not():
    assert live_chapter("weave", ROOT) is None
    assert live_chapter("live", ROOT) is None
    assert live_chapter("exercises", ROOT) is not None


def test_files_of_the_source_come_along():
    files = live_chapter("training", ROOT)["files"]
    assert json.loads(files["tests/recorded/curve.json"])
    assert "experiments/bars.py" in live_chapter("digits", ROOT)["files"]


def test_the_wheel(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    wheels = [build_wheel(ROOT, folder) for folder in (first, second)]
    digests = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}
    assert len(digests) == 1
    with zipfile.ZipFile(wheels[0]) as packed:
        for path in (ROOT / "cnnbook").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT).as_posix()
                assert packed.read(name) == path.read_bytes(), name
    assert not (ROOT / "build").exists()


def test_a_wheel_that_cannot_be_made(tmp_path):
    for name in ("README.md", "LICENSE"):
        (tmp_path / name).write_text("")
    (tmp_path / "pyproject.toml").write_text("[project\n")
    (tmp_path / "cnnbook").mkdir()
    with pytest.raises(RuntimeError, match="the wheel could not be made"):
        build_wheel(tmp_path, tmp_path / "out")
