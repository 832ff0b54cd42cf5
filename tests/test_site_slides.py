"""The decks as a lecturer opens them: from a folder, or from a server."""

import itertools
from urllib.parse import urlparse

import pytest
from visits import CHAPTERS, SITE, Visit, need_site, soup

need_site()

# A lecture has fewer slides only if the chapter is not one.
FEWEST = 8
# After that many slides without a question, an audience only listens.
LONGEST_TALK = 5
# slides.js doesn't go below it; at 0.6, code is as small as on the page.
SMALLEST = 0.6
# A figure's letters, measured by those of code at full size.
FAINTEST = 0.55

LECTURES = CHAPTERS[1 : CHAPTERS.index("lectures")]  # Parts I to V
DECKS = [name for name in CHAPTERS if (SITE / "slides" / f"{name}.html").exists()]

SECTIONS = ".slides > section"

# What of the slide that is shown lies outside of its 1280 by 720 pixels, or on
# another part of it.
STICKS_OUT = """() => {
    const slide = Reveal.getCurrentSlide(), found = [];
    const skip = "aside.notes, aside.notes *, mjx-container *, .part img";
    const rects = (e) => e.getBoundingClientRect();
    const look = (e, name, text, r) => {
        if (e.matches(skip) || !r.width || !r.height) return;
        if (r.left < -1 || r.top < -1 || r.right > 1281 || r.bottom > 721)
            found.push(`${slide.id}: <${name}> ${text.trim().slice(0, 30)}`);
    };
    for (const e of slide.querySelectorAll("*"))
        look(e, e.localName, e.textContent, rects(e));
    // Letters may reach beyond the box of the element that they stand in.
    const walker = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const range = document.createRange();
        range.selectNodeContents(walker.currentNode);
        const text = walker.currentNode.textContent;
        const parent = walker.currentNode.parentElement;
        if (text.trim()) look(parent, "text", text, rects(range));
    }
    const box = slide.querySelector(".fit"), heading = slide.querySelector("h1, h2");
    const foot = slide.querySelector(".book") || slide.querySelector(".where");
    if (rects(box).bottom > rects(foot).top + 1) found.push(slide.id + ": foot");
    if (rects(box).top < rects(heading).bottom - 1) found.push(slide.id + ": title");
    return found;
}"""

# Text of the slide that is shown whose contrast with its ground is below 4.5:1.
# (axe can't tell, since reveal.js lays one slide over the other.)
PALE = """() => {
    const numbers = (c) => c.match(/[\\d.]+/g).map(Number);
    const light = (c) => numbers(c).slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const ground = (e) => {
        const colour = getComputedStyle(e).backgroundColor;
        const [, , , alpha = 1] = numbers(colour);
        return alpha > 0 || !e.parentElement ? colour : ground(e.parentElement);
    };
    const slide = Reveal.getCurrentSlide(), found = [];
    const walker = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement, text = e.textContent.trim();
        const blank = !walker.currentNode.textContent.trim();
        if (blank || e.closest("aside.notes")) continue;
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.push(`${slide.id}: ${text.slice(0, 30)} ${ratio}`);
    }
    return found;
}"""


def show(visit):
    """Wait until a deck is ready; return its page, 1280 by 720 large."""
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 720})
    page.wait_for_selector("html.ready", timeout=30000)
    return page


def current(page):
    return page.evaluate("Reveal.getCurrentSlide().id")


@pytest.fixture(scope="module")
def questions():
    """A deck with a question: its name, the question's place and name."""
    for name in DECKS:
        for place, section in enumerate(soup(f"slides/{name}.html").select(SECTIONS)):
            if "question" in section.get("class", []):
                return name, place, section["id"]
    return pytest.fail("no deck has a question")


@pytest.mark.parametrize("name", LECTURES)
def test_chapter_has_a_lecture_with_questions(name):
    assert name in DECKS, f"{name} has no slides"
    sections = soup(f"slides/{name}.html").select(SECTIONS)
    assert len(sections) - 2 >= FEWEST
    talk = longest = 0
    for section in sections[1:-1]:
        talk = 0 if "question" in section.get("class", []) else talk + 1
        longest = max(longest, talk)
    assert longest <= LONGEST_TALK, f"{name}: {longest} slides without a question"


