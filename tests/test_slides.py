"""Marks in a chapter and the deck that is cut from its page, on small pages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from tiny_book import HEADER

from cnnbook import slides

ROOT = Path(__file__).resolve().parent.parent

CONF = """\
extensions = ["myst_nb", "sphinx_external_toc", "cnnbook.pages", "cnnbook.slides"]
external_toc_path = "../_toc.yml"
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
templates_path = [{templates!r}]
html_theme = "basic"
suppress_warnings = ["myst.header"]
"""

TOC = """\
format: jb-book
root: index
parts:
  - caption: The operation
    numbered: 1
    chapters:
      - file: lines
      - file: plain
  - caption: Tools
    chapters:
      - file: tool
"""

LINES = """\
# Lines

> Lines: numbers in a row.

```{chapter}
:minutes: 5

slide a window.
```

% a comment that is none of our business

## On a line

% slide

Three weights, see {doc}`plain` and {eq}`short`.

This is for readers, $a<b$.

% slide: A kernel of $k$ weights, `K` -- short

$$
Y = K
$$ (short)

% also

1. one
2. two

```{ask} How many?
As many as {eq}`short` says.
```

## In code

% slide

```{code-cell}
def f():
    '''Return one.

    Long talk.
    '''
    return 1
```
""".replace("'''", '"""')


