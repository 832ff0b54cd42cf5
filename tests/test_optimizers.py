"""Optimizers and schedules, step by step beside PyTorch's."""

import copy
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnbook import layers, optimizers, threads
from cnnbook.layers import Linear, Parameter
from cnnbook.losses import CrossEntropyLoss
from cnnbook.optimizers import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    MultiStepLR,
    OneCycleLR,
    Optimizer,
    Schedule,
    StepLR,
    clip_grad_norm,
    cosine,
)

FOLDER = Path(__file__).parent / "recorded"
ABOUT = json.loads((FOLDER / "training.json").read_text())


@pytest.fixture(scope="module")
def recorded():
    """Return what PyTorch gave."""
    with np.load(FOLDER / "training.npz") as archive:
        return dict(archive)


def relative(found, expected):
    """Return the largest difference, relative to the largest number."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", ABOUT["optimizers"])
def test_recorded(recorded, name):
    """A hundred steps follow PyTorch's to 1e-6 (float64)."""
    kind, options = ABOUT["optimizers"][name]
    inputs, targets = recorded["problem/inputs"], recorded["problem/targets"]
    weight = Parameter(recorded["problem/weight"])
    bias = Parameter(recorded["problem/bias"])
    optimizer = getattr(optimizers, kind)([weight, bias], **options)
    checked = 0
    for step in range(1, max(ABOUT["steps"]) + 1):
        optimizer.zero_grad()
        residual = inputs @ weight.data.T + bias.data - targets
        weight.grad += np.einsum("ne,nd->ed", residual, inputs) / 4  # 2 / 8
        bias.grad += residual.mean(axis=0) * 2
        optimizer.step()
        if step in ABOUT["steps"]:
            k = ABOUT["steps"].index(step)
            assert relative(weight.data, recorded[f"{name}/weight"][k]) < 1e-6
            assert relative(bias.data, recorded[f"{name}/bias"][k]) < 1e-6
            checked += 1
    assert checked == len(ABOUT["steps"])


SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.01, "momentum": 0.95, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.03, "momentum": 0.5, "nesterov": True}),
    ("SGD", {"lr": 0.0, "momentum": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.9)}),
    ("Adam", {"lr": 0.01, "betas": (0.9, 0.0), "eps": 1e-3}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.5}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.5}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.0}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "options"), SETTINGS)
def test_live(torch, kind, options, dtype):
    """Random gradients, some of them zero, move weights as PyTorch does."""
    rng = np.random.default_rng(4)
    shapes = [(3, 2, 2, 2), (5,), ()]
    ours = [Parameter(rng.normal(size=s).astype(dtype)) for s in shapes]
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    optimizer = getattr(optimizers, kind)(ours, **options)
    twin = getattr(torch.optim, kind)(theirs, **options)
    for step in range(100):
        for p, q in zip(ours, theirs, strict=True):
            size = 10 ** rng.uniform(-4, 2)
            gradient = (size * rng.normal(size=p.data.shape)).astype(dtype)
            if step % 7 == 0:
                gradient = np.zeros_like(gradient)
            p.grad[...] = gradient
            q.grad = torch.tensor(gradient)
        if step == 50:
            optimizer.lr = twin.param_groups[0]["lr"] = 0.005
        optimizer.step()
        twin.step()
    for p, q in zip(ours, theirs, strict=True):
        limit = 1e-6 if dtype == np.float64 else 2e-5
        assert relative(p.data, q.detach().numpy()) < limit
        assert p.data.dtype == dtype


def test_sgd_by_hand():
    """Two steps with momentum, and with Nesterov's look ahead."""
    plain, ahead = Parameter([1.0]), Parameter([1.0])
    first = SGD([plain], lr=0.1, momentum=0.5)
    second = SGD([ahead], lr=0.1, momentum=0.5, nesterov=True)
    for p, optimizer, path in [
        (plain, first, [0.8, 0.5]),  # speed 2, then 1 + 2
        (ahead, second, [0.7, 0.35]),  # 2 + 1, then 2 + 1.5
    ]:
        for expected in path:
            p.grad[...] = 2
            optimizer.step()
            assert p.data[0] == pytest.approx(expected)


