"""Every check of the proofreading, complaining and keeping quiet."""

from pathlib import Path

import pytest

from cnnbook import proofreading
from cnnbook.proofreading import CHECKS, HOLE, proofread, read_book, take_apart

ROOT = Path(__file__).resolve().parent.parent

CELL = """\
```{{code-cell}} ipython3
---
mystnb:
  image:
    alt: "{alt}"
  figure:
    name: {name}
    caption: "{caption}"
---
from cnnbook import plots

plots.curves(walk)
```
"""
PLOTS = """\
# Plots

```{code-cell} ipython3
#| export
@styled
def curves(walk):
    return draw(walk)
```
"""
GOOD = {
    "alt": "A line that rises from left to right.",
    "name": "fig-page-walk",
    "caption": "The walk ends higher than it began.",
}
BARE = "```{code-cell}\nfrom cnnbook.plots import curves as c\n\nc(1)\n```\n"
TOC = """\
root: index
parts:
  - numbered: 1
    chapters: [{file: data}, {file: page}]
  - chapters: [{file: tool}]
"""


def card(needs=""):
    return f"# A\n\n```{{chapter}}\n:needs: {needs}\n:minutes: 5\n\nread it.\n```\n"


def drawn(**changes):
    return {"page": CELL.format(**GOOD | changes), "plots": PLOTS}


