"""Dropout, batch norm and moved images: beside PyTorch and SciPy, and by rule."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cnnbook.layers import (
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    check_layer,
)
from cnnbook.losses import CrossEntropyLoss
from cnnbook.optimizers import SGD
from cnnbook.regularization import (
    BatchNorm2d,
    Compose,
    Dropout,
    RandomApply,
    RandomDistortion,
    RandomRotation,
    RandomShift,
    rotate,
    shift,
)
from cnnbook.training import fit, predict

FOLDER = Path(__file__).parent / "recorded"
NOTES = json.loads((FOLDER / "regularization.json").read_text("utf-8"))
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def recorded():
    """Return what PyTorch gave."""
    with np.load(FOLDER / "regularization.npz") as archive:
        return dict(archive)


def under(arrays, prefix):
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def close(found, expected, tolerance):
    """Assert that two arrays agree, relative to the largest number."""
    assert found.shape == expected.shape
    scale = max(np.abs(expected).max(initial=0), 0.1)
    assert np.abs(found - expected).max(initial=0) <= tolerance * scale


def follow(model, steps, tolerance, training):
    """Go through recorded steps with a model, and compare everything."""
    for k in range(len(steps["x"])):
        model.train(k < training)
        x, dy = steps["x"][k], steps["dy"][k]
        y = model(x)
        dx = model.backward(dy)
        assert y.dtype == dx.dtype == x.dtype
        close(y, steps["y"][k], tolerance)
        close(dx, steps["dx"][k], tolerance)
        state = model.state_dict()
        expected = under(steps, "state/")
        assert set(state) == set(expected)
        for name, array in expected.items():
            assert state[name].dtype == array.dtype
            close(state[name], array[k], tolerance)
        for name, parameter in model.named_parameters():
            close(parameter.grad, steps[f"grad/{name}"][k], tolerance)


def network():
    """Return the network of the recording's script."""
    return Sequential(
        Conv2d(2, 3, 3, padding=1, bias=False, rng=0),
        BatchNorm2d(3),
        ReLU(),
        Residual(
            Sequential(
                Conv2d(3, 4, 3, padding=1, bias=False, rng=1), BatchNorm2d(4), ReLU()
            ),
            Sequential(Conv2d(3, 4, 1, rng=2), BatchNorm2d(4, momentum=None)),
        ),
        MaxPool2d(2),
        Flatten(),
        Linear(36, 4, rng=3),
    )


# Batch norm against PyTorch


@pytest.mark.parametrize("dtype", NOTES["dtypes"])
@pytest.mark.parametrize("name", NOTES["cases"])
def test_batch_norm_recorded(recorded, name, dtype):
    """Outputs, gradients and running statistics, over steps, then in evaluation."""
    steps = under(recorded, f"{name}/{dtype}/")
    layer = BatchNorm2d(steps["x"].shape[2], **NOTES["cases"][name]).astype(dtype)
    layer.load_state_dict(under(steps, "start/"))
    follow(layer, steps, TOLERANCE[dtype], NOTES["steps"])


def test_network_with_batch_norm_recorded(recorded):
    """Names, shapes and numbers of a network with a residual."""
    steps = under(recorded, "network/")
    model = network().astype(np.float64)
    model.load_state_dict(under(steps, "start/"))
    follow(model, steps, 1e-12, 2)


def test_recording_is_what_its_script_records(torch, load_script, recorded):
    script = load_script("record_pytorch_regularization")
    again = script.record()
    assert set(again) == set(recorded)
    for name, array in again.items():
        close(np.asarray(array), recorded[name], 1e-5 if "32" in name else 1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_state_goes_both_ways(torch, load_script, dtype):
    """Train with one, go on with the other, both ways, with no renaming."""
    rng = np.random.default_rng(0)
    theirs = load_script("record_pytorch_regularization").network()
    theirs = theirs.to(getattr(torch, dtype))
    ours = network().astype(dtype)
    images = rng.normal(1, 2, size=(4, 2, 6, 6)).astype(dtype)
    theirs(torch.tensor(images))  # moves the running statistics
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert set(ours.state_dict()) == set(state)
    ours.load_state_dict(state)
    ours(2 * images)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    assert ours.state_dict()["1.num_batches_tracked"] == 2
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        expected = theirs(torch.tensor(images)).numpy()
    close(ours(images), expected, TOLERANCE[dtype])


@given(
    SEEDS, st.sampled_from(["float64", "float32"]), st.sampled_from([0.1, 0.7, None])
)
def test_batch_norm_live(torch, seed, dtype, momentum):
    """Random shapes, far from zero, in both modes."""
    rng = np.random.default_rng(seed)
    n, c, h, w = (int(v) for v in rng.integers(1, 5, 4))
    shape = (n + 1, c, h, w)
    ours = BatchNorm2d(c, momentum=momentum).astype(dtype)
    theirs = torch.nn.BatchNorm2d(c, momentum=momentum).to(getattr(torch, dtype))
    weights = rng.normal(size=(2, c)).astype(dtype)
    with torch.no_grad():
        for part, values in zip(theirs.parameters(), weights, strict=True):
            part.copy_(torch.tensor(values))
    ours.weight.data[...], ours.bias.data[...] = weights
    for training in (True, True, False):
        x = rng.normal(rng.normal(), 2, size=shape).astype(dtype)
        dy = rng.normal(size=shape).astype(dtype)
        leaf = torch.tensor(x, requires_grad=True)
        out = theirs.train(training)(leaf)
        out.backward(torch.tensor(dy))
        tolerance = 1e-9 if dtype == "float64" else 1e-3  # two numbers may be close
        close(ours.train(training)(x), out.detach().numpy(), tolerance)
        close(ours.backward(dy), leaf.grad.numpy(), tolerance)
    for name, part in theirs.state_dict().items():
        close(ours.state_dict()[name], part.numpy(), tolerance)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (0, 3, 4, 4), (2, 3, 0, 4)])
