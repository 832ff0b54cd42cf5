"""The course: exercises found in chapters, notebooks made of them."""

import json
import re

import nbformat
import pytest

from cnnbook.course import NOTEBOOKS, copy_notebooks, linked, notebook, tasks

EXERCISE = """\
# Doubling

````{exercise} Write: twice
:label: write-twice

By {eq}`twice`, in {doc}`shapes` and {doc}`there <shapes>`, see {py:func}`len`.

```python
def my_twice(x):
    raise NotImplementedError("x + x")


check("twice", my_twice)
```
````
"""
SOLUTION = """
```{solution-start} write-twice
:class: dropdown
```

So.

```{code-cell} ipython3
def my_twice(x):
    return x + x


check("twice", my_twice)
```

```{code-cell} ipython3
:tags: [remove-cell]

assert my_twice(1) == 2
```

And so.

```{solution-end}
```
"""
TEXTS = {
    "doubling": EXERCISE + SOLUTION,
    "shapes": "# Of shapes\n\n$$ (twice)\ny = 2x\n$$\n\n```{math}\n:label: other\n",
}
SITE = "https://example.org/book/"


def test_task_is_read_from_the_text():
    (task,) = tasks("doubling", TEXTS["doubling"])
    assert (task.name, task.title) == ("twice", "Write: twice")
    assert task.chapter == "doubling"
    assert task.stub.startswith("def my_twice") and "```" not in task.text
    kinds, sources = zip(*task.solution, strict=True)
    assert kinds == ("markdown", "code", "markdown")
    assert sources[0] == "So." and sources[2] == "And so."
    assert "assert" not in sources[1]


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (EXERCISE, "solution"),
        (EXERCISE.replace("```python", "```text") + SOLUTION, "stub"),
        (TEXTS["doubling"].replace('check("twice", my_twice)', "", 1), "check"),
    ],
)
def test_incomplete_exercise_is_refused(text, lacks):
    with pytest.raises(ValueError, match=f"doubling: .*write-twice.* no {lacks}"):
        _ = [task.name for task in tasks("doubling", text)]


def test_exercise_in_another_form_is_noticed():
    text = TEXTS["doubling"].replace(":label: write", ":class: x\n:label: write")
    with pytest.raises(ValueError, match="^doubling: .*usual place"):
        tasks("doubling", text)


def test_references_become_links():
    (task,) = tasks("doubling", TEXTS["doubling"])
    assert linked(task.text, SITE, TEXTS) == (
        f"By [equation]({SITE}shapes.html#equation-twice), in "
        f"[Of shapes]({SITE}shapes.html) and [there]({SITE}shapes.html), see len."
    )
    assert "equation-other" in linked("{eq}`other`", SITE, TEXTS)
    for role in ("eq", "doc"):
        with pytest.raises(ValueError, match="`nowhere` leads nowhere"):
            linked(f"{{{role}}}`nowhere`", SITE, TEXTS)


@pytest.mark.parametrize("solved", [False, True])
def test_notebook_is_valid_and_the_same_each_time(solved):
    found = tasks("doubling", TEXTS["doubling"])
    text = notebook(found, TEXTS, SITE, solved)
    assert text == notebook(found, TEXTS, SITE, solved)
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    assert made.metadata.language_info.name == "python"
    code = "\n".join(c.source for c in made.cells if c.cell_type == "code")
    assert ("NotImplementedError" in code) is not solved
    assert ("return x + x" in code) is solved
    assert "{doc}" not in text and "{eq}" not in text


def test_notebooks_are_copied_and_nothing_is_written_over(tmp_path):
    files = copy_notebooks(tmp_path / "a" / "b")
    assert [file.name for file in files] == list(NOTEBOOKS)
    for file in files:
        text = file.read_text(encoding="utf-8")
        nbformat.validate(nbformat.reads(text, as_version=4))
        assert not re.search(r"\{\w+(:\w+)?\}`", text), "a reference of the book's"
    files[1].unlink()
    files[0].write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"exercises\.ipynb is there already"):
        copy_notebooks(tmp_path / "a" / "b")
    assert files[0].read_text(encoding="utf-8") == "mine" and not files[1].exists()


def test_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(FileExistsError, match="taken is a file; name a folder"):
        copy_notebooks(tmp_path / "taken")


def test_exercises_and_key_have_the_same_headings(tmp_path):
    headings = []
    for file in copy_notebooks(tmp_path):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        text = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        headings.append(re.findall(r"^###? .+$", "\n".join(text), re.MULTILINE))
    assert headings[0] == headings[1]