@pytest.mark.parametrize("name", DECKS)
def test_deck_is_quiet_typeset_and_fits(browser, name):
    with Visit(browser, f"slides/{name}.html") as visit:
        page = show(visit)
        assert page.locator("mjx-merror").count() == 0
        raw = page.eval_on_selector_all(
            "main .math",
            "all => all.filter(m => !m.querySelector('mjx-container'))"
            ".map(m => m.textContent)",
        )
        assert raw == []
        missing = page.eval_on_selector_all(
            "main img",
            "all => all.filter(i => !i.complete || i.naturalWidth < 10)"
            ".map(i => i.src)",
        )
        assert missing == []
        small = page.eval_on_selector_all(
            SECTIONS,
            "all => all.filter(s => s.querySelector('.fit'))"
            f".filter(s => s.dataset.fits !== 'true' || s.dataset.scale < {SMALLEST})"
            ".map(s => s.id)",
        )
        assert small == [], f"{name}: these slides hold too much: {small}"
        faint = page.eval_on_selector_all(
            f"{SECTIONS}:has(img)",
            f"all => all.filter(s => !(s.dataset.seen >= {FAINTEST}))"
            ".map(s => s.id + ' ' + s.dataset.seen)",
        )
        assert faint == [], f"{name}: the letters of these figures are too small"
        out = []
        for place in range(page.evaluate("Reveal.getTotalSlides()")):
            page.evaluate(f"Reveal.slide({place}, 0, 99)")
            out += page.evaluate(STICKS_OUT)
        assert out == []
        assert visit.complaints == []
        schemes = {urlparse(url).scheme for url in visit.requests}
        assert schemes <= {"file", "data", "blob"}


def test_what_sticks_out_would_be_noticed(browser):
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        page = show(visit)
        page.evaluate("Reveal.slide(1)")
        assert page.evaluate(STICKS_OUT) == []
        page.evaluate(
            "Reveal.getCurrentSlide().querySelector('.fit').insertAdjacentHTML("
            "'beforeend', '<pre>' + 'wide '.repeat(400) + '</pre>')"
        )
        assert any("<text> wide" in line for line in page.evaluate(STICKS_OUT))


def test_slide_that_holds_too_much_would_be_noticed(browser, tmp_path):
    """With a hundred lines more, the script says that a slide doesn't fit."""
    text = (SITE / "slides" / f"{DECKS[0]}.html").read_text(encoding="utf-8")
    text = text.replace("../_static", (SITE / "_static").as_uri())
    head, tail = text.split('<div class="fit">', 2)[1:]
    more = "<p>line</p>" * 100
    path = tmp_path / "deck.html"
    first = text.split('<div class="fit">', 1)[0]
    path.write_text(
        '<div class="fit">'.join([first, head, more + tail]), encoding="utf-8"
    )
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        visit.page.goto(path.as_uri())
        page = show(visit)
        fits = page.eval_on_selector_all(
            SECTIONS, "all => all.map(s => s.dataset.fits)"
        )
        assert fits[1] == "false" and fits[0] == "true"


def test_arrows_move_and_answers_come_with_the_next_key(browser, questions):
    name, place, identity = questions
    with Visit(browser, f"slides/{name}.html") as visit:
        page = show(visit)
        assert current(page) == "start"
        page.keyboard.press("ArrowRight")
        assert current(page) != "start"
        page.keyboard.press("ArrowLeft")
        assert current(page) == "start"
        page.evaluate(f"Reveal.slide({place})")
        answer = page.locator(f"[id='{identity}'] .fragment")
        opacity = "e => getComputedStyle(e).visibility + getComputedStyle(e).opacity"
        page.wait_for_timeout(300)
        assert answer.evaluate(opacity) == "hidden0"
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(400)
        assert current(page) == identity
        assert answer.evaluate(opacity) == "visible1"
        page.keyboard.press("ArrowRight")
        assert current(page) != identity


def test_ground_can_be_switched_and_is_remembered(browser):
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        page = show(visit)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(255, 255, 255)"
        page.keyboard.press("d")
        assert page.evaluate(ground) == "rgb(20, 24, 30)"
        page.reload()
        page.wait_for_selector("html.ready")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.keyboard.press("Shift+Slash")
        help_text = page.locator(".r-overlay").inner_text()
        assert "Light or dark ground" in help_text


def test_reader_who_prefers_dark_gets_it(browser):
    with Visit(browser, f"slides/{DECKS[0]}.html", "dark") as visit:
        page = show(visit)
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_deck_works_where_nothing_may_be_stored(browser):
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        page = visit.page
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage',"
            " {get() { throw new DOMException('no', 'SecurityError'); }})"
        )
        address = page.url
        page.goto("about:blank")  # what was still being loaded is given up
        visit.complaints.clear()
        page.goto(address)
        show(visit)
        page.keyboard.press("d")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert visit.complaints == []