def test_one_value_per_channel_cannot_be_normalized(torch, shape):
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNorm2d(3)(np.zeros(shape))
    if shape[0] == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            torch.nn.BatchNorm2d(3)(torch.zeros(shape))


def test_one_value_per_channel_is_refused_before_anything_is_kept():
    layer = BatchNorm2d(2)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="x: "):
        layer(np.ones((1, 2, 1, 1)))
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(ValueError, match="x: "):
        BatchNorm2d(2, track_running_stats=False).eval()(np.ones((1, 2, 1, 1)))
    assert BatchNorm2d(2).eval()(np.ones((1, 2, 1, 1))).shape == (1, 2, 1, 1)


# Batch norm by rule


SHAPE = (3, 2, 4, 3)
LAYERS = {
    "batch norm": BatchNorm2d(2),
    "batch norm, cumulative": BatchNorm2d(2, momentum=None),
    "batch norm, large eps": BatchNorm2d(2, eps=0.5),
    "batch norm, not affine": BatchNorm2d(2, affine=False),
    "batch norm, no statistics": BatchNorm2d(2, track_running_stats=False),
    "dropout": Dropout(0.4, rng=0),
    "dropout, none": Dropout(0.0, rng=0),
    "dropout, all": Dropout(1.0, rng=0),
    "both": Sequential(
        Conv2d(2, 3, 2, bias=False, rng=0), BatchNorm2d(3), ReLU(), Dropout(0.5, rng=0)
    ),
    "residual": Residual(
        Sequential(Conv2d(2, 2, 3, padding=1, bias=False, rng=0), BatchNorm2d(2))
    ),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name, training):
    """check_layer, in both modes; it leaves everything as it was."""
    layer = LAYERS[name].train()
    layer(np.random.default_rng(1).normal(3, 2, size=SHAPE))
    before = layer.state_dict()
    assert check_layer(layer.train(training), SHAPE) <= 1e-7
    for key, array in layer.state_dict().items():
        assert array.dtype == before[key].dtype
        np.testing.assert_array_equal(array, before[key])


def test_gradients_of_evaluation_are_not_those_of_training():
    """A backward that mixes the modes up would be caught."""

    class Mixed(BatchNorm2d):
        def backward(self, dy):
            self._given = not self._given
            return super().backward(dy)

    for training in (True, False):
        with pytest.raises(AssertionError, match="dx"):
            check_layer(Mixed(2).train(training), SHAPE)


def test_backward_belongs_to_the_forward_that_was():
    """Switching the mode between the two changes nothing."""
    layer, rng = BatchNorm2d(2), np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *SHAPE))
    layer(x)
    expected = layer.backward(dy)
    layer(x)
    np.testing.assert_array_equal(layer.eval().backward(dy), expected)