@pytest.mark.parametrize("gradient", [1e-4, 1.0, -300.0])
def test_adam_first_step(gradient):
    """With bias correction the first step is lr long, whatever the gradient."""
    p = Parameter([5.0])
    p.grad[...] = gradient
    Adam([p], lr=0.25).step()
    assert p.data[0] == pytest.approx(5 - 0.25 * np.sign(gradient), rel=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.1, 0.9),
        lambda p: SGD(p, 0.1, weight_decay=0.1),
        lambda p: Adam(p, weight_decay=0.1),
        AdamW,
    ],
)
def test_in_place(make):
    """Weights change in place, gradients don't change, zero_grad clears."""
    parameters = [Parameter([1.0, 2.0]), Parameter([[3.0]])]
    data = [p.data for p in parameters]
    for p in parameters:
        p.grad[...] = 7
    optimizer = make(iter(parameters))  # any iterable will do
    optimizer.step()
    for p, array in zip(parameters, data, strict=True):
        assert p.data is array
        assert np.all(p.grad == 7)
    assert data[0][0] < 1
    parameters[0].grad[0] = np.nan
    optimizer.zero_grad()
    assert not any(p.grad.any() for p in parameters)


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda p: SGD([], 0.1), ValueError, "parameters"),
        (lambda p: Adam([]), ValueError, "parameters"),
        (lambda p: SGD([np.zeros(3)], 0.1), TypeError, "parameters"),
        (lambda p: SGD(["weight"], 0.1), TypeError, "parameters"),
        (lambda p: SGD(p, -0.1), ValueError, "lr"),
        (lambda p: SGD(p, np.nan), ValueError, "lr"),
        (lambda p: SGD(p, np.inf), ValueError, "lr"),
        (lambda p: SGD(p, "0.1"), TypeError, "lr"),
        (lambda p: SGD(p, [0.1]), TypeError, "lr"),
        (lambda p: SGD(p, 0.1, momentum=1.0), ValueError, "momentum"),
        (lambda p: SGD(p, 0.1, momentum=-0.5), ValueError, "momentum"),
        (lambda p: SGD(p, 0.1, nesterov=True), ValueError, "nesterov"),
        (lambda p: SGD(p, 0.1, weight_decay=-1), ValueError, "weight_decay"),
        (lambda p: Adam(p, lr=-1), ValueError, "lr"),
        (lambda p: Adam(p, betas=0.9), ValueError, "betas"),
        (lambda p: Adam(p, betas=(0.9,)), ValueError, "betas"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda p: Adam(p, betas=(-0.1, 0.9)), ValueError, "betas"),
        (lambda p: Adam(p, betas=("a", "b")), TypeError, "betas"),
        (lambda p: Adam(p, eps=-1e-8), ValueError, "eps"),
        (lambda p: Adam(p, weight_decay=np.nan), ValueError, "weight_decay"),
        (lambda p: AdamW(p, weight_decay=-1), ValueError, "weight_decay"),
        (lambda p: AdamW(p, betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda p: AdamW(p, eps="a"), TypeError, "eps"),
    ],
)
def test_bad_arguments(make, error, name):
    """Wrong settings are refused when the optimizer is made, by name."""
    with pytest.raises(error, match=name):
        make([Parameter([1.0])])


def test_one_parameter_instead_of_a_list():
    """A lone Parameter, not in a list, is refused by name."""
    with pytest.raises(TypeError, match="parameters"):
        SGD(Parameter([1.0]), 0.1)


@pytest.mark.parametrize("lr", [None, 1j])
def test_lr_that_is_no_real_number(lr):
    """A rate that has no order is refused by name."""
    with pytest.raises(TypeError, match="lr"):
        SGD([Parameter([1.0])], lr)


def test_base_class():
    """An optimizer of one's own needs an update only."""

    class Sign(Optimizer):
        def update(self, k, p):
            p.data -= self.lr * np.sign(p.grad)

    p = Parameter([1.0, -1.0])
    p.grad[...] = [10, -3]
    own = Sign([p], 0.5)
    own.step()
    assert p.data.tolist() == [0.5, -0.5]
    assert own.state_dict() == {"lr": 0.5, "steps": 1}
    with pytest.raises(NotImplementedError, match="Optimizer"):
        Optimizer([p], 0.1).step()


def test_parameter_given_twice_is_refused():
    """It would step twice in every step."""
    weight = Parameter([1.0])
    with pytest.raises(ValueError, match=r"^parameters: .*twice"):
        SGD([weight, weight], lr=0.1)


# Adam's weight decay, in the gradient or beside it


def test_adamw_by_hand():
    """Weights shrink by lr * weight_decay, whatever the gradient is."""
    p = Parameter([5.0, -2.0])
    p.grad[...] = [300.0, 0.0]
    AdamW([p], lr=0.25, weight_decay=0.1).step()
    np.testing.assert_allclose(p.data, [5 * 0.975 - 0.25, -2 * 0.975], rtol=1e-6)
    coupled = Parameter([5.0, -2.0])
    coupled.grad[...] = [300.0, 0.0]
    Adam([coupled], lr=0.25, weight_decay=0.1).step()
    np.testing.assert_allclose(coupled.data, [5 - 0.25, -2 + 0.25], rtol=1e-6)


