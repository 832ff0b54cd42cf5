"""The race: whole training steps and answers of networks A, B and C, side by side."""

from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks import memory
from benchmarks.measure import (
    Competitor,
    blas_threads,
    busy_notes,
    check_threads,
    machine,
    notes,
    paired,
    progress_bar,
    set_threads,
    summed_up,
    usable_cores,
)
from benchmarks.networks import (
    NETWORKS,
    OURS,
    PYTORCH,
    SLOW,
    TORCH,
    check_agreement,
    competitor_step,
    digits,
    import_torch,
)

FAST = (OURS, *TORCH)
PRODUCTS = tuple(name for name in SLOW if name != "loops")
# The loops take longer for one image than the others for many; nor do they gain from
# threads, so that they run with the first number of them only.
LOOPS_IMAGES = 1
MEMORY_NETWORK, MEMORY_BATCH = "B", 256


class Event(NamedTuple):
    """One race: who is timed at what."""

    network: str
    task: str
    batch: int
    threads: int

    def __str__(self) -> str:
        return f"{self.task} {self.network}, batch {self.batch}, {self.threads} thr."


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes
    ----------
    rounds
        Of the library and PyTorch; the slower versions take an eighth.
    threads
        The numbers of threads.
    quick
        Leave out what no bar is about.
    """

    rounds: int = 25
    threads: tuple[int, ...] = field(
        default_factory=lambda: (1, 2) if usable_cores() > 1 else (1,)
    )
    quick: bool = False

    @property
    def slow_rounds(self) -> int:
        return max(1, self.rounds // 8)

    def events(self) -> list[Event]:
        pairs = [(task, b) for task in ("training", "inference") for b in (64, 256)]
        if self.quick:
            pairs = [("training", 64), ("inference", 256)]
        return [
            Event(network, task, batch, threads)
            for threads in self.threads
            for task, batch in pairs
            for network in NETWORKS
        ]

    def slow_names(self, event: Event) -> tuple[str, ...]:
        """Return which of the slower versions run in an event."""
        first = event.threads == self.threads[0]
        if self.quick and not (first and event.task == "training"):
            return ()
        return tuple(SLOW) if first else PRODUCTS

    def memory_names(self) -> tuple[str, ...]:
        return (OURS, PYTORCH) if self.quick else (*FAST, *PRODUCTS)


def run(settings: Settings) -> dict:
    """Run every event, and measure the peak memory; return all results."""
    if import_torch() is None:
        raise SystemExit(
            "The race is against PyTorch, which is not installed: pip install torch\n"
            "(Without it: python -m benchmarks scaling, and operators.)"
        )
    facts = machine()
    events, names = settings.events(), settings.memory_names()
    rounds = [
        settings.rounds + (settings.slow_rounds if settings.slow_names(event) else 0)
        for event in events
    ]
    bar = progress_bar(sum(rounds) + len(names))
    rows, warnings = [], notes(facts, settings.threads)
    for event in events:
        bar.set_description(str(event))
        rows.append(run_event(event, settings, bar.update))
        warnings += busy_notes(rows[-1], str(event))
    peaks = []
    for name in names:
        bar.set_description(f"peak memory, {name}")
        peaks.append(memory.in_new_process(name, MEMORY_NETWORK, MEMORY_BATCH))
        bar.update()
    bar.close()
    return {
        "benchmark": "race",
        "machine": facts,
        "notes": warnings,
        "settings": {"rounds": settings.rounds, "slow rounds": settings.slow_rounds},
        "rows": rows,
        "memory": peaks,
    }


def run_event(event: Event, settings: Settings, update) -> dict:
    """Return the results of one race."""
    set_threads(event.threads)
    batch = digits(event.batch)
    few = tuple(part[:LOOPS_IMAGES] for part in batch)
    names = settings.slow_names(event)
    runners = {name: entrant(name, event, batch) for name in FAST}
    slow = {name: entrant(name, event, batch) for name in names if name != "loops"}
    check_same({**runners, **slow}, event)
    if "loops" in names:
        slow["loops"] = entrant("loops", event, few)
        check_same({OURS: entrant(OURS, event, few), "loops": slow["loops"]}, event)
    times = paired(runners, settings.rounds, after_round=update)
    results = summed_up(times, runners, OURS)
    if slow:
        # ours runs here, too, so that every ratio is of one round
        slow = {OURS: runners[OURS], **slow}
        times = paired(slow, settings.slow_rounds, after_round=update)
        others = summed_up(times, slow, OURS)
        results = {key: others[key] | results[key] for key in results}
    check_threads(event.threads)
    return event._asdict() | results


def entrant(name: str, event: Event, batch) -> Competitor:
    """Return one competitor of an event, with a network of its own."""
    step = competitor_step(name, event.network, event.task, batch)
    if name not in SLOW:
        return Competitor(step, len(batch[0]))
    return Competitor(step, len(batch[0]), lambda: blas_threads(event.threads))


def check_same(runners: dict[str, Competitor], event: Event) -> None:
    """Stop unless all compute the same, before and after one step."""
    for when in ("at first", "after one step"):
        results = {name: runner.step() for name, runner in runners.items()}
        check_agreement(results, f"{event}, {when}")
