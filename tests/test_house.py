"""The rules of the house, each shown holding, and shown failing."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnnbook.weave import (
    cell_name,
    export_chapter,
    imported_modules,
    is_exported,
    read_chapter,
    toc_chapters,
)

ROOT = Path(__file__).resolve().parent.parent
# The tools stand outside the order of the chapters: any chapter's cells may use
# plots, and weave, which looks at the whole package, may use anything.
TOOLS = {"plots", "steps", "exercises", "pages", "draw"}
FREE = {"weave"}


@pytest.fixture
def copy(tmp_path):
    """A copy of everything that the export reads and writes."""
    for folder in ("book", "cnnbook", "tests"):
        shutil.copytree(
            ROOT / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns("__pycache__", "_build"),
        )
    for file in ("_toc.yml", "settings.ini", "requirements.txt"):
        shutil.copy2(ROOT / file, tmp_path / file)
    return tmp_path


def modules(root):
    """The text of every file of the package that the chapters export."""
    lib = root / "cnnbook"
    paths = sorted([*lib.glob("*.py"), *lib.glob("notebooks/*.ipynb")])
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def run_export(root):
    """Export the book under `root`, with the code that lies there."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "cnnbook.weave", "export"]
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True
    )


def replace_in(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def exporting_chapters(root):
    """The chapters that export a module, in the order of the table of contents."""
    present = {path.stem for path in (root / "cnnbook").glob("*.py")}
    return [name for name in toc_chapters(root / "_toc.yml") if name in present]


def late_imports(root):
    """(user, used) pairs where a module or cell uses a later chapter's module."""
    order = toc_chapters(root / "_toc.yml")
    place = {name: k for k, name in enumerate(order)}
    found = []
    for name in exporting_chapters(root):
        path = root / "cnnbook" / f"{name}.py"
        used = imported_modules(path.read_text(encoding="utf-8"))
        found += [(name, u) for u in used if place.get(u, 999) >= place[name]]
    for name in order:
        path = root / "book" / f"{name}.md"
        if name in FREE or "{code-cell}" not in path.read_text("utf-8"):
            continue
        for cell in read_chapter(path).cells:
            if cell.cell_type != "code":
                continue
            for used in imported_modules(cell.source) - TOOLS - {name}:
                home = "front_door" if used == "__init__" else used
                if place.get(home, 999) > place[name]:
                    found.append((f"{name} (cell)", used))
    return found


def chapters_not_in_toc(root):
    """Files in book/ that the table of contents leaves out."""
    names = {path.stem for path in (root / "book").glob("*.md")}
    return sorted(names - set(toc_chapters(root / "_toc.yml")))


def modules_without_tests(root):
    """Modules that have no test file of their name."""
    names = {"front_door" if n == "__init__" else n for n in module_names(root)}
    tested = {p.stem.removeprefix("test_") for p in (root / "tests").glob("*")}
    return sorted(names - tested)


def module_names(root):
    stems = {path.stem for path in (root / "cnnbook").glob("*.py")}
    return stems - {"_modidx"}


def test_package_is_what_the_chapters_export(copy):
    result = run_export(copy)
    assert result.returncode == 0, result.stderr
    assert modules(copy) == modules(ROOT)


def test_edited_module_and_edited_chapter_are_noticed(copy):
    replace_in(copy / "cnnbook" / "pooling.py", "import numpy", "import  numpy")
    replace_in(
        copy / "book" / "metrics.md",
        "    return float(np.mean(y_true == y_pred))",
        "    return float(np.mean(y_true != y_pred))",
    )
    (copy / "cnnbook" / "gone.py").write_text(
        modules(ROOT)["metrics.py"], encoding="utf-8"
    )
    before = modules(copy)
    assert run_export(copy).returncode == 0
    after = modules(copy)
    assert after["pooling.py"] == modules(ROOT)["pooling.py"]
    assert after["metrics.py"] != modules(ROOT)["metrics.py"]
    assert "gone.py" in before and "gone.py" not in after


def test_broken_chapter_leaves_the_package_as_it_was(copy):
    replace_in(copy / "book" / "metrics.md", "def accuracy(", "def accuracy((")
    replace_in(copy / "book" / "convolution.md", "BLUR = np.full", "BLUR = 2 * np.full")
    before = modules(copy)
    result = run_export(copy)
    assert result.returncode != 0
    assert "metrics.md" in result.stderr
    assert modules(copy) == before


def test_export_keeps_the_time_of_unchanged_modules(copy):
    path = copy / "cnnbook" / "metrics.py"
    os.utime(path, ns=(10**18, 10**18))
    assert export_chapter(copy / "book" / "metrics.md", copy / "cnnbook")
    assert path.stat().st_mtime_ns == 10**18


def test_modules_use_only_earlier_chapters():
    assert late_imports(ROOT) == []


def test_late_import_is_noticed(copy):
    path = copy / "cnnbook" / "pooling.py"
    path.write_text(modules(ROOT)["pooling.py"] + "\nfrom .models import summary\n")
    replace_in(
        copy / "book" / "data.md",
        "from cnnbook import plots",
        "from cnnbook import plots, training",
    )
    found = late_imports(copy)
    assert ("pooling", "models") in found
    assert ("data (cell)", "training") in found


def test_no_chapter_imports_from_the_top_level():
    """Only modules, by name: the front door is the last chapter."""
    for name in exporting_chapters(ROOT):
        source = modules(ROOT)[f"{name}.py"]
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert (node.level, node.module) != (1, None), name
                assert node.module != "cnnbook", name


def test_every_chapter_is_in_the_table_of_contents():
    assert chapters_not_in_toc(ROOT) == []


def test_forgotten_chapter_is_noticed(copy):
    (copy / "book" / "forgotten.md").write_text("# Forgotten\n")
    assert chapters_not_in_toc(copy) == ["forgotten"]


def test_every_module_has_its_tests():
    assert modules_without_tests(ROOT) == []


def test_untested_module_is_noticed(copy):
    (copy / "tests" / "test_metrics.py").unlink()
    assert modules_without_tests(copy) == ["metrics"]


def test_exported_cells_hold_one_definition_each():
    for name in toc_chapters(ROOT / "_toc.yml"):
        text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        if "#| export" not in text:
            continue
        for cell in read_chapter(f"{name}.md", text).cells:
            if cell.cell_type == "code" and is_exported(cell.source):
                tree = ast.parse(cell.source).body
                kinds = (ast.FunctionDef, ast.ClassDef)
                count = sum(isinstance(node, kinds) for node in tree)
                assert count <= 1, (name, cell_name(cell.source))


def test_no_module_is_named_like_a_public_function():
    import cnnbook

    assert not module_names(ROOT) & set(cnnbook.__all__)


def test_visible_cells_need_only_numpy_matplotlib_and_the_book():
    """Parts I to V run in a browser; a marked or hidden cell may use more."""
    allowed = {"numpy", "matplotlib", "cnnbook"} | sys.stdlib_module_names
    order = toc_chapters(ROOT / "_toc.yml")
    for name in order[1 : order.index("plots")]:
        for cell in read_chapter(ROOT / "book" / f"{name}.md").cells:
            tags = cell.metadata.get("tags", [])
            if cell.cell_type != "code" or "remove-cell" in tags:
                continue
            marked = {t.removeprefix("needs-") for t in tags if "needs-" in t}
            for node in ast.walk(ast.parse(cell.source)):
                used = []
                if isinstance(node, ast.Import):
                    used = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    used = [node.module or "cnnbook"]
                roots = {module.split(".")[0] for module in used}
                # data asks scikit-learn for a download, when it is asked for one;
                # threads asks threadpoolctl, if it is there
                optional = {"sklearn", "tqdm", "threadpoolctl"}
                assert roots <= allowed | marked | optional, (name, used)


def test_lock_file_names_no_address():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text and "index-url" not in text
    names = re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)
    assert len(names) > 100
    blocks = re.split(r"^(?=[A-Za-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