@given(SEEDS)
def test_batch_norm_normalizes(seed):
    """Mean 0 and variance 1 per channel; a common change of inputs changes nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, 3, 4, 4)) * 7 - 20
    layer = BatchNorm2d(3, eps=0.0, affine=False)
    y = layer(x)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-12)
    factors, offsets = rng.uniform(0.5, 2, (3, 1, 1)), rng.normal(size=(3, 1, 1))
    np.testing.assert_allclose(layer(factors * x + offsets), y, atol=1e-9)
    dx = layer.backward(rng.normal(size=x.shape))
    np.testing.assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-10)
    np.testing.assert_allclose((dx * y).sum(axis=(0, 2, 3)), 0, atol=1e-10)


def test_a_constant_channel_becomes_beta():
    layer = BatchNorm2d(1)
    layer.bias.data[...] = 0.25
    np.testing.assert_allclose(layer(np.full((2, 1, 3, 3), 1e3)), 0.25)
    assert np.isfinite(layer.backward(np.ones((2, 1, 3, 3)))).all()


def test_places_are_alike():
    """Images moved round are normalized to the same numbers, moved round."""
    x = np.random.default_rng(0).normal(size=(4, 2, 5, 5))
    y = BatchNorm2d(2)(x)
    moved = BatchNorm2d(2)(np.roll(x, 2, axis=3))
    np.testing.assert_allclose(moved, np.roll(y, 2, axis=3), atol=1e-12)


def test_cumulative_statistics_are_plain_means():
    layer = BatchNorm2d(2, momentum=None).astype(np.float64)
    batches = np.random.default_rng(0).normal(size=(6, *SHAPE))
    for batch in batches:
        layer(batch)
    means = np.mean([b.mean(axis=(0, 2, 3)) for b in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.data, means)
    unbiased = np.mean([b.var(axis=(0, 2, 3), ddof=1) for b in batches], axis=0)
    np.testing.assert_allclose(layer.running_var.data, unbiased)
    assert layer.num_batches_tracked.data == 6


def test_dtypes_and_inputs_are_kept():
    """float32 stays; buffers too, also when the images are float64."""
    layer, x = BatchNorm2d(2), np.random.default_rng(0).normal(size=SHAPE)
    for dtype in (np.float32, np.float64):
        given = x.astype(dtype)
        kept = given.copy()
        y = layer(given)
        dy = np.ones(SHAPE, dtype)
        assert y.dtype == layer.backward(dy).dtype == dtype
        np.testing.assert_array_equal(given, kept)
        assert {k: v.dtype for k, v in layer.state_dict().items()} == {
            "weight": np.float32,
            "bias": np.float32,
            "running_mean": np.float32,
            "running_var": np.float32,
            "num_batches_tracked": np.int64,
        }
    strided = np.asfortranarray(x).transpose(0, 1, 2, 3)
    np.testing.assert_allclose(BatchNorm2d(2)(strided), BatchNorm2d(2)(x), atol=1e-12)


def test_an_output_may_be_changed_before_backward():
    """What backward needs is the layer's own, also without gamma and beta."""
    x, dy = np.random.default_rng(0).normal(size=(2, *SHAPE))
    for affine in (True, False):
        layer = BatchNorm2d(2, affine=affine)
        layer(x)
        expected = layer.backward(dy)
        layer(x)[...] = 0
        np.testing.assert_array_equal(layer.backward(dy), expected)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"num_features": 0}, ValueError, "num_features"),
        ({"num_features": 2.0}, TypeError, "num_features"),
        ({"num_features": True}, TypeError, "num_features"),
        ({"eps": -1e-5}, ValueError, "eps"),
        ({"eps": np.nan}, ValueError, "eps"),
        ({"eps": "small"}, TypeError, "eps"),
        ({"momentum": 1.5}, ValueError, "momentum"),
        ({"momentum": -0.1}, ValueError, "momentum"),
        ({"momentum": np.nan}, ValueError, "momentum"),
        ({"momentum": True}, TypeError, "momentum"),
        ({"momentum": "0.1"}, TypeError, "momentum"),
    ],
)
def test_batch_norm_refuses(options, kind, message):
    with pytest.raises(kind, match=f"^{message}: "):
        BatchNorm2d(**({"num_features": 2} | options))


def test_batch_norm_refuses_shapes():
    layer = BatchNorm2d(2)
    for shape in [(2, 3, 4, 4), (2, 4, 4), (2, 2), (2, 4, 4, 2)]:
        with pytest.raises(ValueError, match=r"^x: needs shape \(N, 2, H, W\)"):
            layer(np.zeros(shape))
    with pytest.raises(RuntimeError, match="call the layer"):
        BatchNorm2d(2).backward(np.zeros(SHAPE))
    layer(np.random.default_rng(0).normal(size=SHAPE))
    with pytest.raises(ValueError, match="^dy: "):
        layer.backward(np.zeros((1, 2, 4, 3)))
    with pytest.raises(TypeError, match="^x: "):
        layer(np.full(SHAPE, "1"))


