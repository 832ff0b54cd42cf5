"""Softmax and cross-entropy, against PyTorch and central differences."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnnbook.gradcheck import check_gradient
from cnnbook.losses import (
    CrossEntropyLoss,
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

FOLDER = Path(__file__).parent / "recorded"
PAIRS = {
    "softmax": (softmax, softmax_backward),
    "log_softmax": (log_softmax, log_softmax_backward),
}


@pytest.fixture(scope="module")
def recorded():
    """Return what PyTorch gave."""
    with np.load(FOLDER / "training.npz") as archive:
        return dict(archive)


def test_recordings_are_current(torch, load_script, recorded):
    """This PyTorch gives what the recorded one gave."""
    script = load_script("record_pytorch_training")
    fresh = script.record()
    assert fresh.keys() == recorded.keys()
    for key, value in fresh.items():
        np.testing.assert_allclose(
            recorded[key], value, rtol=1e-9, atol=1e-11, err_msg=key
        )
    about = json.loads((FOLDER / "training.json").read_text())
    assert about["seed"] == script.SEED
    assert {"torch", "numpy"} <= about.keys()
    assert sum(f.stat().st_size for f in FOLDER.glob("training.*")) < 300_000


@pytest.mark.parametrize("name", PAIRS)
def test_softmax_recorded(recorded, name):
    """Softmax and its logarithm agree with PyTorch, gradients too."""
    forward, backward = PAIRS[name]
    x, dy = recorded[f"{name}/x"], recorded[f"{name}/dy"]
    np.testing.assert_allclose(forward(x), recorded[f"{name}/y"], rtol=1e-12)
    np.testing.assert_allclose(
        backward(dy, x), recorded[f"{name}/dx"], rtol=1e-10, atol=1e-14
    )


def test_cross_entropy_recorded(recorded):
    """The loss is the mean over the batch, and so is its gradient."""
    logits = recorded["cross_entropy/logits"]
    labels = recorded["cross_entropy/labels"]
    loss, dlogits = (
        recorded["cross_entropy/loss"],
        recorded["cross_entropy/dlogits"],
    )
    assert cross_entropy(logits, labels) == pytest.approx(float(loss), rel=1e-13)
    np.testing.assert_allclose(
        cross_entropy_backward(logits, labels), dlogits, rtol=1e-10, atol=1e-15
    )
    both = CrossEntropyLoss()(logits, labels)
    assert both[0] == cross_entropy(logits, labels)
    np.testing.assert_allclose(both[1], dlogits, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_live(torch, seed):
    """Random shapes and sizes, float32 and float64, agree with PyTorch."""
    rng = np.random.default_rng(seed)
    dtype = (np.float32, np.float64)[seed % 2]
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if seed % 2 == 0 else {}
    tolerance = tolerance or {"rtol": 1e-10, "atol": 1e-13}
    n, k = rng.integers(1, 9, 2)
    array = (10 ** rng.uniform(-2, 2) * rng.normal(size=(n, k))).astype(dtype)
    dy = rng.normal(size=(n, k)).astype(dtype)
    for name, (forward, backward) in PAIRS.items():
        x = torch.tensor(array, requires_grad=True)
        y = getattr(torch, name)(x, -1)
        y.backward(torch.tensor(dy))
        np.testing.assert_allclose(forward(array), y.detach().numpy(), **tolerance)
        np.testing.assert_allclose(backward(dy, array), x.grad.numpy(), **tolerance)
    labels = rng.integers(0, k, n)
    x = torch.tensor(array, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(x, torch.tensor(labels))
    loss.backward()
    np.testing.assert_allclose(cross_entropy(array, labels), loss.item(), **tolerance)
    np.testing.assert_allclose(
        cross_entropy_backward(array, labels), x.grad.numpy(), **tolerance
    )


def test_by_hand():
    """Three logits whose exponentials are 1, 2 and 5."""
    logits = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(softmax(logits), [[0.125, 0.25, 0.625]])
    assert cross_entropy(logits, [1]) == pytest.approx(np.log(4))
    np.testing.assert_allclose(
        cross_entropy_backward(logits, [1]), [[0.125, -0.75, 0.625]]
    )
    both = np.vstack([logits, logits])
    assert cross_entropy(both, [1, 1]) == pytest.approx(np.log(4))
    np.testing.assert_allclose(
        cross_entropy_backward(both, [1, 1]),
        [[0.0625, -0.375, 0.3125]] * 2,
    )


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 1)])
@pytest.mark.parametrize("name", PAIRS)
def test_gradients_measured(name, shape):
    """Gradients agree with central differences under a random upstream one."""
    forward, backward = PAIRS[name]
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=shape), rng.normal(size=shape)
    if shape[-1] > 1:
        error = check_gradient(lambda v: np.sum(forward(v) * dy), x, backward(dy, x))
        assert error <= 1e-7
    else:  # one class: the output never changes
        np.testing.assert_array_equal(backward(dy, x), np.zeros(shape))


def test_cross_entropy_measured():
    """The gradient agrees with central differences, over the whole tensor."""
    rng = np.random.default_rng(2)
    logits, labels = 3 * rng.normal(size=(4, 6)), [5, 0, 3, 3]
    gradient = cross_entropy_backward(logits, labels)
    error = check_gradient(lambda v: cross_entropy(v, labels), logits, gradient)
    assert error <= 1e-7


LOGITS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
    elements=st.floats(-500, 500),
)


@given(LOGITS, st.floats(-1e3, 1e3))
def test_properties(logits, shift):
    """Probabilities sum to one, and don't mind a common shift."""
    p = softmax(logits)
    assert np.all((p >= 0) & (p <= 1))
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(
        log_softmax(logits + shift), log_softmax(logits), atol=1e-9
    )
    dx = log_softmax_backward(np.ones_like(logits), logits)
    np.testing.assert_allclose(dx.sum(-1), 0, atol=1e-11)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float32, 1e4), (np.float32, 1e37), (np.float64, 1e4)] + [(np.float64, 1e300)],
)
def test_huge_logits(dtype, size):
    """Logits of any size give a finite loss and gradient, without a warning."""
    logits = np.array([[size, 0, -size], [-size, size, 0]], dtype)
    loss = cross_entropy(logits, [0, 1])
    assert loss == 0
    np.testing.assert_array_equal(
        cross_entropy_backward(logits, [0, 1]), np.zeros((2, 3))
    )
    wrong = cross_entropy(logits, [1, 1])
    assert np.isfinite(wrong)
    assert wrong == pytest.approx(size / 2, rel=1e-6)
    dlogits = cross_entropy_backward(logits, [1, 1])
    np.testing.assert_array_equal(dlogits[0], [0.5, -0.5, 0])


