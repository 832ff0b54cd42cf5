"""SGD and Adam, step by step beside PyTorch's."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnnbook import optimizers
from cnnbook.layers import Parameter
from cnnbook.optimizers import SGD, Adam, Optimizer

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


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9), Adam])
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
    Sign([p], 0.5).step()
    assert p.data.tolist() == [0.5, -0.5]
    with pytest.raises(NotImplementedError, match="Optimizer"):
        Optimizer([p], 0.1).step()


def test_parameter_given_twice_is_refused():
    """It would step twice in every step."""
    weight = Parameter([1.0])
    with pytest.raises(ValueError, match=r"^parameters: .*twice"):
        SGD([weight, weight], lr=0.1)
