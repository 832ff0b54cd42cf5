"""The bridge from chapters to package and site, on a small book."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from tiny_book import HEADER

from cnnbook import weave

ROOT = Path(__file__).resolve().parent.parent

START = """\
# {title}

> {title}: a chapter.

```{{code-cell}}
:tags: [remove-cell]

import sys
sys.path.insert(0, "..")
```
"""

CONFIG = """\
title: Small
execute:
  execute_notebooks: cache
  timeout: -1
sphinx:
  extra_extensions: [sphinx.ext.autodoc, sphinx.ext.viewcode, cnnbook.weave]
"""

TOC = """\
format: jb-book
root: index
chapters:
  - file: data
  - file: one
  - file: two
  - file: three
  - file: four
"""


SLOW = """\
import time
print("printed", end="")
time.sleep(0.5)
print("slowly")"""


def chapter(title, *cells):
    return (
        HEADER
        + START.format(title=title)
        + "".join(f"\n```{{code-cell}}\n{cell}\n```\n" for cell in cells)
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A book of four chapters: data; one; two uses one; three uses two; four."""
    root = tmp_path_factory.mktemp("small")
    (root / "book").mkdir()
    (root / "cnnbook").mkdir()
    for tool in ("weave.py", "course.py"):
        shutil.copy2(ROOT / "cnnbook" / tool, root / "cnnbook")
    (root / "cnnbook" / "__init__.py").touch()
    shutil.copy2(ROOT / "settings.ini", root)
    (root / "requirements.txt").write_text("numpy==1\n")
    (root / "_config.yml").write_text(CONFIG)
    (root / "_toc.yml").write_text(TOC)
    (root / "digits").mkdir()
    (root / "digits" / "file").write_text("1")
    pages = {
        "index": "# Small\n\nA book.\n\n```{eval-rst}\n"
        ".. automodule:: cnnbook.one\n   :members:\n```\n",
        "data": chapter(
            "Data",
            "#| default_exp data",
            "#| export\ndef load():\n    return 7",
        ),
        "one": chapter(
            "One",
            "#| default_exp one",
            '#| export\ndef first():\n    """Return 1."""\n    return 1',
        ),
        "two": chapter(
            "Two",
            "#| default_exp two",
            "#| export\nfrom cnnbook.one import first",
            "#| export\ndef second():\n    return first() + 1",
        ),
        "three": chapter("Three", "from cnnbook.two import second\nsecond()"),
        "four": chapter("Four", "2 + 2", "from cnnbook.data import load\nload()", SLOW),
    }
    for name, text in pages.items():
        (root / "book" / f"{name}.md").write_text(text)
    return root


