"""The short race of the book's page "Beside PyTorch": run now, or read from a file."""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import race, report
from benchmarks.measure import PAUSE, has_threadpoolctl, set_threads, version
from benchmarks.networks import (
    NETWORKS,
    OURS,
    TORCH,
    competitor_step,
    digits,
    import_torch,
)
from cnnbook.layers import Conv2d, Linear, MaxPool2d, ReLU
from cnnbook.optimizers import Adam
from cnnbook.threads import machine_threads

ROOT = Path(__file__).resolve().parent.parent
RECORDED = Path(__file__).with_name("recorded.json")
BATCH = 64
# What a step's time is divided into.
KINDS = (
    "convolution, forward",
    "convolution, backward",
    "pooling, forward",
    "pooling, backward, and ReLU",
    "dense layers",
    "Adam",
)
REST = "the rest"
# By PyTorch's name of an operation, the kind that it belongs to. The names are those
# of operations that nothing else of this list calls.
OPERATIONS = {
    "aten::conv2d": KINDS[0],
    "autograd::engine::evaluate_function: ConvolutionBackward0": KINDS[1],
    "aten::max_pool2d": KINDS[2],
    "autograd::engine::evaluate_function: MaxPool2DWithIndicesBackward0": KINDS[3],
    "aten::relu": KINDS[3],
    "autograd::engine::evaluate_function: ReluBackward0": KINDS[3],
    "aten::linear": KINDS[4],
    "autograd::engine::evaluate_function: AddmmBackward0": KINDS[4],
    "Optimizer.step#Adam.step": KINDS[5],
}
# The same of ours: by class, the methods to watch. A ReLU in front of a pooling is
# part of it.
METHODS = {
    Conv2d: {"forward": KINDS[0], "backward": KINDS[1], "accumulate": KINDS[1]},
    MaxPool2d: {"pool": KINDS[2], "backward": KINDS[3]},
    ReLU: {"forward": KINDS[3], "backward": KINDS[3]},
    Linear: {"forward": KINDS[4], "backward": KINDS[4]},
    Adam: {"step": KINDS[5]},
}


class Settings(race.Settings):
    """The race with one batch size, without the slower versions and the memory."""

    def events(self) -> list[race.Event]:
        return [
            race.Event(network, task, BATCH, threads)
            for threads in self.threads
            for task in ("training", "inference")
            for network in NETWORKS
        ]

    def slow_names(self, event: race.Event) -> tuple[str, ...]:
        return ()

    def memory_names(self) -> tuple[str, ...]:
        return ()


def can_race() -> bool:
    """Tell whether PyTorch is there, and equal threads can be promised."""
    return version("torch") is not None and has_threadpoolctl()


def run(rounds: int = 25) -> dict:
    """Race with one thread and with all; say where the time of a step goes.

    The numbers of threads are left as they were for cnnbook.
    """
    threads = tuple(dict.fromkeys((1, machine_threads())))
    try:
        results = race.run(Settings(rounds=rounds, threads=threads))
        results["parts"] = {network: divided(network) for network in ("A", "B")}
    finally:
        set_threads(machine_threads())
    return results | {"commit": commit()}


def record(rounds: int = 25, path: Path = RECORDED) -> dict:
    """Run the race, and keep its results for machines without PyTorch."""
    results = run(rounds)
    path.write_text(report.to_json(results), encoding="utf-8")
    return results


def run_or_read(rounds: int) -> tuple[dict, bool]:
    """Return results, and whether they are new; else they are the recorded ones."""
    if can_race():
        return run(rounds), True
    return report.load(RECORDED), False


def commit() -> str:
    """Return the checkout's commit, and whether files of it were changed since."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip().replace("-dirty", ", with changes")


def divided(network: str, rounds: int = 5, steps: int = 3) -> dict:
    """Return the seconds of a training step on one thread, by competitor and kind.

    The competitors take turns, some steps at a time; the medians of the rounds count.
    """
    set_threads(1)
    steppers = {
        name: competitor_step(name, network, "training", digits(BATCH))
        for name in (OURS, *TORCH)
    }
    taken: dict[str, list[list[float]]] = {name: [] for name in steppers}
    for _ in range(rounds):
        for name, step in steppers.items():
            time.sleep(PAUSE)
            step()
            watch = own_parts if name == OURS else torch_parts
            whole, parts = watch(step, steps)
            kinds = [parts.get(kind, 0.0) for kind in KINDS]
            taken[name].append([*kinds, max(0.0, whole - sum(kinds))])
    by_kind = {name: zip(*rows, strict=True) for name, rows in taken.items()}
    return {
        name: {
            kind: statistics.median(seconds) / steps
            for kind, seconds in zip((*KINDS, REST), columns, strict=True)
        }
        for name, columns in by_kind.items()
    }


def own_parts(step: Callable, steps: int) -> tuple[float, dict[str, float]]:
    """Return the seconds of some steps of ours, and of the methods inside, by kind."""
    parts: dict[str, float] = defaultdict(float)
    with contextlib.ExitStack() as stack:
        for owner, methods in METHODS.items():
            for name, kind in methods.items():
                stack.enter_context(stopwatch(owner, name, kind, parts))
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return time.perf_counter() - start, parts


@contextlib.contextmanager
def stopwatch(owner: type, name: str, kind: str, parts: dict[str, float]) -> Iterator:
    """Add the seconds that calls of a method take to ``parts[kind]``."""
    own, inner = name in vars(owner), getattr(owner, name)

    def timed(*arguments, **options):
        start = time.perf_counter()
        result = inner(*arguments, **options)
        parts[kind] += time.perf_counter() - start
        return result

    setattr(owner, name, timed)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, inner)
        else:  # it was inherited
            delattr(owner, name)


def torch_parts(step: Callable, steps: int) -> tuple[float, dict[str, float]]:
    """Return the seconds of some steps of PyTorch's, and of operations, by kind."""
    profiler = import_torch().profiler
    watched = profiler.profile(activities=[profiler.ProfilerActivity.CPU])
    with silence(), watched as profile:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        whole = time.perf_counter() - start
    parts: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        if kind := OPERATIONS.get(event.key):
            parts[kind] += event.cpu_time_total / 1e6
    return whole, parts


@contextlib.contextmanager
def silence() -> Iterator:
    """Keep off the terminal what compiled code writes to standard error."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
