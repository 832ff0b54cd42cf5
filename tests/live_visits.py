"""What the tests of live cells share: a page with Python in it.

Python (Pyodide) comes from a folder: the one that $CNNBOOK_PYODIDE names, or
../shared/pyodide beside the checkout; with CNNBOOK_PYODIDE=cdn from the network.
"""

import functools
import json
import mimetypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from visits import CHAPTERS, ROOT, SITE, Visit, soup, stay

CDN = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"
LIVE = SITE / "live"
NAMES = [name for name in CHAPTERS if (LIVE / f"{name}.json").exists()]
MINUTES = 10  # that a chapter may take


def told(name):
    return json.loads((LIVE / f"{name}.json").read_text(encoding="utf-8"))


def is_of_the_sample():
    """Tell whether this site was built from the sample, by its table of chapters."""
    for row in soup("status.html").select("table.status tbody tr"):
        if row.select_one("a")["href"] == "digits.html":
            return "the sample" in [
                cell.get_text().strip() for cell in row.select("td")
            ]
    raise LookupError("status.html: says nothing of digits")


SAMPLE = (SITE / "status.html").exists() and is_of_the_sample()


def pyodide_folder():
    """The folder with Pyodide, or None if it comes from the network; or skip."""
    named = os.environ.get("CNNBOOK_PYODIDE")
    if named == "cdn":
        return None
    folder = Path(named) if named else ROOT.parent / "shared" / "pyodide"
    if not (folder / "pyodide.js").exists():
        if named:
            pytest.fail(f"CNNBOOK_PYODIDE names {folder}, which has no pyodide.js")
        pytest.skip("Pyodide isn't here: set CNNBOOK_PYODIDE to its folder, or to cdn")
    return folder


def answer(route, folder, tampered=()):
    """Answer a request to the CDN, from a folder or (None) from the network."""
    name = route.request.url.removeprefix(CDN)
    spoiled = b"\n" if name in tampered else b""
    if folder is None:
        found = route.fetch()
        route.fulfill(response=found, body=found.body() + spoiled)
    elif "/" in name or not (folder / name).is_file():
        route.abort()
    else:
        body = (folder / name).read_bytes() + spoiled
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"access-control-allow-origin": "*", "content-type": kind}
        route.fulfill(status=200, body=body, headers=headers)


def allow(context, folder, tampered=()):
    """Requests to the CDN are answered, by the folder or the network."""
    act = functools.partial(answer, folder=folder, tampered=tampered)
    context.route(re.compile(re.escape(CDN)), act)


class Live(Visit):
    """A page over HTTP, with Python for its cells."""

    def __init__(self, browser, name, server, folder, tampered=(), **options):
        self.server, self.folder, self.tampered = server, folder, tampered
        super().__init__(browser, f"{name}.html", server=server, **options)
        self.page.set_default_timeout(20_000)

    def allow(self):
        """Let the page have Python."""
        allow(self.context, self.folder, self.tampered)
        return self

    def begin(self):
        """Press the button, and wait until Python is there."""
        if self.closing is self.context:
            self.allow()
        self.page.locator("button.btn-live-button").evaluate("b => b.click()")
        self.wait("Ready|could not")
        assert "Ready" in self.status()
        return self

    def status(self):
        return self.page.locator(".live-status").first.inner_text()

    def wait(self, pattern, seconds=120):
        self.page.wait_for_function(
            """pattern => RegExp(pattern).test(
                document.querySelector(".live-status")?.textContent)""",
            arg=pattern,
            timeout=1000 * seconds,
        )

    def unfold(self):
        """Open whatever is folded: a click would not find what is in it."""
        self.page.evaluate(
            """document.querySelectorAll("details").forEach(d => { d.open = true });
            document.querySelectorAll(".toggle-hidden")
                .forEach(box => box.classList.remove("toggle-hidden"));"""
        )

    def cell(self, number):
        """The page's cell of a number, counted from 1."""
        return self.page.locator("article div.cell").nth(number - 1)

    def write(self, number, source):
        self.cell(number).locator("textarea").fill(source)

    def run(self, number, end="^Done|stopped"):
        self.cell(number).get_by_role("button", name=f"Run cell {number}").click()
        self.wait(end)

    def run_all(self):
        self.page.get_by_role("button", name="Run all", exact=True).click()
        self.wait("^Done|stopped|could not", 60 * MINUTES)

    def texts(self):
        """What stands below each cell, as text."""
        return self.page.eval_on_selector_all(
            "article div.cell",
            """cells => cells.map(cell => [...cell.querySelectorAll(
                ".cell_output pre")].map(pre => pre.textContent).join(""))""",
        )


# What makes a worker that was used before like a new one: the names, files and modules
# of another page's cells are gone. (The library's own modules stay, and NumPy.)
AGAIN = """
def again(files):
    import gc, os, shutil, sys, types
    from pathlib import Path
    from cnnbook.session import RUNNING, settle

    session = RUNNING[-1]
    if not hasattr(session, "place"):  # before any page's cells
        session.place = str(Path(os.environ["CNNBOOK_CACHE"]).parent)
    place = session.place
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(place):
            del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not path.startswith(place)]
    os.chdir("/")
    shutil.rmtree(place)
    settle(place, files)
    if "matplotlib" in sys.modules:
        from matplotlib import pyplot, rcdefaults

        pyplot.close("all")
        rcdefaults()
    new = {*vars(types.ModuleType("__main__")), "__builtins__"}
    for name in set(session.names) - new:
        del session.names[name]
    gc.collect()


"""

