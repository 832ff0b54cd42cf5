"""Cards, questions, numbers with sources, pictures in words."""

import re
from pathlib import Path

import pytest
from tiny_book import HEADER, build

from cnnbook.pages import (
    cards,
    chapter_map,
    direct_needs,
    filled,
    glued_value,
    levels,
    parts,
    read_card,
)
from cnnbook.weave import toc_chapters

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = toc_chapters(ROOT / "_toc.yml")
TEXT = """\
# Pooling

> Pooling: a line.

```{chapter}
:needs: shapes,  data
:minutes: 25

say what
is lost.
```
"""


def test_read_card():
    card = read_card(TEXT)
    assert (card.title, card.goal) == ("Pooling", "say what is lost.")
    assert (card.needs, card.minutes) == (("shapes", "data"), 25)
    assert read_card("# Title\n\nNo card.") is None
    assert read_card("````\n" + TEXT + "\n````") is None  # an example of a card
    without = TEXT.replace(":needs: shapes,  data\n", "")
    assert read_card(without).needs == ()
    with pytest.raises(ValueError, match="several"):
        read_card(TEXT + "\n" + TEXT)


def test_every_chapter_with_a_goal_has_a_card():
    groups = list(parts(ROOT / "_toc.yml").values())
    numbered = [name for names in groups[:5] for name in names]
    found = cards(CHAPTERS, ROOT / "book")
    assert set(numbered) <= set(found)
    for name, card in found.items():
        assert card.goal[0].islower() and card.goal.endswith("."), name
        assert 5 <= card.minutes <= 120, name


def test_chapters_need_only_earlier_ones():
    found = cards(CHAPTERS, ROOT / "book")
    for name, card in found.items():
        for other in card.needs:
            assert CHAPTERS.index(other) < CHAPTERS.index(name) or (
                CHAPTERS.index(name) > CHAPTERS.index("convolution_buys")
            ), (name, other)


def test_cards_keep_the_modules_order():
    """A chapter needs, if by way of others, each module that its module imports."""
    from cnnbook.weave import imported_modules

    groups = list(parts(ROOT / "_toc.yml").values())
    names = [name for group in groups[:5] for name in group]
    needs = {name: card.needs for name, card in cards(names, ROOT / "book").items()}
    above = {}
    for name, others in needs.items():
        above[name] = set(others).union(*(above[other] for other in others))
        module = ROOT / "cnnbook" / f"{name}.py"
        if module.exists():
            used = imported_modules(module.read_text("utf-8")) & set(names)
            assert used - {name} <= above[name], (name, used - above[name])


def test_levels():
    assert levels({"a": (), "b": ("a",), "c": ("a", "b"), "d": ("a",)}) == {
        "a": 0,
        "b": 1,
        "c": 2,
        "d": 1,
    }
    with pytest.raises(ValueError, match="b needs c"):
        levels({"a": (), "b": ("c",), "c": ("a",)})


def test_direct_needs():
    needs = {"a": (), "b": ("a",), "c": ("a", "b"), "d": ("c", "a")}
    assert direct_needs(needs) == {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}


def test_more_parts_than_kinds_of_frames_are_refused():
    groups = {f"part {k}": [f"c{k}"] for k in range(6)}
    with pytest.raises(ValueError, match="^groups: 5 parts"):
        chapter_map({f"c{k}": () for k in range(6)}, groups)


def test_map_has_every_chapter_and_arrow():
    figure = chapter_map(
        {"a": (), "b": ("a",), "c": ("a", "b")}, {"One": ["a", "b"], "Two": ["c"]}
    )
    texts = figure.axes[0].texts
    assert {t.get_text() for t in texts} >= {"a", "b", "c"}
    assert (
        sum(hasattr(t, "arrow_patch") and t.arrow_patch is not None for t in texts) == 2
    )
    assert figure._repr_svg_().count("</svg>") == 1


def test_filled():
    assert filled("{{a:.1f}}% of {{ b }}", {"a": 97.349, "b": "all"}) == "97.3% of all"
    assert filled("none", {}) == "none"
    assert filled("{{best:.0f}}", {"best": 3}) == "3"
    with pytest.raises(KeyError, match="gone"):
        filled("{{gone}}", {"a": 1})


def test_glued_value():
    def kept(text):
        return {"data": {"text/plain": text}}

    assert glued_value(kept("97.5")) == 97.5
    assert glued_value(kept("'a word'")) == "a word"
    assert glued_value(kept("a word")) == "a word"


BOOK = {
    "index": "# Start\n\n```{toctree}\npage\nother\n```\n",
    "other": "# The other one\n\nText.\n",
}