# For each check: texts that are wrong, and where and what it says. A text without a
# file is book/page.md.
WRONG = {
    "spelling": [
        (
            "# A\n\nThe two\nneurns fire.\n",
            4,
            "'neurns' is in no dictionary (neurons?)",
        ),
        ("A neighbour's house.\n", 1, "British; write 'neighbor'"),
        ("# The kernol\n", 1, "kernol"),
        ("```{exercise} Whjch one\n:label: x\n\nThis onne.\n```\n", 1, "Whjch"),
        ("```{exercise} Which\n:label: x\n\nThis onne.\n```\n", 4, "onne"),
        ("See {doc}`the chaptre <data>`.\n", 1, "chaptre"),
        ('```{code-cell}\n---\nm:\n  alt: "Ffirst one"\n---\nf()\n```\n', 4, "Ffirst"),
        ("![A smoll picture](x.svg)\n", 1, "smoll"),
        (
            '```{code-cell}\n#| export\ndef f():\n    """Rettrun it."""\n```\n',
            4,
            "Rettrun",
        ),
        ({"page": "Numpy.\n", "words.txt": "NumPy\n"}, 1, "Numpy"),
        ({"README.md": "# A\n\nWordz.\n"}, 3, "Wordz"),
    ],
    "dictionary": [
        ({"page": "Softmax, im.", "words.txt": "softmax\nReLU\n"}, 2, "alphabet"),
        ({"page": "Softmax.", "words.txt": "softmax\nsoftplus\n"}, 2, "used nowhere"),
        ({"page": "Softmax.", "words.txt": "softmax\nsoftmax\n"}, 2, "twice"),
        ({"page": "A house.", "words.txt": "# ours\nhouse\n"}, 2, "English"),
    ],
    "links": [
        ("# A\n\nSee {doc}`gone`.\n", 3, "{doc} leads to 'gone'"),
        ("See {doc}`there <gone>`.\n", 1, "'gone'"),
        ("By\n{eq}`gone`.\n", 2, "{eq} leads to 'gone', but no label"),
        ("{numref}`fig-gone` and\n", 1, "{numref}"),
        ("{ref}`words <gone>`\n", 1, "{ref}"),
        ("# A\n\n## One\n\n{ref}`page:Two`\n", 5, "'page:Two'"),
        ("A {term}`gone`.\n", 1, "no entry of the glossary"),
        ("{download}`it <gone.zip>`\n", 1, "no file"),
        ("[x](gone.md)\n", 1, "no file has that name"),
        ("# A\n\n[x](#gone)\n", 3, "no such label or heading"),
        ("![A picture of it](gone.svg)\n", 1, "gone.svg"),
        ("{glue:text}`gone:.1f`\n", 1, "glued value"),
        (
            '```{code-cell}\n---\nm:\n  a: 1\n  alt: "{{gone}} px"\n---\n```\n',
            5,
            "gone",
        ),
        ("```{glue:md} gone\n:format: myst\n```\n", 1, "no cell glues"),
        ({"page": "{glue:text}`other.md::key`\n", "other": "# B\n"}, 1, "glued value"),
    ],
    "labels": [
        ("# A\n\n$$\na = b\n$$ (same)\n", 3, "equation 'same'"),
        ("```{math}\n:label: same\na\n```\n", 1, "equation 'same'"),
        ("# A\n\n(place)=\n## B\n", 3, "target 'place'"),
        (CELL.format(**GOOD), 1, "figure 'fig-page-walk'"),
        ("```{table} A\n:name: tab-a\n\n| a |\n|---|\n```\n", 1, "table 'tab-a'"),
    ],
    "solutions": [
        (
            "# A\n\n```{exercise} Think\n:label: think\n\nWhy?\n```\n",
            3,
            "'think' has no",
        ),
        ("```{solution-start} gone\n```\n", 1, "'gone', which is no exercise"),
    ],
    "citations": [
        ("# A\n\nSee {cite:p}`nobody1901`.\n", 3, "nobody1901"),
        ("It is {reported}`3% <nobody1901>`.\n", 1, "nobody1901"),
        ({"references.bib": "\n@book{lost1999,\n}\n"}, 2, "cited nowhere"),
    ],
    "numbers": [
        ("# A\n\nIt reads\n97.2% of them.\n", 4, "'97.2%'"),
        ("It reads 97 per cent.\n", 1, "97 per cent"),
        ("It takes 3 ms.\n", 1, "3 ms"),
        ("It takes 12 s.\n", 1, "12 s"),
        ("It takes twenty seconds.\n", 1, "twenty seconds"),
        ("It is three times as fast.\n", 1, "three times as fast"),
        ("It is 2.5 times\nfaster.\n", 1, "2.5 times faster"),
        ("They do 40 GFLOP/s.\n", 1, "GFLOP/s"),
        ("It needs 12 MB.\n", 1, "12 MB"),
        ("Between 95 and 96% are right.\n", 1, "95 and 96%"),
        ("An accuracy of .98 is good.\n", 1, "accuracy of"),
        ("The loss falls to 0.234 here.\n", 1, "0.234"),
        ("They say so {cite:p}`a`. We have 97.2%.\n", 1, "97.2%"),
        ("| A | B |\n|---|---|\n| {cite:p}`a` | 1% |\n| we | 97.2% |\n", 4, "97.2%"),
        ('```{code-cell}\n---\nm:\n  alt: "It is 3% red"\n---\nf()\n```\n', 4, "3%"),
        ("```{table} Of 3%\n| a |\n```\n", 1, "3%"),
    ],
    "figures": [
        ({"page": "# A\n\n" + BARE, "plots": PLOTS}, 3, "without alternative text"),
        (drawn(alt="A line."), 1, "without alternative text"),
        (drawn(caption=""), 1, "without a caption"),
        (drawn(alt=GOOD["caption"]), 1, "repeats the caption"),
        (drawn(name="fig-other"), 1, "starts with fig-page-"),
        ("# A\n\n![](a.svg)\n", 3, "without alternative text"),
        ("```{figure} a.svg\n:alt: A\n\nA caption.\n```\n", 1, "alternative text"),
        (
            {"page": "```{code-cell}\ndef f() -> Figure:\n    ...\n\n\nf()\n```\n"},
            1,
            "without alternative text",
        ),
        (  # handed on by another function, and by a name
            {
                "page": "# A\n\n```{code-cell}\nfrom cnnbook.more import twice\n\n"
                "picture = twice(1)\npicture\n```\n",
                "more": "```{code-cell}\nfrom cnnbook import plots\n\n"
                "def twice(walk):\n    return plots.curves(walk)\n```\n",
                "plots": PLOTS,
            },
            3,
            "without alternative text",
        ),
    ],
    "marks": [
        ("# A\n\n% slides\n\nText.\n", 3, "no mark: 'slides'"),
        ("# A\n\n% TODO\n\nText.\n", 3, "no mark"),
        ("Text.\n% slide\n\nMore.\n", 2, "between empty lines"),
        ("% slide\nText.\n", 1, "between empty lines"),
        ("% also\n\nText.\n", 1, "none before"),
        ("% slide: A {eq}`name`\n\nText.\n", 1, "without roles"),
        ("% slide\n\n## Heading\n", 1, "before what"),
        ("Text.\n\n% slide\n", 3, "before what"),
        ("% slide\n\n% also\n\nText.\n", 1, "before what"),
        (
            "% slide\n\n```{code-cell}\n:tags: [remove-cell]\n\n1\n```\n",
            1,
            "hidden cell",
        ),
        ("# A\n\n```{ask} Why?\n```\n", 3, "then an answer"),
        ("```{ask}\nBecause.\n```\n", 1, "question in the first line"),
    ],
    "cards": [
        (
            {"_toc.yml": TOC, "data": "# A\n", "page": card(), "tool": "# T\n"},
            1,
            "has 0",
        ),
        (
            {"_toc.yml": TOC, "data": card("page"), "page": card(), "tool": "# T\n"},
            3,
            "'page', which is no earlier",
        ),
        (
            {"_toc.yml": TOC, "data": card() * 2, "page": card(), "tool": "# T\n"},
            1,
            "has 2",
        ),
        ({"_toc.yml": TOC, "data": card(), "page": card()}, 1, "no book/tool.md"),
    ],
    "headings": [
        ("Text.\n", 1, "this one has 0"),
        ("# A\n\n# B\n", 1, "this one has 2"),
        ("# A\n\n### B\n", 3, "level 3 follows level 1"),
        ("# A\n\n## Same\n\nText.\n\n## same\n", 7, "heading of line 3"),
    ],
    "slips": [
        ("# A\n\nOf the\nthe kernel.\n", 3, "a word twice"),
        ("It is is so.\n", 1, "a word twice"),
        ("A kernel , turned.\n", 1, "a space before"),
        ("A kernel ,turned.\n", 1, "a space before"),
        ("The end.Next one.\n", 1, "no space after"),
        ("First,then.\n", 1, "no space after"),
        ("It is a image.\n", 1, "a or an"),
        ("It is an kernel.\n", 1, "a or an"),
        ("A image is here.\n", 1, "a or an"),
        ("The `code.\n\nA `word`.\n", 1, "markup left open"),
        ("It costs $a more.\n", 1, "markup left open"),
        ("See {doc} here.\n", 1, "markup left open"),
        ("A\u00a0kernel.\n", 1, "invisible"),
        ("The end..\n", 1, "two marks"),
        ("A kernel (turned.\n", 1, "parenthesis"),
        ('A "kernel.\n', 1, "quotation mark"),
    ],
}