def test_repr_says_what_is_unusual():
    assert repr(BatchNorm2d(8)) == "BatchNorm2d(8)"
    assert repr(BatchNorm2d(8, eps=0.5, momentum=0.0)) == (
        "BatchNorm2d(8, eps=0.5, momentum=0.0)"
    )
    text = repr(BatchNorm2d(8, momentum=None, affine=False, track_running_stats=False))
    assert "momentum=None, affine=False, track_running_stats=False" in text
    assert repr(Dropout(0.25)) == "Dropout(p=0.25)"
    both = Compose([RandomShift(1), RandomRotation(5)])
    assert "RandomShift(pixels=(1, 1)" in repr(both) and "degrees=5" in repr(both)


# Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p):
    """Share of zeros, mean and variance, within five standard deviations."""
    count = 200_000
    y = Dropout(p, rng=0)(np.ones(count))
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}
    assert abs(np.mean(y == 0) - p) < 5 * np.sqrt(p * (1 - p) / count)
    assert abs(y.mean() - 1) < 5 * np.sqrt(p / (1 - p) / count)
    np.testing.assert_allclose(y.var(), p / (1 - p), rtol=0.05)


def test_dropout_draws_every_number_for_itself():
    """Neither whole channels nor whole images, and anew in every call."""
    layer = Dropout(0.5, rng=0)
    first, second = (layer(np.ones((40, 30, 20))) == 0 for _ in range(2))
    assert abs(np.mean(first == second) - 0.5) < 0.02
    for axes in [(1, 2), (0, 2), (0, 1)]:
        assert np.all(np.abs(first.mean(axis=axes) - 0.5) < 0.15)
    for axis in range(3):
        neighbours = np.mean(first == np.roll(first, 1, axis=axis))
        assert abs(neighbours - 0.5) < 0.02


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_goes_back_through_the_same_mask(dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.uniform(1, 2, (2, 5, 6, 7)).astype(dtype)
    kept = x.copy()
    layer = Dropout(0.3, rng=1)
    y = layer(x)
    dx = layer.backward(dy)
    assert y.dtype == dx.dtype == dtype
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(dx == 0, y == 0)
    np.testing.assert_allclose(dx / dy, y / x, rtol=1e-6)
    assert 0 < np.mean(dx == 0) < 1


def test_dropout_repeats_itself_from_its_seed():
    x = np.ones((10, 10))
    first = Dropout(0.5, rng=7)(x)
    np.testing.assert_array_equal(Dropout(0.5, rng=7)(x), first)
    generator = np.random.default_rng(7)
    np.testing.assert_array_equal(Dropout(0.5, rng=generator)(x), first)
    assert not np.array_equal(Dropout(0.5, rng=8)(x), first)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert not np.array_equal(Dropout(0.5)(x), Dropout(0.5)(x))
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, state)


def test_dropout_masks_do_not_depend_on_the_dtype():
    x = np.ones((10, 10))
    single = Dropout(0.5, rng=0)(x.astype(np.float32))
    np.testing.assert_array_equal(single, Dropout(0.5, rng=0)(x))


def test_dropout_edges():
    """p = 0 and evaluation do nothing, p = 1 leaves nothing."""
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    dy = np.ones_like(x)
    for layer in (Dropout(0), Dropout(0.7).eval(), Dropout(1.0).eval()):
        np.testing.assert_array_equal(layer(x), x)
        np.testing.assert_array_equal(layer.backward(dy), dy)
    nothing = Dropout(1, rng=0)
    np.testing.assert_array_equal(nothing(x), np.zeros_like(x))
    np.testing.assert_array_equal(nothing.backward(dy), np.zeros_like(x))
    assert nothing(x).dtype == nothing.backward(dy).dtype == np.float32
    assert Dropout(0.5)(np.zeros((0, 3))).shape == (0, 3)
    assert Dropout(0.5)(np.float64(1.0)).shape == ()


def test_evaluation_draws_nothing():
    """So a validation in between does not change a training."""
    layer = Dropout(0.5, rng=0)
    state = layer.rng.bit_generator.state
    layer.eval()(np.ones(100))
    assert layer.rng.bit_generator.state == state


@pytest.mark.parametrize(
    ("p", "kind"),
    [
        (-0.1, ValueError),
        (1.1, ValueError),
        (50, ValueError),
        (np.nan, ValueError),
        (True, TypeError),
        (None, TypeError),
        ("0.5", TypeError),
        ([0.5], TypeError),
        (0.5j, TypeError),
    ],
)
def test_dropout_refuses(p, kind):
    with pytest.raises(kind, match="^p: "):
        Dropout(p)


