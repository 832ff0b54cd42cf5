"""Following recipes, and keeping what comes out."""

import dataclasses
import functools
import importlib
import subprocess
import sys

import numpy as np
import pytest

from cnnbook import runs
from cnnbook.initialization import he_normal
from cnnbook.layers import Flatten, Linear, Sequential
from cnnbook.models import MODELS, Recipe, deep_convnet
from cnnbook.optimizers import SGD, Adam, AdamW, OneCycleLR, StepLR
from cnnbook.regularization import (
    BatchNorm2d,
    Compose,
    Dropout,
    RandomApply,
    RandomDistortion,
    RandomRotation,
    RandomShift,
)
from cnnbook.training import evaluate


def tiny(rng=None):
    """A linear network for 4 x 4 images, with a layer that draws numbers."""
    rng = np.random.default_rng(rng)
    model = Sequential(
        BatchNorm2d(1), Flatten(), Dropout(0.1, rng=rng), Linear(16, 3, rng=rng)
    )
    return he_normal(model, rng)


RECIPE = Recipe(tiny, (1, 4, 4), 4, 8, 0.05)


def data(count=60, seed=0):
    """Three classes that can be learned: which row is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.normal(0, 0.4, (count, 1, 4, 4)).astype(np.float32)
    images[np.arange(count), 0, labels] += 1
    return images, labels


LEARN, VALID = data(), data(30, seed=1)


def weights(run):
    return run.model.state_dict()


def same(one, two):
    return all(np.array_equal(one[k], two[k]) for k in one) and one.keys() == two.keys()


def test_prepare_follows_the_recipe():
    for name, kind in (("adam", Adam), ("adamw", AdamW), ("sgd", SGD)):
        recipe = dataclasses.replace(RECIPE, optimizer=name, weight_decay=0.25)
        rng = np.random.default_rng(5)
        model, optimizer, schedule = runs.prepare(recipe, 60, rng)
        assert type(optimizer) is kind
        decay = optimizer.shrink if name == "adamw" else optimizer.weight_decay
        assert decay == 0.25
        assert same(model.state_dict(), tiny(np.random.default_rng(5)).state_dict())
        assert isinstance(schedule, OneCycleLR)
        assert schedule.total_steps == 4 * 8  # 60 images in batches of 8
    plain = dataclasses.replace(RECIPE, optimizer="sgd", schedule="none")
    assert runs.prepare(plain, 60, np.random.default_rng(0))[1].momentum == 0.9


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "step", "none"])
def test_rate_runs_as_the_schedule_says(name):
    recipe = dataclasses.replace(RECIPE, schedule=name, epochs=6)
    _, optimizer, schedule = runs.prepare(recipe, 60, np.random.default_rng(0))
    rates = [optimizer.lr]
    steps = {"one-cycle": 48, "none": 0}.get(name, 6)
    for _ in range(steps):
        schedule.step()
        rates.append(optimizer.lr)
    if name == "none":
        assert schedule is None and rates == [0.05]
    elif name == "step":
        assert isinstance(schedule, StepLR)
        np.testing.assert_allclose(rates[::2], [0.05, 0.015, 0.0045, 0.00135])
    else:
        assert max(rates) == pytest.approx(0.05, rel=1e-2)
        assert rates[-1] < 1e-3


def test_augmentation_bends_turns_and_shifts():
    assert runs.augmentation(RECIPE) is None
    full = dataclasses.replace(RECIPE, shift=2, rotation=10.0, distortion=1.5)
    made = runs.augmentation(full)
    assert isinstance(made, Compose)
    half, moved = made.transforms
    assert isinstance(half, RandomApply) and half.p == 0.5
    bent, turned = half.transform.transforms
    assert isinstance(bent, RandomDistortion) and bent.pixels == 1.5
    assert isinstance(turned, RandomRotation) and turned.degrees == 10
    assert isinstance(moved, RandomShift) and moved.pixels == (2, 2)


def test_train_hands_over_the_best_epoch():
    run = runs.train(RECIPE, LEARN, VALID, seed=0, progress=False)
    shares = run.history["valid_accuracy"]
    assert len(shares) == len(run.seconds) == 4
    assert run.epoch == 1 + int(np.argmax(shares)) and not run.kept
    assert evaluate(run.model, VALID)["accuracy"] == shares[run.epoch - 1]
    assert shares[run.epoch - 1] > 0.8
    assert all(s > 0 for s in run.seconds)
    assert not any(layer.training for layer in run.model.modules())


def test_best_epoch_may_be_an_early_one():
    """With a rate that is far too large, later epochs are worse."""
    wild = dataclasses.replace(RECIPE, schedule="none", lr=0.8, epochs=12)
    found = [runs.train(wild, LEARN, VALID, s, progress=False) for s in range(4)]
    early = [run for run in found if run.epoch < 12]
    assert early
    for run in early:
        share = evaluate(run.model, VALID)["accuracy"]
        assert share == max(run.history["valid_accuracy"])


def test_a_seed_decides_everything():
    one, two, other = (
        runs.train(RECIPE, LEARN, VALID, seed, progress=False) for seed in (3, 3, 4)
    )
    assert one.history == two.history != other.history
    assert same(weights(one), weights(two)) and not same(weights(one), weights(other))


def test_stop_after_begins_the_same_run():
    whole = runs.train(RECIPE, LEARN, VALID, seed=0, progress=False)
    begun = runs.train(RECIPE, LEARN, VALID, seed=0, stop_after=2, progress=False)
    assert begun.history["loss"] == whole.history["loss"][:2]


def test_inputs_are_not_changed():
    images, labels = (part.copy() for part in LEARN)
    runs.train(RECIPE, LEARN, VALID, progress=False)
    np.testing.assert_array_equal(images, LEARN[0])
    np.testing.assert_array_equal(labels, LEARN[1])
    for part in LEARN:
        part.flags.writeable = False
    try:
        runs.train(RECIPE, LEARN, VALID, stop_after=1, progress=False)
    finally:
        for part in LEARN:
            part.flags.writeable = True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNBOOK_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_nothing_is_kept_unless_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("CNNBOOK_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    one = runs.trained(RECIPE, LEARN, VALID, progress=False)
    two = runs.trained(RECIPE, LEARN, VALID, progress=False)
    assert not one.kept and not two.kept and list(tmp_path.iterdir()) == []


def test_second_time_is_read(folder, capsys):
    one = runs.trained(RECIPE, LEARN, VALID, seed=2)
    first = capsys.readouterr().out
    two = runs.trained(RECIPE, LEARN, VALID, seed=2)
    assert capsys.readouterr().out == first != ""
    assert two.kept and not one.kept
    assert one.history == two.history and one.seconds == two.seconds
    assert list(one.history) == list(two.history)
    assert one.epoch == two.epoch
    assert same(weights(one), weights(two))
    np.testing.assert_array_equal(one.model(VALID[0]), two.model(VALID[0]))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 5},
        {"batch_size": 7},
        {"lr": 0.051},
        {"weight_decay": 1e-9},
        {"shift": 1},
        {"rotation": 1.0},
        {"distortion": 0.1},
        {"optimizer": "sgd"},
        {"schedule": "cosine"},
        {"input_shape": (1, 5, 5)},
    ],
)
def test_every_setting_is_in_the_key(change):
    key = runs.run_key(RECIPE, LEARN, VALID, 0)
    assert set(change) < {field.name for field in dataclasses.fields(Recipe)}
    other = dataclasses.replace(RECIPE, **change)
    assert runs.run_key(other, LEARN, VALID, 0) != key


def test_key_names_the_data_the_seed_and_the_network():
    key = runs.run_key(RECIPE, LEARN, VALID, 0)
    assert key == runs.run_key(RECIPE, tuple(a.copy() for a in LEARN), VALID, 0)
    others = [runs.run_key(RECIPE, LEARN, VALID, 1)]
    for which in range(2):
        for place in (0, -1):
            parts = [[a.copy() for a in part] for part in (LEARN, VALID)]
            parts[which][0].flat[place] += 1e-3
            others.append(runs.run_key(RECIPE, *parts, 0))
            parts = [[a.copy() for a in part] for part in (LEARN, VALID)]
            parts[which][1][place] = (parts[which][1][place] + 1) % 3
            others.append(runs.run_key(RECIPE, *parts, 0))
    deep = dataclasses.replace(RECIPE, build=deep_convnet)
    others.append(runs.run_key(deep, LEARN, VALID, 0))
    assert len({key, *others}) == 1 + len(others)


def test_key_follows_the_library_but_not_its_pictures(monkeypatch, tmp_path):
    """A module that training uses changes the key; one that it doesn't, not."""
    key = runs.run_key(RECIPE, LEARN, VALID, 0)
    for name, matters in (("fast", True), ("pooling", True), ("plots", False)):
        module = importlib.import_module(f"cnnbook.{name}")
        copy = tmp_path / f"{name}.py"
        with open(module.__file__, encoding="utf-8") as file:
            copy.write_text(file.read() + "\n# changed\n", encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(module, "__file__", str(copy))
            changed = runs.run_key(RECIPE, LEARN, VALID, 0) != key
        assert changed is matters, name


def test_modules_behind_are_those_that_training_loads():
    """The same modules as a fresh interpreter loads to import cnnbook.runs."""
    code = (
        "import sys, cnnbook.runs; print(*[m for m in sys.modules if 'cnnbook.' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert runs.modules_behind("cnnbook.runs") == sorted(done.stdout.split())


def test_key_needs_a_function():
    def around(share):
        def build(rng=None):
            return tiny(share)

        return build

    for build in (
        functools.partial(tiny, 3),
        print,
        Sequential,
        lambda rng: tiny(rng),
        around(3),
    ):
        recipe = dataclasses.replace(RECIPE, build=build)
        with pytest.raises(TypeError, match=r"recipe\.build"):
            runs.run_key(recipe, LEARN, VALID, 0)


def test_damaged_file_is_named(folder):
    runs.trained(RECIPE, LEARN, VALID, progress=False)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=path.name):
        runs.trained(RECIPE, LEARN, VALID, progress=False)


def test_defaults_are_in_the_key(monkeypatch):
    key = runs.run_key(RECIPE, LEARN, VALID, 0)
    monkeypatch.setattr(tiny, "__defaults__", (7,))
    assert runs.run_key(RECIPE, LEARN, VALID, 0) != key


def test_numbers_of_numpy_are_numbers(folder):
    odd = dataclasses.replace(RECIPE, lr=np.float64(0.05), epochs=np.int64(4))
    one = runs.trained(odd, LEARN, VALID, np.int64(0), progress=False)
    two = runs.trained(RECIPE, LEARN, VALID, 0, progress=False)
    assert two.kept and two.history == one.history


def test_byte_order_is_no_excuse():
    one, two = LEARN[0].view(">u4").copy(), LEARN[0].view("<u4").copy()
    keys = {runs.run_key(RECIPE, (x, LEARN[1]), VALID, 0) for x in (one, two)}
    assert len(keys) == 2


def test_nothing_is_kept_of_code_that_was_changed(folder, monkeypatch):
    monkeypatch.setattr(runs, "IMPORTED", 0.0)  # all files are newer than that
    for _ in range(2):
        assert not runs.trained(RECIPE, LEARN, VALID, progress=False).kept
    assert not folder.exists()


def test_bad_folder_is_noticed_before_the_training(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setattr(runs, "train", None)
    for bad in (file, file / "below"):
        monkeypatch.setenv("CNNBOOK_RUNS", str(bad))
        monkeypatch.setattr(runs, "changed_since_import", lambda: False)
        monkeypatch.setattr(runs, "run_key", lambda *_: "key")
        with pytest.raises(OSError, match="CNNBOOK_RUNS"):
            runs.trained(RECIPE, LEARN, VALID, progress=False)


def test_no_epochs_are_kept_too(folder):
    none = dataclasses.replace(RECIPE, epochs=0)
    one, two = (runs.trained(none, LEARN, VALID, progress=False) for _ in range(2))
    assert two.kept and one.epoch == two.epoch == 0 and two.seconds == []


def test_another_checkpoint_is_no_run(folder):
    from cnnbook.checkpoints import save_checkpoint

    runs.trained(RECIPE, LEARN, VALID, progress=False)
    (path,) = folder.iterdir()
    save_checkpoint(path, tiny(0))
    with pytest.raises(ValueError, match=path.name):
        runs.trained(RECIPE, LEARN, VALID, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "rmsprop"}, "recipe.optimizer"),
        ({"schedule": "linear"}, "recipe.schedule"),
        ({"batch_size": 0}, "recipe.batch_size"),
        ({"epochs": 1.5}, "recipe.epochs"),
        ({"epochs": -1}, "recipe.epochs"),
    ],
)
def test_bad_recipes_are_named(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        runs.train(dataclasses.replace(RECIPE, **change), LEARN, VALID)


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="valid"):
        runs.train(RECIPE, LEARN, None)
    for stop in (0, -1, "2"):
        with pytest.raises((TypeError, ValueError), match="stop_after"):
            runs.train(RECIPE, LEARN, VALID, stop_after=stop)
    for seed in (None, np.random.default_rng(0)):
        with pytest.raises(TypeError, match="seed"):
            runs.trained(RECIPE, LEARN, VALID, seed)
    with pytest.raises(ValueError, match="learn"):
        runs.train(RECIPE, (LEARN[0][:0], LEARN[1][:0]), VALID)
    with pytest.raises(ValueError, match="valid"):
        runs.train(RECIPE, LEARN, (VALID[0], VALID[1][:3]))
    with pytest.raises(TypeError, match="seed"):
        runs.train(RECIPE, LEARN, VALID, seed="one")


def test_recipes_of_the_book_begin():
    """Every recipe takes a step on images of its shape."""
    rng = np.random.default_rng(0)
    for name, recipe in MODELS.items():
        images = rng.random((10, *recipe.input_shape), dtype=np.float32)
        labels = rng.integers(0, 10, 10)
        brief = dataclasses.replace(recipe, epochs=1)
        run = runs.train(brief, (images, labels), (images, labels), progress=False)
        assert np.isfinite(run.history["loss"]).all(), name
