"""What the tests of the website share: its pages, parsed or opened in Chromium.

They need a site in _build/html (make book) and Chromium: the one that
$CNNBOOK_CHROMIUM names, or one on the PATH, or Playwright's own.
"""

import functools
import gc
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from cnnbook.weave import toc_chapters

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
CHAPTERS = toc_chapters(ROOT / "_toc.yml")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def need_site():
    """Skip a module of tests, and say why, if there is no site."""
    if not (SITE / "index.html").exists():
        pytest.skip(
            "there is no site in _build/html: run make book",
            allow_module_level=True,
        )


@functools.cache
def soup(page):
    """Return a page of the site, parsed; all tests share it, and leave it as it is."""
    path = SITE / page
    gc.disable()  # it would go through all that was parsed, again and again
    try:
        return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    finally:
        gc.freeze()
        gc.enable()


def stay(context, server):
    """Let pages have nothing from other hosts than the server."""
    elsewhere = re.compile(rf"^(?!{re.escape(server)})https?:")
    context.route(elsewhere, lambda route: route.abort())


class Visit:
    """A page opened offline, with what it asked for and complained about.

    With the address of a server the page comes from there, and nothing from elsewhere.
    With a window that is open already, the page is shown in that one.
    """

    def __init__(
        self, browser, page, theme="light", width=1300, server=None, window=None
    ):
        self.closing = window
        if window is None:
            self.closing = browser.new_context(
                offline=server is None,
                color_scheme=theme,
                viewport={"width": width, "height": 900},
            )
            window = self.closing.new_page()
        self.page, self.context = window, window.context
        self.requests, self.complaints = [], []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("requestfailed", lambda r: self.complaints.append(r.url))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on(
            "console",
            lambda m: (
                self.complaints.append(m.text)
                if m.type in ("error", "warning")
                else None
            ),
        )
        if server and self.closing is self.context:
            stay(self.context, server)
        address = f"{server}{page}" if server else (SITE / page).as_uri()
        self.page.goto(address, wait_until="load")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close what was opened for this visit."""
        self.closing.close()
