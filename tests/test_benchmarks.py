"""The benchmarks' arithmetic, on made-up clocks and results; no speed is measured."""

import copy
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import benchmarks.__main__ as command
from benchmarks import (
    bars,
    measure,
    memory,
    networks,
    operators,
    race,
    report,
    scaling,
)
from benchmarks.measure import Competitor
from benchmarks.networks import CHANNELS_LAST, OURS, PYTORCH, SLOW, TORCH

ROOT = Path(__file__).resolve().parent.parent


class FakeTime:
    """A clock that only moves when someone works or sleeps, and writes down who."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.log.append("sleep")
        self.now += seconds

    def worker(self, name, durations):
        """Return a step that takes the next duration (seconds) each time."""
        left = iter(durations)

        def step():
            self.log.append(name)
            self.now += next(left)

        return step


def run_paired(workers, rounds):
    """Time made-up workers; return the times and the clock."""
    fake = FakeTime()
    competitors = {
        name: Competitor(fake.worker(name, durations))
        for name, durations in workers.items()
    }
    times = measure.paired(
        competitors,
        rounds,
        pause=100.0,
        clock=fake.clock,
        cpu=lambda: 3 * fake.now,
        sleep=fake.sleep,
    )
    return times, fake


def test_only_the_second_step_of_each_round_is_timed():
    workers = {"a": [50, 1, 60, 2, 70, 3], "b": [9, 4, 9, 5, 9, 6]}
    times, fake = run_paired(workers, 3)
    assert times.wall == {"a": [1, 2, 3], "b": [4, 5, 6]}
    assert times.busy == {"a": [3, 6, 9], "b": [12, 15, 18]}
    assert fake.log[:6] == ["sleep", "a", "a", "sleep", "b", "b"]
    assert fake.log[6:12] == ["sleep", "b", "b", "sleep", "a", "a"]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_everyone_is_first_and_last_equally_often_and_follows_everyone(count):
    names = [f"n{k}" for k in range(count)]
    orders = [measure.round_order(names, number) for number in range(2 * count)]
    assert all(sorted(order) == names for order in orders)
    for place in (0, -1):
        assert sorted(order[place] for order in orders) == sorted(2 * names)
    pairs = {pair for order in orders for pair in itertools.pairwise(order)}
    neighbours = {(names[k], names[k - 1]) for k in range(count) if count > 1}
    assert pairs >= neighbours | {(b, a) for a, b in neighbours}


def test_context_is_entered_around_both_steps_and_not_timed():
    fake = FakeTime()

    class Slow:
        def __enter__(self):
            fake.sleep(1000)

        def __exit__(self, *error):
            fake.sleep(1000)

    competitor = Competitor(fake.worker("a", [1, 2]), around=Slow)
    times = measure.paired(
        {"a": competitor}, 1, pause=0, clock=fake.clock, sleep=fake.sleep
    )
    assert times.wall == {"a": [2]}
    assert fake.log == ["sleep", "sleep", "a", "a", "sleep"]


def test_ratios_are_formed_within_a_round_and_for_one_image():
    """The machine gets ten times slower on the way; the ratio doesn't notice."""
    ours, theirs = [0, 1, 0, 10, 0, 100], [0, 3, 0, 30, 0, 200]
    times, _ = run_paired({"ours": ours, "theirs": theirs}, 3)
    runners = {
        "ours": Competitor(lambda: None, 10),
        "theirs": Competitor(lambda: None, 5),
    }
    summed = measure.summed_up(times, runners, "ours")
    wanted = {"median": 6.0, "low": 5.0, "high": 6.0}
    assert summed["ratios"]["theirs"] == pytest.approx(wanted)
    assert summed["seconds"]["ours"]["median"] == 10
    assert summed["cores"] == {"ours": 3.0, "theirs": 3.0}
    assert summed["samples"]["theirs"] == [3, 30, 200]


def test_more_cores_than_allowed_are_noticed():
    row = {"threads": 1, "cores": {"a": 1.1, "b": 1.9, "c": 1.9}}
    row["samples"] = {"a": [1.0], "b": [1.0], "c": [0.01]}  # too short to tell
    (note,) = measure.busy_notes(row, "here")
    assert note == "here: b kept 1.9 cores busy, not 1."


