"""Downloaded notebooks in JupyterLite, as they are.

$CNNBOOK_LITE names a folder that ``python scripts/lite.py FOLDER`` has made.
"""

import json
import os
from pathlib import Path

import nbformat
import pytest
from conftest import serve
from live_visits import SAMPLE, apart, told, words
from visits import SITE, need_site

need_site()

MINUTES = 5
WHEELS = "https://cnnbook.github.io/cnnbook/live/"

RUN = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    const all = await jupyterapp.commands.execute("notebook:run-all-cells");
    return [all, panel.context.model.toJSON()];
}"""


@pytest.fixture(scope="module")
def lite():
    """The address of a JupyterLite, with a slash."""
    named = os.environ.get("CNNBOOK_LITE")
    if not named:
        pytest.skip(
            "there is no JupyterLite: run python scripts/lite.py FOLDER, and "
            "set CNNBOOK_LITE to the folder"
        )
    folder = Path(named)
    assert (folder / "jupyter-lite.json").exists(), f"CNNBOOK_LITE: {folder} has none"
    with serve(folder) as address:
        yield address


@pytest.fixture
def window(browser, lite):
    """A page of JupyterLite; only this build's wheel comes from the book's address."""
    context = browser.new_context(service_workers="block")

    def answer(route):
        file = SITE / "live" / route.request.url.removeprefix(WHEELS)
        headers = {"access-control-allow-origin": "*"}
        route.fulfill(status=200, body=file.read_bytes(), headers=headers)

    context.route(WHEELS + "*", answer)
    page = context.new_page()
    page.set_default_timeout(60_000 * MINUTES)
    yield page
    context.close()


def said(cell):
    """What a cell prints and shows, as text; warnings apart."""
    texts = [
        output.text if output.output_type == "stream" else output.data["text/plain"]
        for output in cell.outputs
        if output.get("name") != "stderr"
        and not {"image/svg+xml", "text/html"} & {*output.get("data", {})}
    ]
    return "".join(texts)


def upload(page, lite, path):
    """Put a file into JupyterLite, as a reader does, and open it."""
    page.goto(f"{lite}tree/index.html")
    page.wait_for_function("window.jupyterapp")
    model = {"type": "notebook", "format": "json", "name": path.name}
    content = json.loads(path.read_text(encoding="utf-8"))
    page.evaluate(
        """async ([name, model]) => {
            await jupyterapp.started;
            await jupyterapp.serviceManager.contents.save(name, model);
        }""",
        [path.name, {**model, "path": path.name, "content": content}],
    )
    page.goto(f"{lite}notebooks/index.html?path={path.name}")
    kernel = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
    page.wait_for_function(f"document.querySelector('.jp-Dialog') || {kernel}")
    asked = page.eval_on_selector_all(".jp-Dialog", "all => all.map(d => d.innerText)")
    assert asked == []


@pytest.mark.parametrize("name", ["lowering", "pooling", "gradcheck"])
def test_notebook_runs_as_it_is(window, lite, name):
    """Nothing is asked, every cell comes to its end, and says what the page says."""
    path = SITE / "downloads" / f"{name}.ipynb"
    upload(window, lite, path)
    ended, found = window.evaluate(RUN)
    cells = nbformat.from_dict(found).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    errors = [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert errors == [] and ended is True
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    before = nbformat.read(path, as_version=4).cells
    before = [cell for cell in before if cell.cell_type == "code"]
    drawn = 0
    for old, new in zip(before, code, strict=True):
        assert len(old.outputs) <= len(new.outputs), old.source
        drawn += any("image/svg+xml" in o.get("data", {}) for o in new.outputs)
        if SAMPLE or not told(name)["data"]:
            assert words(said(old)) == words(said(new)), old.source
            assert apart(said(old), said(new)) is None, old.source
    assert len(code) > 10 and drawn > 0
