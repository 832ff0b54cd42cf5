"""How fast, small and even the library must be: the bars, and who clears them."""

from typing import NamedTuple

from benchmarks.networks import CHANNELS_LAST, OURS, PYTORCH

BETTER = "the better layout"  # of PyTorch's two

# (task, batch, threads, against): by network, the least ratio of times,
# PyTorch's over ours.
SPEED = {
    ("training", 64, 1, PYTORCH): {"A": 2.0, "B": 1.0, "C": 1.2},
    ("training", 64, 1, BETTER): {"A": 1.8, "B": 0.85, "C": 1.0},
    ("training", 64, 2, PYTORCH): {"A": 1.5, "B": 0.9, "C": 1.1},
    ("inference", 256, 1, PYTORCH): {"A": 1.0, "B": 1.0, "C": 1.0},
    ("inference", 256, 2, PYTORCH): {"A": 1.0, "B": 1.0, "C": 1.0},
}
MEMORY = 1.0  # the most of PyTorch's peak that ours may be
EVENNESS = 1.3  # the slowest batch size's time for an image over the fastest's


class Verdict(NamedTuple):
    """How one bar was met.

    Attributes
    ----------
    what
        Says what was measured.
    value
        The number, or None where it was not measured.
    bar
        What it is held against.
    cleared
        Whether it is enough; None where it was not measured.
    """

    what: str
    value: float | None
    bar: str
    cleared: bool | None


def at_least(what: str, value: float | None, bar: float) -> Verdict:
    """Judge a number that may not be smaller than the bar."""
    return Verdict(
        what, value, f"at least {bar:.2f}", None if value is None else value >= bar
    )


def at_most(what: str, value: float | None, bar: float) -> Verdict:
    """Judge a number that may not be larger than the bar."""
    return Verdict(
        what, value, f"at most {bar:.2f}", None if value is None else value <= bar
    )


def judge(results: dict) -> list[Verdict]:
    """Return a verdict for each bar of this kind of benchmark."""
    if results["benchmark"] == "race":
        return [*judge_speed(results["rows"]), judge_memory(results["memory"])]
    if results["benchmark"] == "scaling":
        return judge_evenness(results["batches"])
    return []


def judge_speed(rows: list[dict]) -> list[Verdict]:
    """Hold the ratios of a race against `SPEED`."""
    keys = "task", "batch", "threads", "network"
    measured = {tuple(row[k] for k in keys): row["ratios"] for row in rows}
    verdicts = []
    for (task, batch, threads, against), bars in SPEED.items():
        for network, bar in bars.items():
            found = measured.get((task, batch, threads, network))
            value = found and ratio_to(against, found)
            plural = "s" if threads > 1 else ""
            what = (
                f"{task} {network}, batch {batch}, {threads} thread{plural}, "
                f"{against} over ours"
            )
            verdicts.append(at_least(what, value, bar))
    return verdicts


def ratio_to(against: str, ratios: dict) -> float:
    """Return the median ratio to a layout, or to whichever is faster."""
    if against == BETTER:
        return min(ratios[name]["median"] for name in (PYTORCH, CHANNELS_LAST))
    return ratios[against]["median"]


def judge_memory(rows: list[dict]) -> Verdict:
    """Hold our peak memory against PyTorch's, in its default layout."""
    peaks = {row["name"]: row["megabytes"] for row in rows}
    ours, theirs = peaks.get(OURS), peaks.get(PYTORCH)
    value = None if ours is None or theirs is None else ours / theirs
    return at_most(
        "peak memory, training B, batch 256, ours over PyTorch", value, MEMORY
    )


def judge_evenness(rows: list[dict]) -> list[Verdict]:
    """Hold the spread of the time for an image over the batch sizes against 30%."""
    return [
        at_most(
            f"training {row['network']}, time for an image, slowest batch size over "
            "fastest",
            row["spread"],
            EVENNESS,
        )
        for row in rows
        if row["threads"] == 1
    ]


def missed(verdicts: list[Verdict]) -> list[Verdict]:
    """Return the bars that were measured and not cleared."""
    return [verdict for verdict in verdicts if verdict.cleared is False]