def test_threads_that_are_not_held_stop_the_race(monkeypatch):
    held = SimpleNamespace(set_num_threads=lambda n: None, get_num_threads=lambda: 1)
    monkeypatch.setattr(measure, "own_threads", held)
    monkeypatch.setitem(sys.modules, "torch", held)
    measure.set_threads(1)
    monkeypatch.setitem(
        sys.modules,
        "torch",
        SimpleNamespace(set_num_threads=lambda n: None, get_num_threads=lambda: 2),
    )
    with pytest.raises(RuntimeError, match="PyTorch has 2 threads, not 1"):
        measure.set_threads(1)


def test_missing_threadpoolctl_is_said(monkeypatch, capsys):
    monkeypatch.setattr(measure, "has_threadpoolctl", lambda: False)
    monkeypatch.setattr(command, "has_threadpoolctl", lambda: False)
    assert "pip install threadpoolctl" in measure.notes({}, (1,))[0]
    assert command.main(["--check"]) == 2
    assert "pip install threadpoolctl" in capsys.readouterr().out


def test_missing_pytorch_is_said(monkeypatch):
    monkeypatch.setattr(race, "import_torch", lambda: None)
    with pytest.raises(SystemExit, match="pip install torch"):
        race.run(race.Settings())


def around(ratio):
    """Quartiles around a median."""
    return {"median": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio}


def race_row(task, batch, threads, network, ratio):
    """A row of a race in which PyTorch took `ratio` times as long, in both layouts."""
    times = {name: around(2e-3) for name in (OURS, *TORCH, *SLOW)}
    return {
        "network": network,
        "task": task,
        "batch": batch,
        "threads": threads,
        "seconds": times,
        "images": dict.fromkeys(times, batch) | {"loops": 1},
        "ratios": {name: around(ratio) for name in (*TORCH, *SLOW)},
        "cores": dict.fromkeys(times, 1.0),
        "samples": {name: [2e-3] for name in times},
    }


@pytest.fixture
def raced():
    """The results of a race in which every bar is cleared, just."""
    rows = {}
    for (task, batch, threads, against), least in bars.SPEED.items():
        for network, bar in least.items():
            key = task, batch, threads, network
            row = rows.setdefault(key, race_row(*key, bar))
            if against == bars.BETTER:
                row["ratios"][CHANNELS_LAST] = around(bar)
    peaks = [
        {"name": name, "megabytes": 100.0, "source": "thin air"}
        for name in (OURS, *TORCH)
    ]
    return {
        "benchmark": "race",
        "machine": {"processor": "made up", "cores": 2},
        "notes": ["made up"],
        "settings": {"rounds": 3, "slow rounds": 1},
        "rows": list(rows.values()),
        "memory": peaks,
    }


@pytest.fixture
def scaled():
    """The results of a scaling run that clears its bars."""
    seconds = {"median": 1e-5, "low": 1e-5, "high": 2e-5}
    return {
        "benchmark": "scaling",
        "machine": {},
        "notes": [],
        "settings": {"rounds": 3, "images in a sweep": 16},
        "batches": [
            {
                "network": network,
                "threads": 1,
                "per image": {"16": seconds, "64": seconds},
                "spread": bars.EVENNESS,
            }
            for network in "ABC"
        ],
        "sizes": [
            {
                "sweep": "channels",
                "kind": "forward",
                "threads": 1,
                "values": [8, 16],
                "slope": 1.9,
                "expected": 2.0,
                "seconds": {"8": seconds, "16": seconds},
            }
        ],
    }


@pytest.fixture
def operated():
    """The results of one operator."""
    quartiles = {"median": 0.5, "low": 0.4, "high": 0.6}
    row = {
        "operator": "conv forward",
        "shape": "B, second: 32 to 64, 5x5, on 14x14",
        "threads": 1,
        "unit": "GFLOP/s",
        "seconds": dict.fromkeys((OURS, "im2col", "roofline"), quartiles),
        "rates": dict.fromkeys((OURS, "im2col", "roofline"), quartiles),
        "shares": dict.fromkeys((OURS, "im2col"), quartiles),
        "breakdown": {"roofline": 0.7, "product": 0.1, "other": 0.2},
    }
    return {
        "benchmark": "operators",
        "machine": {},
        "notes": [],
        "settings": {"rounds": 3, "batch": 64},
        "rows": [row, row | {"breakdown": None}],
    }