# For each check: texts that look alike and are right.
RIGHT = {
    "spelling": [
        "The `kernol` of $kernol$ at https://kernol.org, {cite:p}`kernol` <b kernol>",
        "```python\nkernol\n```\n\n```{math}\n:label: kernol\nkernol\n```\n\n% kernol",
        "The layers' weights don't sum; it's so. It’s conv2d, x_mean and data.npz.\n",
        "See {doc}`kernol`, {eq}`kernol`, {glue:text}`kernol:.1f`.\n",
        "A long ``kernol\nkernol`` and $a\nkernol$.\n",
        '```{code-cell}\ndef f():\n    """Rettrun it."""\n```\n',
        '```{code-cell}\n#| export\ndef f(kernl):\n    """Do it.\n\n    Parameters\n'
        '    ----------\n    kernl : ndarry\n        As ``kernl``.\n    """\n```\n',
        {"page": "NumPy's ReLUs, Softmax.\n", "words.txt": "NumPy\nReLU\nsoftmax\n"},
    ],
    "dictionary": [
        {"page": "ReLUs and Softmax.\n", "words.txt": "# ours\nReLU # name\nsoftmax\n"},
    ],
    "links": [
        {
            "page": "{doc}`other` {doc}`o </other>` [x](other.md#end)\n",
            "other": "# End",
        },
        "See {eq}`a`.\n\n$$\na\n$$ (a)\n\n(b)=\n[x](#b) [y](https://a.b/c_(d))\n",
        "# A\n\n[the same](page) and [all](genindex)\n",
        "# A\n\n## One, two\n\n{ref}`page:One, two` {ref}`a <genindex>`\n",
        "{term}`Pixels <pixel>`\n\n```{glossary}\npixel\n  A point.\n```\n",
        {"page": "{download}`it <_static/a.svg>`", "_static/a.svg": ""},
        '{glue:text}`key:.1f`\n\n```{code-cell}\nglue("key", 1)\n```\n',
        '{glue:text}`a_key`\n\n```{code-cell}\nglue(f"{name}_key", 1)\n```\n',
        '{glue:text}`key`\n\n```{code-cell}\nfor k in ["key"]:\n    glue(k, 1)\n```\n',
        "{numref}`Fig. %s <fig-page-walk>`\n\n" + CELL.format(**GOOD),
    ],
    "labels": [
        "# A\n\nBy {eq}`same`:\n\n$$\na = b\n$$ (same)\n",
        '$$\na\n$$ (same)\n\n```{code-cell}\ndef f():\n    """Eq. (same)."""\n```\n',
        "(place)=\n## B\n\n[there](#place)\n",
        "{numref}`fig-page-walk`\n\n" + CELL.format(**GOOD),
        "```{exercise} Think\n:label: think\n\nWhy?\n```\n",
    ],
    "solutions": [
        "```{exercise} A\n:label: a\n\nWhy?\n```\n\n```{solution-start} a\n```\n",
    ],
    "citations": [
        {
            "page": "{cite:p}`a1, b2` and {reported}`3% <c3>`\n",
            "references.bib": "@book{a1,\n}\n@book{b2,\n}\n@article{c3,\n}\n",
        },
    ],
    "numbers": [
        "# The 98% network\n\nThat is {glue:text}`share:.1f`% and {chosen}`50%`.\n",
        "They report 99.8% for it {cite:p}`a`, in 3 ms.\n",
        "With Python 3.11 to 3.14 and 2.25 or 0.5 of 10,000 images; 4 x 4; the 3s.\n",
        "Use `3 ms` or $3\\%$.\n\n```{code-cell}\n3 % 2  # 97.2%\n```\n",
        "```{exercise} Reach 97%\n:label: a\n\nThree times.\n```\n",
        "```{chapter}\n:minutes: 30\n\nread.\n```\n\nThe two second derivatives.\n",
    ],
    "figures": [
        drawn(),
        drawn(alt="{{told}}"),
        "![A line that rises slowly](a.svg)\n",
        {
            "page": "```{code-cell}\n:tags: [remove-cell]\n\n"
            "from cnnbook import plots\nplots.curves(1)\n```\n",
            "plots": PLOTS,
        },
        {"page": "```{code-cell}\ncurves(1)\n```\n", "plots": PLOTS},  # another curves
        {
            "page": "```{solution-start} a\n```\n"
            + CELL.format(**GOOD).replace(
                '  figure:\n    name: fig-page-walk\n    caption: "'
                + GOOD["caption"]
                + '"\n',
                "",
            ),
            "plots": PLOTS,
        },
    ],
    "marks": [
        "# A\n\n% slide: The $x_{1}$ of `it`\n\nText.\n\n% also\n\nMore.\n",
        "```{ask} Why?\nBecause.\n```\n\n% also\n\nText with 3 % of it.\n",
        "```{code-cell}\n% slides\n```\n",
    ],
    "cards": [
        {"_toc.yml": TOC, "data": card(), "page": card("data"), "tool": "# T\n"},
        {"_toc.yml": TOC, "data": card(), "page": card(), "tool": card("data, tool")},
    ],
    "headings": [
        "# A\n\n## B\n\n### C\n\n## D\n",
        "# A\n\n```{code-cell}\n# A\n### B\n```\n",
    ],
    "slips": [
        'The end. The\n\nthe next, and 3, 4 4 (so) it\'s "said"...\n\n'
        "A `code` of a unit, an hour, an MNIST image, a one; a useful \\$5.\n",
        "cross-correlation\ncorrelation\n",
        "```{glossary}\nstrided view\nview\n  An array.\n```\n",
        "The\n\n```python\nThe the ,a image`\n```\n\nIt is $x$ x and `a` a.\n",
    ],
}


