"""What all tests share: isolation from the user's settings, data, scripts."""

import contextlib
import functools
import http.server
import importlib.util
import os
import shutil
import threading
import warnings
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Matplotlib reads and writes a folder of its own as soon as it is imported.
os.environ["MPLCONFIGDIR"] = str(ROOT / "_build" / "matplotlib")
os.environ.pop("MATPLOTLIBRC", None)

hypothesis.settings.register_profile(
    "cnnbook", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("cnnbook")


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path_factory):
    """Hide the user's data and cache; return the empty folder used instead."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNNBOOK_CACHE", str(folder))
    monkeypatch.delenv("CNNBOOK_DATA", raising=False)
    return folder


@pytest.fixture(scope="session")
def full_mnist():
    """Return the folder with all of MNIST, or skip the test."""
    named = os.environ.get("CNNBOOK_TEST_DATA")
    if named:
        return Path(named)
    folder = ROOT.parent / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("all of MNIST is not here; set CNNBOOK_TEST_DATA to it")
    return folder


@pytest.fixture(scope="session")
def torch():
    """Return PyTorch, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="session")
def load_script():
    """Return a function that loads ``scripts/NAME.py`` as a module."""

    def load(name):
        path = ROOT / "scripts" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"script_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def pages():
    """Every page of the site, parsed: name to soup."""
    from visits import SITE, soup

    names = [str(p.relative_to(SITE).as_posix()) for p in SITE.rglob("*.html")]
    return {n: soup(n) for n in names if not n.startswith("_static")}


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium."""
    from visits import FLAGS

    api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright isn't installed"
    )
    with api.sync_playwright() as play:
        # Chromium without windows loads pages with half the work.
        names = ("chromium-headless-shell", "chromium")
        installed = [path for name in names if (path := shutil.which(name))]
        path = os.environ.get("CNNBOOK_CHROMIUM")
        path = path or (*installed, play.chromium.executable_path)[0]
        if not Path(path).exists():
            pytest.skip("there is no Chromium: install it, or set CNNBOOK_CHROMIUM")
        home = str(tmp_path_factory.mktemp("home"))  # it keeps settings there
        chromium = play.chromium.launch(
            executable_path=path,
            args=FLAGS,
            env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home},
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def pyodide():
    """The folder with Pyodide, or None if it comes from the network; or skip."""
    from live_visits import pyodide_folder

    return pyodide_folder()


@pytest.fixture
def live(browser, server, pyodide):
    """A function that opens a page in which Python can run."""
    from live_visits import Live

    opened = []

    def open_page(name, **options):
        visit = Live(browser, name, server, pyodide, **options)
        opened.append(visit)
        return visit

    yield open_page
    for visit in opened:
        visit.close()


@pytest.fixture(scope="session")
def started(browser, server, pyodide):
    """A page with a Python that has been started, lent to pages that it opens."""
    from live_visits import Started

    page = Started(browser, server, pyodide)
    yield page
    page.close()


@pytest.fixture
def warm(started):
    """Like ``live``, but quicker: Python has been started before, not by the page.

    It begins each page with no names, files or modules of another page's cells.
    """
    opened = []

    def open_page(name, **options):
        opened.append(started.open(name, **options))
        return opened[-1]

    yield open_page
    for visit in opened:
        visit.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and keeps silent about it."""

    def log_message(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def serve(folder):
    """Serve a folder over HTTP on this machine; give its address, with a slash."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def server():
    """The address of the site, with a slash, served over HTTP on this machine."""
    from visits import SITE

    with serve(SITE) as address:
        yield address