SPEED_BARS = [
    (*key, network, bar)
    for key, least in bars.SPEED.items()
    for network, bar in least.items()
]


def test_bars_are_the_promised_ones():
    """Written out a second time, so that none is lowered in passing."""
    assert bars.SPEED == {
        ("training", 64, 1, "PyTorch"): {"A": 2.0, "B": 1.0, "C": 1.2},
        ("training", 64, 1, "the better layout"): {"A": 1.8, "B": 0.85, "C": 1.0},
        ("training", 64, 2, "PyTorch"): {"A": 1.5, "B": 0.9, "C": 1.1},
        ("inference", 256, 1, "PyTorch"): {"A": 1.0, "B": 1.0, "C": 1.0},
        ("inference", 256, 2, "PyTorch"): {"A": 1.0, "B": 1.0, "C": 1.0},
    }
    assert (bars.MEMORY, bars.EVENNESS) == (1.0, 1.3)
    assert scaling.BATCHES == (16, 64, 256, 1024)


def test_a_number_at_the_bar_clears_it(raced, scaled):
    for results in (raced, scaled):
        verdicts = bars.judge(results)
        assert verdicts and all(verdict.cleared for verdict in verdicts)
        assert bars.missed(verdicts) == []
    assert len(bars.judge(raced)) == 16 and len(bars.judge(scaled)) == 3


@pytest.mark.parametrize(
    ("task", "batch", "threads", "against", "network", "bar"), SPEED_BARS
)
def test_each_speed_bar_can_be_missed(
    raced, task, batch, threads, against, network, bar
):
    wanted = {"task": task, "batch": batch, "threads": threads, "network": network}
    (row,) = (r for r in raced["rows"] if wanted.items() <= r.items())
    loser = PYTORCH if against == PYTORCH else CHANNELS_LAST
    row["ratios"][loser] = around(bar - 1e-6)
    (verdict,) = bars.missed(bars.judge(raced))
    assert verdict.value == bar - 1e-6
    assert verdict.what.startswith(f"{task} {network}, batch {batch}, {threads}")
    assert verdict.what.endswith(f"{against} over ours")


@pytest.mark.parametrize("winner", TORCH)
def test_the_better_layout_is_the_faster_one(winner):
    found = {PYTORCH: {"median": 3.0}, CHANNELS_LAST: {"median": 3.0}}
    found[winner]["median"] = 2.0
    assert bars.ratio_to(bars.BETTER, found) == 2.0
    assert bars.ratio_to(PYTORCH, found) == found[PYTORCH]["median"]


def test_memory_and_evenness_can_be_missed(raced, scaled):
    raced["memory"][0]["megabytes"] = 100.01
    (verdict,) = bars.missed(bars.judge(raced))
    assert "peak memory" in verdict.what
    for number, network in enumerate("ABC"):
        results = copy.deepcopy(scaled)
        results["batches"][number]["spread"] = 1.301
        (verdict,) = bars.missed(bars.judge(results))
        assert verdict.what.startswith(f"training {network}")


def test_what_was_not_measured_is_neither_cleared_nor_missed(raced):
    raced["rows"] = [row for row in raced["rows"] if row["threads"] == 1]
    raced["memory"][0]["megabytes"] = None
    verdicts = bars.judge(raced)
    assert sum(verdict.cleared is None for verdict in verdicts) == 7
    assert bars.missed(verdicts) == []


@pytest.mark.parametrize("slow", [False, True])
def test_command_repeats_reports_and_judges(raced, monkeypatch, capsys, slow):
    """Three times; with a race missed only the second time, all is missed."""
    missed = copy.deepcopy(raced)
    missed["rows"][0]["ratios"][PYTORCH] = around(1.9)
    seen, saved = [], []

    def run(settings):
        seen.append(settings)
        return missed if slow and len(seen) == 2 else raced

    def save(results, folder, name):
        saved.append((str(folder), name))
        return [folder / f"{name}.md"]

    monkeypatch.setitem(command.RUNS, "race", (race.Settings, run))
    monkeypatch.setattr(report, "save", save)
    monkeypatch.setattr(command, "has_threadpoolctl", lambda: True)
    options = ["--repeat", "3", "--rounds", "7", "--threads", "1", "--output", "here"]
    assert command.main([*options, "--check"]) == int(slow)
    assert seen == 3 * [race.Settings(rounds=7, threads=(1,))]
    assert saved == [("here", f"race-{k}") for k in (1, 2, 3)]
    printed = capsys.readouterr().out
    assert printed.count("MISSED: ") == int(slow)
    assert printed.count("16 bars cleared, 0 missed") == 3 - int(slow)
    seen.clear()
    assert command.main(options) == 0  # nobody asked