def build(folder, chapters):
    """Build a small book with Sphinx; return the process and the site's folder."""
    book = folder / "book"
    book.mkdir(parents=True)
    templates = str(ROOT / "book" / "_templates")
    (book / "conf.py").write_text(CONF.format(templates=templates))
    (folder / "_toc.yml").write_text(TOC)
    (folder / "CITATION.cff").write_text((ROOT / "CITATION.cff").read_text())
    texts = {n: f"# {n.title()}\n" for n in ("index", "lines", "plain", "tool")}
    for name, text in (texts | chapters).items():
        (book / f"{name}.md").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, str(book), str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done, folder / "html"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A built book with one deck."""
    done, html = build(tmp_path_factory.mktemp("good"), {"lines": HEADER + LINES})
    assert done.returncode == 0, done.stderr
    return html


def read(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture
def deck(site):
    """The sections of the deck, by their names."""
    soup = read(site / "slides" / "lines.html")
    return {section["id"]: section for section in soup.select(".slides > section")}


def cut(body):
    return slides.cut_slides(f"<section><h2>T</h2>{body}</section>", "page")


# -- a page and its deck, built by Sphinx ------------------------------------------


def test_marks_make_slides_in_order(deck):
    names = ["on-a-line", "a-kernel-of-k-weights-k-short", "question", "in-code"]
    assert list(deck) == ["start", *names, "end"]
    assert deck["on-a-line"].h2.decode_contents() == "On a line"
    title = deck["a-kernel-of-k-weights-k-short"].h2
    assert title.select_one("span.math").get_text() == r"\(k\)"
    assert title.code.get_text() == "K"
    assert [s.select_one(".where").get_text().split()[-3] for s in deck.values()] == [
        str(k) for k in range(1, 7)
    ]


def test_also_adds_to_the_slide_and_numbers_stay(deck):
    slide = deck["a-kernel-of-k-weights-k-short"].select_one(".fit")
    assert "(1)" in slide.select_one(".math .eqno").get_text()
    assert [li.get_text().strip() for li in slide.select("li")] == ["one", "two"]


def test_question_is_a_slide_and_its_answer_a_fragment(deck):
    slide = deck["question"]
    assert slide.h2.get_text() == "How many?"
    assert slide.select_one(".fragment").get_text().split() == [
        *["As", "many", "as", "(1)", "says."]
    ]
    assert not slide.select("details, summary")


def test_unmarked_text_is_for_the_speaker_alone(deck):
    notes = deck["on-a-line"].select_one("aside.notes").get_text()
    assert "for readers" in notes and "a<b" in notes
    assert "for readers" not in deck["on-a-line"].select_one(".fit").get_text()


def test_first_slide_introduces_the_chapter(deck):
    text = " ".join(deck["start"].get_text().split())
    assert deck["start"].h1.get_text().endswith("Lines")
    assert "Part I: The operation" in text
    assert "Numbers in a row." in text and "Afterwards you can slide a window." in text
    version = slides.citation(ROOT / "CITATION.cff")["version"]
    assert "The cnnbook authors" in text and version in text


def test_last_slide_leads_back_and_says_how_to_cite(deck):
    assert deck["end"].a["href"] == "../lines.html"
    assert "To cite: The cnnbook authors" in deck["end"].get_text()


def test_links_of_a_deck_lead_to_pages(site, deck):
    links = [a["href"] for a in deck["on-a-line"].select("a")]
    assert links == ["../plain.html", "../lines.html#equation-short"]
    for section in deck.values():
        assert not section.select("a.headerlink, button, p.exported")
        for link in section.select("a[href]"):
            assert (site / "slides" / link["href"].split("#")[0]).exists()


def test_docstring_is_shortened(deck):
    lines = deck["in-code"].pre.get_text().strip().split("\n")
    assert lines == ["def f():", '    """Return one."""', "    return 1"]


def test_ids_are_unique_and_the_page_is_a_page(site):
    soup = read(site / "slides" / "lines.html")
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    assert soup.html["lang"] == "en" and "Lines" in soup.title.get_text()
    assert len(soup.select("main")) == len(soup.select("h1")) == 1
    sources = [s["src"] for s in soup.select("script[src]")]
    assert all(s.startswith("../_static/") for s in sources)
    assert not any("type" in s.attrs for s in soup.select("script[src]"))


def test_page_shows_no_marks(site):
    text = (site / "lines.html").read_text(encoding="utf-8")
    assert "<!-- mark" not in text and "% slide" not in text
    assert "A kernel of" not in text


def test_chapter_without_marks_has_no_deck(site):
    assert [p.name for p in (site / "slides").iterdir()] == ["lines.html"]


def test_reveal_is_copied_with_its_licence(site):
    names = {path.name for path in (site / "_static" / "reveal").iterdir()}
    assert names == {"LICENSE", "notes.js", "reveal.css", "reveal.js"}


def test_wrong_marks_stop_the_build_and_are_found(tmp_path):
    wrong = (
        "# Lines\n\n% also\n\nText.\n\n"  # 3
        "% slides\n\nText.\n\n"  # 7
        "% slide Title\n\nText.\n\n"  # 11
        "```\n% slide\n```\n\n"
        "% slide\n\n"  # 19
        "## Next\n\nText.\n\n% slide\n\n"  # 25
        "## Last\n\n% slide\n\n```{code-cell}\n"  # 29
        ":tags: [remove-cell]\n\nx = 1\n```\n\nText.\n"
    )
    done, _ = build(tmp_path, {"lines": HEADER + wrong})
    assert done.returncode != 0
    first = HEADER.count("\n")
    found = re.findall(r"lines\.md:(\d+): WARNING: (.*)", done.stderr)
    found.sort(key=lambda pair: int(pair[0]))
    assert [int(line) - first for line, _ in found] == [3, 7, 11, 19, 25, 29]
    expected = ["slide before it", *["no mark"] * 2, *["nothing"] * 2, "hidden cell"]
    for (_, message), words in zip(found, expected, strict=True):
        assert words in message


# -- the parts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "title"),
    [
        ("slide", "slide", ""),
        ("slide: A title", "slide", "A title"),
        ("slide:  $k$: weights", "slide", "$k$: weights"),
        ("also", "also", ""),
    ],
)
def test_read_mark(text, kind, title):
    assert slides.read_mark(text) == (kind, title)


@pytest.mark.parametrize(
    "text",
    ["slides", "Slide", "slide Title", "slide:", "slide:Title", "also: x", "also x"],
)
def test_what_is_nearly_a_mark_is_refused(text):
    assert slides.is_meant_as_mark(text)
    with pytest.raises(ValueError, match="no mark"):
        slides.read_mark(text)


@pytest.mark.parametrize("text", ["", "see below", "TODO", "a note", "$x$", "---"])
def test_other_comments_are_left_alone(text):
    assert not slides.is_meant_as_mark(text)


def test_slide_without_title_takes_the_section_around():
    body = '<section id="x"><!-- mark 1 slide --><p>a</p></section>'
    (slide,), problems = cut(body)
    assert (slide.title, problems) == ("T", [])


def test_heading_loses_its_link_and_number():
    head = (
        '<h2><span class="section-number">1. </span>A <em>b</em>'
        '<a class="headerlink" href="#x">#</a></h2>'
    )
    body = f"<section>{head}<!-- mark 1 slide --><p>a</p></section>"
    (slide,), _ = slides.cut_slides(body, "page")
    assert slide.title == "A <em>b</em>"


def test_equal_titles_get_different_names():
    found, _ = cut("<!-- mark 1 slide --><p>a</p><!-- mark 2 slide --><p>b</p>")
    assert [slide.name for slide in found] == ["t", "t-2"]
    assert slides.slide_name("Start", {"start"}) == "start-2"
    assert slides.slide_name("$$", set()) == "slide"


def test_anchor_before_a_block_is_passed_over():
    found, problems = cut('<!-- mark 1 slide --><span id="fig"></span><p>a</p>')
    assert problems == [] and found[0].blocks == ["<p>a</p>"]


def test_marked_question_is_one_slide():
    ask = (
        '<div class="ask docutils"><p class="ask-question">Q</p><details>'
        '<summary>Answer</summary><div class="ask-answer">A</div></details></div>'
    )
    found, problems = cut(f"<!-- mark 1 slide -->{ask}")
    assert problems == [] and [s.title for s in found] == ["Q"]
    assert found[0].blocks == ['<div class="ask-answer">A</div>']
    body = f"<!-- mark 1 slide --><p>a</p>{ask}<!-- mark 5 also --><p>b</p>"
    assert [line for line, _ in cut(body)[1]] == [5]
    body = f"<!-- mark 1 slide --><p>a</p><!-- mark 3 also -->{ask}"
    found, problems = cut(body)
    assert len(found) == 2 and [line for line, _ in problems] == [3]


def test_mark_before_a_mark_shows_nothing():
    found, problems = cut("<!-- mark 1 slide --><!-- mark 2 slide --><p>a</p>")
    assert len(found) == 1
    assert [line for line, _ in problems] == [1]


def cell(inside):
    return f'<!-- mark 1 slide --><div class="cell">{inside}</div>'


CODE = '<div class="cell_input"><pre>x = 1</pre></div>'
OUTPUT = '<div class="cell_output"><pre>1</pre></div>'


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        (CODE + OUTPUT, "x = 11"),
        (f'<details class="hide above-input">{CODE}</details>{OUTPUT}', "1"),
        (f'<details class="hide above-input">{CODE}{OUTPUT}</details>', "1"),
        (f'{CODE}<details class="hide below-input">{OUTPUT}</details>', "x = 11"),
    ],
)
def test_folded_cells(inside, shown):
    (slide,), problems = cut(cell(inside))
    assert problems == []
    assert BeautifulSoup(slide.blocks[0], "html.parser").get_text() == shown


def test_cell_with_nothing_to_show_is_refused():
    found, problems = cut(cell(f'<details class="hide above-input">{CODE}</details>'))
    assert found == [] and "shows nothing" in problems[0][1]
    (slide,), problems = cut(cell('<div class="cell_output"><img src="a.svg"/></div>'))
    assert problems == [] and 'src="../a.svg"' in slide.blocks[0]


def test_what_belongs_to_the_page_stays_there():
    body = (
        '<!-- mark 1 slide --><div class="cell" id="f"><p class="exported">to</p>'
        '<p class="needs">torch</p><button>copy</button><p>a<a class="headerlink"'
        ' href="#f">#</a></p></div>'
    )
    (slide,), _ = cut(body)
    assert slide.blocks == ['<div class="cell"><p>a</p></div>']


@pytest.mark.parametrize(
    ("address", "page", "seen"),
    [
        ("#a", "page", "../page.html#a"),
        ("b.html#a", "page", "../b.html#a"),
        ("_images/x.svg", "page", "../_images/x.svg"),
        ("../_images/x.svg", "more/page", "../_images/x.svg"),
        ("https://example.org/x", "page", "https://example.org/x"),
        ("data:image/png;base64,AA", "page", "data:image/png;base64,AA"),
        ("mailto:a@example.org", "page", "mailto:a@example.org"),
    ],
)
def test_addresses_are_moved(address, page, seen):
    assert slides.moved(address, page) == seen


def test_docstrings_of_one_line_and_other_strings_stay():
    pre = (
        '<pre><span class="sd">"""One."""</span>\n<span class="n">x</span>\n'
        '<span class="sd">"""Two.</span>\n<span class="sd">   more</span>\n'
        '<span class="sd">   """</span>\n<span class="s">"""three</span></pre>'
    )
    box = BeautifulSoup(f'<div class="cell_input">{pre}</div>', "html.parser")
    slides.shorten_docstrings(box)
    assert box.get_text() == '"""One."""\nx\n"""Two."""\n"""three'


