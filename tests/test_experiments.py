"""The recorded experiments, the script that makes them, and the pages' bars."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cnnbook.data import Digits
from cnnbook.initialization import he_normal
from cnnbook.layers import Flatten, Linear, Sequential
from cnnbook.models import MODELS, Recipe
from experiments import __main__ as command
from experiments import bars, recipes, record

ROOT = Path(__file__).resolve().parent.parent
RECORDED = sorted((ROOT / "experiments").glob("*.json"))
HEADLINES = ("wide", "light", "deep")


def tiny(rng=None):
    return he_normal(Sequential(Flatten(), Linear(784, 10, rng=rng)), rng)


BRIEF = Recipe(tiny, (1, 28, 28), 2, 32, 0.01, shift=1)


@pytest.fixture(scope="module")
def digits():
    """A small set of its own: noise with a bright row for each class."""
    rng = np.random.default_rng(0)

    def some(count):
        labels = rng.integers(0, 10, count)
        images = 0.2 * rng.random((count, 1, 28, 28), dtype=np.float32)
        images[np.arange(count), 0, 9 + labels] += 0.5
        return Digits(images, labels, "made up")

    return some(240), some(50)


@pytest.fixture
def made(digits, tmp_path, monkeypatch):
    """The results of recording the tiny recipe."""
    monkeypatch.setattr(record, "load_mnist", lambda path: digits)
    return record.record_headline(
        "tiny", BRIEF, (0, 1), folder=tmp_path, allow_changes=True
    )


def test_what_is_recorded(made, digits, tmp_path):
    assert json.loads((tmp_path / "tiny.json").read_text()) == made
    assert record.read("tiny", tmp_path) == made
    assert re.fullmatch("[0-9a-f]{64}", made["data"]["sha256"])
    assert re.fullmatch("[0-9a-f]{12}( with changes)?", made["commit"])
    assert {"processor", "numpy", "python", "threads", "date"} <= set(made["machine"])
    assert made["recipe"]["build"].endswith("tiny") and made["recipe"]["shift"] == 1
    assert [run["seed"] for run in made["runs"]] == [0, 1]
    for run in made["runs"]:
        assert len(run["history"]["loss"]) == len(run["seconds"]) == 2
        assert run["valid_accuracy"] == max(run["history"]["valid_accuracy"])
        wrong = run["test"]["wrong"]
        assert run["test"]["accuracy"] == pytest.approx(1 - len(wrong) / 50)
        for index, label, answer, chance in wrong:
            assert digits[1].labels[index] == label != answer
            assert 0.1 <= chance <= 1
    text = (tmp_path / "tiny.json").read_text()
    assert str(ROOT) not in text and str(tmp_path) not in text
    table = record.spread(made)
    assert table.count("\n") == 4 and "**mean**" in table


def test_pictures_are_those_that_all_runs_misread(made, digits):
    wrong = [{each[0] for each in run["test"]["wrong"]} for run in made["runs"]]
    common = sorted(wrong[0] & wrong[1])
    assert common and record.misread_by_all(made) == common
    kept = record.kept_pictures(made)
    np.testing.assert_allclose(kept, digits[1].images[common, 0], atol=0.002)
    made["runs"][0]["test"]["wrong"] = []
    assert record.misread_by_all(made) == []


def test_first_epoch_gives_the_recorded_loss(made, digits):
    loss = record.first_epoch(made, BRIEF, *digits)
    assert record.agrees(loss, made)
    assert loss == pytest.approx(made["runs"][0]["history"]["loss"][0], rel=1e-5)


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_first_epoch_notices_another_loss(made, factor):
    loss = made["runs"][0]["history"]["loss"][0]
    assert record.agrees(loss, made)
    made["runs"][0]["history"]["loss"][0] *= factor
    assert not record.agrees(loss, made)


def test_first_epoch_notices_another_recipe_and_other_data(made, digits):
    with pytest.raises(ValueError, match="another recipe"):
        record.first_epoch(made, dataclasses.replace(BRIEF, lr=0.02), *digits)
    images = digits[1].images.copy()
    images[3, 0, 5, 5] += 0.1
    other = Digits(images, digits[1].labels, "touched")
    with pytest.raises(ValueError, match="other data"):
        record.first_epoch(made, BRIEF, digits[0], other)


def test_comparison_never_judges_by_the_test_images(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "load_mnist", lambda path: digits)

    def forbidden(*_):
        raise AssertionError("the test images were read")

    monkeypatch.setattr(record, "judged", forbidden)
    pairs = {"nothing": BRIEF, "shift": dataclasses.replace(BRIEF, shift=0)}
    made = record.record_comparison(
        "pair", pairs, 100, folder=tmp_path, allow_changes=True
    )
    assert made["images"] == 100
    assert [run["label"] for run in made["runs"]] == ["nothing", "shift"]
    assert not any("test" in run for run in made["runs"])


def test_changed_files_are_refused(tmp_path, monkeypatch):
    """Nothing is recorded under a commit that isn't what ran."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "experiments").mkdir()
    file = tmp_path / "experiments" / "record.py"
    file.write_text("a = 1\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(record, "FOLDER", file.parent)
    assert record.source_commit(allow_changes=False)
    (file.parent / "deep.json").write_text("{}")  # results may be new
    assert record.source_commit(allow_changes=False)
    file.write_text("a = 2\n")
    with pytest.raises(RuntimeError, match="commit your changes"):
        record.source_commit(allow_changes=False)
    assert record.source_commit(allow_changes=True).endswith(" with changes")


def test_only_all_of_mnist_is_recorded(digits, monkeypatch):
    monkeypatch.setattr(record, "load_mnist", lambda path: digits)
    monkeypatch.setattr(record, "source_commit", lambda allow: "0" * 12)
    with pytest.raises(RuntimeError, match="all of MNIST"):
        record.circumstances(None)


def test_command(monkeypatch, capsys, made):
    seen = []
    monkeypatch.setattr(
        record, "record_headline", lambda *a, **k: seen.append((a, k)) or made
    )
    monkeypatch.setattr(
        record, "record_comparison", lambda *a, **k: seen.append((a, k))
    )
    monkeypatch.setenv("CNNBOOK_RUNS", "somewhere")
    assert command.main(["deep", "leave_one_out", "--data", "folder"]) == 0
    (first, more), (second, _) = seen
    assert first == ("deep", MODELS["deep"], (0, 1, 2))
    assert more == {"data_path": "folder", "allow_changes": False}
    assert second == ("leave_one_out", recipes.LEFT_OUT, recipes.FEW)
    assert "deep" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main(["deeper"])

    def refuse(*_, **__):
        raise RuntimeError("commit your changes first")

    monkeypatch.setattr(record, "record_headline", refuse)
    assert command.main(["wide"]) == 1
    assert "commit your changes" in capsys.readouterr().err


def test_left_out_differs_by_one_thing():
    whole = dataclasses.asdict(recipes.LEFT_OUT["nothing"])
    for label, recipe in recipes.LEFT_OUT.items():
        other = dataclasses.asdict(recipe)
        changed = {key for key in whole if whole[key] != other[key]}
        if label == "changed digits":
            assert changed == {"shift", "rotation", "distortion"}
        else:
            assert len(changed) == (0 if label == "nothing" else 1), label
    kinds = {
        label: {type(layer).__name__ for layer in recipe.build(rng=0).modules()}
        for label, recipe in recipes.LEFT_OUT.items()
    }
    assert "BatchNorm2d" in kinds["nothing"] and "Dropout" in kinds["nothing"]
    assert kinds["nothing"] - kinds["batch norm"] == {"BatchNorm2d"}
    assert kinds["nothing"] - kinds["dropout"] == {"Dropout"}


# What the repository carries


def test_all_experiments_are_recorded():
    names = {path.stem for path in RECORDED}
    assert names == {*recipes.HEADLINES, "leave_one_out"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_records_are_whole_and_of_a_known_commit(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["name"] == path.stem
    assert re.fullmatch("[0-9a-f]{12}", results["commit"])
    assert results["data"]["source"] == "60,000 and 10,000 images of MNIST"
    assert "/" + "root" not in path.read_text(encoding="utf-8")
    for run in results["runs"]:
        history = run["history"]
        best = max(history["valid_accuracy"])
        assert run["valid_accuracy"] == best
        assert history["valid_accuracy"][run["epoch"] - 1] == best
        assert len(run["seconds"]) == len(history["loss"])


@pytest.mark.parametrize("name", HEADLINES)
def test_headlines_are_of_todays_recipe(name):
    results = record.read(name)
    assert results["recipe"] == record.settings(recipes.HEADLINES[name])
    assert [run["seed"] for run in results["runs"]] == list(recipes.SEEDS)
    assert all(len(r["seconds"]) == MODELS[name].epochs for r in results["runs"])
    # Half an hour, and for the light network ten minutes, on two cores.
    limit = {"light": 10, "wide": 30, "deep": 30}[name]
    assert all(sum(run["seconds"]) < 60 * limit for run in results["runs"])


def test_comparison_is_of_todays_recipes():
    results = record.read("leave_one_out")
    assert results["images"] == recipes.FEW
    runs = results["runs"]
    told = {run["label"]: run["recipe"] for run in runs}
    assert told == {k: record.settings(v) for k, v in recipes.LEFT_OUT.items()}


def test_settings_were_fixed_before_the_test_images_were_read():
    """The commit that ran comes before the one that brought its results."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no history to look at")
    shallow = ["git", "rev-parse", "--is-shallow-repository"]
    told = subprocess.run(shallow, cwd=ROOT, capture_output=True, text=True, check=True)
    if told.stdout.strip() == "true":
        pytest.skip("a shallow clone has no history: git fetch --unshallow")
    for name in HEADLINES:
        commit = record.read(name)["commit"]
        log = ["git", "log", "--format=%H", "--", f"experiments/{name}.json"]
        done = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=True)
        brought = done.stdout.split()
        assert brought, f"{name}.json is not committed"
        before = ["git", "merge-base", "--is-ancestor", commit, brought[0]]
        assert subprocess.run(before, cwd=ROOT).returncode == 0, name
        assert not brought[0].startswith(commit)


# The bars of the pages


@pytest.mark.parametrize("images", [60_000, 12_000])
@pytest.mark.parametrize("name", bars.BARS)
def test_bar_holds_and_fails(name, images):
    """Each guard passes at its bar, and fails as soon as its number is changed."""
    bar = bars.BARS[name]
    limit = bar.full if images == 60_000 else bar.sample
    if limit is None:
        assert bars.hold(name, 0.0, images) == 0
        return
    assert bars.hold(name, limit, images) == limit
    worse = limit + 1e-4 if bar.most else limit - 1e-4
    with pytest.raises(AssertionError, match=re.escape(name)):
        bars.hold(name, worse, images)
    with pytest.raises(AssertionError):
        bars.hold(name, float("nan"), images)


def test_unknown_bar_is_refused():
    with pytest.raises(KeyError):
        bars.hold("a bar that nobody set", 1.0, 60_000)


def test_every_bar_guards_a_page():
    """Each bar is named on exactly one page, and each page's bars are in the table."""
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    named = re.findall(r'\bpromise\(\s*"([^"]+)"', "\n".join(pages))
    for name in bars.BARS:
        assert named.count(name) == 1, name
    assert set(named) <= set(bars.BARS)


def test_bars_are_those_of_the_goal():
    """What this project set out to reach; lowering one has to be done here, too."""
    least = {"wide network": 0.993, "light network": 0.994}
    least |= {f"{name} network, mean of three": 0.993 for name in ("wide",)}
    least |= {
        "light network, mean of three": 0.994,
        "deep network, mean of three": 0.996,
    }
    for name, share in least.items():
        assert bars.BARS[name].full >= share, name
    assert bars.BARS["light network, minutes"].full <= 10
    assert bars.BARS["light network, minutes"].most
