"""Softmax and cross-entropy, against PyTorch and central differences."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnnbook.gradcheck import check_gradient
from cnnbook.layers import check_layer, sigmoid
from cnnbook.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Softmax,
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)

FOLDER = Path(__file__).parent / "recorded"
SMOOTHINGS = json.loads((FOLDER / "training.json").read_text())["smoothings"]
BINARY = {"bce": BCELoss(), "bce_logits": BCEWithLogitsLoss()}
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
        coarse = value.dtype == np.float32 or key.startswith("run/")
        limit = {"rtol": 1e-6, "atol": 1e-7} if coarse else {"rtol": 1e-9}
        limit = {"atol": 1e-11} | limit
        np.testing.assert_allclose(recorded[key], value, err_msg=key, **limit)
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


@pytest.mark.parametrize("kind", ["usual", "huge"])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_smoothing_recorded(recorded, smoothing, kind):
    """Label smoothing, also with float32 logits of 10,000."""
    prefix = f"smoothing/{kind}"
    logits, labels = recorded[f"{prefix}/logits"], recorded[f"{prefix}/labels"]
    single = logits.dtype == np.float32
    assert single == (kind == "huge")
    value, dlogits = CrossEntropyLoss(smoothing)(logits, labels)
    tolerance = 1e-6 if single else 1e-12
    expected = float(recorded[f"{prefix}/{smoothing}/loss"])
    assert value == pytest.approx(expected, rel=tolerance)
    np.testing.assert_allclose(
        dlogits, recorded[f"{prefix}/{smoothing}/dlogits"], atol=tolerance
    )
    assert dlogits.dtype == logits.dtype


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "case", ["bce/inside", "bce/edges", "bce_logits/usual", "bce_logits/huge"]
)
def test_binary_recorded(recorded, case, dtype):
    """Binary cross-entropy: soft targets, probabilities 0 and 1, huge logits."""
    prefix = f"{case}/{dtype}/"
    r = {k.removeprefix(prefix): recorded[k] for k in recorded if k.startswith(prefix)}
    assert r["values"].dtype == dtype
    value, gradient = BINARY[case.split("/")[0]](r["values"], r["targets"])
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    assert value == pytest.approx(float(r["loss"]), rel=tolerance)
    if case == "bce/edges" and dtype == "float64":
        tolerance = 1e-8  # PyTorch's 1e-12 is a float32
    np.testing.assert_allclose(gradient, r["grad"], rtol=tolerance, atol=tolerance / 10)
    assert gradient.dtype == dtype
    assert type(value) is float


@pytest.mark.parametrize("seed", range(6))
def test_new_losses_live(torch, seed):
    """Random smoothing, probabilities, logits and targets agree with PyTorch."""
    f, rng = torch.nn.functional, np.random.default_rng(seed)
    dtype = (np.float32, np.float64)[seed % 2]
    tolerance = {"rtol": 1e-10, "atol": 1e-13} if seed % 2 else {"rtol": 3e-5}
    tolerance = {"atol": 2e-6} | tolerance
    n, k = rng.integers(1, 9, 2)
    logits = (10 ** rng.uniform(-2, 2) * rng.normal(size=(n, k))).astype(dtype)
    targets = rng.uniform(size=(n, k)).astype(dtype)
    labels, smoothing = rng.integers(0, k, n), rng.uniform()
    p = rng.uniform(0.01, 0.99, (n, k)).astype(dtype)
    for array, own, theirs in (
        (
            logits,
            CrossEntropyLoss(smoothing)(logits, labels),
            lambda x: f.cross_entropy(
                x, torch.tensor(labels), label_smoothing=smoothing
            ),
        ),
        (
            logits,
            BCEWithLogitsLoss()(logits, targets),
            lambda x: f.binary_cross_entropy_with_logits(x, torch.tensor(targets)),
        ),
        (
            p,
            BCELoss()(p, targets),
            lambda x: f.binary_cross_entropy(x, torch.tensor(targets)),
        ),
    ):
        x = torch.tensor(array, requires_grad=True)
        loss = theirs(x)
        loss.backward()
        np.testing.assert_allclose(own[0], loss.item(), **tolerance)
        np.testing.assert_allclose(own[1], x.grad.numpy(), **tolerance)


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


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7, 1.0])
def test_smoothing_measured(smoothing):
    """With label smoothing, too."""
    rng = np.random.default_rng(3)
    logits, labels = 2 * rng.normal(size=(4, 6)), [5, 0, 3, 3]
    loss = CrossEntropyLoss(smoothing)
    error = check_gradient(
        lambda v: loss(v, labels)[0], logits, loss(logits, labels)[1]
    )
    assert error <= 1e-7


@pytest.mark.parametrize("shape", [(7,), (4, 3), (2, 3, 2), ()])
@pytest.mark.parametrize("name", BINARY)
def test_binary_measured(name, shape):
    """Both binary losses, with soft targets, in any shape."""
    rng, loss = np.random.default_rng(4), BINARY[name]
    values, targets = rng.uniform(0.1, 0.9, shape), rng.uniform(size=shape)
    gradient = np.asarray(loss(values, targets)[1])
    assert gradient.shape == shape
    error = check_gradient(lambda v: loss(v, targets)[0], np.array(values), gradient)
    assert error <= 1e-7


def test_softmax_layer():
    """The layer passes check_layer, and gives what the function gives."""
    layer, x = Softmax(), np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(layer(x), softmax(x))
    assert check_layer(layer, (3, 4)) <= 1e-7
    assert check_layer(layer, (2, 3, 4)) <= 1e-7


# Smoothing and binary losses by hand


def test_smoothing_by_hand():
    """With four classes and 0.4, a right one counts 0.7 and the others 0.1."""
    logits = np.log([[1.0, 2.0, 4.0, 1.0]])
    expected = -(0.1 * np.log(1 / 64) + 0.7 * np.log(1 / 4) + 0.1 * np.log(1 / 2))
    assert cross_entropy(logits, [1], 0.4) == pytest.approx(expected)
    np.testing.assert_allclose(
        cross_entropy_backward(logits, [1], 0.4), [[0.025, -0.45, 0.4, 0.025]]
    )
    both = CrossEntropyLoss(0.4)(logits, [1])
    assert both[0] == cross_entropy(logits, [1], 0.4)
    assert CrossEntropyLoss(label_smoothing=0.4)(logits, [1])[0] == both[0]


@given(
    st.integers(1, 6),
    st.integers(1, 5),
    st.sampled_from([0.0, 1e-6, 0.1, 0.5, 0.999, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_smoothing_properties(n, k, smoothing, seed):
    """A mixture of the plain loss and the mean over all labels; least at q."""
    rng = np.random.default_rng(seed)
    logits, labels = 3 * rng.normal(size=(n, k)), rng.integers(0, k, n)
    loss = cross_entropy(logits, labels, smoothing)
    every = np.mean([cross_entropy(logits, np.full(n, c)) for c in range(k)])
    plain = cross_entropy(logits, labels)
    assert loss == pytest.approx((1 - smoothing) * plain + smoothing * every, abs=1e-12)
    np.testing.assert_allclose(
        cross_entropy_backward(logits, labels, smoothing).sum(axis=1), 0, atol=1e-14
    )
    if 0 < smoothing < 1:
        q = np.full((n, k), smoothing / k)
        q[range(n), labels] += 1 - smoothing
        at = cross_entropy_backward(np.log(q), labels, smoothing)
        np.testing.assert_allclose(at, 0, atol=1e-14)


@pytest.mark.parametrize("k", [2, 10, 1000])
def test_untrained_network(k):
    """Equal logits cost log K, with any smoothing: log 10 for ten digits."""
    logits = np.full((5, k), 3.25, np.float32)
    for smoothing in (0, 0.1, 1):
        value, _ = CrossEntropyLoss(smoothing)(logits, np.arange(5) % k)
        assert value == pytest.approx(np.log(k), rel=1e-6)


def test_binary_by_hand():
    """A probability of 3/4, where the answer is yes, no, or one half."""
    value, dp = BCELoss()([0.75, 0.75, 0.75], [1, 0, 0.5])
    logs = np.log(3 / 4), np.log(1 / 4)
    assert value == pytest.approx(-(logs[0] + logs[1] + sum(logs) / 2) / 3)
    np.testing.assert_allclose(dp, [-4 / 9, 4 / 3, 4 / 9])
    z = np.log(3)
    same, dlogits = BCEWithLogitsLoss()([z, z, z], [1, 0, 0.5])
    assert same == pytest.approx(value)
    np.testing.assert_allclose(dlogits, [-1 / 12, 1 / 4, 1 / 12])
    assert BCEWithLogitsLoss()([0.0], [1])[0] == pytest.approx(np.log(2))


@given(
    hnp.arrays(np.float64, 5, elements=st.floats(-15, 15)),
    hnp.arrays(np.float64, 5, elements=st.floats(0, 1)),
)
def test_binary_losses_agree(z, targets):
    """Logits through sigmoid, or at once; or as a softmax of two classes."""
    value, dlogits = BCEWithLogitsLoss()(z, targets)
    p = sigmoid(z)
    other, dp = BCELoss()(p, targets)
    assert value == pytest.approx(other, rel=1e-6, abs=1e-12)
    np.testing.assert_allclose(dlogits, dp * p * (1 - p), rtol=1e-6, atol=1e-12)
    pairs = np.stack([np.zeros(5), z], axis=1)
    logs = log_softmax(pairs)
    mixed = -np.mean(targets * logs[:, 1] + (1 - targets) * logs[:, 0])
    assert value == pytest.approx(mixed, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_extremes(dtype):
    """Sure and wrong costs 100, or |z|; nothing overflows or warns."""
    p, y = np.array([0, 1, 0, 1], dtype), np.array([1, 0, 0, 1], dtype)
    value, dp = BCELoss()(p, y)
    assert value == pytest.approx(50)
    np.testing.assert_allclose(dp, [-2.5e11, 2.5e11, 0, 0], rtol=1e-6)
    z = np.array([-1e4, 1e4, -1e4, 1e4], dtype)
    value, dlogits = BCEWithLogitsLoss()(z, y)
    assert value == 5000
    np.testing.assert_array_equal(dlogits, np.array([-0.25, 0.25, 0, 0], dtype))
    assert dlogits.dtype == dp.dtype == dtype


@pytest.mark.parametrize("name", BINARY)
def test_binary_arguments_stay(name):
    """Nothing is changed; targets of any number type will do; dtypes stay."""
    values = np.full((3, 2), 0.25, np.float32).T
    targets = np.array([[0, 1, 1], [1, 0, 1]])
    kept = values.copy(), targets.copy()
    for array in (values, targets):
        array.flags.writeable = False
    results = [BINARY[name](values, t) for t in (targets, targets == 1, kept[1] * 1.0)]
    for value, gradient in results:
        assert value == results[0][0]
        assert gradient.dtype == np.float32
        np.testing.assert_array_equal(gradient, results[0][1])
    np.testing.assert_array_equal(values, kept[0])
    np.testing.assert_array_equal(targets, kept[1])


@pytest.mark.parametrize(
    ("targets", "error", "says"),
    [
        ([1, 0, 1], ValueError, r"targets: .*\(3,\)"),
        ([[1, 0]], ValueError, r"targets: .*\(1, 2\)"),
        ([[1], [0]], ValueError, r"targets: .*\(2, 1\)"),
        (1, ValueError, "targets: "),
        ([1.5, 0], ValueError, "targets: must be from 0 to 1"),
        ([-0.1, 0], ValueError, "targets: must be from 0 to 1"),
        ([np.nan, 0], ValueError, "targets: must be from 0 to 1"),
        (["1", "0"], TypeError, "targets: "),
        ([1j, 0], TypeError, "targets: "),
        (None, TypeError, "targets: "),
    ],
)
def test_bad_targets(targets, error, says):
    """Targets have the outputs' shape (no broadcasting), and are probabilities."""
    for loss in BINARY.values():
        with pytest.raises(error, match=f"^{says}"):
            loss([0.5, 0.25], targets)