def test_boxes_on_a_page(tmp_path):
    page = (
        "# Page\n\n```{chapter}\n:needs: other\n:minutes: 7\n\ndo *this*.\n```\n\n"
        "```{ask} How many, $1$ or 2?\nTwo.\n```\n\nA {chosen}`50%` share.\n"
    )
    soup, warnings = build(tmp_path, {**BOOK, "page": page}, ["cnnbook.pages"])
    assert warnings == ""
    card = soup["page"].select_one("div.chapter-card")
    words = " ".join(card.get_text().split())
    assert words == (
        "You need The other one It takes 7 minutes, without the exercises "
        "Afterwards you can do this."
    )
    assert card.select_one("a")["href"] == "other.html"
    question = soup["page"].select_one("div.ask")
    assert question.select_one("p.ask-question").get_text().startswith("How many")
    details = question.select_one("details")
    assert details.select_one("summary").get_text() == "Answer"
    assert details.select_one("div.ask-answer").get_text().strip() == "Two."
    assert not details.has_attr("open")
    assert "A 50% share." in soup["page"].get_text()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("```{chapter}\n:needs: other\n\ngoal.\n```", "needs :minutes: and a goal"),
        ("```{chapter}\n:minutes: 5\n```", "needs :minutes: and a goal"),
        (
            "```{chapter}\n:minutes: 5\n```\n\nText.\n\n```{code-cell}\nx\n```\n",
            "a goal",
        ),
        ("```{chapter}\n:needs: gone\n:minutes: 5\n\ngoal.\n```", "gone"),
        ("```{ask} Why?\n```", "a question needs an answer"),
        ("```{cards} No such part\n```", "no part is called 'No such part'"),
        ("A {reported}`0.23%` error.", "needs a number and <a key>"),
    ],
)
def test_slips_are_named(tmp_path, page, words):
    (tmp_path / "_toc.yml").write_text("parts: []\n")
    book = {**BOOK, "page": "# Page\n\n" + page + "\n"}
    _, warnings = build(tmp_path, book, ["cnnbook.pages"])
    assert words in warnings
    assert "page.md" in warnings


def test_reported_number_carries_its_source(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "refs.bib").write_text(
        "@article{me2020, author={Doe, Jane}, title={It}, journal={J}, year={2020}}\n"
    )
    book = {
        **BOOK,
        "page": "# Page\n\nAn error of {reported}`0.23% <me2020>`.\n\n"
        "```{bibliography}\n```\n",
    }
    settings = {
        "bibtex_bibfiles": ["refs.bib"],
        "bibtex_reference_style": "author_year",
    }
    extensions = ["sphinxcontrib.bibtex", "cnnbook.pages"]
    soup, warnings = build(tmp_path, book, extensions, settings)
    assert warnings == ""
    assert re.search(r"0\.23% \[Doe, 2020\]", soup["page"].get_text())


def test_alternative_text_is_filled_in(tmp_path):
    cell = (
        HEADER + "# Page\n\n"
        "```{code-cell}\n---\nmystnb:\n  image:\n    alt: "
        "It ends at {{end:.1f}}.\n---\n"
        "from IPython.display import SVG\nfrom myst_nb import glue\n\n"
        'glue("end", 2.04, display=False)\n'
        'SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\')\n```\n'
    )
    book = {**BOOK, "page": cell}
    soup, warnings = build(tmp_path, book, ["cnnbook.pages"])
    assert warnings == ""
    assert (
        soup["page"].select_one("article img, div.body img")["alt"] == "It ends at 2.0."
    )
    book["page"] = cell.replace("{{end", "{{gone")
    _, warnings = build(tmp_path, book, ["cnnbook.pages"])
    assert "'gone'" in warnings


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (":needs: shapes,  data\n:minutes: 25", ":minutes: 25\n:needs: shapes,  data"),
        (":minutes: 25\n\n", ":minutes: 25\n"),
        ("is lost.\n```", "is lost.\n``` "),
        ("```{chapter}", "```{chapter} "),
        (":minutes: 25", ":minutes: 25 "),
    ],
)
def test_read_card_takes_what_sphinx_takes(old, new):
    assert old in TEXT
    assert read_card(TEXT.replace(old, new)) == read_card(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (":minutes: 25\n", ""),
        (":minutes: 25", ":minutes: soon"),
        ("say what\nis lost.", ""),
    ],
)
def test_a_card_with_a_gap_is_refused(old, new):
    with pytest.raises(ValueError, match="needs :minutes:"):
        read_card(TEXT.replace(old, new))


def test_a_card_shown_in_a_longer_fence_does_not_count():
    assert read_card(f"`````\n{TEXT}`````\n\n{TEXT}").goal == "say what is lost."