def book_of(texts):
    """Texts under their files' names."""
    texts = {"page": texts} if isinstance(texts, str) else texts
    named = {}
    for name, text in texts.items():
        if name in ("README.md", "_toc.yml"):
            named[name] = text
        else:
            named[f"book/{name}" if "." in name else f"book/{name}.md"] = text
    return named


@pytest.mark.parametrize(
    "name, texts, line, message",
    [(name, *case) for name, cases in WRONG.items() for case in cases],
)
def test_check_complains(name, texts, line, message):
    found = CHECKS[name].find(book_of(texts))
    assert any(line == f.line and message in f.message for f in found), found
    assert all(f.file in book_of(texts) or f.file == "_toc.yml" for f in found)


@pytest.mark.parametrize(
    "name, texts", [(name, text) for name, texts in RIGHT.items() for text in texts]
)
def test_check_keeps_quiet(name, texts):
    assert CHECKS[name].find(book_of(texts)) == []


def test_every_check_has_its_tests():
    assert list(WRONG) == list(RIGHT) == list(CHECKS)
    assert all(WRONG.values()) and all(RIGHT.values())


def test_taking_apart_moves_nothing():
    for text in read_book(ROOT).values():
        page = take_apart(text)
        lines = text.split("\n")
        for shown in (page.prose, page.docs):
            assert len(shown.split("\n")) == len(lines)
            for said, line in zip(shown.split("\n"), lines, strict=True):
                assert len(said) <= len(line)
                for left, letter in zip(said, line, strict=False):
                    assert left in (letter, " ", HOLE, proofreading.CITED)


