"""Chapters as notebooks and scripts, figures as files."""

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from tiny_book import HEADER, build

from cnnbook.downloads import (
    FIGURE,
    as_script,
    outside_code,
    plain_block,
    plain_blocks,
    take_away,
    with_names,
    with_values,
    work_names,
    write_figures,
)
from cnnbook.weave import read_chapter, toc_chapters

ROOT = Path(__file__).resolve().parent.parent
CHAPTER = """\
# Page

% slide

```{chapter}
:minutes: 5

read it.
```

(a-target)=
## Section

$$
y = x
$$ (eq-label)

```{math}
:label: eq-other

z = x
```

````{exercise} Write: a thing
:label: write-a-thing

Do it:

```python
raise NotImplementedError
```
````

```{solution-start} write-a-thing
:class: dropdown
```

Like this.

```{solution-end}
```

:::{note}
Mind this.
:::
"""


def test_plain_blocks():
    plain = plain_blocks(CHAPTER)
    assert "{" not in plain and ":label:" not in plain and "% slide" not in plain
    assert "(a-target)=" not in plain and "(eq-label)" not in plain
    assert "$$\ny = x\n$$" in plain and "$$\nz = x\n$$" in plain
    assert "*Afterwards you can read it.*" in plain
    assert "**Exercise. Write: a thing**" in plain
    assert "```python\nraise NotImplementedError\n```" in plain
    assert "**Solution**\n\nLike this." in plain
    assert "Mind this." in plain
    assert "\n\n\n" not in plain


def test_code_that_shows_a_directive_stays():
    text = "````\n```{ask} Why?\nBecause.\n```\n````\n\n```python\n# %% a\n```"
    assert plain_blocks(text) == text


def test_plain_block_of_a_question():
    plain = plain_block("ask", "Why?", "Because.\n")
    assert plain.startswith("**Why?**") and "<summary>Answer</summary>" in plain
    assert plain_block("status", "", "") == ""


def test_no_directive_or_mark_of_the_book_is_left():
    for name in toc_chapters(ROOT / "_toc.yml"):
        text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        if "{code-cell}" not in text:
            continue
        for cell in read_chapter(ROOT / "book" / f"{name}.md", text).cells:
            if cell.cell_type == "markdown":
                plain = outside_code(plain_blocks(cell.source), str.upper)
                code = r"^(`{3,})[^{\n]*\n.*?^\1$"  # which may show directives
                plain = re.sub(code, "", plain, flags=re.M | re.S)
                left = re.search(r"^(?:`{3,}\{|:{3,}|%\s|\([\w-]+\)=$)", plain, re.M)
                assert left is None, (name, left)


def test_with_values():
    glued = {"a": {"x": 2.345, "word": "many"}, "b": {"x": 7}}
    text = "{glue:text}`x:.1f`, {glue:text}`b.md::x:d`, {glue:md}`word`"
    assert with_values(text, "a", glued) == "2.3, 7, many"
    with pytest.raises(KeyError):
        with_values("{glue:text}`y:.1f`", "a", glued)


def test_with_names():
    numbers, works = {"fig-a": "[Fig. 3](u)"}, {"k": "Doe, 2020", "l": "Roe, 2021"}
    text = "{numref}`fig-a`: {cite:t}`k`, {cite:p}`k,l`, {reported}`5% <l>`"
    assert with_names(text, numbers, works) == (
        "[Fig. 3](u): Doe, 2020, (Doe, 2020; Roe, 2021), 5% (Roe, 2021)"
    )


def test_outside_code():
    assert outside_code("a ``a`` a", lambda t: t.replace("a", "b")) == "b ``a`` b"


def test_work_names(tmp_path):
    file = tmp_path / "refs.bib"
    file.write_text(
        "@misc{one, author={Doe, Jane}, title={A}, year={2001}}\n"
        "@misc{two, author={Doe, J. and Roe, R.}, title={B}, year={2002}}\n"
        "@misc{many, author={A, B and C, D and E, F}, title={C}, year={2003}}\n"
        "@misc{house, author={{The House}}, title={D}}\n"
        "@misc{nobody, title={E}, year={2004}}\n"
    )
    assert work_names(file) == {
        "one": "Doe, 2001",
        "two": "Doe and Roe, 2002",
        "many": "A et al., 2003",
        "house": "The House, undated",
        "nobody": "E, 2004",
    }