def test_float32_stays():
    """float32 in, float32 out; whole numbers become float64."""
    x = np.zeros((2, 3), np.float32)
    for forward, backward in PAIRS.values():
        assert forward(x).dtype == np.float32
        assert backward(x, x).dtype == np.float32
        assert forward([[1, 2]]).dtype == np.float64
    assert cross_entropy_backward(x, [0, 1]).dtype == np.float32
    loss, dlogits = CrossEntropyLoss()(x, np.array([0, 1], np.uint8))
    assert type(loss) is float
    assert dlogits.dtype == np.float32
    assert cross_entropy_backward([[1, 2]], [0]).dtype == np.float64


def test_arguments_stay():
    """No function changes what it is given, in any memory layout."""
    rng = np.random.default_rng(0)
    logits, dy = rng.normal(size=(2, 4, 3)).transpose(0, 2, 1)
    labels = np.array([0, 3, 1])
    kept = logits.copy(), dy.copy(), labels.copy()
    for forward, backward in PAIRS.values():
        plain = np.ascontiguousarray(logits)
        np.testing.assert_array_equal(forward(logits), forward(plain))
        backward(dy, logits)
    CrossEntropyLoss()(logits, labels)
    for array, before in zip((logits, dy, labels), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_backward])
@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        ([0, np.nan], TypeError, "float64"),
        ([0.0, 1.0], TypeError, "float64"),
        ([True, False], TypeError, "bool"),
        (["0", "1"], TypeError, "<U1"),
        ([0, None], TypeError, "object"),
        ([0, 3], ValueError, "3 at position 1"),
        ([-1, 0], ValueError, "-1 at position 0"),
        ([0], ValueError, r"\(1,\)"),
        ([0, 1, 2], ValueError, r"\(3,\)"),
        ([[0, 1]], ValueError, r"\(1, 2\)"),
        (0, ValueError, r"\(\)"),
    ],
)
def test_bad_labels(function, labels, error, says):
    """Labels that are no class numbers are refused, saying what is wrong."""
    with pytest.raises(error, match=f"labels.*{says}"):
        function(np.zeros((2, 3)), labels)
    with pytest.raises(error, match="labels"):
        CrossEntropyLoss()(np.zeros((2, 3)), labels)


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0), (2, 3, 4)])
@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_backward])
def test_bad_logits(function, shape):
    """Logits are (N, K), with at least one image and one class."""
    with pytest.raises(ValueError, match="logits"):
        function(np.zeros(shape), np.zeros(shape[:1], int))


def test_bad_arguments():
    """Other mistakes are refused by name."""
    for forward, backward in PAIRS.values():
        for shape in [(), (2, 0)]:
            with pytest.raises(ValueError, match="logits"):
                forward(np.zeros(shape))
        with pytest.raises(TypeError, match="logits"):
            forward(["a"])
        with pytest.raises(ValueError, match="dy"):
            backward(np.zeros(3), np.zeros((2, 3)))
        with pytest.raises(TypeError, match="dy"):
            backward([1j, 0], [1.0, 0.0])
    with pytest.raises(TypeError, match="logits"):
        cross_entropy([["a"]], [0])


def test_certain_and_right_costs_nothing_and_not_minus_nothing():
    """The loss of a sure answer is 0.0, with a plus sign."""
    loss = cross_entropy([[50.0, 0.0]], [0])
    assert loss == 0 and not np.signbit(loss)
