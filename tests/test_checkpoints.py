"""Checkpoints: what is saved comes back, a crash harms nothing, a liar is refused."""

import copy
import hashlib
import io
import json
import math
import os
import pickle
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnnbook import checkpoints
from cnnbook.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from cnnbook.layers import Buffer, Flatten, Layer, Linear, Parameter, ReLU, Sequential
from cnnbook.losses import CrossEntropyLoss
from cnnbook.optimizers import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    MultiStepLR,
    OneCycleLR,
    Schedule,
    StepLR,
)
from cnnbook.training import EarlyStopping, fit

safetensors = pytest.importorskip("safetensors.numpy")

EPOCHS, BATCH = 4, 7


class Jitter(Layer):
    """Noise while it is trained, and a count of its batches."""

    def __init__(self, rng):
        self.rng = rng
        self.count = Buffer(0)

    def forward(self, x):
        if not self.training:
            return x
        self.count.data[...] += 1
        return x + self.rng.normal(0, 0.2, x.shape).astype(x.dtype)

    def backward(self, dy):
        return dy


OPTIMIZERS = {
    "sgd": lambda p: SGD(p, 0.1),
    "momentum": lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, 0.02),
    "adamw": lambda p: AdamW(p, 0.02, weight_decay=0.1),
}
STEPS = EPOCHS * math.ceil(23 / BATCH)
SCHEDULES = {
    "none": lambda o: None,
    "step": lambda o: StepLR(o, 2, 0.5),
    "multi-step": lambda o: MultiStepLR(o, [1, 3], [0.5, 0.2]),
    "cosine": lambda o: CosineAnnealingLR(o, EPOCHS),
    "one-cycle": lambda o: OneCycleLR(o, 0.1, STEPS + 1),
}


