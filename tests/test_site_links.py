"""The website's links between chapters, the list of names, tests and glossary."""

import ast
import gzip
import re
from urllib.parse import unquote

import pytest
from visits import CHAPTERS, ROOT, SITE, need_site

from cnnbook.links import read_book, read_terms

need_site()

LISTS = [name for name in CHAPTERS if name.startswith("api")]
LIMIT = 1_500_000  # bytes of a page, compressed


@pytest.fixture(scope="module")
def book():
    return read_book(ROOT)


@pytest.fixture(scope="module")
def entries(pages):
    """The lists of names: from a full name to its entry."""
    return {
        sign["id"]: sign.parent
        for name in LISTS
        for sign in pages[f"{name}.html"].select("dt.sig[id]")
    }


@pytest.fixture(scope="module")
def lists(pages):
    """From a full name to the page that has its entry."""
    return {
        sign["id"]: f"{name}.html"
        for name in LISTS
        for sign in pages[f"{name}.html"].select("dt.sig[id]")
    }


@pytest.fixture(scope="module")
def places():
    """All ids of all pages that links lead to."""
    files = [*SITE.glob("*.html"), *(SITE / "_tests").glob("*.html")]
    files += (SITE / "_modules").rglob("*.html")
    found = {}
    for file in files:
        name = file.relative_to(SITE).as_posix()
        found[name] = set(re.findall(r'\bid="([^"]+)"', file.read_text("utf-8")))
    return found


def origin(entry):
    """The last line of an entry, not one of its methods'."""
    lines = entry.select(":scope > dd > div.origin")
    assert len(lines) == 1, entry.dt["id"]
    return [unquote(a["href"]) for a in lines[0].select("a[href]")]


def test_every_name_has_an_entry_and_only_one(book, entries, pages):
    found = [pages[f"{name}.html"].select("dt.sig[id]") for name in LISTS]
    ids = [sign["id"] for signs in found for sign in signs]
    assert len(ids) == len(set(ids))
    listed = {place.dotted for place in book.places.values() if place.documented}
    assert len(listed) > 400
    assert listed <= set(entries)


def test_every_entry_leads_to_its_section_and_tests(book, entries, lists, places):
    core = CHAPTERS[: CHAPTERS.index("plots")]
    broken, untested = [], []
    for place in book.places.values():
        if not place.documented:
            continue
        links = origin(entries[place.dotted])
        for link in links:
            file, _, anchor = link.partition("#")
            file = file or lists[place.dotted]
            if file not in places or (anchor and anchor not in places[file]):
                broken.append((place.dotted, link))
        sections = [link for link in links if link.startswith(f"{place.chapter}.html#")]
        assert f"{place.chapter}.html" in [link.split("#")[0] for link in links]
        assert sections or not place.section, place.dotted
        equations = [link for link in links if "#equation-" in link]
        known = [label for label in place.equations if label in book.equations]
        assert len(equations) == len(known), place.dotted
        if place.chapter in core and not any(x.startswith("_tests/") for x in links):
            untested.append(place.dotted)
    assert broken == []
    assert untested == []


def test_marks_lead_to_entries_and_these_back(book, entries, lists, pages):
    count = 0
    for chapter, read in book.pages.items():
        page = pages[f"{chapter}.html"]
        linked = {}
        for mark in page.select("p.exported"):
            links = [a["href"] for a in mark.select("a")]
            linked[links[0].rpartition("#cell-")[2]] = links[1:]
        for name, links in linked.items():
            place = book.places.get((read.module, name))
            if place is None or not place.documented:
                assert links == [], (chapter, name)
                continue
            count += 1
            assert links == [f"{lists[place.dotted]}#{place.dotted}"]
            heading = page.find(id=name).find_previous(["h1", "h2", "h3"])
            section = heading.find_parent("section")
            ids = {section["id"], *(s["id"] for s in section.find_all("span", id=True))}
            back = origin(entries[place.dotted])
            anchors = {b.partition("#")[2] for b in back if b.startswith(f"{chapter}.")}
            assert heading.name == "h1" or anchors & ids, place.dotted
    assert count > 400


