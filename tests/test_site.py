"""The website as a reader opens it: from the file system, without a network."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pytest
from nbclient import NotebookClient
from visits import CHAPTERS, ROOT, SITE, Visit, need_site, soup

from cnnbook.exercises import EXERCISES
from cnnbook.weave import read_chapter

need_site()


@pytest.mark.parametrize("name", ["convolution", "backprop", "losses"])
def test_formulas_are_typeset(browser, name):
    with Visit(browser, f"{name}.html") as visit:
        formulas = len(soup(f"{name}.html").select(".math"))
        assert formulas > 10
        visit.page.wait_for_function(
            f"document.querySelectorAll('mjx-container').length >= {formulas}",
            timeout=20000,
        )
        assert visit.page.locator("mjx-merror").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_show_in_both_themes(browser, theme):
    """They load, and lie on the page's own ground, unfiltered."""
    with Visit(browser, "digits.html", theme) as visit:
        page = visit.page
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        figures = page.locator("article img[src$='.svg']")
        assert figures.count() >= 5
        for k in range(figures.count()):
            figure = figures.nth(k)
            assert figure.evaluate("e => e.complete && e.naturalWidth > 100")
            style = figure.evaluate(
                "e => [getComputedStyle(e).filter, getComputedStyle(e).backgroundColor]"
            )
            assert style == ["none", "rgba(0, 0, 0, 0)"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_ink_of_figures_stands_out(browser, theme):
    """The figures' grey has a contrast of at least 3:1 with the page."""
    with Visit(browser, "plots.html", theme) as visit:
        ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", ground)[:3])
    from cnnbook.plots import INK, LINES

    paper = luminance(red, green, blue)
    for colour in [INK, *(line[0] for line in LINES)]:
        ink = luminance(*(int(colour[k : k + 2], 16) for k in (1, 3, 5)))
        ratio = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert ratio >= 3, (colour, ground)


def luminance(*channels):
    """Relative luminance (WCAG 2.2) of red, green and blue from 0 to 255."""
    shares = [c / 255 for c in channels]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_search_finds_chapters(browser):
    with Visit(browser, "search.html") as visit:
        visit.page.goto(
            (SITE / "search.html").as_uri() + "?q=pooling", wait_until="load"
        )
        visit.page.wait_for_selector("#search-results li a", timeout=20000)
        found = visit.page.locator("#search-results li a").all()
        links = [link.get_attribute("href") for link in found]
        assert any("pooling.html" in link for link in links)
        assert visit.complaints == []


def test_every_picture_is_vector_and_has_alternative_text(pages):
    count = 0
    for name, page in pages.items():
        for image in page.select("article img"):
            count += 1
            source = image["src"]
            vector = source.endswith(".svg") or source.startswith("data:image/svg")
            assert vector, (name, source[:60])
            assert len(image.get("alt", "")) >= 20, (name, source[:60])
            assert not image["alt"].startswith("_images"), name
    assert count >= 20


def test_every_link_leads_somewhere(pages):
    """Pages, files and the places in them that internal links name."""
    places = {
        name: {tag["id"] for tag in page.select("[id]")} for name, page in pages.items()
    }
    broken = []
    for name, page in pages.items():
        for link in page.select("a[href]"):
            url = urlparse(link["href"])
            if url.scheme or link["href"] in ("#", ""):
                continue
            target = (SITE / name).parent / unquote(url.path) if url.path else None
            file = SITE / name if target is None else target.resolve()
            if not file.exists():
                broken.append((name, link["href"]))
                continue
            key = file.relative_to(SITE.resolve()).as_posix()
            fragment = unquote(url.fragment)
            if fragment and key in places and fragment not in places[key]:
                broken.append((name, link["href"]))
    assert broken == []


def test_course_can_be_downloaded(pages):
    links = [a["href"] for a in pages["exercises.html"].select("a.download")]
    names = sorted(Path(link).name for link in links)
    assert names == ["exercises.ipynb", "solutions.ipynb"]
    for link in links:
        bundled = ROOT / "cnnbook" / "notebooks" / Path(link).name
        assert (SITE / link).read_bytes() == bundled.read_bytes()


def test_stubs_are_shown_and_solutions_are_right(pages):
    asked, right = 0, 0
    for page in pages.values():
        stubs = [b.get_text() for b in page.select("div.exercise div.highlight-python")]
        asked += sum("NotImplementedError" in stub for stub in stubs)
        said = [o.get_text() for o in page.select("div.solution div.cell_output")]
        right += sum(" is right, in all " in text for text in said)
    assert asked == right == len(EXERCISES)


def test_marks_lead_to_lines_and_lines_to_marks(pages):
    """Both directions between a page's cells and the package's listing."""
    marks = lines = 0
    for name, page in pages.items():
        for mark in page.select("p.exported a[href*='_modules/']"):
            marks += 1
            path, anchor = mark["href"].split("#")
            line = pages[path].find(id=anchor)
            assert line is not None, (name, mark["href"])
            back = line.find("a")["href"]
            assert Path(back.split("#")[0]).name == name
            assert page.find(id=back.split("#")[1]) is not None
        if name.startswith("_modules/cnnbook"):
            lines += len(page.select("span[id^='cell-'] a"))
    assert marks == lines > 150


def test_anchors_are_unique(pages):
    for name in CHAPTERS:
        ids = [tag["id"] for tag in pages[f"{name}.html"].select("[id]")]
        twice = {i for i in ids if ids.count(i) > 1}
        assert not {i for i in twice if not i.startswith(("MJX", "__"))}, name


def test_directives_are_not_shown(pages):
    for name in CHAPTERS:
        for cell in pages[f"{name}.html"].select(".cell_input pre"):
            first = cell.get_text().strip().split("\n")[0]
            assert not first.startswith("#|"), (name, first)


def test_no_path_of_the_building_machine(pages):
    for name, page in pages.items():
        around = ROOT.parent if len(ROOT.parents) > 1 else ROOT
        assert f"{around}{os.sep}" not in page.get_text(), name
        assert str(Path.home()) + "/" not in page.get_text(), name


def test_no_code_is_wider_than_the_column():
    """Code lines fit the column at the width that the style sheet sets."""
    long = []
    for name in CHAPTERS:
        for cell in soup(f"{name}.html").select(".cell_input pre"):
            for line in cell.get_text().split("\n"):
                if len(line) > 88:
                    long.append((name, line))
    assert long == []


def visible_cells(name):
    """The code of a chapter that a reader sees, cell by cell."""
    cells = read_chapter(ROOT / "book" / f"{name}.md").cells
    return [
        re.sub(r"\A(?:#\|.*\n?)+", "", cell.source).strip("\n")
        for cell in cells
        if cell.cell_type == "code"
        and "remove-cell" not in cell.metadata.get("tags", [])
    ]


def typed(sources, folder):
    """The text that each cell prints or returns in a notebook of its own."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
    texts = []
    for cell in notebook.cells:
        printed = [o.text for o in cell.outputs if o.get("name") == "stdout"]
        shown = ["".join(printed)]  # which may come in pieces
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/svg+xml" not in data and "text/plain" in data:
                shown.append(data["text/plain"])
        texts.append("\n".join(text.strip() for text in shown if text.strip()))
    return texts


@pytest.mark.parametrize("name", ["convolution", "backprop", "lowering"])
def test_typing_the_visible_cells_gives_the_text_on_the_page(
    name, tmp_path, monkeypatch
):
    """In an empty notebook, cell after cell; only pictures are not compared."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    sources = visible_cells(name)
    cells = soup(f"{name}.html").select("article div.cell")
    assert [c.select_one(".cell_input pre").get_text().strip() for c in cells] == [
        source.strip() for source in sources
    ]
    texts = typed(sources, tmp_path)
    assert sum(map(len, texts)) > 400  # there is something to compare
    for source, cell, text in zip(sources, cells, texts, strict=True):
        blocks = cell.select(".cell_output .stream pre, .cell_output .text_plain pre")
        shown = "\n".join(block.get_text().strip() for block in blocks)
        assert shown == text, source


def test_text_that_a_hidden_cell_changed_would_be_noticed(tmp_path, monkeypatch):
    """A cell that needs a hidden one fails when it is typed alone."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    assert typed(["a = 1", "print(a + 1)"], tmp_path) == ["", "2"]
    with pytest.raises(Exception, match="NameError"):
        typed(["print(hidden)"], tmp_path)


def test_no_chapter_takes_more_than_a_minute():
    """The page on the tools lists how long each chapter ran."""
    rows = soup("weave.html").select("table.nb-exec-table tbody tr, table tbody tr")
    times = {}
    for row in rows:
        cells = [cell.get_text().strip() for cell in row.select("td")]
        if len(cells) == 5 and cells[2] == "cache":
            times[cells[0].split("/")[-1]] = float(cells[3])
    assert {"shapes", "convolution", "backprop", "lowering"} <= times.keys()
    slow = {name: seconds for name, seconds in times.items() if seconds > 60}
    before_training = CHAPTERS[: CHAPTERS.index("layers")]
    assert not slow.keys() & set(before_training), slow