@pytest.mark.parametrize("kind", ["raced", "scaled", "operated"])
def test_results_survive_json_and_are_shown(kind, request, tmp_path):
    results = request.getfixturevalue(kind)
    paths = report.save(results, tmp_path / "new", "it")
    assert {path.suffix for path in paths} == {".md", ".json", ".svg", ".png"}
    assert all(path.stat().st_size for path in paths)
    again = report.load(tmp_path / "new" / "it.json")
    assert again == results
    assert report.markdown(again) == report.markdown(results)


def test_nothing_that_is_no_number_gets_into_json():
    with pytest.raises(ValueError, match="JSON"):
        report.to_json({"ratio": float("nan")})


def test_race_table_says_what_was_measured(raced):
    text = report.markdown(raced)
    # 2 ms for 64 images, and PyTorch's ratio with its quartiles
    assert "31.25 (**2.00**, 1.80 to 2.20)" in text
    assert "2e+03 (2)" in text  # the loops' one image
    assert "| made up" in text and "* made up" in text
    del raced["rows"][0]["seconds"]["loops"]
    assert report.MISSING in report.markdown(raced)


def test_operator_table_says_where_the_rest_goes(operated):
    text = report.markdown(operated)
    assert "500 (50%)" in text
    lines = [line for line in text.splitlines() if "70%" in line]
    assert len(lines) == 1 and "10%" in lines[0] and "20%" in lines[0]
    assert "not seen" in text


def test_slope_is_the_power_of_a_power_law():
    sizes = [1, 2, 4, 8, 16]
    for power in (0.0, 1.0, 2.0, 2.7):
        times = [3e-5 * size**power for size in sizes]
        assert scaling.slope(sizes, times) == pytest.approx(power, abs=1e-9)
    assert 1 < scaling.slope(sizes, [10 + size**2 for size in sizes]) < 2
    assert scaling.spread([2.0, 3.0, 2.5]) == 1.5


def test_stopwatch_sees_products_and_nothing_else():
    module = SimpleNamespace(np=np)
    with operators.watched_products(module) as watch:
        assert module.np.float32 is np.float32
        module.np.add(np.ones(3), 1)
        assert watch.calls == 0
        y = module.np.matmul(np.ones((2, 3)), np.ones((3, 4)))
    assert y.shape == (2, 4) and watch.calls == 1 and watch.seconds > 0
    assert module.np is np


def test_shares_of_the_time_sum_to_one(monkeypatch):
    monkeypatch.setattr(operators, "PAUSE", 0)
    a = np.ones((64, 64), np.float32)

    def step():
        operators.fast.np.matmul(a, a)

    shares = operators.breakdown(step, 1e-9)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["product"] > 0 and shares["other"] > 0
    assert operators.breakdown(lambda: None, 1e-9) is None


@pytest.mark.parametrize("version", SLOW)
@pytest.mark.parametrize("network", networks.NETWORKS)
def test_slower_versions_compute_what_the_library_does(network, version):
    batch = networks.digits(1)
    steps = {
        name: networks.competitor_step(name, network, "inference", batch)
        for name in (OURS, version)
    }
    networks.check_agreement({k: step() for k, step in steps.items()}, network)


@pytest.mark.parametrize("version", ["im2col", "einsum"])
def test_slower_versions_learn_what_the_library_does(version):
    batch = networks.digits(2)
    steps = {
        name: networks.competitor_step(name, "C", "training", batch)
        for name in (OURS, version)
    }
    for _ in range(3):
        networks.check_agreement({k: step() for k, step in steps.items()}, "C")


