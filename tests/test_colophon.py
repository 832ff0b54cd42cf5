"""Citations, editions, and the record of what ran when."""

import json
import os
import subprocess
from dataclasses import replace

import pytest
from pybtex.database import parse_string
from tiny_book import HEADER, build

from cnnbook.colophon import (
    Edition,
    bibtex,
    cite_box,
    edition,
    git,
    machine,
    permanent_link,
    run_key,
    versions,
)

MADE = Edition("1.2.3", "0123456789abcdef", False, "2026-01-31", "the sample")
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": "Words."},
        {"cell_type": "code", "source": ["a = 1\n", "b = 2"]},
    ],
    "metadata": {"kernelspec": {"name": "python3", "depends": "abc"}},
}


def repository(folder):
    """Make a folder a git repository with one commit."""
    environment = {"GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/bin:/bin"}
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "One"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True, env=environment)


@pytest.fixture
def library(tmp_path):
    """A folder with a package that has a version, as a git repository."""
    (tmp_path / "cnnbook").mkdir()
    (tmp_path / "cnnbook" / "__init__.py").write_text('__version__ = "9.8.7"\n')
    repository(tmp_path)
    return tmp_path


def test_edition_of_a_commit(library, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    made = edition(library)
    assert (made.version, made.built, made.data) == (
        "9.8.7",
        "1970-01-02",
        "the sample",
    )
    assert made.commit == git(library, "rev-parse", "HEAD") and len(made.commit) == 40
    assert not made.changed
    (library / "cnnbook" / "more.py").write_text("")
    assert edition(library).changed
    assert "with changes" in str(edition(library))
    monkeypatch.setenv("CNNBOOK_DATA", "folder")
    assert edition(library).data == "all of MNIST"


def test_edition_without_git(tmp_path, monkeypatch):
    (tmp_path / "cnnbook").mkdir()
    (tmp_path / "cnnbook" / "__init__.py").write_text("")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    made = edition(tmp_path)
    assert (made.version, made.commit, made.changed) == ("unknown", "", False)
    assert "no known commit" in str(made)
    assert permanent_link("pooling", made, "https://example.org/r") == ""
    monkeypatch.setenv("PATH", "")
    assert git(tmp_path, "status") == ""


def test_bibtex_can_be_read():
    url = "https://example.org/pooling.html"
    entries = parse_string(bibtex("pooling", "50% & more", 4, MADE, url), "bibtex")
    (key, entry), *others = entries.entries.items()
    assert not others and key == "cnnbook-pooling"
    fields = entry.fields
    assert entry.persons["author"][0].last_names == ["{The cnnbook authors}"]
    assert fields["title"] == r"{50\% \& more}"
    assert (fields["chapter"], fields["year"], fields["url"]) == ("4", "2026", url)
    assert fields["version"] == "1.2.3" and "0123456789" in fields["note"]
    assert "chapter" not in bibtex("cli", "From the command line", None, MADE, url)


def test_permanent_link_names_the_commit():
    link = permanent_link("pooling", MADE, "https://example.org/r")
    assert link == "https://example.org/r/blob/0123456789abcdef/book/pooling.md"


def test_cite_box_escapes():
    box = cite_box("a", "title = {a < b}", MADE, "https://e.org/?a=1&b=2", "")
    assert "a &lt; b" in box and "a=1&amp;b=2" in box
    assert "for good" not in box
    assert "for good" in cite_box("a", "", MADE, "u", "https://e.org/blob")


def test_a_link_from_a_build_with_changes_does_not_claim_to_be_this_text():
    box = cite_box("a", "", replace(MADE, changed=True), "u", "https://e.org/blob")
    assert "without its changes" in box and "for good" not in box


def test_run_key():
    def changed(**parts):
        return run_key({**NOTEBOOK, **parts})

    key = run_key(NOTEBOOK)
    assert key == run_key(json.loads(json.dumps(NOTEBOOK)))
    prose = [{"cell_type": "markdown", "source": "Other."}, NOTEBOOK["cells"][1]]
    assert changed(cells=prose) == key
    code = [NOTEBOOK["cells"][0], {"cell_type": "code", "source": "a = 1\nb = 3"}]
    assert changed(cells=code) != key
    other = {"kernelspec": {"name": "python3", "depends": "xyz"}}
    assert changed(metadata=other) != key


def test_machine_and_versions_in_words():
    assert f"{os.cpu_count()} cores" in machine()
    assert versions().startswith("Python 3.")


PAGE = (
    HEADER
    + """\
# Page

```{code-cell}
1 + 1
```
"""
)
INDEX = "# Start\n\n```{status}\n```\n\n```{toctree}\npage\n```\n"


def test_pages_cite_and_tell_when_they_ran(library):
    settings = {
        "nb_execution_mode": "cache",
        "html_baseurl": "https://example.org/",
        "cnnbook_repository": "https://example.org/r",
    }
    pages = {"index": INDEX, "page": PAGE}
    repository_state = git(library, "rev-parse", "HEAD")

    def rows():
        soup, warnings = build(library, pages, ["cnnbook.colophon"], settings)
        assert warnings == ""
        table = soup["index"].select_one("table.status")
        assert len(table.select("tbody tr")) == 1
        return soup, [cell.get_text() for cell in table.select("tbody td")]

    soup, first = rows()
    assert first[0] == "Page" and first[3] == "the sample" and first[5] == "A"
    assert first[4] == repository_state[:10] + "+"  # the book isn't committed
    assert float(first[2]) > 0
    box = soup["page"].select_one("details.cite-this")
    assert "https://example.org/page.html" in box.get_text()
    assert f"r/blob/{repository_state}/book/page.md" in box.get_text()
    _, second = rows()  # from the cache: the record stays
    assert second == first
    repository(library)  # a new commit, the same page
    _, third = rows()
    assert third == first
    pages["page"] = PAGE.replace("1 + 1", "1 + 2")
    _, fourth = rows()
    assert fourth[4] != first[4] and fourth[4].startswith(
        git(library, "rev-parse", "HEAD")[:10]
    )
    (library / "_build" / "executed.json").unlink()
    _, fifth = rows()
    assert fifth[4] == "not recorded"


def test_a_copy_inside_another_repository_has_no_commit(library):
    copy = library / "copy"
    (copy / "cnnbook").mkdir(parents=True)
    (copy / "cnnbook" / "__init__.py").write_text('__version__ = "1"\n')
    made = edition(copy)
    assert (made.commit, made.changed) == ("", False)


def test_source_date_epoch_is_empty_or_wrong(library, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert edition(library).built >= "2026"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH: .*'soon'"):
        edition(library)


def test_bibtex_survives_signs_of_tex():
    title = r"a_b #1 {half \ x^2 ~ $5"
    read = parse_string(bibtex("a", title, 1, MADE, "u"), "bibtex")
    (entry,) = read.entries.values()
    assert entry.fields["title"] == (
        r"{a\_b \#1 \textbraceleft{}half \textbackslash{} x\textasciicircum{}2 "
        r"\textasciitilde{} \$5}"
    )


def test_cite_box_escapes_the_data():
    made = Edition("1", "", False, "2026-01-31", "a <b>")
    assert "with a &lt;b&gt;." in cite_box("a", "", made, "u", "")