def test_dropout_refuses_more():
    with pytest.raises(TypeError, match="^rng: "):
        Dropout(0.5, rng="seed")
    with pytest.raises(RuntimeError, match="call the layer"):
        Dropout(0.5).backward(np.ones(3))
    with pytest.raises(TypeError, match="^x: "):
        Dropout(0.5)(None)
    for layer in (Dropout(0.5), Dropout(0.5).eval()):
        layer(np.ones((2, 3)))
        with pytest.raises(ValueError, match="^dy: "):
            layer.backward(np.ones((1, 3)))


# Moved images


def padded(images, pixels, fill=0.0):
    """Return images with a wide frame."""
    p, q = pixels
    margins = ((0, 0), (0, 0), (p, p), (q, q))
    return np.pad(images, margins, constant_values=fill)


@given(
    SEEDS,
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(["float32", "float64", "uint8", "int16", "float16"]),
    st.sampled_from([0, 3]),
)
def test_shift_never_wraps(seed, pixels, dtype, fill):
    """Every result is a slice of its framed image, at an offset within the pixels."""
    rng = np.random.default_rng(seed)
    n, c, h, w = (int(v) for v in rng.integers(1, 6, 4))
    images = rng.integers(1, 200, (n, c, h, w)).astype(dtype)
    kept = images.copy()
    moved = RandomShift(pixels, fill)(images, rng)
    np.testing.assert_array_equal(images, kept)
    assert moved.dtype == images.dtype and moved.shape == images.shape
    assert not np.shares_memory(moved, images)
    (p, q), frame = pixels, padded(images, pixels, fill)
    for k in range(n):
        windows = [
            frame[k, :, i : i + h, j : j + w]
            for i in range(2 * p + 1)
            for j in range(2 * q + 1)
        ]
        assert any(np.array_equal(moved[k], window) for window in windows)


def test_shift_moves_down_and_right():
    images = np.zeros((2, 1, 5, 5))
    images[:, 0, 2, 2] = 1
    moved = shift(images, [[1, 2], [-2, 0]])
    assert moved[0, 0, 3, 4] == moved[1, 0, 0, 2] == 1 and moved.sum() == 2
    assert shift(images, [[3, 0], [0, -9]], fill=-1).max() <= 0
    assert np.all(shift(images, [[10**9, 0], [0, -(10**9)]], fill=2) == 2)


def test_each_image_has_its_own_shift_and_all_are_equally_likely():
    images = np.zeros((9000, 1, 5, 5))
    images[:, 0, 2, 2] = 1
    moved = RandomShift(1)(images, rng=0)
    counts = moved.sum(axis=(0, 1))
    assert counts.sum() == 9000 and np.all(counts[[0, 4]] == 0)
    assert np.all(np.abs(counts[1:4, 1:4] - 1000) < 5 * np.sqrt(1000))
    same = np.mean(np.all(moved[1:] == moved[:-1], axis=(1, 2, 3)))
    assert abs(same - 1 / 9) < 0.03


def test_channels_of_an_image_stay_together():
    images = np.random.default_rng(0).random((20, 1, 8, 8))
    colour = np.repeat(images, 3, axis=1)
    both = Compose([RandomShift(3), RandomRotation(30)])
    moved = both(colour, rng=0)
    np.testing.assert_array_equal(moved[:, 1], moved[:, 0])
    np.testing.assert_array_equal(moved[:, 2], moved[:, 0])
    np.testing.assert_array_equal(both(images, rng=0)[:, 0], moved[:, 0])


def test_rotation_by_nothing_is_identity():
    rng = np.random.default_rng(0)
    for shape in [(3, 2, 7, 6), (2, 1, 1, 1), (1, 1, 28, 28)]:
        for dtype in ("float32", "float64", "uint8", "float16"):
            images = (200 * rng.random(shape)).astype(dtype)
            same = rotate(images, np.zeros(len(images)))
            np.testing.assert_array_equal(same, images)
            assert same.dtype == images.dtype and same is not images
    np.testing.assert_array_equal(RandomRotation(0)(images, rng=0), images)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_quarter_turns(turns):
    images = np.random.default_rng(0).random((2, 3, 6, 6))
    turned = rotate(images, [90.0 * turns] * 2)
    np.testing.assert_allclose(turned, np.rot90(images, turns, (2, 3)), atol=1e-12)


@given(SEEDS, st.floats(-400, 400), st.sampled_from([0.0, 0.75, -2.0]))
def test_rotation_beside_scipy(seed, degrees, fill):
    """ndimage.rotate, with lines between pixels and a constant beyond the rim."""
    rng = np.random.default_rng(seed)
    n, c, h, w = (int(v) for v in rng.integers(1, 9, 4))
    images = rng.normal(size=(n, c, h, w))
    angles = np.r_[degrees, rng.uniform(-180, 180, n - 1)]
    turned = rotate(images, angles, fill)
    for k in range(n):
        theta = np.radians(angles[k])
        matrix = np.array(
            [[np.cos(theta), np.sin(theta)], [-np.sin(theta), np.cos(theta)]]
        )
        centre = (np.array([h, w]) - 1) / 2
        for channel in range(c):
            expected = ndimage.affine_transform(
                images[k, channel],
                matrix,
                centre - matrix @ centre,
                order=1,
                mode="grid-constant",
                cval=fill,
            )
            np.testing.assert_allclose(turned[k, channel], expected, atol=1e-9)