def data(count=23, seed=1):
    """Return made-up images and labels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 1, 3, 3)).astype(np.float32)
    return images, rng.integers(0, 4, count)


def network(seed=0, dtype=np.float32):
    """Return a small network with a layer that draws."""
    rng = np.random.default_rng(seed)
    return Sequential(
        Flatten(),
        Linear(9, 6, rng=rng),
        Jitter(np.random.default_rng(seed + 100)),
        ReLU(),
        Linear(6, 4, rng=rng),
    ).astype(dtype)


class Run:
    """Model, optimizer, schedule and generator of a run at its beginning."""

    def __init__(self, optimizer="adam", schedule="cosine", seed=0, dtype=np.float32):
        self.model = network(seed, dtype)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.schedule = SCHEDULES[schedule](self.optimizer)
        self.rng = np.random.default_rng(seed)

    def parts(self):
        """Return what save and load take, beside the model."""
        kept = {"optimizer": self.optimizer, "schedule": self.schedule}
        return kept | {"rng": self.rng}

    def fit(self, epochs, callbacks=(), history=None):
        """Train up to an epoch; return the history."""
        return fit(
            self.model,
            data(),
            data(11, 2),
            loss=CrossEntropyLoss(),
            optimizer=self.optimizer,
            schedule=self.schedule,
            epochs=epochs,
            batch_size=BATCH,
            seed=self.rng,
            augment=lambda x, rng: x + rng.normal(0, 0.1, x.shape).astype(x.dtype),
            callbacks=callbacks,
            history=history,
            progress=False,
        )

    def state(self):
        """Return everything that a next step depends on, to be compared."""
        drawing = [m.rng for m in self.model.modules() if m.rng is not None]
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule and self.schedule.state_dict(),
                "random": [g.bit_generator.state for g in [self.rng, *drawing]],
            }
        )

    def save(self, path, **more):
        """Save it."""
        return save_checkpoint(path, self.model, **self.parts(), **more)

    def load(self, path):
        """Load it."""
        return load_checkpoint(path, self.model, **self.parts())


def same(a, b):
    """Compare nested states to the last bit, NaN and the kind of number included."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def quick(monkeypatch):
    """Don't wait for the disk, where no plug is pulled."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.fixture(scope="module")
def saved():
    """The bytes of a valid checkpoint of two epochs."""
    run = Run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        run.fit(2, [Checkpoint(path, run.model, **run.parts(), config={"model": "m"})])
        return path.read_bytes()


# What comes back


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_everything_comes_back(quick, path, optimizer, schedule, dtype):
    if (optimizer, schedule) == ("sgd", "one-cycle"):
        schedule = "step"  # there is no momentum to cycle
    run = Run(optimizer, schedule, dtype=dtype)
    history = run.fit(2)
    state = run.model.state_dict()
    best = {k: np.array(v + 1, order="F") for k, v in state.items()}
    config = {"model": "tiny", "width": 6, "rate": 0.1, "deep": True, "note": None}
    assert run.save(path, history=history, best=best, config=config) == path

    other = Run(optimizer, schedule, seed=5, dtype=dtype)
    loaded = other.load(path)
    assert same(other.state(), run.state())
    assert other.optimizer.lr == run.optimizer.lr
    assert same(loaded.weights, run.model.state_dict())
    assert same(loaded.best, best)
    assert same(loaded.history, history)
    assert loaded.config == config and loaded.epoch == 2
    assert same(load_checkpoint(str(path)).best, best)


def test_arrays_come_back_in_any_layout_and_shape(path):
    model = Layer()
    table = np.arange(6.0).reshape(2, 3)
    model.a, model.b = Parameter(table), Parameter(table)
    model.a.data = np.asfortranarray(model.a.data)
    model.b.data = np.arange(24.0)[::4].reshape(3, 2).T
    model.c, model.d = Parameter(np.zeros((0, 3))), Parameter(np.float32(2.5))
    model.e = Parameter([np.nan, np.inf, -0.0, 5e-324])
    model.f = Buffer(np.array([True, False]))
    model.g = Buffer(np.arange(3, dtype=np.int64))
    model.h = Buffer(np.arange(3, dtype=">i4"))
    state = model.state_dict()
    weights = load_checkpoint(save_checkpoint(path, model)).weights
    assert weights.keys() == state.keys()
    for key, value in state.items():
        value = np.array(value, value.dtype.newbyteorder("="), order="C")
        assert same(weights[key], value), key
        assert weights[key].flags.writeable and weights[key].flags.owndata
    model.h = Buffer(np.arange(3, dtype=np.int32))
    before = model.state_dict()
    for _, part in model.named_state():
        part.data[...] = 0
    load_checkpoint(path, model)
    assert same(model.state_dict(), before)


def test_history_keeps_every_float(path):
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.inf, -math.inf]
    history = {"loss": [*values, math.nan], "odd": [1, np.float32(0.1)]}
    loaded = load_checkpoint(save_checkpoint(path, network(), history=history))
    assert same(loaded.history["loss"], history["loss"])
    assert loaded.history["odd"] == [1.0, float(np.float32(0.1))]
    assert loaded.epoch == 8


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "SFC64", "MT19937", "Philox"])
def test_every_generator_goes_on_where_it_was(path, kind):
    make = getattr(np.random, kind)
    rng, inner = np.random.Generator(make(1)), np.random.Generator(make(2))
    model = Sequential(Jitter(inner))
    for generator in (rng, inner):
        generator.random(7), generator.integers(9, size=3, dtype=np.uint32)
    save_checkpoint(path, model, rng=rng)
    ahead = [g.random(5).tolist() for g in (rng, inner)]
    rng2, inner2 = np.random.Generator(make(3)), np.random.Generator(make(4))
    load_checkpoint(path, Sequential(Jitter(inner2)), rng=rng2)
    assert [g.random(5).tolist() for g in (rng2, inner2)] == ahead


def test_same_run_gives_the_same_file(tmp_path, path):
    run = Run()
    history = run.fit(1)
    run.save(path, history=history, config={"b": 1, "a": 2})
    again = run.save(tmp_path / "b", history=history, config={"a": 2, "b": 1})
    assert path.read_bytes() == again.read_bytes()


def test_saving_changes_nothing(path):
    run = Run()
    history = run.fit(1)
    before, copied = run.state(), copy.deepcopy(history)
    run.save(path, history=history, best=run.model.state_dict())
    assert same(run.state(), before) and same(history, copied)


def test_the_file_holds_pytorch_names(path):
    run = Run()
    run.save(path)
    tensors = safetensors.load_file(path)
    assert {k for k in tensors if k.startswith("model.")} == {
        f"model.{key}"
        for key in ("1.weight", "1.bias", "2.count", "4.weight", "4.bias")
    }
    assert np.array_equal(tensors["model.1.weight"], run.model[1].weight.data)
    assert tensors["optimizer.means.0"].shape == (6, 9)


def test_pytorch_reads_the_weights(torch, path):
    from safetensors.torch import load_file

    model = Sequential(Flatten(), Linear(9, 6, rng=0))
    save_checkpoint(path, model)
    tensors = {k.removeprefix("model."): v for k, v in load_file(path).items()}
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 6))
    other.load_state_dict(tensors)
    x = data()[0]
    theirs = other(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(model(x), theirs, atol=1e-6)


def test_states_of_classes_of_ones_own(path):
    class Plateau(Schedule):
        best, mode, seen, done = None, "min", (0, 0.5), False
        lows = np.zeros(2)

        def rate(self, step):
            return self.base

        def state_dict(self):
            own = {"best": self.best, "mode": self.mode, "seen": self.seen}
            own |= {"done": self.done, "lows": self.lows, "count": np.int64(3)}
            return super().state_dict() | own

        def load_state_dict(self, state):
            self.base, self.steps = state["base"], state["steps"]
            self.best, self.mode = state["best"], state["mode"]
            self.seen, self.done = state["seen"], state["done"]
            self.lows = state["lows"]

    run = Run()
    run.schedule = Plateau(run.optimizer)
    run.schedule.best, run.schedule.mode = 0.25, "max"
    run.schedule.seen, run.schedule.done = (4, 1.5), True
    run.schedule.lows = np.array([0.1, 0.2])
    run.save(path)
    other = Run(seed=3)
    other.schedule = Plateau(other.optimizer)
    other.load(path)
    a, b = run.schedule.state_dict(), other.schedule.state_dict()
    assert same(a, b)
    run.schedule.best = object()
    with pytest.raises(TypeError, match="can't keep <object"):
        run.save(path)


# Stopping and going on


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_resuming_after_any_epoch_ends_like_not_stopping(
    quick, tmp_path, optimizer, schedule
):
    """The last bit of everything, the files included."""
    if (optimizer, schedule) == ("sgd", "one-cycle"):
        schedule = "step"  # there is no momentum to cycle

    def keeper(run, path):
        return Checkpoint(path, run.model, **run.parts())

    whole, path = Run(optimizer, schedule), tmp_path / "whole"
    history = whole.fit(EPOCHS, [keeper(whole, path)])
    for stop in range(EPOCHS + 1):
        part = tmp_path / f"part{stop}"
        first = Run(optimizer, schedule)
        first.fit(stop, [keeper(first, part)])
        second = Run(optimizer, schedule, seed=0 if stop == 0 else 9)
        callback = keeper(second, part)
        later = second.fit(EPOCHS, [callback], callback.resume())
        assert same(later, history)
        assert same(second.state(), whole.state())
        assert part.read_bytes() == path.read_bytes()


def test_stopping_after_every_epoch_and_in_the_middle_of_one(path):
    whole = Run()
    history = whole.fit(EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        run = Run(seed=epoch - 1)
        callback = Checkpoint(path, run.model, **run.parts())
        run.fit(epoch, [callback], callback.resume())
        run.fit(epoch + 1, history=callback.resume())  # lost: not kept
        later = callback.resume()
        assert later["loss"] == history["loss"][:epoch]
    assert same(run.state(), whole.state())


@pytest.mark.parametrize("left_out", ["optimizer", "schedule", "rng"])
def test_leaving_a_part_out_is_another_run(path, left_out):
    """The comparison above would notice."""
    whole = Run("momentum", "cosine").fit(EPOCHS)
    run = Run("momentum", "cosine")
    run.fit(2, [Checkpoint(path, run.model, **run.parts())])
    other = Run("momentum", "cosine")
    parts = {k: v for k, v in other.parts().items() if k != left_out}
    loaded = load_checkpoint(path, other.model, **parts)
    assert other.fit(EPOCHS, history=loaded.history)["loss"] != whole["loss"]


def test_a_generator_that_is_shared(path):
    """Between layers and run; what draws otherwise is refused."""

    def shared():
        rng = np.random.default_rng(0)
        return Sequential(Jitter(rng), Jitter(rng)), rng

    model, rng = shared()
    rng.random(3)
    save_checkpoint(path, model, rng=rng)
    other, rng2 = shared()
    load_checkpoint(path, other, rng=rng2)
    assert other[0].rng is other[1].rng is rng2
    assert rng2.random(4).tolist() == rng.random(4).tolist()
    rngs = [np.random.default_rng(k) for k in (1, 2, 3)]
    apart = Sequential(Jitter(rngs[0]), Jitter(rngs[1]))
    before = [rng.bit_generator.state for rng in rngs]
    with pytest.raises(ValueError, match=r"from \[0, 0, 0\], here from \[0, 1, 2\]"):
        load_checkpoint(path, apart, rng=rngs[2])
    with pytest.raises(ValueError, match=r"from \[0, 0\], here from \[0, 1\]"):
        load_checkpoint(path, apart)
    assert [rng.bit_generator.state for rng in rngs] == before
    load_checkpoint(path, rng=rngs[2])
    assert rngs[2].random(4).tolist() == shared()[1].random(7)[3:].tolist()


def test_the_rate_that_was_saved_wins_over_the_schedule(path):
    """Somebody halved it by hand in between."""
    run = Run("momentum", "cosine")
    run.fit(2)
    run.optimizer.lr *= 0.5
    run.save(path)
    other = Run("momentum", "cosine", seed=4)
    other.load(path)
    assert other.optimizer.lr == run.optimizer.lr


# The callback


def test_best_weights_survive_a_stop(path):
    class Script:
        """A run whose validation accuracy is given."""

        def __init__(self, run):
            self.callback = Checkpoint(path, run.model, **run.parts())
            self.run = run

        def epoch(self, history):
            weight = self.run.model[1].weight.data
            weight[...] = len(history["valid_accuracy"])
            self.callback(len(history["valid_accuracy"]), self.run.model, history)

    values, best = [0.1, 0.5, 0.5, 0.4, 0.6, 0.2], [1, 2, 2, 2, 5, 5]
    script = Script(Run())
    for k in range(1, 7):
        script.epoch({"loss": values[:k], "valid_accuracy": values[:k]})
        kept = load_checkpoint(path)
        assert np.all(kept.best["1.weight"] == best[k - 1])
        assert np.all(kept.weights["1.weight"] == k) and kept.epoch == k
        script = Script(Run(seed=k))  # stopped
        script.callback.resume()
        assert np.all(script.run.model[1].weight.data == k)


def test_monitor(path):
    run = Run()
    run.fit(2, [Checkpoint(path, run.model, **run.parts(), monitor=None)])
    assert load_checkpoint(path).best is None
    history = {"loss": [2.0, 3.0]}
    late = Checkpoint(path, run.model, **run.parts(), monitor="loss")
    with pytest.raises(ValueError, match="^best: epoch 1 was"):
        late(2, run.model, history)
    with pytest.raises(KeyError, match="'valid_accuracy' is not among"):
        Checkpoint(path, run.model, **run.parts())(2, run.model, history)
    assert load_checkpoint(path).epoch == 2


def test_a_run_that_has_not_begun(tmp_path):
    run = Run()
    before = run.state()
    path = tmp_path / "new" / "folder" / "run.safetensors"
    callback = Checkpoint(path, run.model, **run.parts())
    assert callback.resume() == {} and same(run.state(), before)
    run.fit(1, [callback, EarlyStopping()])
    assert names(path.parent) == ["run.safetensors"]
    assert callback.resume().keys() == load_checkpoint(path).history.keys()


@pytest.mark.parametrize("epoch", [None, {}])
def test_saved_before_the_first_epoch(path, epoch):
    whole = Run()
    history = whole.fit(2)
    run = Run()
    run.save(path, history=epoch)
    other = Run(seed=3)
    callback = Checkpoint(path, other.model, **other.parts())
    assert same(other.fit(2, [callback], callback.resume()), history)
    assert same(other.state(), whole.state())


# A crash at any moment


class Crash(BaseException):
    """Not even an Exception, as Ctrl-C."""


class HalfFile(io.FileIO):
    """A file on a disk that is full after 100 bytes."""

    def write(self, content):
        super().write(bytes(content)[:100])
        raise OSError("no space left on device")


def crash_in(monkeypatch, stage, error):
    """Let one step of the saving fail."""

    def fail(*_, **__):
        raise error

    if stage == "write":
        monkeypatch.setattr(Path, "open", lambda self, mode: HalfFile(self, "xb"))
    elif stage == "folder":
        monkeypatch.setattr(os, "open", fail)
    else:
        owner, name = {
            "serialize": (safetensors, "save"),
            "open": (Path, "open"),
            "fsync": (os, "fsync"),
            "replace": (os, "replace"),
        }[stage]
        monkeypatch.setattr(owner, name, fail)


@pytest.mark.parametrize("error", [OSError("full"), Crash(), MemoryError()])
@pytest.mark.parametrize("stage", ["serialize", "open", "write", "fsync", "replace"])
@pytest.mark.parametrize("old", [True, False])
def test_a_crash_leaves_the_old_one(path, stage, error, old):
    run = Run()
    history = run.fit(1)
    if old:
        run.save(path, history=history)
    before = path.read_bytes() if old else None
    later = run.fit(2, history=history)
    with pytest.MonkeyPatch.context() as patch:
        crash_in(patch, stage, error)
        with pytest.raises(OSError if stage == "write" else type(error)):
            run.save(path, history=later)
    assert names(path.parent) == (["run.safetensors"] if old else [])
    if old:
        assert path.read_bytes() == before and load_checkpoint(path).epoch == 1
    run.save(path, history=later)
    assert load_checkpoint(path).epoch == 2


def test_a_system_that_cannot_sync_folders(path, monkeypatch):
    """As Windows, which doesn't even open them."""
    crash_in(monkeypatch, "folder", PermissionError("a folder"))
    run = Run()
    run.save(path)
    assert load_checkpoint(path).epoch == 0