def test_bad_binary_outputs():
    """So are probabilities; logits may be anything, but not nothing."""
    for wrong in ([1.001, 0.5], [-0.001, 0.5], [np.nan, 0.5]):
        with pytest.raises(ValueError, match="^probabilities: .*logits"):
            BCELoss()(wrong, [1, 0])
    with pytest.raises(TypeError, match="^probabilities: "):
        BCELoss()("ab", [1, 0])
    with pytest.raises(TypeError, match="^logits: "):
        BCEWithLogitsLoss()([1j], [1])
    for loss in BINARY.values():
        with pytest.raises(ValueError, match="^targets: .*empty"):
            loss([], [])


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, np.nan, np.inf, "0.1", None, [0.1]])
@pytest.mark.parametrize("function", [cross_entropy, cross_entropy_backward])
def test_bad_smoothing(function, smoothing):
    """Smoothing is a number from 0 to 1."""
    with pytest.raises((TypeError, ValueError), match="^label_smoothing: "):
        function(np.zeros((1, 2)), [0], smoothing)
    with pytest.raises((TypeError, ValueError), match="^label_smoothing: "):
        CrossEntropyLoss(smoothing)(np.zeros((1, 2)), [0])


@pytest.mark.parametrize("smoothing", [np.float32(0.5), np.float64(0.5)])
def test_smoothing_of_numpy(smoothing):
    """NumPy's numbers will do, and leave the gradient's dtype alone."""
    value, dlogits = CrossEntropyLoss(smoothing)(np.zeros((1, 2), np.float32), [0])
    assert value == pytest.approx(np.log(2))
    assert dlogits.dtype == np.float32


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


def test_examples_far_apart():
    """Each example is shifted by its own largest logit, not by that of the batch."""
    near = np.array([[0, 1, 2.5]])
    both = np.concatenate([near, near + 2000])
    logs = log_softmax(both)
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-12)
    np.testing.assert_allclose(softmax(both)[0], softmax(near)[0], rtol=1e-12)


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


def test_a_class_that_is_impossible_and_not_asked_for():
    """Zero times the logarithm of zero is zero."""
    value, gradient = CrossEntropyLoss()([[0.0, -np.inf]], [0])
    assert value == 0
    np.testing.assert_array_equal(gradient, [[0, 0]])