WHEEL = "https://e.org/live/cnnbook-1-py3-none-any.whl"


def notebook():
    new = nbformat.v4
    hidden = new.new_code_cell("glue()", metadata={"tags": ["remove-cell"]})
    shown = new.new_code_cell("#| export\ndef f():\n    return 1")
    shown.outputs = [new.new_output("stream", text="said\n")]
    return new.new_notebook(
        cells=[new.new_markdown_cell("# Page\n\n% slide\n\nWords."), hidden, shown]
    )


def test_take_away_keeps_what_readers_see():
    made = take_away(
        notebook(), "page", {"page": "# Page"}, "https://e.org/", str.upper, WHEEL
    )
    nbformat.validate(made)
    assert made.metadata.language_info.name == "python"  # JupyterLite asks without it
    opening, install, words, code = made.cells
    assert install.source == f"%pip install --quiet {WHEEL} matplotlib"
    assert "https://e.org/page.html" in opening.source
    assert words.source == "# PAGE\n\nWORDS."
    assert code.source == "def f():\n    return 1"
    assert code.outputs[0].text == "said\n"


def test_what_cannot_run_anywhere_is_to_be_read():
    new = nbformat.v4
    made = new.new_notebook()
    for source, tag in (
        ("import torch", "needs-torch"),
        ("import torch", "page-only"),
        ("table(hidden)", "remove-input"),
    ):
        cell = new.new_code_cell(source, metadata={"tags": [tag]})
        cell.outputs = [
            new.new_output("stream", text="said\n"),
            new.new_output("display_data", {"text/markdown": "| a |\n|---|\n| 1 |"}),
            new.new_output("display_data", {"image/svg+xml": "<svg/>"}),
        ]
        made.cells.append(cell)
    found = take_away(made, "page", {"page": "# Page"}, "https://e.org/", str, WHEEL)
    nbformat.validate(found)
    assert [cell.cell_type for cell in found.cells[2:]] == ["markdown"] * 3
    first, second, third = (cell.source for cell in found.cells[2:])
    assert first.startswith(
        "*Not run here: it needs torch.*\n\n```python\nimport torch"
    )
    assert second.startswith("*Not run here: it needs what only the page has computed")
    assert "```python\nimport torch" in second
    for text in (first, second, third):
        assert "```text\nsaid\n```" in text and "| a |" in text
        assert "(data:image/svg+xml;base64,PHN2Zy8+)" in text
    assert "hidden" not in third


def test_script_runs():
    made = take_away(
        notebook(), "page", {"page": "# Page"}, "https://e.org/", str, WHEEL
    )
    script = as_script(made)
    assert "# Words." in script and "# %%" in script
    scope = {}
    exec(script, scope)
    assert scope["f"]() == 1


PAGE = (
    HEADER
    + """\
# Page

```{chapter}
:minutes: 5

read {glue:text}`n:.1f`.
```

```{code-cell}
:tags: [remove-cell]

from IPython.display import SVG
from myst_nb import glue

glue("n", 2.5, display=False)
```

```{code-cell}
---
mystnb:
  image:
    alt: A square.
  figure:
    name: fig-square
    caption: A square.
---
SVG(
    '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="9" version="1.1">'
    '<rect width="8" height="9"/></svg>'
)
```
"""
)