def test_the_bytes_are_on_the_disk_before_the_name_changes(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda n: (done.append("fsync"), fsync(n))[1])
    monkeypatch.setattr(os, "replace", lambda *a: (done.append("name"), replace(*a))[1])
    save_checkpoint(path, network())
    assert done[:2] == ["fsync", "name"] and done[2:] in ([], ["fsync"])


KILLED = """
import io, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_checkpoints import Run
stage, path = {stage!r}, Path({path!r})

def die(*_, **__):
    os._exit(9)

class Half(io.FileIO):
    def write(self, content):
        super().write(bytes(content)[:100])
        die()

run = Run()
history = run.fit(2)
if stage == "write":
    Path.open = lambda self, mode: Half(self, "xb")
elif stage == "folder":
    os.open = die
else:
    setattr(os, stage, die)
run.save(path, history=history)
"""


@pytest.mark.parametrize("stage", ["write", "fsync", "replace", "folder"])
def test_a_killed_program_leaves_the_old_one_or_the_new_one(path, stage):
    run = Run()
    run.save(path, history=run.fit(1))
    code = KILLED.format(tests=str(Path(__file__).parent), stage=stage, path=str(path))
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True)
    assert done.returncode == 9, done.stderr.decode()
    assert load_checkpoint(path).epoch == (2 if stage == "folder" else 1)
    litter = [name for name in names(path.parent) if name != path.name]
    assert len(litter) == (0 if stage == "folder" else 1)
    assert all(name.endswith(".part") for name in litter)
    second = Run(seed=2)
    callback = Checkpoint(path, second.model, **second.parts(), monitor=None)
    second.fit(3, [callback], callback.resume())
    assert load_checkpoint(path).epoch == 3
    assert [name for name in names(path.parent) if name != path.name] == litter


