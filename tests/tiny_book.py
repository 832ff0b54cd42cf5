"""A book of a few small pages, built to see what an extension makes of them."""

import io
import re

from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""


def build(folder, pages, extensions, settings=None):
    """Build pages (name to MyST text) as HTML; return their soups and the warnings.

    The pages are in ``folder/book``; extensions come after ``myst_nb``.
    """
    book, out = folder / "book", folder / "_build" / "html"
    book.mkdir(exist_ok=True)
    for name, text in pages.items():
        (book / f"{name}.md").write_text(text, encoding="utf-8")
    config = {
        "extensions": ["myst_nb", *extensions],
        "myst_enable_extensions": ["colon_fence", "dollarmath"],
        "nb_execution_mode": "force",
        "html_theme": "basic",
        "nitpicky": True,
        **(settings or {}),
    }
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            str(book),
            None,
            str(out),
            str(folder / "_build" / "doctrees"),
            "html",
            confoverrides=config,
            status=None,
            warning=warnings,
            freshenv=True,
        )
        app.build(force_all=True)
    soups = {
        name: BeautifulSoup((out / f"{name}.html").read_text("utf-8"), "html.parser")
        for name in pages
    }
    return soups, re.sub(r"\x1b\[[\d;]*m", "", warnings.getvalue())