def test_adamw_by_default():
    """It decays by 0.01; Adam and SGD don't decay at all."""
    for make, expected in ((AdamW, 3 * (1 - 1e-5)), (Adam, 3), (SGD, 3)):
        p = Parameter([3.0])
        make([p], lr=1e-3).step()
        assert p.data[0] == pytest.approx(expected, rel=1e-14)


# Schedules


@pytest.mark.parametrize("name", ABOUT["schedules"])
def test_schedules_recorded(recorded, name):
    """Rate, momentum and weights follow PyTorch's for a hundred steps."""
    prefix = f"scheduled/{name}/"
    r = {k.removeprefix(prefix): recorded[k] for k in recorded if k.startswith(prefix)}
    kind, options, optimizer_kind, settings = ABOUT["schedules"][name]
    inputs, targets = recorded["scheduled/inputs"], recorded["scheduled/targets"]
    weight = Parameter(recorded["scheduled/weight"])
    bias = Parameter(recorded["scheduled/bias"])
    optimizer = getattr(optimizers, optimizer_kind)([weight, bias], **settings)
    schedule = getattr(optimizers, kind)(optimizer, **options)
    assert schedule.per == ("batch" if kind == "OneCycleLR" else "epoch")
    checked = 0
    for step in range(100):
        momentum = optimizer.betas[0] if hasattr(optimizer, "betas") else None
        momentum = optimizer.momentum if momentum is None else momentum
        assert optimizer.lr == pytest.approx(r["lr"][step], rel=1e-9, abs=1e-16)
        assert momentum == pytest.approx(r["momentum"][step], rel=1e-12)
        optimizer.zero_grad()
        residual = inputs @ weight.data.T + bias.data - targets
        weight.grad += residual.T @ inputs / 4
        bias.grad += residual.mean(axis=0) * 2
        optimizer.step()
        if step < 99:
            schedule.step()
        if step + 1 in ABOUT["steps"]:
            k = ABOUT["steps"].index(step + 1)
            assert relative(weight.data, r["weight"][k]) < 1e-6
            assert relative(bias.data, r["bias"][k]) < 1e-6
            checked += 1
    assert checked == len(ABOUT["steps"])
    if not name.endswith("rate_only") and kind == "OneCycleLR":
        assert np.ptp(r["momentum"]) > 0.09


@pytest.mark.parametrize("seed", range(12))
def test_schedules_live(torch, seed):
    """Random settings: rates and momenta at every step, beside PyTorch's."""
    rng = np.random.default_rng(seed)
    kind = ("StepLR", "MultiStepLR", "CosineAnnealingLR", "OneCycleLR")[seed % 4]
    total = int(rng.integers(10, 100))
    options = {
        "StepLR": {"step_size": int(rng.integers(1, 30)), "gamma": rng.uniform()},
        "MultiStepLR": {
            "milestones": sorted({int(m) for m in rng.integers(1, total, 4)}),
            "gamma": rng.uniform(0.1, 1),
        },
        "CosineAnnealingLR": {"T_max": total - 1, "eta_min": 0.01 * rng.uniform()},
        "OneCycleLR": {
            "max_lr": rng.uniform(0.01, 1),
            "total_steps": total,
            "pct_start": rng.uniform(0.2, 0.8),
            "div_factor": rng.uniform(1, 30),
            "final_div_factor": rng.uniform(1, 1e4),
        },
    }[kind]
    p, q = Parameter([1.0]), torch.tensor([1.0], requires_grad=True)
    own, twin = (
        (SGD([p], 0.1, momentum=0.9), torch.optim.SGD([q], 0.1, momentum=0.9))
        if seed % 2
        else (Adam([p], 0.1), torch.optim.Adam([q], 0.1))
    )
    schedule = getattr(optimizers, kind)(own, **options)
    other = getattr(torch.optim.lr_scheduler, kind)(twin, **options)
    for step in range(total):
        (group,) = twin.param_groups
        assert own.lr == pytest.approx(group["lr"], rel=1e-8, abs=1e-15)
        if "betas" in group:
            assert own.betas == pytest.approx(group["betas"], rel=1e-12)
        else:
            assert own.momentum == pytest.approx(group["momentum"], rel=1e-12)
        twin.step()
        if step < total - 1:
            schedule.step()
            other.step()


def rates(schedule, count):
    """Return the optimizer's rates before `count` steps of its schedule."""
    found = []
    for _ in range(count):
        found.append(schedule.optimizer.lr)
        schedule.step()
    return found


def optimizer(lr=1.0, momentum=0.9):
    """Return an optimizer of one weight."""
    return SGD([Parameter([1.0])], lr, momentum)


