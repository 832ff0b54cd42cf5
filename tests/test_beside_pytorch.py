"""The chapter beside PyTorch: its recorded race, and what divides a step's time."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import beside, curves, report
from benchmarks.networks import OURS, PYTORCH, TORCH, competitor_step, digits
from cnnbook.layers import Conv2d, MaxPool2d
from cnnbook.optimizers import Adam

ROOT = Path(__file__).resolve().parent.parent
KINDS = [*beside.KINDS, beside.REST]


@pytest.fixture
def recorded():
    return report.load(beside.RECORDED)


def test_recorded_race_has_what_the_page_shows(recorded):
    events = {(r["task"], r["network"], r["threads"]): r for r in recorded["rows"]}
    assert len(events) == len(recorded["rows"])
    for task in ("training", "inference"):
        for network in "ABC":
            row = events[task, network, 1]
            assert row["batch"] == beside.BATCH
            assert set(row["seconds"]) == {OURS, *TORCH}
            assert set(row["ratios"]) == set(TORCH)
            assert all(len(s) >= 5 for s in row["samples"].values())
    for network in "AB":
        parts = recorded["parts"][network]
        assert list(parts) == [OURS, *TORCH]
        for shares in parts.values():
            assert list(shares) == KINDS
            assert all(math.isfinite(s) and s >= 0 for s in shares.values())
            assert all(shares[kind] > 0 for kind in beside.KINDS)


def test_recorded_race_says_where_it_comes_from(recorded):
    assert recorded["commit"] not in ("", "unknown")
    assert {"date", "processor", "torch", "numpy", "blas"} <= set(recorded["machine"])
    text = json.dumps(recorded)
    assert str(Path.home()) + "/" not in text and str(ROOT) not in text


def test_page_reads_the_record_where_there_is_no_pytorch(monkeypatch, recorded):
    monkeypatch.setattr(beside, "can_race", lambda: False)
    assert beside.run_or_read(1) == (recorded, False)
    monkeypatch.setattr(beside, "can_race", lambda: True)
    monkeypatch.setattr(beside, "run", lambda rounds: {"rounds": rounds})
    assert beside.run_or_read(3) == ({"rounds": 3}, True)


def test_command_records(monkeypatch, tmp_path, recorded, capsys):
    monkeypatch.setattr(beside, "can_race", lambda: True)
    monkeypatch.setattr(beside, "run", lambda rounds: recorded | {"rounds": rounds})
    path = tmp_path / "recorded.json"
    made = beside.record(7, path)
    assert report.load(path) == made == recorded | {"rounds": 7}
    asked = []

    def record(**options):
        asked.append(options)
        return recorded

    monkeypatch.setattr(beside, "record", record)
    monkeypatch.setattr(curves, "record", lambda: asked.append("curves"))
    assert command.main(["--record", "--rounds", "3"]) == 0
    assert asked == [{"rounds": 3}, "curves"]
    assert recorded["commit"] in capsys.readouterr().out
    monkeypatch.setattr(beside, "can_race", lambda: False)
    assert command.main(["--record"]) == 2
    assert "pip install torch" in capsys.readouterr().out


def test_recorded_curves_are_whole_and_close():
    results = report.load(curves.RECORDED)
    assert results["commit"] not in ("", "unknown")
    steps = -(-results["settings"]["images"] // results["settings"]["batch"])
    losses = []
    for name in (OURS, PYTORCH):
        curve = results["curves"][name]
        assert len(curve["seconds"]) == len(curve["accuracy"]) == curves.EPOCHS
        assert len(curve["loss"]) == steps * curves.EPOCHS
        assert min(curve["accuracy"]) > 0.9
        losses.append(curve["loss"])
    off = np.abs(np.subtract(*losses))
    assert off[0] < 1e-5 and off[:20].max() < 1e-3
    text = json.dumps(results)
    assert str(Path.home()) + "/" not in text and str(ROOT) not in text


def test_curves_are_read_where_there_is_no_pytorch(monkeypatch, tmp_path):
    monkeypatch.setattr(beside, "can_race", lambda: False)
    assert curves.run_or_read() == (report.load(curves.RECORDED), False)
    monkeypatch.setattr(beside, "can_race", lambda: True)
    monkeypatch.setattr(curves, "run", lambda: {"made": 1})
    assert curves.run_or_read() == ({"made": 1}, True)
    assert curves.record(tmp_path / "made.json") == {"made": 1}
    assert report.load(tmp_path / "made.json") == {"made": 1}


def test_curves_start_alike():
    """Live: the same first losses, from the same weights and batches."""
    pytest.importorskip("torch")
    results = curves.run(images=2640, epochs=2)
    ours, theirs = (np.array(results["curves"][n]["loss"]) for n in (OURS, PYTORCH))
    assert len(ours) == len(theirs) == 20
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert len(set(ours.tolist())) == 20 and ours[-1] < ours[0]


def test_stopwatches_see_every_kind_and_leave_no_trace():
    step = competitor_step(OURS, "B", "training", digits(2))
    before = dict(vars(Conv2d)), dict(vars(MaxPool2d)), dict(vars(Adam))
    whole, parts = beside.own_parts(step, 2)
    assert (dict(vars(Conv2d)), dict(vars(MaxPool2d)), dict(vars(Adam))) == before
    assert set(parts) == set(beside.KINDS)
    assert all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) < whole


def test_pytorch_operations_have_the_names_that_are_looked_for():
    pytest.importorskip("torch")
    step = competitor_step(TORCH[0], "B", "training", digits(2))
    step()
    whole, parts = beside.torch_parts(step, 2)
    assert set(parts) == set(beside.KINDS)
    assert 0 < sum(parts.values()) < 1.05 * whole