def test_a_reader_beside_a_writer_sees_whole_files(path):
    """The file is replaced while it is open, and read again."""
    run = Run()
    run.save(path, history={"loss": [1.0]})
    with path.open("rb") as file:
        run.save(path, history={"loss": [1.0, 2.0]})
        header = checkpoints.read_header(file, "old")
    assert json.loads(header["__metadata__"]["cnnbook"])["epoch"] == 1
    assert load_checkpoint(path).epoch == 2


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_are_those_of_any_new_file(path):
    mask = os.umask(0o027)
    try:
        save_checkpoint(path, network())
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
def test_a_folder_that_is_read_only():
    run = Run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        run.save(path)
        before, user = path.read_bytes(), os.geteuid()
        os.chmod(folder, 0o555)
        if user == 0:
            os.seteuid(65534)  # root may write anywhere
        try:
            with pytest.raises(PermissionError, match="run.safetensors"):
                run.save(path, history={"loss": [1.0]})
        finally:
            os.seteuid(user)
            os.chmod(folder, 0o755)
        assert path.read_bytes() == before
        assert names(Path(folder)) == ["run.safetensors"]


def test_a_path_that_cannot_be_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OSError):
        save_checkpoint(tmp_path / "file" / "run", network())
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        save_checkpoint(tmp_path / "folder", network())
    assert names(tmp_path) == ["file", "folder"]