def test_all_drawing_cells_are_known():
    """Also those of functions that hand on what others draw."""
    texts = read_book(ROOT)
    cells = list(proofreading.figure_cells(texts))
    assert len(cells) > 100
    plain = [file for file, block, _ in cells if not block.options]
    assert plain == []  # all have words
    drawn = proofreading.drawing_functions(texts)
    assert {"plots.curves", "plots.feature_maps", "convolution_buys.against"} <= drawn
    assert "plots.whole_number" not in drawn


def test_findings_are_printed_with_their_place(tmp_path, capsys):
    (tmp_path / "book").mkdir()
    (tmp_path / "README.md").write_text("# Small\n")
    (tmp_path / "_toc.yml").write_text("root: one\n")
    (tmp_path / "book" / "one.md").write_text("# One\n\nIt is is so.\n")
    (tmp_path / "book" / "two.md").write_text("# Two\n\nSee {doc}`one`.\n")
    assert proofreading.main([], tmp_path) == 1
    printed = capsys.readouterr().out
    assert "book/one.md:3: [slips] a word twice" in printed
    assert "proofreading: 1 slips" in printed
    assert proofreading.main(["two"], tmp_path) == 0
    assert "nothing to correct" in capsys.readouterr().out
    assert proofreading.main(["book/one.md"], tmp_path) == 1
    assert proofreading.main(["three"], tmp_path) == 2
    assert "three" in capsys.readouterr().err


def test_make_check_proofreads():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    check = text[text.index("\ncheck:") :].split("\n\n")[0]
    assert "-m cnnbook.weave check" in check and "-m cnnbook.proofreading" in check


@pytest.fixture(scope="module")
def findings():
    return proofread(read_book(ROOT))


@pytest.mark.parametrize("name", CHECKS)
def test_the_book_is_clean(findings, name):
    assert [finding for finding, check in findings if check == name] == []


@pytest.mark.parametrize("text", ["---", "---\ntitle: x\n", "---\n# T\n"])
def test_a_header_without_an_end_is_read_as_text(text):
    assert "\n".join(take_apart(text).lines) == text


@pytest.mark.parametrize("options", ["mystnb: [", "- a\n- b", "just words"])
def test_options_that_are_no_options_are_ignored(options):
    page = take_apart(f"```{{code-cell}}\n---\n{options}\n---\nx = 1\n```\n")
    assert page.blocks[0].options == {}
    assert page.blocks[0].body == ["x = 1"]


def test_a_folder_without_a_book_is_said_to_be_one(tmp_path, capsys):
    assert proofreading.main([], tmp_path) == 2
    assert "there is no book here" in capsys.readouterr().err