def test_opening_without_anything():
    assert slides.opening("<h1>A</h1>", "p") == {"title": "A", "says": "", "goal": ""}


def test_part_of_the_book():
    toc = ROOT / "_toc.yml"
    assert slides.part_of("convolution", toc) == "Part I: The operation"
    assert slides.part_of("digits", toc).startswith("Part V: ")
    assert slides.part_of("plots", toc) == "Tools and appendix"
    assert slides.part_of("index", toc) == ""


def test_citation_knows_both_kinds_of_names(tmp_path):
    path = tmp_path / "CITATION.cff"
    path.write_text(
        "title: T\nversion: 1.0\ndate-released: 2026-11-21\nauthors:\n"
        "  - name: A group\n  - given-names: Ada\n    family-names: L\n"
    )
    found = slides.citation(path)
    assert found["authors"] == "A group, Ada L"
    assert (found["year"], found["version"]) == ("2026", "1.0")


def test_mark_lines_are_found_in_order():
    lines = ["% slide", "x", "%  also", "% slide"]
    assert slides.mark_line(lines, "slide", 0) == 1
    assert slides.mark_line(lines, "also", 1) == 3
    assert slides.mark_line(lines, "slide", 3) == 4


def test_slides_code_is_loaded_by_decks_only():
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert "slides.css" not in text and "slides.js" not in text


