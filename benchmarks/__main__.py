"""The command: python -m benchmarks [race | operators | scaling | all]."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import bars, beside, curves, operators, race, report, scaling
from benchmarks.measure import has_threadpoolctl

ROOT = Path(__file__).resolve().parent.parent
MODES = ("race", "operators", "scaling")

# With --quick: rounds, and what else is left out, so that it takes under 40 s.
QUICK = {
    "race": {"rounds": 3, "quick": True},
    "operators": {"rounds": 3},
    "scaling": {"rounds": 2},
}
RUNS: dict[str, tuple[type, Callable]] = {
    "race": (race.Settings, race.run),
    "operators": (operators.Settings, operators.run),
    "scaling": (scaling.Settings, scaling.run),
}


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    this = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time cnnbook side by side with PyTorch and the book's own "
        "slower versions, on a machine that does nothing else.",
    )
    this.add_argument(
        "mode",
        nargs="?",
        default="race",
        choices=(*MODES, "all"),
        help="race (default): training steps and inference of networks A, B, C, and "
        "peak memory; operators: one at a time, beside the machine's best; scaling: "
        "time over batch and sizes; all: these three",
    )
    this.add_argument("--rounds", type=positive, metavar="N", help="paired timings")
    this.add_argument(
        "--threads",
        type=positive,
        nargs="+",
        metavar="N",
        help="default: 1 and 2 for the race, 1 for the others",
    )
    this.add_argument("--quick", action="store_true", help="a rough look: under 40 s")
    this.add_argument(
        "--check", action="store_true", help="exit status 1 if a bar is missed"
    )
    this.add_argument(
        "--repeat", type=positive, default=1, metavar="N", help="do it all N times"
    )
    this.add_argument(
        "--record",
        action="store_true",
        help="the short race and the loss curves of the book's page beside PyTorch, "
        "kept in benchmarks/recorded.json and recorded_curves.json",
    )
    this.add_argument(
        "--output",
        type=Path,
        default=ROOT / "_build" / "benchmarks",
        metavar="FOLDER",
        help="where the table, the picture and the numbers go (default: "
        "_build/benchmarks)",
    )
    return this


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("needs to be at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and save; return the exit status."""
    given = parser().parse_args(arguments)
    if given.check and not has_threadpoolctl():
        print("--check needs threadpoolctl: pip install threadpoolctl")
        return 2
    if given.check and given.mode == "operators":
        print("--check: the operators have no bars")
        return 2
    if given.record:
        return record(given)
    missed = 0
    for number in range(1, given.repeat + 1):
        for mode in MODES if given.mode == "all" else (given.mode,):
            name = mode if given.repeat == 1 else f"{mode}-{number}"
            missed += measure_and_report(mode, given, name)
    return 1 if given.check and missed else 0


def record(given: argparse.Namespace) -> int:
    """Keep a race for the book's page; return the exit status."""
    if not beside.can_race():
        print("--record needs both: pip install torch threadpoolctl")
        return 2
    results = beside.record(**({"rounds": given.rounds} if given.rounds else {}))
    print(report.markdown(results))
    print(f"saved {shown(beside.RECORDED)}, commit {results['commit']}")
    curves.record()
    print(f"saved {shown(curves.RECORDED)}")
    return 0


def measure_and_report(mode: str, given: argparse.Namespace, name: str) -> int:
    """Run one benchmark, print and save its report; return how many bars it missed."""
    chosen: dict[str, object] = dict(QUICK[mode]) if given.quick else {}
    if given.rounds:
        chosen["rounds"] = given.rounds
    if given.threads:
        chosen["threads"] = tuple(given.threads)
    settings, run = RUNS[mode]
    results = run(settings(**chosen))
    print(report.markdown(results))
    for path in report.save(results, given.output, name):
        print(f"saved {shown(path)}")
    verdicts = bars.judge(results)
    missed = bars.missed(verdicts)
    for verdict in missed:
        print(f"MISSED: {verdict.what}: {verdict.value:.3f}, needs {verdict.bar}")
    unknown = sum(verdict.cleared is None for verdict in verdicts)
    if verdicts:
        cleared = len(verdicts) - len(missed) - unknown
        print(
            f"{name}: {cleared} bars cleared, {len(missed)} missed, "
            f"{unknown} not measured"
        )
    return len(missed)


def shown(path: Path) -> Path:
    """Return a path as seen from here, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(main())
