"""What every benchmark shares: rounds of paired timings, threads, the machine."""

import functools
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnbook import threads as own_threads

# Seconds of rest before each competitor: OpenMP's threads go on spinning for a few
# milliseconds after their work, and would take a core from whoever comes next.
PAUSE = 0.015


@dataclass(frozen=True)
class Competitor:
    """Something to time.

    Attributes
    ----------
    step
        Does the work once.
    images
        How many images one step takes.
    around
        Makes the context in which the steps run; entering it is not timed.
    """

    step: Callable[[], object]
    images: int = 1
    around: Callable[[], AbstractContextManager] = nullcontext


class Times(NamedTuple):
    """By competitor, a number for each round.

    Attributes
    ----------
    wall
        Seconds that the timed step took.
    busy
        Seconds that all of the process's threads computed meanwhile.
    """

    wall: dict[str, list[float]]
    busy: dict[str, list[float]]


def paired(
    competitors: dict[str, Competitor],
    rounds: int,
    *,
    after_round: Callable[[], object] = lambda: None,
    pause: float = PAUSE,
    clock: Callable[[], float] = time.perf_counter,
    cpu: Callable[[], float] = time.process_time,
    sleep: Callable[[float], object] = time.sleep,
) -> Times:
    """Time competitors in rounds, so that each round is a fair comparison of its own.

    In a round everyone takes a step that isn't timed, which fetches its data into the
    caches and wakes its threads, as the step before does in a training; and then one
    that is. The clocks and the sleep, all in seconds, can be replaced.
    """
    names = list(competitors)
    times = Times({name: [] for name in names}, {name: [] for name in names})
    for number in range(rounds):
        for name in round_order(names, number):
            competitor = competitors[name]
            sleep(pause)
            with competitor.around():
                competitor.step()
                busy, start = cpu(), clock()
                competitor.step()
                end, idle = clock(), cpu()
            times.wall[name].append(end - start)
            times.busy[name].append(idle - busy)
        after_round()
    return times


def round_order(names: list[str], number: int) -> list[str]:
    """Return who comes when: everyone is first and last, and follows everyone."""
    turn = number // 2 % len(names)
    order = names[turn:] + names[:turn]
    return order[::-1] if number % 2 else order


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the two quartiles, ``low`` and ``high``."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Return the quartiles of above / below, divided round by round."""
    return quartiles([a / b for a, b in zip(above, below, strict=True)])


def summed_up(times: Times, competitors: dict[str, Competitor], ours: str) -> dict:
    """Return what is kept of some rounds, by competitor.

    Returns
    -------
    dict
        ``seconds``, quartiles for one step; ``images`` of a step; ``ratios``, quartiles
        of the competitor's time for an image over `ours`; ``cores``, how many cores
        were busy on average; ``samples``, the seconds of every round.
    """
    each = {
        name: [seconds / competitors[name].images for seconds in wall]
        for name, wall in times.wall.items()
    }
    return {
        "seconds": {name: quartiles(wall) for name, wall in times.wall.items()},
        "images": {name: competitors[name].images for name in each},
        "ratios": {n: ratios(t, each[ours]) for n, t in each.items() if n != ours},
        "cores": {n: sum(times.busy[n]) / sum(times.wall[n]) for n in each},
        "samples": {n: [round(t, 7) for t in wall] for n, wall in times.wall.items()},
    }


def set_threads(count: int) -> None:
    """Let both sides compute with `count` threads, and see that they do."""
    own_threads.set_num_threads(count)
    if torch := sys.modules.get("torch"):
        # Last, since a limit on every library's threads would reach PyTorch's too.
        torch.set_num_threads(count)
    check_threads(count)


def check_threads(count: int) -> None:
    """Raise a RuntimeError unless both sides still have `count` threads."""
    found = {"cnnbook": own_threads.get_num_threads()}
    if torch := sys.modules.get("torch"):
        found["PyTorch"] = torch.get_num_threads()
    for name, threads in found.items():
        if threads != count:
            raise RuntimeError(f"{name} has {threads} threads, not {count}")


def has_threadpoolctl() -> bool:
    """Tell whether the threads of NumPy's matrix product can be held."""
    return version("threadpoolctl") is not None


@functools.cache
def thread_controller():
    """Return threadpoolctl's view of the libraries that are loaded by now."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def blas_threads(count: int) -> AbstractContextManager:
    """Return a context in which NumPy's matrix product has `count` threads.

    The slower versions have no threads of their own; this is how they get them.
    """
    if not has_threadpoolctl():
        return nullcontext()
    return thread_controller().limit(limits=count, user_api="blas")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def version(package: str) -> str | None:
    """Return an installed package's version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, object]:
    """Return what the numbers depend on: the machine and the versions."""
    facts: dict[str, object] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": usable_cores(),
        "memory": memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
    }
    for package in ("cnnbook", "torch", "threadpoolctl"):
        facts[package] = version(package) or "not installed"
    if torch := sys.modules.get("torch"):
        facts["torch uses"] = torch.backends.cpu.get_cpu_capability()
    if hasattr(os, "getloadavg"):
        facts["load at the start"] = round(os.getloadavg()[0], 2)
    names = [k for k in os.environ if k.endswith("_NUM_THREADS")]
    return facts | {name: os.environ[name] for name in sorted(names)}


def processor() -> str:
    """Return the processor's name."""
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def memory() -> str:
    """Return how much memory the machine has."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def blas() -> str:
    """Return the library behind NumPy's matrix product, and for which processor."""
    if not has_threadpoolctl():
        return "unknown"
    found = thread_controller().select(user_api="blas").info()
    texts = [
        f"{i['internal_api']} {i['version']} ({i.get('architecture', 'unknown')})"
        for i in found
    ]
    return ", ".join(sorted(set(texts))) or "unknown"


def notes(facts: dict[str, object], threads: Sequence[int]) -> list[str]:
    """Return what a reader of the numbers should be warned of."""
    found = []
    if not has_threadpoolctl():
        found.append(
            "threadpoolctl is missing (pip install threadpoolctl): NumPy's matrix "
            "product can't be held to the given threads, so nothing here compares "
            "equals."
        )
    if float(str(facts.get("load at the start", 0))) > 0.5:
        found.append("Other processes were using the machine at the start.")
    if max(threads) > usable_cores():
        found.append(f"More threads than cores: {max(threads)} on {usable_cores()}.")
    return found


def busy_notes(row: dict, label: str) -> list[str]:
    """Return a line for each competitor that computed on more cores than allowed.

    Nothing is said of less than 0.1 s in all: systems count computing time coarsely.
    """
    allowed = row["threads"]
    return [
        f"{label}: {name} kept {cores:.1f} cores busy, not {allowed}."
        for name, cores in row["cores"].items()
        if cores > 1.25 * allowed and sum(row["samples"][name]) >= 0.1
    ]


def progress_bar(total: int):
    """Return tqdm's bar over `total` rounds; it is silent where nobody watches.

    Its methods are ``set_description``, ``update`` and ``close``.
    """
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return Silent()
    tqdm.monitor_interval = 0  # no thread of its own beside the ones that are timed
    return tqdm(total=total, unit="round", leave=False, disable=None)


class Silent:
    """A progress bar that shows nothing."""

    def set_description(self, text: str) -> None: ...

    def update(self, steps: int = 1) -> None: ...

    def close(self) -> None: ...