def test_names_in_the_text_are_links(pages):
    linked = [a["href"] for a in pages["convolution.html"].select("a:has(> code.api)")]
    assert "api_operations.html#cnnbook.convolution.conv2d" in linked
    assert "api_operations.html#cnnbook.convolution.correlate2d" in linked
    linked = [a["href"] for a in pages["training.html"].select("a:has(> code.api)")]
    assert "api_networks.html#cnnbook.training.fit" in linked
    assert "api_operations.html#cnnbook.fast.conv2d" in linked


def test_there_are_many_links_and_none_in_headings(pages):
    count = 0
    for name in CHAPTERS:
        page = pages[f"{name}.html"].select_one("article")
        assert page.select(":is(h1, h2, h3, h4) code.api") == [], name
        assert page.select("pre code.api, a a") == [], name
        count += len(page.select("a > code.api"))
    assert count > 120


def test_constants_show_no_machine(entries, book):
    constants = [p for p in book.places.values() if p.kind == "constant"]
    texts = [entries[p.dotted].get_text() for p in constants if p.documented]
    assert len(texts) > 50
    assert not [t for t in texts if str(ROOT) in t or " at 0x" in t]


def test_pages_of_tests(places, pages):
    names = sorted(p.stem for p in (ROOT / "tests").glob("test_*.py"))
    for name in names:
        page = pages[f"_tests/{name}.html"]
        assert name in page.title.get_text()
        assert [h.get_text() for h in page.select("article h1")] == [f"{name}.py"]
        text = (ROOT / "tests" / f"{name}.py").read_text(encoding="utf-8")
        defined = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
        tests = {n.name for n in defined if n.name.startswith("test_")}
        assert tests <= places[f"_tests/{name}.html"], name
        lines = [line.rstrip() for line in text.strip().split("\n")]
        shown = page.select_one("div.highlight pre").get_text().strip().split("\n")
        assert [line.rstrip() for line in shown] == lines
    links = [a["href"] for a in pages["_tests/index.html"].select("article li a")]
    assert links == [f"{name}.html" for name in names]


def test_every_term_is_explained_linked_and_in_the_index(pages):
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    terms = read_terms(text)
    page = pages["glossary.html"]
    shown = {dt.get_text().rstrip("#").strip(): dt for dt in page.select("dl dt")}
    assert set(terms) <= set(shown)
    index = pages["genindex.html"].select("a[href^='glossary.html#']")
    indexed = {a["href"].partition("#")[2] for a in index}
    used = set()
    for name in CHAPTERS:
        for link in pages[f"{name}.html"].select("a[href*='glossary.html#']"):
            used.add(link["href"].partition("#")[2])
    for term in terms:
        assert shown[term]["id"] in indexed | used, term
    for entry in page.select("dl.glossary > dd"):
        assert entry.select("a[href]"), entry.get_text()


def test_the_index_says_where_a_term_is_used(places, pages):
    """Below a term stand sections of chapters, and each of them is there."""
    links = pages["genindex.html"].select("table.genindextable a[href*='#index-']")
    assert len(links) > 60
    for link in links:
        file, _, anchor = link["href"].partition("#")
        assert anchor in places[file], link["href"]
    texts = {link.get_text() for link in links}
    assert all(len(text) < 120 for text in texts), max(texts, key=len)
    assert any(text.startswith("Convolution: ") for text in texts)


def test_the_index_can_be_found(pages):
    for name in ("glossary", "notation"):
        assert pages[f"{name}.html"].select("article a[href='genindex.html']"), name


def test_notation_leads_to_formulas_and_sections(places, pages):
    rows = pages["notation.html"].select("article table tbody tr")
    assert len(rows) > 50
    for row in rows:
        link = row.select("td")[-1].select_one("a[href]")
        file, _, anchor = unquote(link["href"]).partition("#")
        assert anchor in places[file], row.get_text()


@pytest.mark.parametrize("name", [*LISTS, "genindex", "glossary", "notation"])
def test_pages_are_not_heavy(name):
    assert len(gzip.compress((SITE / f"{name}.html").read_bytes())) < LIMIT


def test_no_page_of_tests_is_heavy():
    sizes = {
        path.name: len(gzip.compress(path.read_bytes()))
        for path in (SITE / "_tests").glob("*.html")
    }
    assert len(sizes) > 30
    assert max(sizes.values()) < LIMIT
