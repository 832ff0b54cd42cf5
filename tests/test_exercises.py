"""Every exercise: its stub, its solution, its place in the book."""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnbook.checking import examine
from cnnbook.course import tasks
from cnnbook.exercises import EXERCISES, check, find
from cnnbook.weave import toc_chapters

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {
    name: (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
    for name in toc_chapters(ROOT / "_toc.yml")
}
TASKS = [task for name, text in TEXTS.items() for task in tasks(name, text)]
NAMED = pytest.mark.parametrize("task", TASKS, ids=[task.label for task in TASKS])
KINDS = ("Write", "Think", "Predict", "Try")
# The chapters of Parts I to V.
TOLD = list(TEXTS)[1 : list(TEXTS).index("lectures")]


def handed_in(source):
    """Run code as a reader would; return what it gives to `check`."""
    given = []
    namespace = {
        "np": np,
        "check": lambda name, solution: given.append((name, solution)),
    }
    exec(compile(source, "<reader>", "exec"), namespace)
    return given


def solution_of(task):
    source = "\n\n".join(source for kind, source in task.solution if kind == "code")
    ((name, solution),) = handed_in(source)
    assert name == task.name
    return solution


@NAMED
def test_stub_fails_with_its_own_hint(task):
    ((name, stub),) = handed_in(task.stub)
    verdict = examine(find(name), stub)
    assert verdict.mistake == "unwritten", verdict.message
    assert len(verdict.message.split("Hint: ")[1]) > 15


def test_hints_differ():
    hints = [re.search(r"NotImplementedError\((.*)", t.stub)[1] for t in TASKS]
    assert len(set(hints)) == len(hints)


@NAMED
def test_solution_is_right(task):
    solution = solution_of(task)
    for seed in (0, 1, 2):
        verdict = examine(find(task.name), solution, seed)
        assert verdict.right, verdict.message


@NAMED
def test_reader_sees_what_fits(task):
    lines = task.stub.splitlines() + [
        line for _, source in task.solution for line in source.splitlines()
    ]
    code = [s for kind, s in task.solution if kind == "code"]
    assert max(map(len, task.stub.splitlines())) <= 88, lines
    assert any("check(" in source for source in code)
    assert find(task.name).chapter == task.chapter
    assert task.title.startswith("Write: ")
    assert task.label == "write-" + task.name.replace("_", "-").replace(" ", "-")


def test_every_exercise_is_asked_once():
    assert sorted(task.name for task in TASKS) == sorted(EXERCISES)


def titles(text):
    return re.findall(r"^`{3,}\{exercise\} (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", TOLD)
def test_chapter_asks_questions_of_known_kinds(name):
    asked = titles(TEXTS[name])
    assert asked, "a chapter without exercises"
    kinds = [title.split(": ")[0] for title in asked]
    assert set(kinds) <= set(KINDS), asked
    assert set(kinds) - {"Write"}, "nothing but code is asked for"
    labels = re.findall(r"\{exercise\} .+\n:label: (\S+)", TEXTS[name])
    solved = re.findall(r"\{solution-start\} (\S+)", TEXTS[name])
    assert labels == solved


def test_every_kind_is_asked_often():
    asked = [title.split(": ")[0] for name in TOLD for title in titles(TEXTS[name])]
    assert all(asked.count(kind) >= 10 for kind in KINDS), asked


BLOCKED = """
import json, sys
for name in {later!r}:
    sys.modules["cnnbook." + name] = None
import numpy as np
from cnnbook import exercises
given = []
for source in json.load(sys.stdin):
    exec(source, {{"np": np, "check": lambda *each: given.append(each)}})
for name, solution in given:
    verdict = exercises.examine(exercises.find(name), solution)
    assert verdict.right, verdict.message
print(len(given))
"""


@pytest.mark.parametrize("chapter", sorted({task.chapter for task in TASKS}))
def test_no_check_needs_a_later_chapter(chapter):
    order = toc_chapters(ROOT / "_toc.yml")
    tools = set(order[order.index("plots") :])
    later = [
        name
        for name in order[order.index(chapter) + 1 :]
        if name not in tools and (ROOT / "cnnbook" / f"{name}.py").exists()
    ]
    sources = [
        "\n\n".join(source for kind, source in task.solution if kind == "code")
        for task in TASKS
        if task.chapter == chapter
    ]
    child = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(later=[*later, "plots"])],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) == len(sources)


def test_check_prints_what_is_wrong(capsys):
    assert check("conv1d", lambda x, weight: np.convolve(x, weight, "valid")) is None
    assert "true convolution" in capsys.readouterr().out


def test_unknown_name_is_guessed():
    with pytest.raises(ValueError, match="^name: .*'conv1'.*conv1d"):
        check("conv1", print)
    with pytest.raises(ValueError, match="^name: .*softmax"):
        check("zzzzzz", print)


def run_notebook(name):
    """Run a notebook's code cells in one namespace; return what they print."""
    path = ROOT / "cnnbook" / "notebooks" / name
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    out, namespace = io.StringIO(), {}
    with contextlib.redirect_stdout(out):
        for cell in cells:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), namespace)
    return out.getvalue()


def test_key_solves_the_course():
    told = run_notebook("solutions.ipynb")
    assert told.count(" is right, in all ") == len(EXERCISES)
    assert len(told.strip().splitlines()) == len(EXERCISES)


def test_course_asks_for_everything():
    told = run_notebook("exercises.ipynb")
    assert told.count(" isn't written yet. Hint: ") == len(EXERCISES)