def test_rotation_turns_as_scipy_does():
    """The same direction as ndimage.rotate's default, and its numbers."""
    images = np.random.default_rng(0).random((1, 1, 28, 28))
    expected = ndimage.rotate(
        images[0, 0], 17, reshape=False, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(rotate(images, [17])[0, 0], expected, atol=1e-9)


@given(SEEDS, st.floats(0, 9), st.floats(0.3, 9), st.sampled_from([0.0, 0.75, -2.0]))
def test_distortion_beside_scipy(seed, pixels, smoothness, fill):
    """The fields by gaussian_filter1d, the images by map_coordinates."""
    rng = np.random.default_rng(seed)
    n, c, h, w = (int(v) for v in rng.integers(1, 12, 4))
    images = rng.normal(size=(n, c, h, w))
    found = RandomDistortion(pixels, smoothness, fill)(images, rng=seed)
    fields = np.random.default_rng(seed).standard_normal((2, n, h, w), np.float32)
    for axis in (2, 3):  # smooth, and scale so that each number has variance 1
        size = fields.shape[axis]
        kernel = ndimage.gaussian_filter1d(
            np.eye(size), smoothness, axis=0, mode="constant", truncate=100
        )
        weights = kernel / np.linalg.norm(kernel, axis=1, keepdims=True)
        fields = np.moveaxis(np.tensordot(weights, fields, (1, axis)), 0, axis)
    i, j = np.mgrid[:h, :w]
    for k in range(n):
        for channel in range(c):
            expected = ndimage.map_coordinates(
                images[k, channel],
                [i + pixels * fields[0, k], j + pixels * fields[1, k]],
                order=1,
                mode="grid-constant",
                cval=fill,
            )
            np.testing.assert_allclose(found[k, channel], expected, atol=1e-3)


def test_distortion_moves_by_what_it_says():
    """A slope tells how far its pixels were moved, in each direction."""
    size, pixels = 41, 1.5
    ramp = np.arange(size, dtype=np.float64)
    for images in (ramp, ramp[:, None]):
        images = np.broadcast_to(images, (300, 1, size, size))
        moved = RandomDistortion(pixels)(images, rng=0) - images
        inside = moved[:, 0, 10:-10, 10:-10]
        assert abs(np.sqrt(np.mean(inside**2)) - pixels) < 0.1
        step = np.abs(np.diff(inside, axis=2)).mean()
        assert 0.1 < step / pixels < 0.3  # neighbours move alike


def test_distortion_is_as_smooth_as_asked():
    images = np.broadcast_to(np.arange(41.0), (100, 1, 41, 41))
    steps = []
    for smoothness in (2.0, 4.0, 8.0):
        moved = RandomDistortion(1, smoothness)(images, rng=0) - images
        steps.append(np.abs(np.diff(moved[:, 0, 10:-10, 10:-10], axis=1)).mean())
    assert steps[0] > 1.8 * steps[1] > 1.8**2 * steps[2]


def test_random_apply_changes_each_image_by_itself():
    images = np.random.default_rng(0).random((4000, 2, 3, 3))
    images.flags.writeable = False
    some = RandomApply(lambda x, rng: -x, p=0.25)(images, rng=0)
    changed = np.all(some == -images, axis=(1, 2, 3))
    kept = np.all(some == images, axis=(1, 2, 3))
    assert np.all(changed ^ kept) and abs(changed.mean() - 0.25) < 0.03
    for p, sign in ((0, 1), (1, -1)):
        all_of_them = RandomApply(lambda x, rng: -x, p)(images, rng=0)
        np.testing.assert_array_equal(all_of_them, sign * images)


@pytest.mark.parametrize(
    "wrong", [lambda x, rng: x[:1], lambda x, rng: x.astype(float), lambda x, rng: None]
)
def test_random_apply_checks_what_it_is_given(wrong):
    images = np.ones((3, 1, 2, 2), np.float32)
    with pytest.raises(ValueError, match="transform"):
        RandomApply(wrong)(images, rng=0)


def test_random_apply_leaves_the_others_alone():
    images = np.ones((50, 1, 2, 2))

    def in_place(x, rng):
        x += 1
        return x

    some = RandomApply(in_place, 0.5)(images, rng=0)
    assert np.all(images == 1) and set(np.unique(some)) == {1, 2}


@pytest.mark.parametrize("offset", [255.3, 12345.678])
def test_batch_norm_of_long_sums(offset):
    """A mean over many equal numbers is that number; nothing is left of it."""
    x = np.full((3000, 1, 28, 28), offset, np.float32)
    layer = BatchNorm2d(1)
    assert np.abs(layer(x)).max() < 0.3
    np.testing.assert_allclose(layer.running_var.data, 0.9, rtol=1e-3)
    rng = np.random.default_rng(0)
    x = (offset + rng.normal(size=x.shape)).astype(np.float32)
    exact = (x - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    assert np.abs(BatchNorm2d(1)(x) - exact).max() < 5e-3


def test_random_apply_draws_from_the_generator_given():
    images = np.random.default_rng(0).random((50, 1, 9, 9), dtype=np.float32)
    apply = RandomApply(RandomShift(1), 0.5)
    one, two = (apply(images, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.any(one != apply(images, np.random.default_rng(4)))


def test_rotation_keeps_constants_away_from_the_rim():
    images = np.full((5, 2, 20, 20), 0.7, np.float32)
    turned = RandomRotation(180)(images, rng=0)
    i, j = np.mgrid[:20, :20] - 9.5
    inside = i**2 + j**2 < 9**2
    np.testing.assert_allclose(turned[:, :, inside], 0.7, rtol=1e-6)
    assert turned[:, :, 0, 0].min() < 0.7
    filled = RandomRotation(180, fill=0.7)(images, rng=0)
    np.testing.assert_allclose(filled, 0.7, rtol=1e-6)


def test_rotation_of_whole_numbers_rounds():
    images = np.random.default_rng(0).integers(0, 256, (1, 1, 9, 9)).astype(np.uint8)
    turned = rotate(images, [30])
    exact = rotate(images.astype(float), [30])
    assert np.any(exact % 1 > 0.5) and exact.max() < 256
    assert turned.dtype == np.uint8
    np.testing.assert_array_equal(turned, np.rint(exact))
    assert len(np.unique(turned)) > 3


def test_rotation_angles_stay_within_and_differ():
    images = np.zeros((500, 1, 41, 41))
    images[:, 0, 20, 40] = 1  # far right of the centre
    turned = RandomRotation(20)(images, rng=0)
    rows = turned.sum(axis=(1, 3)) @ np.arange(41) / turned.sum(axis=(1, 2, 3))
    angles = np.degrees(np.arcsin((20 - rows) / 20))
    assert np.abs(angles).max() < 22 and np.abs(angles).max() > 18
    assert abs(angles.mean()) < 3 and len(np.unique(np.round(angles, 3))) > 400


TRANSFORMS = {
    "shift": RandomShift(2),
    "pair": RandomShift((0, 3), fill=1),
    "rotation": RandomRotation(15),
    "distortion": RandomDistortion(1.5),
    "sometimes": RandomApply(RandomDistortion(1.5), 0.6),
    "both": Compose([RandomRotation(15), RandomShift(2)]),
    "none": Compose([]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_keep_what_they_are_given(name):
    """Shape, dtype, input; the same from the same generator; strange strides."""
    transform, rng = TRANSFORMS[name], np.random.default_rng(0)
    for dtype in ("float32", "float64", "uint8", "int64", "float16"):
        images = (100 * rng.random((6, 2, 9, 8))).astype(dtype)
        kept = images.copy()
        moved = transform(images, np.random.default_rng(5))
        assert moved.shape == images.shape and moved.dtype == images.dtype
        np.testing.assert_array_equal(images, kept)
        np.testing.assert_array_equal(transform(images, 5), moved)
        strided = np.asfortranarray(images)
        np.testing.assert_array_equal(transform(strided, 5), moved)
        images.flags.writeable = False
        np.testing.assert_array_equal(transform(images, 5), moved)
        if name != "none":
            assert not np.array_equal(transform(images, 6), moved)
    for shape in [(0, 1, 28, 28), (3, 0, 4, 4), (2, 1, 0, 4), (2, 1, 4, 0)]:
        empty = transform(np.zeros(shape, np.float32), 0)
        assert empty.shape == shape and empty.dtype == np.float32


def test_composed_transforms_draw_from_one_generator():
    images = np.random.default_rng(0).random((4, 1, 8, 8))
    rng = np.random.default_rng(1)
    by_hand = RandomShift(2)(RandomRotation(15)(images, rng), rng)
    np.testing.assert_array_equal(TRANSFORMS["both"](images, 1), by_hand)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: RandomShift(-1), ValueError, "pixels"),
        (lambda: RandomShift(1.5), TypeError, "pixels"),
        (lambda: RandomShift((1, 2, 3)), ValueError, "pixels"),
        (lambda: RandomRotation(-1), ValueError, "degrees"),
        (lambda: RandomRotation(181), ValueError, "degrees"),
        (lambda: RandomRotation(np.nan), ValueError, "degrees"),
        (lambda: RandomRotation("10"), TypeError, "degrees"),
        (lambda: Compose([RandomShift(1), "flip"]), TypeError, "transforms"),
        (lambda: RandomShift(1, fill="black"), TypeError, "fill"),
        (lambda: RandomShift(1, fill=np.nan), ValueError, "fill"),
        (lambda: RandomApply(RandomShift(1), 1.5), ValueError, "p"),
        (lambda: RandomApply(RandomShift(1), "all"), TypeError, "p"),
        (lambda: RandomApply("shift"), TypeError, "transform"),
        (lambda: RandomDistortion(-1), ValueError, "pixels"),
        (lambda: RandomDistortion(np.inf), ValueError, "pixels"),
        (lambda: RandomDistortion("1"), TypeError, "pixels"),
        (lambda: RandomDistortion(1, 0), ValueError, "smoothness"),
        (lambda: RandomDistortion(1, -2), ValueError, "smoothness"),
        (lambda: RandomDistortion(1, np.nan), ValueError, "smoothness"),
        (lambda: RandomDistortion(1, fill=None), TypeError, "fill"),
        (lambda: RandomRotation(1, fill=np.inf), ValueError, "fill"),
        (lambda: RandomRotation(1, fill=None), TypeError, "fill"),
        (lambda: RandomRotation(1, fill=[0, 1]), TypeError, "fill"),
    ],
)
def test_transforms_refuse_arguments(make, kind, message):
    with pytest.raises(kind, match=f"^{message}: "):
        make()


@pytest.mark.parametrize(
    "transform", [RandomShift(1), RandomRotation(5), RandomDistortion(1)]
)
def test_transforms_refuse_images(transform):
    for images in (np.zeros((28, 28)), np.zeros((3, 28, 28)), 1.0):
        with pytest.raises(ValueError, match="^images: "):
            transform(images, 0)
    for images in (None, [["a"]], np.zeros((1, 1, 3, 3), complex)):
        with pytest.raises(TypeError, match="^images: "):
            transform(images, 0)
    with pytest.raises(TypeError, match="^rng: "):
        transform(np.zeros((1, 1, 3, 3)), "seed")


@pytest.mark.parametrize("fill", [0.5, -1, 256])
def test_fill_must_fit_the_images(fill):
    """Or it would be cut off, or wrap round, without a word."""
    images = np.zeros((2, 1, 4, 4), np.uint8)
    for transform in (
        RandomShift(1, fill),
        RandomRotation(5, fill),
        RandomDistortion(1, fill=fill),
    ):
        with pytest.raises(ValueError, match="^fill: "):
            transform(images, 0)
    assert RandomShift(1, 255)(images, 0).max() == 255


def test_shift_and_rotate_refuse():
    images = np.zeros((2, 1, 4, 4))
    for moves in ([[1, 2]], [1, 2], [[0.5, 1], [1, 1]], [[1, 2, 3]] * 2):
        with pytest.raises(ValueError, match="^moves: "):
            shift(images, moves)
    for degrees in ([1.0], 5.0, [1.0, np.nan], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="^degrees: "):
            rotate(images, degrees)


# In a training


def test_in_a_training():
    """fit takes a transform, repeats itself, and evaluation is left alone."""
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, 8, 8)).astype(np.float32)
    labels = (images.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)
    kept, states = images.copy(), []
    for _ in range(2):
        model = Sequential(
            Conv2d(1, 3, 3, rng=0),
            BatchNorm2d(3),
            ReLU(),
            Flatten(),
            Dropout(0.5, rng=1),
            Linear(108, 2, rng=2),
        )
        fit(
            model,
            (images, labels),
            (images, labels),
            loss=CrossEntropyLoss(),
            optimizer=SGD(model.parameters(), lr=0.1),
            epochs=3,
            batch_size=16,
            seed=0,
            augment=Compose([RandomRotation(5), RandomShift(1)]),
            progress=False,
        )
        states.append(model.state_dict())
    np.testing.assert_array_equal(images, kept)
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    assert states[0]["1.num_batches_tracked"] == 9
    answers = [predict(model, images, batch_size=size) for size in (1, 7, 40)]
    assert all(np.array_equal(answers[0], other) for other in answers[1:])