def test_schedules_by_hand():
    """Small plans, worked out on paper."""
    assert rates(StepLR(optimizer(8), 2, 0.5), 6) == [8, 8, 4, 4, 2, 2]
    assert rates(StepLR(optimizer(), 3), 4) == pytest.approx([1, 1, 1, 0.1])
    multi = MultiStepLR(optimizer(8), [1, 3], 0.5)
    assert rates(multi, 5) == [8, 4, 4, 2, 2]
    listed = MultiStepLR(optimizer(0.01), [5, 10], [0.5, 0.2])
    expected = [0.01] * 5 + [0.005] * 5 + [0.001] * 5
    assert rates(listed, 15) == pytest.approx(expected)
    assert rates(MultiStepLR(optimizer(), np.array([1]), np.array([3.0])), 2) == [1, 3]
    wave = CosineAnnealingLR(optimizer(), 4, eta_min=0.5)
    half = 0.25 * (1 + 2**-0.5)
    expected = [1, 0.5 + half, 0.75, 1 - half, 0.5, 0.5, 0.5]
    assert rates(wave, 7) == pytest.approx(expected)  # and there it stays
    assert rates(CosineAnnealingLR(optimizer(), 1), 3) == [1, 0, 0]


def test_cosine():
    """From start to end, half of the way in the middle."""
    assert cosine(3, 1, 0) == 3 and cosine(3, 1, 1) == 1
    assert cosine(3, 1, 0.5) == pytest.approx(2)
    assert cosine(1, 3, 0.25) == pytest.approx(2 - 2**-0.5)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.8), Adam, AdamW])
def test_one_cycle_by_hand(make):
    """The rate goes up and down, the momentum down and up; the second beta stays."""
    own = make([Parameter([1.0])])
    schedule = OneCycleLR(own, 1.0, 9, pct_start=5 / 9, div_factor=4, cycle_momentum=1)
    seen = []
    for step in range(9):
        momentum = own.betas[0] if hasattr(own, "betas") else own.momentum
        seen.append((own.lr, momentum))
        if hasattr(own, "betas"):
            assert own.betas[1] == 0.999
        if step < 8:
            schedule.step()
    lrs, momenta = np.array(seen).T
    assert lrs[[0, 2, 4]] == pytest.approx([0.25, 0.625, 1])
    assert lrs[[6, 8]] == pytest.approx([(1 + 0.25e-4) / 2, 0.25e-4])
    assert momenta[[0, 2, 4, 6, 8]] == pytest.approx([0.95, 0.9, 0.85, 0.9, 0.95])


def test_one_cycle_rate_only():
    """With cycle_momentum=False, momentum stays, and may be missing."""
    own = optimizer(0.1, 0.0)
    schedule = OneCycleLR(own, 1.0, 10, cycle_momentum=False)
    schedule.step()
    assert own.momentum == 0 and own.lr > 0.04
    with pytest.raises(ValueError, match=r"^cycle_momentum: .*no momentum"):
        OneCycleLR(optimizer(0.1, 0.0), 1.0, 10)


def test_one_cycle_is_over():
    """After as many steps as batches it stays; one more is refused."""
    schedule = OneCycleLR(optimizer(), 1.0, 10)
    for _ in range(9):
        schedule.step()
    assert schedule.optimizer.lr == pytest.approx(4e-6)
    schedule.step()  # after the last batch
    assert schedule.optimizer.lr == pytest.approx(4e-6)
    assert schedule.optimizer.momentum == pytest.approx(0.95)
    with pytest.raises(ValueError, match="^total_steps: 10"):
        schedule.step()


def test_schedule_begins_with_the_optimizers_rate():
    """The base rate is the optimizer's when the schedule is made; one cycle's not."""
    own = optimizer(0.3)
    for schedule in (StepLR(own, 1), MultiStepLR(own, [1]), CosineAnnealingLR(own, 9)):
        assert own.lr == 0.3 == schedule.base
    OneCycleLR(own, 1.0, 10)
    assert own.lr == pytest.approx(0.04)


def test_rate_changed_in_between():
    """A schedule sets the rate anew at every step, from its own base."""
    own = optimizer(0.4)
    schedule = StepLR(own, 2, 0.5)
    own.lr = 77.0
    schedule.step()
    assert own.lr == 0.4
    schedule.base = 0.8
    schedule.step()
    assert own.lr == 0.4