def run(root, command):
    """Run a weave command in the small book; return its status and output."""
    environment = {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"}
    environment["CNNBOOK_DATA"] = str(root / "digits")
    result = subprocess.run(
        [sys.executable, "-m", "cnnbook.weave", command],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


def executed(output):
    """The chapters that a build ran."""
    return set(re.findall(r"(\w+)\.md: Executed notebook", output))


def build(root):
    status, output = run(root, "export")
    assert status == 0, output
    status, output = run(root, "build")
    return status, executed(output), output


@pytest.fixture(scope="module")
def built(small):
    """The small book, built once."""
    status, ran, output = build(small)
    assert status == 0, output
    assert ran == {"data", "one", "two", "three", "four"}
    return small


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_slow_line_is_one_line(built):
    assert ">printedslowly" in (built / "_build" / "html" / "four.html").read_text()


def test_nothing_changed_runs_nothing(built):
    status, ran, output = build(built)
    assert (status, ran) == (0, set()), output


def test_changed_prose_runs_nothing(built):
    edit(built / "book" / "three.md", "a chapter.", "a longer chapter.")
    status, ran, output = build(built)
    assert (status, ran) == (0, set()), output
    assert "a longer chapter" in (built / "_build/html/three.html").read_text()


def test_changed_module_runs_exactly_the_chapters_above_it(built):
    edit(built / "book" / "one.md", "return 1\n", "return 10\n")
    status, ran, output = build(built)
    assert (status, ran) == (0, {"one", "two", "three"}), output
    assert "11" in (built / "_build" / "html" / "three.html").read_text()
    edit(built / "book" / "one.md", "return 10\n", "return 1\n")
    status, ran, output = build(built)  # its results are still known
    assert (status, ran) == (0, set()), output


def test_changed_data_runs_the_chapters_that_reach_it(built):
    (built / "digits" / "file").write_text("2")
    status, ran, output = build(built)
    assert (status, ran) == (0, {"data", "four"}), output


def test_changed_lock_runs_everything(built):
    (built / "requirements.txt").write_text("numpy==2\n")
    status, ran, output = build(built)
    assert (status, ran) == (0, {"data", "one", "two", "three", "four"}), output


def test_failing_cell_fails_the_build_every_time(built):
    edit(built / "book" / "four.md", "2 + 2", "assert 2 + 2 == 5")
    for _ in range(2):
        status, _, output = build(built)
        assert status != 0 and "four.md" in output
    edit(built / "book" / "four.md", "assert 2 + 2 == 5", "2 + 2")


def test_warning_fails_the_build_every_time(built):
    edit(built / "book" / "four.md", "a chapter.", "a {doc}`missing` chapter.")
    for _ in range(2):
        status, ran, output = build(built)
        assert status != 0 and ran == set(), output
        assert "unknown document" in output
    edit(built / "book" / "four.md", "a {doc}`missing` chapter.", "a chapter.")


def test_marks_and_links_meet(built):
    """The page's mark leads to the listing's line, and the listing's to the page."""
    page = (built / "_build" / "html" / "one.html").read_text()
    listing = (built / "_build/html/_modules/cnnbook/one.html").read_text()
    assert 'href="_modules/cnnbook/one.html#cell-first"' in page
    assert 'id="cell-first"' in listing
    assert 'href="../../one.html#first"' in listing
    assert 'id="first"' in page
    assert "#| export" not in page and "exported to cnnbook.one" in page


def test_build_leaves_the_users_folders_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("MATPLOTLIBRC", "mine")
    monkeypatch.setenv("CNNBOOK_DATA", "data")
    monkeypatch.chdir(tmp_path)
    environment = weave.build_environment(tmp_path)
    assert "PYTHONPATH" not in environment
    assert "MATPLOTLIBRC" not in environment
    for name in ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_DATA_DIR"):
        assert Path(environment[name]).is_relative_to(tmp_path / "_build")
    assert environment["CNNBOOK_DATA"] == str(tmp_path / "data")


def test_cells_are_named_after_what_they_define():
    assert weave.cell_name("#| export\ndef f(x):\n    return x") == "f"
    assert weave.cell_name("class Layer:\n    pass") == "Layer"
    assert weave.cell_name("SIZE: int = 3") == "SIZE"
    assert weave.cell_name("SIZE = 3") == "SIZE"
    assert weave.cell_name("import numpy as np") == "imports"
    assert weave.cell_name("%matplotlib inline\nprint(1)") == "code"


def test_two_cells_of_one_name_are_refused():
    text = chapter("Twice", "#| export\na = 1", "#| export\na = 2")
    with pytest.raises(ValueError, match=r"twice\.md: .* called 'a'"):
        weave.read_chapter("twice.md", text)


def test_broken_cell_is_named():
    text = chapter("Broken", "#| export\ndef f(:")
    with pytest.raises(ValueError, match=r"broken\.md: cell \d+ is not Python"):
        weave.read_chapter("broken.md", text)


def test_export_line_counts_only_at_the_top():
    assert weave.is_exported("#| export\nx = 1")
    assert weave.is_exported("#| hide\n#| export\nx = 1")
    assert not weave.is_exported("x = '''\n#| export\n'''")


def test_imports_are_found_in_every_form():
    source = """
%config something
import numpy, cnnbook.data
from cnnbook import plots
from cnnbook.pooling import max_pool2d
def later():
    from .losses import softmax
    from . import layers
"""
    found = weave.imported_modules(source)
    assert found == {"data", "plots", "pooling", "losses", "layers"}
    assert weave.imported_modules("import cnnbook as cb") == {"__init__"}
    assert weave.imported_modules("from cnnbookish import x") == set()


def test_front_door_leads_everywhere():
    lib = ROOT / "cnnbook"
    everything = {p.stem for p in lib.glob("*.py")} - {"_modidx"}
    assert weave.import_closure({"__init__"}, lib) == everything
    assert weave.import_closure({"data"}, lib) == {"data"}


def test_missing_data_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="CNNBOOK_DATA names .*nowhere"):
        weave.data_files(ROOT / "cnnbook")


def test_photograph_is_data_wherever_the_digits_are(monkeypatch, tmp_path):
    lib = ROOT / "cnnbook"
    photograph = set((lib / "photograph").iterdir())
    assert len(photograph) == 2
    sample = set((lib / "mnist_sample").iterdir())
    (tmp_path / "digits" / "raw").mkdir(parents=True)
    one, two = tmp_path / "digits" / "one", tmp_path / "digits" / "raw" / "two"
    for file in (one, two):
        file.write_text("1")
    for named, digits in (
        (None, sample),
        ("", sample),
        ("sample", sample),
        (str(tmp_path / "digits"), {one, two}),
        (str(one), {one}),
    ):
        if named is None:
            monkeypatch.delenv("CNNBOOK_DATA", raising=False)
        else:
            monkeypatch.setenv("CNNBOOK_DATA", named)
        found = weave.data_files(lib)
        assert set(found) == digits | photograph
        assert len(found) == len(set(found))


def test_a_package_without_a_photograph_has_only_its_digits(tmp_path, monkeypatch):
    monkeypatch.delenv("CNNBOOK_DATA", raising=False)
    (tmp_path / "mnist_sample").mkdir()
    (tmp_path / "mnist_sample" / "file").write_text("1")
    assert weave.data_files(tmp_path) == [tmp_path / "mnist_sample" / "file"]


def test_every_chapter_with_data_depends_on_the_photograph():
    photograph = set((ROOT / "cnnbook" / "photograph").iterdir())
    reached = set()
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        if not text.startswith("---\njupytext:"):
            continue
        files = set(weave.chapter_files(page, ROOT))
        assert photograph <= files or photograph.isdisjoint(files)
        if "load_photograph" in text:
            assert photograph <= files, page
        if photograph <= files:
            reached.add(page.stem)
    assert {"data", "shapes", "convolution"} <= reached


def test_changed_photograph_changes_the_digest_of_chapters_with_data(tmp_path):
    (tmp_path / "book").mkdir()
    lib = tmp_path / "cnnbook"
    for name in ("mnist_sample", "photograph"):
        (lib / name).mkdir(parents=True)
        (lib / name / "file").write_text("1")
    (tmp_path / "requirements.txt").write_text("numpy==1\n")
    (lib / "data.py").write_text("def load_photograph(): ...")
    (lib / "other.py").write_text("def two(): ...")
    pages = {
        "data": chapter("Data", "#| default_exp data", "#| export\nx = 1"),
        "user": chapter("User", "from cnnbook.data import load_photograph"),
        "other": chapter("Other", "from cnnbook.other import two"),
    }
    for name, text in pages.items():
        (tmp_path / "book" / f"{name}.md").write_text(text)
    noted = []
    env = SimpleNamespace(
        doc2path=lambda name: tmp_path / "book" / f"{name}.md",
        note_dependency=noted.append,
    )
    app = SimpleNamespace(env=env, srcdir=str(tmp_path / "book"))

    def digest(name):
        source = [pages[name]]
        weave.add_dependencies(app, name, source)
        (found,) = re.findall(r"^  depends: (\w+)$", source[0], re.MULTILINE)
        return found

    before = {name: digest(name) for name in pages}
    assert str(lib / "photograph" / "file") in noted
    (lib / "photograph" / "file").write_text("2")
    after = {name: digest(name) for name in pages}
    changed = {name for name in pages if before[name] != after[name]}
    assert changed == {"data", "user"}
    (lib / "photograph" / "file").write_text("1")
    assert {name: digest(name) for name in pages} == before
    (lib / "photograph" / "more").write_text("1")
    changed = {name for name in pages if before[name] != digest(name)}
    assert changed == {"data", "user"}


def test_digest_sees_names_and_contents(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("1")
    first = weave.file_digest(a)
    assert first == weave.file_digest(a)
    assert first != weave.file_digest(b)
    a.write_text("2")
    assert first != weave.file_digest(a)


def test_unknown_command_explains_itself(capsys):
    assert weave.main(["bild"]) == 2
    assert "build" in capsys.readouterr().err


def test_chapter_with_checks_depends_on_its_answers():
    """A check's answers are fetched late, from the chapters up to its own."""
    names = {
        chapter: {
            file.name for file in weave.chapter_files(ROOT / "book" / chapter, ROOT)
        }
        for chapter in ("convolution.md", "regularization.md", "threads.md")
    }
    assert {"ladder_operation.py", "exercises.py"} <= names["convolution.md"]
    assert "convolution.py" in names["convolution.md"]
    assert "regularization.py" not in names["convolution.md"]
    assert {"regularization.py", "backprop.py"} <= names["regularization.md"]
    assert "ladder_operation.py" not in names["threads.md"]


def test_pdf_says_what_it_needs(monkeypatch, capsys, tmp_path):
    """Without TeX nothing is built, and the message names the packages."""
    monkeypatch.setattr("shutil.which", lambda tool: None)
    assert weave.pdf(tmp_path) == 2
    said = capsys.readouterr().err
    assert "xelatex, latexmk" in said and "apt install texlive-xetex" in said
    assert not (tmp_path / "_build").exists()


def test_pdf_names_only_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "shutil.which", lambda tool: "/bin/xelatex" if tool == "xelatex" else None
    )
    assert weave.pdf(tmp_path) == 2
    assert "not found: latexmk" in capsys.readouterr().err


def test_svg_is_painted_for_formats_that_cannot_show_it(tmp_path):
    """The converter that is handed to Sphinx makes a picture of the drawing."""
    added = []

    class App:
        def add_post_transform(self, transform):
            added.append(transform)

    weave.add_painter(App())
    (painter,) = added
    assert painter.conversion_rules == [("image/svg+xml", "image/png")]
    drawing = tmp_path / "a.svg"
    drawing.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="5">'
        '<rect width="4" height="5" fill="red"/></svg>'
    )
    target = tmp_path / "a.png"
    assert painter.convert(None, str(drawing), str(target))
    picture = target.read_bytes()
    width, height = (int.from_bytes(picture[k : k + 4]) for k in (16, 20))
    assert (width, height) == (12, 15)
    drawing.write_text(drawing.read_text().replace('height="5"', 'height="3000"'))
    assert painter.convert(None, str(drawing), str(target))
    with Image.open(target) as tall:
        inches = tall.height / tall.info["dpi"][1]
    assert inches == pytest.approx(6.6, rel=0.01)  # a page has room for it


