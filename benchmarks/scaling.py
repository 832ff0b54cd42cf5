"""How the time grows: with the batch, and with a convolution's sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import (
    Competitor,
    Times,
    busy_notes,
    check_threads,
    machine,
    notes,
    paired,
    progress_bar,
    quartiles,
    set_threads,
    summed_up,
)
from benchmarks.networks import NETWORKS, OURS, competitor_step, digits
from cnnbook import fast

BATCHES = (16, 64, 256, 1024)
IMAGES = 16  # for the sweeps over a convolution's sizes

# What is swept, and over what; the other sizes stay as in FIXED. The work grows with
# the square of each.
SWEEPS = {
    "channels": (8, 16, 32, 64, 128),
    "kernel size": (1, 3, 5, 7, 9),
    "image size": (14, 28, 56, 112),
}
FIXED = {"channels": 32, "kernel size": 3, "image size": 28}
EXPECTED = 2.0


@dataclass(frozen=True)
class Settings:
    """How much is measured: rounds, the numbers of threads, and the networks."""

    rounds: int = 9
    threads: tuple[int, ...] = (1,)
    networks: tuple[str, ...] = tuple(NETWORKS)


def run(settings: Settings) -> dict:
    """Measure every sweep; return all results."""
    facts = machine()
    sweeps = [(sweep, kind) for sweep in SWEEPS for kind in ("forward", "backward")]
    count = len(settings.threads) * (len(settings.networks) + len(sweeps))
    bar = progress_bar(count * settings.rounds)
    batches, sizes, warnings = [], [], notes(facts, settings.threads)
    for threads in settings.threads:
        set_threads(threads)
        for network in settings.networks:
            bar.set_description(f"batch sizes, {network}, {threads} thr.")
            batches.append(over_batches(network, threads, settings.rounds, bar.update))
            warnings += busy_notes(batches[-1], f"batch sizes, {network}")
        for sweep, kind in sweeps:
            bar.set_description(f"{sweep}, {kind}, {threads} thr.")
            sizes.append(over_sizes(sweep, kind, threads, settings.rounds, bar.update))
            warnings += busy_notes(sizes[-1], f"{sweep}, {kind}")
        check_threads(threads)
    bar.close()
    return {
        "benchmark": "scaling",
        "machine": facts,
        "notes": warnings,
        "settings": {"rounds": settings.rounds, "images in a sweep": IMAGES},
        "batches": batches,
        "sizes": sizes,
    }


def over_batches(network: str, threads: int, rounds: int, update) -> dict:
    """Return the time of our training step for one image, by batch size."""
    competitors = {
        str(n): Competitor(competitor_step(OURS, network, "training", digits(n)), n)
        for n in BATCHES
    }
    times = paired(competitors, rounds, after_round=update)
    each = {n: quartiles([t / int(n) for t in wall]) for n, wall in times.wall.items()}
    return {
        "network": network,
        "threads": threads,
        "per image": each,
        "spread": spread([q["median"] for q in each.values()]),
        **kept(times, competitors),
    }


def over_sizes(sweep: str, kind: str, threads: int, rounds: int, update) -> dict:
    """Return the time of our convolution along one sweep, and its slope."""
    competitors = {
        str(value): Competitor(convolution_step(kind, **(FIXED | {sweep: value})))
        for value in SWEEPS[sweep]
    }
    times = paired(competitors, rounds, after_round=update)
    medians = [quartiles(wall)["median"] for wall in times.wall.values()]
    return {
        "sweep": sweep,
        "kind": kind,
        "threads": threads,
        "values": list(SWEEPS[sweep]),
        "slope": slope(SWEEPS[sweep], medians),
        "expected": EXPECTED,
        **kept(times, competitors),
    }


def kept(times: Times, competitors: dict[str, Competitor]) -> dict:
    """Return what both kinds of sweep keep of their rounds."""
    summed = summed_up(times, competitors, next(iter(competitors)))
    return {key: summed[key] for key in ("seconds", "cores", "samples")}


def convolution_step(kind: str, **sizes: int) -> Callable:
    """Return a convolution with as many filters as channels, or its gradients."""
    channels, kernel, size = (sizes[name] for name in SWEEPS)
    rng = np.random.default_rng(0)
    x = rng.random((IMAGES, channels, size, size), np.float32)
    weight = rng.random((channels, channels, kernel, kernel), np.float32)
    options = 1, kernel // 2, 1, 1
    if kind == "forward":
        return lambda: fast.conv2d(x, weight, None, *options)
    dy = fast.conv2d(x, weight, None, *options)
    return lambda: fast.conv2d_backward(dy, x, weight, *options)


def slope(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent p of the power law, seconds = c * size**p, that fits best.

    It is the slope of the line of least squares through the logarithms.
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def spread(times: Sequence[float]) -> float:
    """Return the largest time over the smallest."""
    return max(times) / min(times)