def test_schedule_of_ones_own():
    """A rate is all that it needs; and it needs one."""

    class Half(Schedule):
        def rate(self, step):
            return self.base / 2**step

    assert rates(Half(optimizer(8)), 4) == [8, 4, 2, 1]
    with pytest.raises(NotImplementedError, match="^Schedule has no rate"):
        Schedule(optimizer())
    with pytest.raises(TypeError, match="^optimizer: "):
        Half(None)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda o: StepLR(None, 2), "optimizer"),
        (lambda o: StepLR(o, 0), "step_size"),
        (lambda o: StepLR(o, 1.5), "step_size"),
        (lambda o: StepLR(o, 2, -0.1), "gamma"),
        (lambda o: StepLR(o, 2, "a"), "gamma"),
        (lambda o: StepLR(o, 2, np.nan), "gamma"),
        (lambda o: MultiStepLR(o, [0, 1]), "milestones"),
        (lambda o: MultiStepLR(o, []), "milestones"),
        (lambda o: MultiStepLR(o, [3, 2]), "milestones"),
        (lambda o: MultiStepLR(o, [2, 2]), "milestones"),
        (lambda o: MultiStepLR(o, [1.5]), "milestones"),
        (lambda o: MultiStepLR(o, "ab"), "milestones"),
        (lambda o: MultiStepLR(o, [1, 2], [0.1]), "gamma"),
        (lambda o: MultiStepLR(o, [1], [0.1, 0.1]), "gamma"),
        (lambda o: MultiStepLR(o, [1, 2], [0.1, -0.1]), "gamma"),
        (lambda o: MultiStepLR(o, [1], None), "gamma"),
        (lambda o: CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: CosineAnnealingLR(o, 5, -0.1), "eta_min"),
        (lambda o: CosineAnnealingLR(o, 5, None), "eta_min"),
        (lambda o: OneCycleLR(o, -1, 10), "max_lr"),
        (lambda o: OneCycleLR(o, 1, 1), "total_steps"),
        (lambda o: OneCycleLR(o, 1, 10.0), "total_steps"),
        (lambda o: OneCycleLR(o, 1, 10, pct_start=0), "pct_start"),
        (lambda o: OneCycleLR(o, 1, 10, pct_start=1), "pct_start"),
        (lambda o: OneCycleLR(o, 1, 10, pct_start=0.1), "pct_start"),
        (lambda o: OneCycleLR(o, 1, 10, pct_start=-1), "pct_start"),
        (lambda o: OneCycleLR(o, 1, 10, base_momentum=1), "base_momentum"),
        (lambda o: OneCycleLR(o, 1, 10, max_momentum=1.5), "max_momentum"),
    ],
)
def test_schedule_refuses(make, name):
    """Wrong settings are refused by name, and the optimizer is left alone."""
    own = optimizer(0.3, 0.9)
    with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
        make(own)
    assert own.lr == 0.3 and own.momentum == 0.9


# Going on later