def test_slower_versions_use_the_functions_that_they_are_named_for(monkeypatch):
    calls = []

    def noted(kind, function):
        def call(*arguments):
            calls.append(kind)
            return function(*arguments)

        return call

    functions = [
        noted(kind, function)
        for kind, function in zip(
            ("conv", "conv back", "pool", "pool back"), SLOW["im2col"], strict=True
        )
    ]
    monkeypatch.setitem(SLOW, "im2col", functions)
    networks.competitor_step("im2col", "B", "training", networks.digits(2))()
    assert {kind: calls.count(kind) for kind in calls} == dict.fromkeys(
        ("conv", "pool", "pool back", "conv back"), 2
    )


@pytest.mark.parametrize("network", networks.NETWORKS)
def test_twins_compute_and_learn_what_the_library_does(torch, network):
    batch = networks.digits(4)
    for task in ("training", "inference"):
        steps = {
            name: networks.competitor_step(name, network, task, batch)
            for name in (OURS, *TORCH)
        }
        for _ in range(3):
            results = {name: step() for name, step in steps.items()}
            networks.check_agreement(results, f"{task} {network}")


def test_twins_have_the_same_names_and_layers(torch):
    for network in networks.NETWORKS:
        model = networks.build(network)
        twin = networks.twin(model)
        assert list(twin.state_dict()) == list(model.state_dict())
        kinds = [type(layer).__name__ for layer in model.layers]
        assert [type(layer).__name__ for layer in twin] == kinds


def test_channels_last_is_what_it_says(torch):
    model = networks.twin(networks.build("B"))
    x, _ = networks.prepared(model, *networks.digits(2), True)
    assert x.is_contiguous(memory_format=torch.channels_last)
    weight = model[3].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


@pytest.mark.parametrize("off", [2e-3, float("nan")])
def test_different_results_are_no_race(off):
    networks.check_agreement({"a": [1.0, 9.0], "b": [1.0, 9.001]}, "these")
    with pytest.raises(networks.Disagreement, match="these: b is off from a"):
        networks.check_agreement({"a": 1.0, "b": 1.0 + off}, "these")
    with pytest.raises(networks.Disagreement, match=r"\(2,\)"):
        networks.check_agreement({"a": [1.0], "b": [1.0, 1.0]}, "these")


def test_quick_race_has_all_that_the_bars_need():
    events = race.Settings(threads=(1, 2), quick=True).events()
    assert set(events) == {
        race.Event(network, task, batch, threads)
        for task, batch, threads, _ in bars.SPEED
        for network in "ABC"
    }
    full = race.Settings(threads=(1, 2))
    assert len(full.events()) == 24 and set(full.events()) > set(events)
    names = race.Settings(quick=True).memory_names()
    assert {OURS, PYTORCH} <= set(names) <= set(full.memory_names())


def test_peak_memory_is_what_the_steps_take(monkeypatch):
    """A made-up step that holds 64 MB for a moment raises the peak by that."""

    def steps(name, network, task, batches):
        def step():
            np.ones(8_000_000)

        return [lambda: None, step]

    monkeypatch.setattr(memory, "set_threads", lambda count: None)
    monkeypatch.setattr(memory, "competitor_steps", steps)
    found = memory.peak("any", "B", 2)
    if not found["source"].startswith("VmHWM"):
        pytest.skip("only Linux can reset the peak")
    assert 60 < found["megabytes"] < 70


def test_command_has_help_and_refuses_nonsense():
    environment = os.environ | {"COLUMNS": "80"}
    command_line = [sys.executable, "-m", "benchmarks"]
    done = subprocess.run(
        [*command_line, "--help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    for word in ("race", "operators", "scaling", "--rounds", "--check", "--quick"):
        assert word in done.stdout
    for wrong in (["--rounds", "0"], ["marathon"], ["--threads", "-1"]):
        with pytest.raises(SystemExit) as error:
            command.main(wrong)
        assert error.value.code == 2
    assert command.main(["operators", "--check"]) == 2


def test_json_has_no_path_of_this_machine():
    text = json.dumps(measure.machine())
    assert str(Path.home()) not in text and str(ROOT) not in text


def test_every_operator_runs_and_agrees():
    """Each competitor of each operator, once, on what is really measured."""
    names = set()
    for operator in operators.operators():
        operators.agree(operator)
        names.add(operator.name)
    assert {"conv forward", "conv dX", "conv dW", "conv dX and dW"} < names