def test_page_is_tidied():
    """Repeated ids, empty headings and unused scripts are taken away."""

    class Script:
        def __init__(self, filename):
            self.filename, self.attributes = filename, {}

    context = {
        "body": '<div id="exercise-content"><table><tr><th class="head"><p></p></th>'
        '<th class="head text-right"><p>a</p></th></tr></table></div>',
        "script_files": [Script("_static/sphinx-thebe.js"), Script("_static/book.js")],
        "css_files": [Script("_static/slides.css"), Script("_static/book.css")],
    }
    weave.tidy_page(None, "page", "page.html", context, None)
    assert context["body"] == (
        '<div><table><tr><td></td><th class="head text-right"><p>a</p></th></tr>'
        "</table></div>"
    )
    assert [script.filename for script in context["script_files"]] == [
        "_static/book.js"
    ]
    assert [style.filename for style in context["css_files"]] == ["_static/book.css"]


def test_citations_lose_roles_that_are_out_of_date():
    body = (
        '<div role="list" class="citation-list"><div class="citation" id="a" '
        'role="doc-biblioentry"><p role="note">A</p></div></div>'
    )
    context = {"body": body}
    weave.tidy_page(None, "references", "page.html", context, None)
    assert context["body"] == (
        '<div class="citation-list"><div class="citation" id="a">'
        '<p role="note">A</p></div></div>'
    )