MAKERS = {
    "plain": lambda p: SGD(p, 0.1),
    "momentum": lambda p: SGD(p, 0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: SGD(p, 0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, 0.05, betas=(0.7, 0.9), weight_decay=0.1),
    "adamw": lambda p: AdamW(p, 0.05, weight_decay=0.1),
}
PLANS = {
    "none": lambda o: None,
    "step": lambda o: StepLR(o, 3, 0.7),
    "multi": lambda o: MultiStepLR(o, [2, 9, 14], [0.5, 0.5, 3]),
    "cosine": lambda o: CosineAnnealingLR(o, 15, 0.01),
    "cycle": lambda o: OneCycleLR(o, 0.1, 30),
}


def walk(weights, own, schedule, steps):
    """Take some steps, with gradients that depend on the weights and the step."""
    for step in steps:
        for p in weights:
            p.grad[...] = np.sin(7 * p.data + step)
        own.step()
        if schedule is not None:
            schedule.step()


@pytest.mark.parametrize("stop", [0, 1, 10])
@pytest.mark.parametrize(
    ("name", "plan"),
    [pair for pair in itertools.product(MAKERS, PLANS) if pair != ("plain", "cycle")],
)
def test_interrupted(name, plan, stop):
    """A fresh optimizer and schedule with the states go on bit for bit."""

    def fresh(dtype=np.float32):
        rng = np.random.default_rng(0)
        weights = [Parameter(rng.normal(size=s).astype(dtype)) for s in [(2, 3), (4,)]]
        own = MAKERS[name](weights)
        return weights, own, PLANS[plan](own)

    whole = fresh()
    walk(*whole, range(20))
    first = fresh()
    walk(*first, range(stop))
    states = [part.state_dict() for part in first[1:] if part is not None]
    kept = copy.deepcopy(states)
    values = [p.data.copy() for p in first[0]]
    walk(*first, range(stop, 20))  # going on does not change what was kept
    second = fresh()
    for p, value in zip(second[0], values, strict=True):
        p.data[...] = value
    for part, state in zip(second[1:], kept, strict=False):
        part.load_state_dict(state)
    for a, b in zip(states, kept, strict=True):
        for key, value in a.items():
            np.testing.assert_array_equal(value, b[key])
    walk(*second, range(stop, 20))
    for p, q, r in zip(whole[0], first[0], second[0], strict=True):
        assert p.data.tobytes() == q.data.tobytes() == r.data.tobytes()
    assert whole[1].lr == second[1].lr
    assert whole[1].steps == second[1].steps == 20
    for key, value in whole[1].state_dict().items():
        np.testing.assert_array_equal(value, second[1].state_dict()[key])


@pytest.mark.parametrize("name", MAKERS)
def test_state_is_a_copy(name):
    """Neither the state that is taken nor the one that is loaded is shared."""
    p = Parameter([1.0, 2.0])
    own = MAKERS[name]([p])
    p.grad[...] = 3
    own.step()
    state = own.state_dict()
    kept = copy.deepcopy(state)
    own.load_state_dict(state)
    own.step()
    assert own.steps == 2
    for key, value in state.items():
        np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize("name", MAKERS)
def test_state_keeps_the_dtype(name):
    """What is remembered for float32 weights is float32, too."""
    for dtype in (np.float32, np.float64):
        p = Parameter(np.ones(2, dtype))
        own = MAKERS[name]([p])
        p.grad[...] = 1
        own.step()
        arrays = [v for k, v in own.state_dict().items() if k.endswith(".0")]
        assert all(array.dtype == dtype for array in arrays)


@pytest.mark.parametrize("plan", [name for name in PLANS if name != "none"])
def test_schedule_state_alone(plan):
    """A loaded schedule sets the rate at once, also of an optimizer of another."""
    first, second = optimizer(0.3), optimizer(7.0)
    old, new = PLANS[plan](first), PLANS[plan](second)
    for _ in range(4):
        old.step()
    state = old.state_dict()
    assert state == {"base": 0.3, "steps": 4}
    new.load_state_dict(state)
    assert second.lr == first.lr and second.momentum == first.momentum
    old.step()
    new.step()
    assert second.lr == first.lr and second.momentum == first.momentum


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda s: s.pop("lr"), KeyError, "missing.*'lr'"),
        (lambda s: s.pop("means.1"), KeyError, r"missing.*means\.1"),
        (lambda s: s.update(momentum=0.9), KeyError, "unknown.*momentum"),
        (lambda s: s.clear(), KeyError, "missing.*betas"),
        (
            lambda s: s.update({"squares.1": np.zeros(3)}),
            ValueError,
            r"state\['squares.1'\]: needs shape \(4,\), got \(3,\)",
        ),
        (lambda s: s.update({"means.0": 0.0}), ValueError, "means.0"),
        (lambda s: s.update(betas=0.9), ValueError, "betas"),
        (lambda s: s.update(betas=(0.9, 0.99, 0.999)), ValueError, "betas"),
        (lambda s: s.update(lr=[0.1]), ValueError, "lr"),
    ],
)
def test_wrong_state(change, error, says):
    """A state that does not fit is refused, and nothing is set."""
    weights = [Parameter(np.ones((2, 3))), Parameter(np.ones(4))]
    own, other = Adam(weights, 0.1), Adam(weights, 0.2)
    for p in weights:
        p.grad[...] = 1
    other.step()
    state, before = other.state_dict(), own.state_dict()
    change(state)
    with pytest.raises(error, match=says):
        own.load_state_dict(state)
    for key, value in own.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize("state", [None, [1], "state", 3])
def test_state_of_the_wrong_type(state):
    """A state is a dict; also that of a schedule."""
    own = optimizer()
    with pytest.raises(TypeError, match="^state: needs a dict"):
        own.load_state_dict(state)
    with pytest.raises((TypeError, ValueError), match="^state: needs"):
        StepLR(own, 1).load_state_dict(state)


@pytest.mark.parametrize(
    "state",
    [
        {"base": 0.5, "steps": -1},
        {"base": 0.5, "steps": 1.5},
        {"base": 0.5, "steps": None},
        {"base": -0.5, "steps": 1},
        {"base": np.nan, "steps": 1},
        {"base": "fast", "steps": 1},
        {"base": 0.5},
        {"base": 0.5, "steps": 1, "lr": 0.1},
        {"base": 0.5, "steps": 99},
    ],
)
def test_wrong_schedule_state(state):
    """A schedule's state that is none is refused, too, and nothing is set."""
    own = optimizer(0.3)
    schedule = OneCycleLR(own, 1.0, 10)
    schedule.step()
    before = schedule.state_dict(), own.state_dict()
    with pytest.raises((TypeError, ValueError), match=r"^(state|base|steps|total_)"):
        schedule.load_state_dict(state)
    assert before[0] == schedule.state_dict()
    assert before[1]["lr"] == own.lr and before[1]["momentum"] == own.momentum