def test_slide_can_be_linked(browser):
    sections = soup(f"slides/{DECKS[0]}.html").select(SECTIONS)
    name = sections[2]["id"]
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        visit.page.goto((SITE / "slides" / f"{DECKS[0]}.html").as_uri() + f"#/{name}")
        visit.page.reload()
        assert current(show(visit)) == name


def test_page_leads_to_deck_and_deck_to_page(browser):
    for name in DECKS:
        buttons = soup(f"{name}.html").select("a.btn-slides-button")
        assert [button["href"] for button in buttons] == [f"slides/{name}.html"]
        back = soup(f"slides/{name}.html").select("#end a")
        assert [link["href"] for link in back] == [f"../{name}.html"]
    with Visit(browser, f"{DECKS[0]}.html") as visit:
        with visit.context.expect_page() as opened:
            visit.page.locator("a.btn-slides-button").click()
        deck = opened.value
        deck.wait_for_selector("html.ready", timeout=30000)
        deck.keyboard.press("End")
        deck.locator("#end a").click()
        deck.wait_for_selector("article")
        assert deck.url.endswith(f"/{DECKS[0]}.html")


def test_deck_works_from_a_server(browser, server, questions):
    """The same, over HTTP: quiet, and nothing from anywhere else."""
    name, _, identity = questions
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda r: requests.append(r.url))
    page.on("requestfailed", lambda r: complaints.append(r.url))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("response", lambda r: complaints.append(r.url) if r.status > 399 else None)
    page.goto(f"{server}slides/{name}.html#/{identity}")
    page.wait_for_selector("html.ready", timeout=30000)
    assert current(page) == identity
    complaints = [c for c in complaints if not c.endswith("/favicon.ico")]
    assert complaints == []
    assert all(url.startswith((server, "data:", "blob:")) for url in requests)
    context.close()


def test_deck_prints_one_slide_a_page(browser):
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        address = (SITE / "slides" / f"{DECKS[0]}.html").as_uri() + "?print-pdf"
        visit.page.goto(address)
        visit.page.wait_for_selector(".pdf-page", timeout=30000)
        count = len(soup(f"slides/{DECKS[0]}.html").select(SECTIONS))
        assert visit.page.locator(".pdf-page").count() == count
        assert visit.page.locator(".pdf-page .fragment.visible").count() == (
            visit.page.locator(".pdf-page .fragment").count()
        )


def test_deck_can_be_read_without_scripts(browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((SITE / "slides" / f"{DECKS[0]}.html").as_uri())
    sections = page.locator(SECTIONS)
    boxes = [sections.nth(k).bounding_box() for k in range(sections.count())]
    assert len(boxes) > 3
    for upper, lower in itertools.pairwise(boxes):
        assert lower["y"] >= upper["y"] + upper["height"] - 1
    assert page.locator("aside.notes:visible").count() == 0
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_decks_are_accessible(browser, questions, theme):
    """No slide of a deck breaks a rule of WCAG 2.2 AA that can be checked."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    name, place, _ = questions
    with Visit(browser, f"slides/{name}.html", theme) as visit:
        page = show(visit)
        for k in (0, 1, place, page.evaluate("Reveal.getTotalSlides()") - 1):
            page.evaluate(f"Reveal.slide({k}, 0, 99)")
            page.wait_for_timeout(400)
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
            options = {"runOnly": {"type": "tag", "values": tags}}
            found = axe.run(page, options=options).response["violations"]
            told = [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found]
            assert told == [], (name, k)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(browser, theme):
    for name in DECKS[:3]:
        with Visit(browser, f"slides/{name}.html", theme) as visit:
            page = show(visit)
            pale = []
            for place in range(page.evaluate("Reveal.getTotalSlides()")):
                page.evaluate(f"Reveal.slide({place}, 0, 99)")
                pale += page.evaluate(PALE)
            assert pale == []


def test_pale_text_would_be_noticed(browser):
    with Visit(browser, f"slides/{DECKS[0]}.html") as visit:
        page = show(visit)
        page.add_style_tag(content=".reveal h1 { color: #8a8a8a !important }")
        assert any(line.startswith("start: ") for line in page.evaluate(PALE))