def test_files_of_a_small_book(tmp_path):
    pages = {"index": "# Start\n\n```{toctree}\npage\n```\n", "page": PAGE}
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "references.bib").write_text("")
    settings = {"nb_execution_mode": "cache", "html_baseurl": "https://e.org/"}
    extensions = ["cnnbook.pages", "cnnbook.downloads"]
    for _ in range(2):  # run, and from the cache
        soup, warnings = build(tmp_path, pages, extensions, settings)
        assert warnings == ""
        out = tmp_path / "_build" / "html"
        made = nbformat.read(out / "downloads" / "page.ipynb", as_version=4)
        assert "read 2.5." in made.cells[2].source
        (output,) = made.cells[-1].outputs
        assert "image/svg+xml" in output.data
        assert (out / "downloads" / "page.md").read_text("utf-8") == PAGE
        compile((out / "downloads" / "page.py").read_text("utf-8"), "page.py", "exec")
        assert not (out / "downloads" / "index.ipynb").exists()
        links = soup["page"].select("figure#fig-square p.figure-files a")
        assert [link["href"] for link in links] == [
            "figures/fig-square.svg",
            "figures/fig-square.png",
            "#fig-square",
        ]
        assert "<rect" in (out / "figures" / "fig-square.svg").read_text("utf-8")
        picture = (out / "figures" / "fig-square.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        width, height = (int.from_bytes(picture[k : k + 4]) for k in (16, 20))
        assert (width, height) == (16, 18)


def test_code_in_fences_stays_as_it_is():
    code = "```ipython\n%matplotlib inline\n\n\n\nx = 1\n```"
    assert plain_blocks(f"% slide\n\n{code}\n\n% also") == code
    nested = "````{ask} Why?\n```ipython\n%timeit x\n```\n````"
    assert "```ipython\n%timeit x\n```" in plain_blocks(nested)


def test_code_blocks_become_fences():
    text = "```{code-block} python\n:caption: A\n\nx = 1\n```"
    assert plain_blocks(text) == "```python\nx = 1\n```"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("{glue:text}`y`", KeyError, "a: a glues nothing called 'y'"),
        ("{glue:text}`z.md::x`", KeyError, "a: z glues nothing called 'x'"),
        ("{glue:text}`word:.1f`", ValueError, "a: {glue:text}`word:.1f`"),
    ],
)
def test_values_that_are_not_there_are_named(text, error, words):
    with pytest.raises(error, match=re.escape(words)):
        with_values(text, "a", {"a": {"word": "many"}})


def test_a_figure_takes_no_picture_of_the_next_one():
    page = "".join(
        f'<figure class="align-default" id="{name}">'
        f'<img alt="A" src="_images/{file}"/></figure>'
        for name, file in (("one", "1.png"), ("two", "2.svg"))
    )
    found = [(m["id"], m["src"]) for m in FIGURE.finditer(page)]
    assert found == [("two", "_images/2.svg")]


@pytest.mark.parametrize("drawing", ["", "<svg", "no drawing"])
def test_a_figure_that_is_no_drawing_is_named(tmp_path, drawing):
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "1.svg").write_text(drawing)
    app = SimpleNamespace(
        builder=SimpleNamespace(format="html"),
        outdir=tmp_path,
        env=SimpleNamespace(cnnbook_figures={"fig-one": "1.svg"}),
    )
    with pytest.raises(ValueError, match="fig-one.svg is no SVG"):
        write_figures(app, None)


def test_works_without_names_and_with_accents(tmp_path):
    file = tmp_path / "refs.bib"
    file.write_text(
        '@misc{accent, author={K{\\"o}pf, A. and M{\\k{a}}dry, B.}, year={2001}}\n'
        "@misc{bare, year={2002}}\n"
    )
    assert work_names(file) == {"accent": "Köpf and Mądry, 2001", "bare": "bare, 2002"}


def test_a_chapter_without_a_title_is_called_by_its_name():
    made = take_away(nbformat.v4.new_notebook(), "page", {"page": ""}, "u/", str, WHEEL)
    assert "[page](u/page.html)" in made.cells[0].source


def test_code_between_backticks_stays_and_roles_are_changed():
    def loud(text):
        return text.upper()

    said = "one `{ask}` two ``a ` b`` three {glue:text}`n:.1f` four"
    assert outside_code(said, loud) == (
        "ONE `{ask}` TWO ``a ` b`` THREE {GLUE:TEXT}`N:.1F` FOUR"
    )
    said = "case: `{glue:text}` shows, `{reported}` gives, `{chosen}` says"
    assert outside_code(said, loud) == (
        "CASE: `{glue:text}` SHOWS, `{reported}` GIVES, `{chosen}` SAYS"
    )
    assert outside_code("(`{ask}`, {doc}`pages`) is", loud) == (
        "(`{ask}`, {DOC}`PAGES`) IS"
    )
    assert outside_code("an `open one", loud) == "AN `OPEN ONE"