def test_a_picture_that_is_no_drawing_is_named(tmp_path):
    painters = []
    weave.add_painter(SimpleNamespace(add_post_transform=painters.append))
    (tmp_path / "a.svg").write_text("no drawing")
    with pytest.raises(ValueError, match="a.svg is no SVG"):
        painters[0].convert(None, tmp_path / "a.svg", tmp_path / "a.png")


def test_pages_outside_of_the_contents_share_one_per_folder():
    made = []

    def resolve(**options):
        made.append(options)
        return f"<ul>{len(made)}</ul>"

    app = SimpleNamespace(
        env=SimpleNamespace(found_docs={"pooling"}), builder=SimpleNamespace()
    )

    def contents(page, **options):
        context = {"toctree": resolve}
        weave.share_contents(app, page, "page.html", context, None)
        return context["toctree"](**options)

    first = contents("_tests/test_a", maxdepth=1)
    assert contents("_tests/test_b", maxdepth=1) == first and len(made) == 1
    others = {
        contents("_tests/test_b", maxdepth=2),
        contents("_modules/cnnbook/a", maxdepth=1),
        contents("pooling", maxdepth=1),
        contents("pooling", maxdepth=1),
    }
    assert first not in others and len(others) == 4 and len(made) == 5


@pytest.mark.parametrize(
    "sheet", sorted((ROOT / "book" / "_static").glob("*.css")), ids=lambda p: p.stem
)
def test_every_brace_of_a_style_sheet_is_closed(sheet):
    """One that is open makes all that follows part of its rule, and nobody says so."""
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    depth = 0
    for found in re.finditer(r"[{}]|@media|^[a-z.:].*\{", text, re.MULTILINE):
        if found[0].startswith("@") or len(found[0]) > 1:
            assert depth == 0, found[0]  # what begins a line stands in no other rule
        depth += found[0].count("{") - found[0].count("}")
    assert depth == 0