def test_state_of_another_kind():
    """SGD's state is none of Adam's; a schedule's none of an optimizer."""
    weights = [Parameter([1.0])]
    with pytest.raises(KeyError, match=r"missing.*betas.*unknown.*velocity"):
        Adam(weights).load_state_dict(SGD(weights, 0.1).state_dict())
    with pytest.raises(ValueError, match="^state: "):
        StepLR(optimizer(), 1).load_state_dict(optimizer().state_dict())
    with pytest.raises(KeyError, match=r"missing.*velocity\.1"):
        SGD([*weights, Parameter([2.0])], 0.1).load_state_dict(
            SGD(weights, 0.1).state_dict()
        )


def test_state_of_the_base_class():
    """An optimizer of one's own keeps what it names."""

    class Sum(Optimizer):
        numbers, arrays = ("lr", "steps", "size"), ("sums",)

        def __init__(self, parameters):
            super().__init__(parameters, 0.5)
            self.size, self.sums = 1.0, [np.zeros_like(p.data) for p in self.parameters]

        def update(self, k, p):
            self.sums[k] += p.grad
            self.size *= 2
            p.data -= self.lr * self.size * self.sums[k]

    p = Parameter([1.0])
    first, second = Sum([p]), Sum([p])
    p.grad[...] = 1
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.size == 2 and second.sums[0].tolist() == [1] and second.steps == 1
    assert list(first.state_dict()) == ["lr", "steps", "size", "sums.0"]


# Clipping


@pytest.mark.parametrize("limit", ABOUT["max_norms"])
def test_clipping_recorded(recorded, limit):
    """The norm of all gradients together is limited, as PyTorch does it."""
    weights = [Parameter(np.zeros_like(recorded[f"clip/grad{k}"])) for k in range(3)]
    for k, p in enumerate(weights):
        p.grad[...] = recorded[f"clip/grad{k}"]
    norm = clip_grad_norm(iter(weights), limit)
    assert type(norm) is float
    assert norm == pytest.approx(float(recorded[f"clip/{limit}/norm"]), rel=1e-12)
    for k, p in enumerate(weights):
        np.testing.assert_allclose(
            p.grad, recorded[f"clip/{limit}/grad{k}"], rtol=1e-12
        )


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_clipping_properties(seed, limit):
    """The direction stays; the length is the limit, or what it was."""
    rng = np.random.default_rng(seed)
    weights = [Parameter(rng.normal(size=s)) for s in [(3, 2), (4,)]]
    before = [10 ** rng.uniform(-3, 3) * rng.normal(size=p.data.shape) for p in weights]
    data = [p.data.copy() for p in weights]
    for p, grad in zip(weights, before, strict=True):
        p.grad[...] = grad
    length = math.hypot(*(np.linalg.norm(grad) for grad in before))
    assert clip_grad_norm(weights, limit) == pytest.approx(length)
    share = min(1, limit / (length + 1e-6)) if length > limit else 1
    for p, grad, value in zip(weights, before, data, strict=True):
        np.testing.assert_allclose(p.grad, share * grad)
        np.testing.assert_array_equal(p.data, value)


def test_clipping_by_hand():
    """3 and 4 make 5; gradients stay where they are, and keep their dtype."""
    weights = [Parameter(np.zeros(2, np.float32)), Parameter(np.zeros(()))]
    held = [p.grad for p in weights]
    held[0][...], held[1][...] = [3, 0], 4
    assert clip_grad_norm(weights, 5) == 5
    assert held[0].tolist() == [3, 0] and held[1] == 4
    assert clip_grad_norm(weights, 1) == 5
    for p, grad in zip(weights, held, strict=True):
        assert p.grad is grad
    np.testing.assert_allclose(held[0], [0.6, 0], rtol=1e-6)
    assert held[0].dtype == np.float32
    np.testing.assert_allclose(held[1], 0.8, rtol=1e-6)
    assert clip_grad_norm(weights, 0) == pytest.approx(1)
    assert not any(p.grad.any() for p in weights)
    assert clip_grad_norm([], 1) == 0


def test_clipping_large_and_infinite():
    """Squares of float32 can't overflow; what is not finite stays."""
    p = Parameter(np.zeros(2, np.float32))
    p.grad[...] = 1e30
    assert clip_grad_norm([p], 1) == pytest.approx(2**0.5 * 1e30)
    np.testing.assert_allclose(p.grad, 0.5**0.5, rtol=1e-6)
    for wrong in (np.nan, np.inf, -np.inf):
        p.grad[...] = [wrong, 3]
        assert not math.isfinite(clip_grad_norm([p], 1))
        np.testing.assert_array_equal(p.grad, np.array([wrong, 3], np.float32))
    for wrong in (-1, np.nan, "a", None):
        with pytest.raises((TypeError, ValueError), match="^max_norm: "):
            clip_grad_norm([p], wrong)


# All together