# Files that lie


def refuse(path, match="."):
    """Loading raises a ValueError that names the file; nothing is set."""
    run = Run(seed=7)
    before = run.state()
    with pytest.raises(ValueError, match=match) as error:
        run.load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value)) < 1000
    assert same(run.state(), before)


def packed(header, rest=b""):
    """Return a safetensors file with a header of any kind."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def forged(content, change):
    """Return a checkpoint with a changed record and changed arrays, well signed."""
    (length,) = struct.unpack("<Q", content[:8])
    record = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["cnnbook"])
    arrays = safetensors.load(content)
    change(record, arrays)
    record.pop("sha256", None)
    text = json.dumps(record, sort_keys=True)
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        found.update(f"\n{name} {a.dtype.name} {a.shape}\n".encode() + a.tobytes())
    text = json.dumps(record | {"sha256": found.hexdigest()}, sort_keys=True)
    return safetensors.save(arrays, {"cnnbook": text})


def test_forging_is_done_well(path, saved):
    path.write_bytes(forged(saved, lambda record, arrays: None))
    assert path.read_bytes() == saved
    assert Run(seed=1).load(path).epoch == 2


class Trap:
    """Leaves a trace if it is unpickled."""

    def __reduce__(self):
        return exec, ("import os; os.environ['CNNBOOK_TRAP'] = 'sprung'",)


def zipped():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"w": Trap()}))
    return content.getvalue()


def npz():
    content = io.BytesIO()
    np.savez(content, w=np.array([Trap()], dtype=object))
    return content.getvalue()


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
STRANGE = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "zeros": b"\0" * 100,
    "ones": b"\xff" * 100,
    "header of nothing": struct.pack("<Q", 0),
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "header longer than the file": struct.pack("<Q", 3) + b"{}",
    "a list": packed([]),
    "a number": packed(3),
    "null": packed(None),
    "no JSON": packed(b"{'a': 1}"),
    "no UTF-8": packed(b'{"\xff": 1}'),
    "nested": packed(b"[" * 200_000),
    "nested deeper": packed(b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "huge integer": packed(b'{"a": {"data_offsets": [0, ' + b"9" * 5000 + b"]}}"),
    "large integer": packed(b'{"a": {"data_offsets": [0, ' + b"9" * 4000 + b"]}}"),
    "infinite": packed(b'{"a": {"data_offsets": [0, Infinity]}}'),
    "no offsets": packed({"a": {}}),
    "offsets are text": packed({"a": F32 | {"data_offsets": ["0", "4"]}}),
    "offsets are none": packed({"a": F32 | {"data_offsets": None}}),
    "offsets are one": packed({"a": F32 | {"data_offsets": [0]}}),
    "entry is a list": packed({"a": [1]}),
    "more data": packed({"a": F32}, b"\0" * 5),
    "less data": packed({"a": F32}, b"\0" * 3),
    "overlap": packed({"a": F32, "b": F32}, b"\0" * 4),
    "hole": packed({"a": F32 | {"data_offsets": [4, 8]}}, b"\0" * 8),
    "shape is wrong": packed({"a": F32 | {"shape": [2]}}, b"\0" * 4),
    "shape is negative": packed({"a": F32 | {"shape": [-1]}}, b"\0" * 4),
    "shape overflows": packed({"a": F32 | {"shape": [2**63, 2**63]}}, b"\0" * 4),
    "too many axes": packed({"a": F32 | {"shape": [1] * 100}}, b"\0" * 4),
    "zero by huge": packed(
        {"a": {"dtype": "F32", "shape": [0, 2**62, 5], "data_offsets": [0, 0]}}
    ),
    "unknown dtype": packed({"a": F32 | {"dtype": "object"}}, b"\0" * 4),
    "other dtype": packed(
        {"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "no metadata": packed({"a": F32}, b"\0" * 4),
    "metadata is a list": packed({"__metadata__": [], "a": F32}, b"\0" * 4),
    "metadata is null": packed({"__metadata__": None, "a": F32}, b"\0" * 4),
    "metadata of others": packed({"__metadata__": {"format": "pt"}}),
    "record is a number": packed({"__metadata__": {"cnnbook": 3}}),
    "record is no JSON": packed({"__metadata__": {"cnnbook": "{"}}),
    "record is a list": packed({"__metadata__": {"cnnbook": "[]"}}),
    "record is nested": packed({"__metadata__": {"cnnbook": "[" * 200_000}}),
    "record has a huge integer": packed(
        {"__metadata__": {"cnnbook": '{"version": ' + "1" * 5000 + "}"}}
    ),
    "record is empty": packed({"__metadata__": {"cnnbook": "{}"}}),
    "record has a version": packed({"__metadata__": {"cnnbook": '{"version": 1}'}}),
    "record of the future": packed({"__metadata__": {"cnnbook": '{"version": 2}'}}),
    "pickle": pickle.dumps({"w": Trap()}),
    "old pickle": pickle.dumps({"w": Trap()}, protocol=0),
    "zip": zipped(),
    "npz": npz(),
    "PNG": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "text": b"not a checkpoint at all, " * 10,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_files(path, kind):
    """Refused, by name, and none of them runs anything."""
    path.write_bytes(STRANGE[kind])
    refuse(path)
    assert "CNNBOOK_TRAP" not in os.environ


def test_the_trap_works():
    pickle.loads(STRANGE["pickle"])
    assert os.environ.pop("CNNBOOK_TRAP") == "sprung"


def test_absurd_sizes_are_refused_before_they_are_read(path, saved):
    """A file with a hole is small on the disk, and a terabyte to read."""
    path.write_bytes(saved)
    try:
        os.truncate(path, 2**40)
    except OSError:
        pytest.skip("the file system has no sparse files")
    refuse(path, "too long")
    path.write_bytes(struct.pack("<Q", 2**39))
    os.truncate(path, 2**40)
    refuse(path, "promises a header")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        load_checkpoint(tmp_path / "none")
    refuse(tmp_path, "is not a file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    refuse(path, "is not a file")


def small(seed):
    """Return the parts of a run with a very small network."""
    model = Sequential(
        Flatten(), Linear(2, 1, rng=seed), Jitter(np.random.default_rng(4))
    )
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    schedule, rng = StepLR(optimizer, 2), np.random.default_rng(seed)
    return model, {"optimizer": optimizer, "schedule": schedule, "rng": rng}


def test_truncated_at_every_length(path, saved):
    model, parts = small(0)
    content = save_checkpoint(path, model, **parts).read_bytes()
    for length in reversed(range(len(content))):
        os.truncate(path, length)
        with pytest.raises(ValueError, match="run.safetensors: truncated"):
            load_checkpoint(path)
    path.write_bytes(saved + b"\0")
    refuse(path, "too long")


def test_every_flipped_bit_is_noticed_or_harmless(path):
    """Of every byte one bit, each in turn."""
    model, parts = small(0)
    save_checkpoint(path, model, **parts, history={"loss": [0.5]}, config={"a": 1})
    content, loaded, harmless = path.read_bytes(), vars(load_checkpoint(path)), 0
    other, others = small(1)
    fresh = copy.deepcopy((other.state_dict(), others["rng"].bit_generator.state))
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            file.seek(place)
            file.write(bytes([byte ^ (1 << (place % 8))]))
            try:
                again = load_checkpoint(path, other, **others)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")
                assert same(fresh[0], other.state_dict())
                assert same(fresh[1], others["rng"].bit_generator.state)
            else:
                harmless += 1
                assert same(vars(again), loaded)
                assert same(model.state_dict(), other.state_dict())
                other, others = small(1)
            file.seek(place)
            file.write(bytes([byte]))
    assert harmless < 20 and same(vars(load_checkpoint(path)), loaded)


@settings(max_examples=150)
@given(st.binary(max_size=300), st.integers(0, 300) | st.integers(0, 2**64 - 1))
@example(b"{}", 2)
def test_random_bytes(content, length):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for whole in (content, struct.pack("<Q", length) + content, packed(content)):
            path.write_bytes(whole)
            with pytest.raises(ValueError, match="file: "):
                load_checkpoint(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, -1, 2**64, 2**128, "Adam", "PCG64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = [key for key in checkpoints.RECORD if key != "sha256"]


def leaves(value, path=()):
    """Yield the place of everything in a nested record."""
    yield path
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, part in inside:
        yield from leaves(part, (*path, key))


@settings(max_examples=400)
@given(st.data(), JSON)
def test_any_value_at_any_place_of_the_record(saved, draw, value):
    """Well signed: either a sane run comes out, or a ValueError and nothing is set."""

    def change(record, arrays):
        inside = draw.draw(st.sampled_from([p for p in leaves(record) if p]))
        for key in inside[:-1]:
            record = record[key]
        record[inside[-1]] = value

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(forged(saved, change))
        run = Run(seed=3)
        before = run.state()
        try:
            loaded = run.load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
            assert same(run.state(), before)
        else:
            assert loaded.epoch == len(loaded.history.get("loss", ()))
            assert run.optimizer.steps >= 0 and run.schedule.steps >= 0
            run.rng.random(), repr(loaded)


def put(*where, value):
    """Return a change of the record at one place."""

    def change(record, arrays):
        for key in where[:-1]:
            record = record[key]
        record[where[-1]] = value

    return change


def array(name, value):
    return lambda record, arrays: arrays.update({name: value})


FORGED = {
    "version: text": (put("version", value="1"), "no record"),
    "version: 2": (put("version", value=2), "version 2"),
    "epoch: negative": (put("epoch", value=-1), "epoch: -1"),
    "epoch: other": (put("epoch", value=3), "epoch: 3"),
    "epoch: float": (put("epoch", value=2.0), "epoch: has type float"),
    "history: list": (put("history", value=[]), "history: has type"),
    "history: number": (put("history", "loss", value=1.0), "history"),
    "history: text in it": (put("history", "loss", 0, value="1"), "history"),
    "history: a list in it": (put("history", "loss", 0, value=[1]), "history"),
    "history: huge integer": (put("history", "loss", 0, value=10**400), "."),
    "config: nested": (put("config", "a", value=[1]), "config"),
    "optimizer: other": (put("optimizer", value="SGD"), "that of SGD, not Adam"),
    "optimizer: none": (put("optimizer", value=None), "none in the file"),
    "steps: negative": (put("optimizer_state", "steps", value=-1), "optimizer.steps"),
    "steps: float": (put("optimizer_state", "steps", value=1.0), "optimizer.steps"),
    "steps: true": (put("optimizer_state", "steps", value=True), "optimizer.steps"),
    "steps: huge": (put("optimizer_state", "steps", value=10**400), "optimizer.steps"),
    "lr: text": (put("optimizer_state", "lr", value="0.1"), "optimizer.lr"),
    "lr: null": (put("optimizer_state", "lr", value=None), "optimizer.lr"),
    "lr: huge": (put("optimizer_state", "lr", value=10**400), "."),
    "betas: one": (put("optimizer_state", "betas", value=[0.9]), "optimizer.betas"),
    "betas: text": (put("optimizer_state", "betas", 0, value="x"), "optimizer.betas"),
    "unknown number": (put("optimizer_state", "x", value=1), "optimizer: needs"),
    "schedule: other": (put("schedule", value="StepLR"), "that of StepLR"),
    "schedule: negative": (put("schedule_state", "steps", value=-4), "schedule.steps"),
    "schedule: text": (put("schedule_state", "base", value="1"), "schedule.base"),
    "random: none": (put("random_states", value=[]), "0 random states"),
    "random: text": (put("random_states", 0, value="PCG64"), "rng: needs a state"),
    "random: other": (
        put("random_states", 0, value=json.loads(json.dumps({"bit_generator": "os"}))),
        "rng: needs a state of PCG64, got 'os'",
    ),
    "random: negative": (put("random_states", 0, "state", "state", value=-1), "state"),
    "random: too large": (put("random_states", 0, "state", "inc", value=2**128), "inc"),
    "random: flag": (put("random_states", 0, "has_uint32", value=7), "has_uint32"),
    "random: no layers": (put("random_layers", value=[]), "rng: in the file"),
    "random: far layers": (put("random_layers", value=[5]), "rng: in the file"),
    "random: no run": (put("random_run", value=None), "no random state of the run"),
    "random: far run": (put("random_run", value=99), "rng: in the file"),
    "array: shape": (
        array("model.1.bias", np.zeros(7, np.float32)),
        "model.1.bias: n",
    ),
    "array: dtype": (
        array("model.1.bias", np.zeros(6)),
        "needs float32 .6,., got float64",
    ),
    "array: unknown": (array("model.9", np.zeros(1)), "unknown .'9'"),
    "array: homeless": (array("other", np.zeros(1)), "belong to nobody"),
    "array: missing": (lambda r, a: a.pop("model.1.bias"), "missing .'1.bias'"),
    "best: missing": (lambda r, a: a.pop("best.1.bias"), "best: missing"),
    "best: shape": (
        array("best.1.bias", np.zeros(7, np.float32)),
        "best.1.bias: n",
    ),
    "means: shape": (
        array("optimizer.means.0", np.zeros((9, 6), np.float32)),
        "optimizer.means.0: needs",
    ),
    "means: missing": (lambda r, a: a.pop("optimizer.means.0"), "optimizer: missing"),
} | {f"without {key}": (lambda r, a, key=key: r.pop(key), ".") for key in KEYS}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_checkpoints(path, saved, kind):
    change, match = FORGED[kind]
    path.write_bytes(forged(saved, change))
    refuse(path, match)


@pytest.mark.parametrize(
    ("kind", "where", "value"),
    [
        ("MT19937", ("state", "pos"), 625),
        ("MT19937", ("state", "pos"), -1),
        ("MT19937", ("state", "key"), [0] * 623),
        ("MT19937", ("state", "key", 5), 2**32),
        ("Philox", ("buffer_pos",), 5),
        ("Philox", ("buffer_pos",), -7),
        ("Philox", ("buffer", 0), 2**64),
        ("SFC64", ("state", "state"), [1, 2, 3]),
    ],
)
def test_random_states_that_would_read_beyond_their_tables(path, kind, where, value):
    """NumPy takes some of these as they are."""
    make = getattr(np.random, kind)
    rng = np.random.Generator(make(0))
    save_checkpoint(path, Sequential(Flatten()), rng=rng)
    path.write_bytes(
        forged(path.read_bytes(), put("random_states", 0, *where, value=value))
    )
    before = rng.bit_generator.state
    with pytest.raises(ValueError, match="rng"):
        load_checkpoint(path, rng=rng)
    assert same(before, rng.bit_generator.state)


def test_a_changed_weight_is_noticed(path, saved):
    content = bytearray(saved)
    content[-1] ^= 1
    path.write_bytes(content)
    refuse(path, "damaged; its checksum")


def test_a_schedule_without_a_step_left(path):
    """Its own check comes too late; the rehearsal is before."""
    run = Run("momentum", "one-cycle")
    run.fit(2)
    run.save(path)
    other = Run("momentum", "one-cycle", seed=2)
    other.schedule = OneCycleLR(other.optimizer, 0.1, 5)
    before, rate = other.state(), other.optimizer.lr
    with pytest.raises(ValueError, match="total_steps"):
        other.load(path)
    assert same(other.state(), before) and other.optimizer.lr == rate


def test_other_networks_are_refused(path):
    run = Run()
    run.save(path)
    narrow = Sequential(Flatten(), Linear(9, 5, rng=0))
    with pytest.raises(ValueError, match="model: missing"):
        load_checkpoint(path, narrow)
    wide = network().astype(np.float64)
    with pytest.raises(ValueError, match="needs float64"):
        load_checkpoint(path, wide)
    with pytest.raises(ValueError, match="that of Adam, not AdamW"):
        load_checkpoint(path, optimizer=AdamW(network().parameters()))
    with pytest.raises(ValueError, match="that of CosineAnnealingLR, not StepLR"):
        load_checkpoint(path, schedule=StepLR(run.optimizer, 2))
    save_checkpoint(path, run.model)
    for name, part in run.parts().items():
        with pytest.raises(ValueError, match=f"{name}: "):
            load_checkpoint(path, **{name: part})


# Arguments


def test_arguments(path):
    model = network()
    rng = np.random.default_rng(0)
    wrong = [
        ({"model": "m"}, TypeError, "^model: "),
        ({"optimizer": "adam"}, TypeError, "^optimizer: "),
        ({"schedule": 3}, TypeError, "^schedule: "),
        ({"rng": 0}, TypeError, "^rng: needs .* got 0"),
        ({"history": [1]}, TypeError, "^history: "),
        ({"history": {"loss": 1.0}}, TypeError, "^history: "),
        ({"history": {"loss": ["1"]}}, TypeError, "^history"),
        ({"history": {3: [1.0]}}, TypeError, "^history: "),
        ({"config": [1]}, TypeError, "^config: "),
        ({"config": {"a": [1]}}, TypeError, "^config: .*'a'"),
        ({"config": {1: 1}}, TypeError, "^config: "),
        ({"best": {}}, ValueError, "^best: missing"),
        ({"best": dict.fromkeys(model.state_dict(), 0)}, ValueError, "^best.1.weight"),
    ]
    for options, kind, match in wrong:
        with pytest.raises(kind, match=match):
            save_checkpoint(path, **({"model": model} | options))
    assert names(path.parent) == []
    optimizer = SGD(model.parameters(), 0.1)
    for three in [(None, optimizer, rng), (model, None, rng), (model, optimizer, None)]:
        with pytest.raises(TypeError, match="got None"):
            Checkpoint(path, *three[:2], rng=three[2])
    with pytest.raises(TypeError, match="^rng: "):
        Checkpoint(path, model, optimizer, rng=0)
    with pytest.raises(TypeError, match="^config: "):
        Checkpoint(path, model, optimizer, rng=rng, config={"a": object()})
    save_checkpoint(path, model)
    for options in ({"model": 3}, {"optimizer": model}, {"schedule": 1}, {"rng": 1}):
        with pytest.raises(TypeError, match=f"^{next(iter(options))}: "):
            load_checkpoint(path, **options)
    model[2].count = Buffer(np.array(["text"]))
    with pytest.raises(TypeError, match="model.2.count: can't save dtype <U4"):
        save_checkpoint(path, model)


def test_missing_safetensors_is_named(path, monkeypatch):
    run = Run()
    run.save(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (
        lambda: run.save(path),
        lambda: run.load(path),
        lambda: Checkpoint(path, run.model, **run.parts()),
    ):
        with pytest.raises(
            ModuleNotFoundError, match=r'pip install "cnnbook\[train\]"'
        ):
            call()


def test_the_module_needs_numpy_alone():
    code = (
        "import sys\n"
        "sys.modules['safetensors'] = None\n"
        "import cnnbook.checkpoints\n"
        "print('pickle' in vars(cnnbook.checkpoints))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