DRAWING = """<svg width="30pt" viewBox="0 0 30 9">
<g id="part-1"><path d="M 0 0 L 12 0 L 12 9 L 0 9 z" style="fill: none"/></g>
<g id="part-2"><path d="M 27.5 0.5 L 15 0.5 L 15 9 z"/></g>
<g id="patch-3"><path d="M 1 1 L 2 2"/></g></svg>"""


def test_parts_are_the_named_rectangles():
    assert slides.parts_of(DRAWING) == [(0, 0, 12, 9), (15, 0.5, 12.5, 8.5)]
    assert slides.parts_of("<svg/>") == []


def test_a_drawing_in_parts_shows_each_and_says_it_once():
    image = '<p><img class="x" alt="one &quot;two&quot;" src="../_images/a.svg"/></p>'
    shown = BeautifulSoup(slides.in_parts(image, {"a.svg": DRAWING}), "html.parser")
    assert [i["src"] for i in shown.select(".part > img")] == ["../_images/a.svg"] * 2
    assert [i["alt"] for i in shown.select("img")] == ["", ""]
    assert shown.select_one("p > .parts[role=img]")["aria-label"] == 'one "two"'
    style = "--left:20.0;--top:0.7;--width:16.7;--height:11.3;--full:40.0"
    assert shown.select(".part")[1]["style"] == style


@pytest.mark.parametrize(
    "drawing", ["", "<svg/>", DRAWING.replace("part-2", "p"), DRAWING.replace("pt", "")]
)
def test_a_drawing_without_parts_stays(drawing):
    image = '<img alt="a" src="_images/a.svg"/><img src="b.png"/>'
    assert slides.in_parts(image, {"a.svg": drawing}) == image
    assert slides.in_parts(image, {}) == image


def test_text_before_the_first_slide_of_a_section_is_a_note():
    body = (
        "<p>Zero.</p><p>One.</p><table></table><!-- mark 1 slide --><p>Two.</p>"
        "<p>Three.</p><!-- mark 2 slide --><p>Four.</p>"
    )
    first, second = cut(body)[0]
    assert first.notes == ["<p>Zero.</p>", "<p>One.</p>", "<p>Three.</p>"]
    assert second.notes == []


def test_text_behind_a_question_stays_with_the_question():
    question = (
        '<div class="ask docutils"><p class="ask-question">Why?</p>'
        '<details><summary>Answer</summary><div class="ask-answer">So.</div></details>'
        "</div>"
    )
    asked, then = cut(f"{question}<p>Behind.</p><!-- mark 1 slide --><p>Two.</p>")[0]
    assert asked.notes == ["<p>Behind.</p>"] and then.notes == []