# A page that another one has opened gets its worker from there.
BORROW = """
if (window.opener && window.opener.lent) {
  const { lent } = window.opener;
  window.Worker = class {
    constructor() {
      if (lent.busy) throw new Error("another page's Python is busy");
      lent.tell = ({ data }) => {
        if (data.id !== "again") this.onmessage({ data });
        else if (data.kind === "output") this.trouble = data.content;
        else if (data.ok) this.onmessage({ data: { kind: "ready" } });
        else this.onmessage({ data: { kind: "failed", text: this.trouble } });
      };
    }
    postMessage(message) {
      if (message.kind === "start") {
        const files = JSON.stringify(JSON.stringify(message.files || {}));
        const source = `${AGAIN}import json\nagain(json.loads(${files}))`;
        lent.post({ kind: "run", id: "again", source });
      } else {
        lent.post(message);
      }
    }
    terminate() {
      lent.tell = () => {};
    }
  };
}
""".replace("${AGAIN}", AGAIN)

LEND = """async (start) => {
  const lent = { busy: false, tell() {} };
  const worker = new Worker("_static/live-worker.js");
  lent.post = (message) => {
    lent.busy = true;
    worker.postMessage(message);
  };
  const ready = new Promise((resolve) => {
    worker.onmessage = (event) => {
      const { kind, text } = event.data;
      if (["done", "ready", "failed"].includes(kind)) lent.busy = false;
      if (kind === "ready" || kind === "failed") resolve(text);
      else lent.tell(event);
    };
  });
  lent.post({ kind: "start", ...start });
  window.lent = lent;
  return ready;
}"""


class Started:
    """A page whose Python is lent to the pages that it opens, one after another."""

    def __init__(self, browser, server, folder):
        self.server, self.folder = server, folder
        self.context = browser.new_context()
        stay(self.context, server)
        allow(self.context, folder)
        self.context.add_init_script(BORROW)
        self.page = self.context.new_page()
        self.close = self.context.close

    def open(self, name, theme="light", width=1300):
        """Open a page that borrows Python, which is started if it must be."""
        if not self.page.evaluate("Boolean(window.lent && !lent.busy)"):
            self.page.goto(f"{self.server}genindex.html")
            files = {k: told(name)[k] for k in ("wheel", "sha256")}
            files["wheel"] = f"{self.server}live/{files['wheel']}"
            trouble = self.page.evaluate(LEND, files)
            assert trouble is None, trouble
        with self.page.expect_popup() as opened:
            self.page.evaluate("void window.open('about:blank')")
        window = opened.value
        window.emulate_media(color_scheme=theme)
        window.set_viewport_size({"width": width, "height": 900})
        return Live(None, name, self.server, self.folder, window=window)


NUMBER = re.compile(r"[-−]?\d[\d,]*\.?\d*(?:e[+-]?\d+)?")


def words(text):
    """A text without its numbers and gaps; a line that repeats another counts once."""
    lines = []
    for line in text.splitlines():
        line = " ".join(NUMBER.sub("#", line).split())
        if line and line not in lines:
            lines.append(line)
    return re.sub(r"[\s|]+", " ", " ".join(lines))


def numbers(text):
    """The numbers in a text, each with half a unit of its last digit."""
    found = []
    for match in NUMBER.finditer(text.replace("−", "-")):
        digits = match[0].replace(",", "")
        mantissa, _, power = digits.partition("e")
        places = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(power or 0) - places)
        found.append((float(digits), unit))
    return found


def apart(page, run, tolerance=1e-3, units=1):
    """The first two numbers that differ by more than a share and a last digit."""
    ours, theirs = numbers(page), numbers(run)
    if len(ours) != len(theirs):
        return f"{len(ours)} numbers and {len(theirs)}"
    for (a, unit), (b, other) in zip(ours, theirs, strict=True):
        if abs(a - b) > tolerance * max(abs(a), abs(b)) + 1.01 * units * max(
            unit, other
        ):
            return f"{a} and {b}"
    return None


NATIVE = """
import importlib.metadata, json, sys
from cnnbook.session import Session, settle

version = importlib.metadata.version

def version_in_a_browser(name):
    if name == "torch":  # which a browser has not
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

importlib.metadata.version = version_in_a_browser
sys.modules["torch"] = None
told = json.load(open(sys.argv[1], encoding="utf-8"))
settle(sys.argv[2], told["files"])
texts = []

def keep(kind, content):
    if kind == "error":
        raise SystemExit(content)
    if kind == "display":
        drawn = "image/svg+xml" in content or "text/html" in content
        content = "" if drawn else content["text/plain"]
    texts[-1] += content

session = Session(keep)
for cell in told["cells"]:
    texts.append("")
    if cell["needs"] is None:
        session.run(cell["source"])
shown = [t for t, cell in zip(texts, told["cells"]) if not cell["hidden"]]
sys.__stdout__.write(json.dumps(shown))
"""


def native(name, folder):
    """What a chapter's cells print as a browser gets them, run on this machine."""
    environment = {k: v for k, v in os.environ.items() if k != "CNNBOOK_DATA"}
    run = subprocess.run(
        [sys.executable, "-c", NATIVE, str(LIVE / f"{name}.json"), str(folder)],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONUTF8": "1", "MPLBACKEND": "agg"},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