def test_run_recorded(recorded):
    """60 steps: residual blocks, AdamW, one cycle, smoothing and clipping."""
    r = {k.removeprefix("run/"): recorded[k] for k in recorded if k.startswith("run/")}

    def build(kind, arguments, options):
        made = [
            build(*a) if isinstance(a, list) and isinstance(a[0], str) else a
            for a in arguments
        ]
        return getattr(layers, kind)(*made, **options)

    model = build(*ABOUT["layers"]["residual network"][:3]).astype(np.float64)
    model.load_state_dict({k[6:]: v for k, v in r.items() if k.startswith("start/")})
    own, loss = AdamW(model.parameters(), weight_decay=0.05), CrossEntropyLoss(0.1)
    schedule = OneCycleLR(own, 0.03, total_steps=60)
    losses, norms = [], []
    for step in range(60):
        part = slice(0, 6) if step % 2 == 0 else slice(6, 12)
        value, dlogits = loss(model(r["x"][part]), r["labels"][part])
        own.zero_grad()
        model.backward(dlogits)
        norms.append(clip_grad_norm(own.parameters, 0.5))
        own.step()
        if step < 59:
            schedule.step()
        losses.append(value)
    assert relative(np.array(losses), r["losses"]) < 1e-6
    assert relative(np.array(norms), r["norms"]) < 1e-6
    assert max(norms) > 0.5 and losses[-1] < losses[0] - 0.05
    for key, array in model.state_dict().items():
        assert relative(array, r[f"end/{key}"]) < 1e-6


def test_two_parts_of_a_network():
    """Optimizers of two parts don't touch each other's weights."""
    first, second = Linear(2, 2, rng=0), Linear(2, 2, rng=1)
    before = second.state_dict()
    for layer in (first, second):
        for p in layer.parameters():
            p.grad += 1
    AdamW(first.parameters()).step()
    for key, array in second.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def lying(array, layout):
    """Return a parameter whose numbers lie in memory in some way."""
    p = Parameter(array)
    if layout == "Fortran":
        p.data = p.data.copy(order="F")
    elif layout == "every second" and p.data.ndim:
        larger = np.full([2 * n for n in p.data.shape], np.nan)
        p.data = larger[(slice(None, None, 2),) * array.ndim]
        p.data[...] = array
    return p


def adam(w, gradients, lr=0.1, betas=(0.9, 0.999), eps=1e-8):
    """Return weights after Adam's steps, as eq. (adam) is written."""
    m = v = np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        mean, square = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - lr * mean / (np.sqrt(square) + eps)
    return w


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("layout", ["usual", "Fortran", "every second"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (7,), (5, 4), (2, 3, 4)])
def test_adam_in_place_whatever_the_parameter(shape, layout, count, monkeypatch):
    """A single number, none, in any order of memory, on any number of threads."""
    monkeypatch.setattr(threads, "SHORT", -1)  # all work is shared
    rng = np.random.default_rng(0)
    start = rng.standard_normal(shape)
    p, alone = lying(start, layout), Parameter(start)
    gradients = [np.asarray(rng.standard_normal(shape)) for _ in range(4)]
    step = Adam([p], 0.1)
    arrays = p.data, step.means[0], step.squares[0]
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        for gradient in gradients:
            copied = gradient.copy()
            p.grad = gradient
            step.step()
            np.testing.assert_array_equal(gradient, copied)
    finally:
        threads.set_num_threads(before)
    assert all(
        a is b
        for a, b in zip(arrays, (p.data, step.means[0], step.squares[0]), strict=True)
    )
    assert p.data.shape == alone.data.shape
    np.testing.assert_allclose(p.data, adam(start, gradients), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_step(kind, dtype, monkeypatch):
    """Every weight is moved by one thread: the same, to the last digit."""
    monkeypatch.setattr(threads, "SHORT", -1)
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            rng = np.random.default_rng(0)
            p = Parameter(rng.standard_normal((50, 40)).astype(dtype))
            step = kind([p], weight_decay=0.1)
            for _ in range(5):
                p.grad = rng.standard_normal((50, 40)).astype(dtype)
                step.step()
            results.append([p.data, step.means[0], step.squares[0]])
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9), Adam, AdamW])
def test_parameters_without_a_gradient_count_as_zero(make):
    """One that no backward reached moves as if its gradient were zero."""
    p, zero = Parameter([1.0, 2.0]), Parameter([1.0, 2.0])
    one, two = make([p]), make([zero])
    for gradient in ([1.0, -1.0], None, [0.0, 0.0]):
        zero.grad = np.array(gradient or [0.0, 0.0])
        if gradient is None:
            p.clear()
        else:
            p.grad = np.array(gradient)
        one.step()
        two.step()
        np.testing.assert_array_equal(p.data, zero.data)
