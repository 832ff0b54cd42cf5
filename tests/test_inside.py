"""Looking inside: outputs of layers, patches, covered pieces, slopes of logits."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import Untouched

from cnnbook.gradcheck import numerical_gradient
from cnnbook.inside import (
    as_batch,
    asked,
    best_patches,
    cut_out,
    examined,
    field_of,
    gradient_map,
    layer_outputs,
    occlusion_map,
)
from cnnbook.layers import (
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    LocallyConnected2d,
    MaxPool2d,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
)
from cnnbook.models import small_convnet
from cnnbook.regularization import BatchNorm2d, Dropout

SEEDS = st.integers(0, 2**32 - 1)


def network(seed=0, dtype=np.float64):
    """A small network with all that differs between training and evaluation."""
    rng = np.random.default_rng(seed)
    layers = (
        Conv2d(2, 3, 3, padding=1, rng=rng),
        BatchNorm2d(3),
        ReLU(),
        MaxPool2d(2),
        Residual(Conv2d(3, 3, 1, rng=rng)),
        Dropout(0.5, rng=rng),
        Flatten(),
        Linear(27, 4, rng=rng),
    )
    model = Sequential(*layers).astype(dtype)
    model(rng.normal(size=(9, 2, 6, 7)).astype(dtype))  # statistics to go by
    return model


def pictures(seed=0, count=3, dtype=np.float64):
    """Random images for it."""
    shape = (count, 2, 6, 7)
    return np.random.default_rng([seed, 1]).normal(size=shape).astype(dtype)


def state(model):
    """Everything about a model that looking must not change."""
    return (
        {name: part.data.copy() for name, part in model.named_state()},
        [p.grad.copy() for p in model.parameters()],
        [layer.training for layer in model.modules()],
        ["forward" in vars(layer) for layer in model.modules()],
        [str(m.rng.bit_generator.state) for m in model.modules() if m.rng],
    )


def same(one, other):
    """Compare two states."""
    np.testing.assert_equal(one, other)


def half_trained(seed=0):
    """A network that is being trained: gradients collected, one layer frozen."""
    model = network(seed)
    y = model(pictures(seed))
    model.backward(np.ones_like(y))
    model[1].training = False
    return model


LOOKS = {
    "layer_outputs": lambda model, images: layer_outputs(model, images),
    "best_patches": lambda model, images: best_patches(model[:4], images, 2),
    "occlusion_map": lambda model, images: occlusion_map(model, images, 0, 2),
    "gradient_map": lambda model, images: gradient_map(model, images, [1, 2, 3]),
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_changes_nothing(look):
    """Weights, buffers, gradients, modes, generators and images stay."""
    model, images = half_trained(), pictures()
    before = state(model)
    with Untouched(images):
        LOOKS[look](model, images)
    same(state(model), before)


class Failing(Sigmoid):
    """Fails where it is told to: forwards, backwards, at a certain call."""

    def __init__(self, way, call):
        self.way, self.left = way, call

    def count(self, way):
        if way == self.way:
            self.left -= 1
            if self.left == 0:
                raise OverflowError("failing")

    def forward(self, x):
        self.count("forward")
        return x

    def backward(self, dy):
        self.count("backward")
        return dy


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_looking_changes_nothing_after_an_error(look, way, call):
    """Whatever raises on the way, the model gets everything back."""
    model, images = half_trained(), pictures()
    model.layers.insert(2, Failing(way, call))
    before = state(model)
    try:
        LOOKS[look](model, images)
    except OverflowError:
        pass
    else:  # then it wasn't called so often
        assert way == "backward" or call > 1
    same(state(model), before)


@pytest.mark.parametrize("look", LOOKS)
def test_evaluation_mode(look):
    """A model in training answers as it does in evaluation, twice the same."""
    model, images = network(), pictures()
    model.train()
    found = [LOOKS[look](model, images) for _ in range(2)]
    assert all(layer.training for layer in model.modules())
    found.append(LOOKS[look](copy.deepcopy(model).eval(), images))
    for other in found[1:]:
        np.testing.assert_equal(plain(other), plain(found[0]))


def plain(found):
    """Return a result as something that can be compared."""
    return found if isinstance(found, np.ndarray | dict) else vars(found)


@pytest.mark.parametrize("look", LOOKS)
def test_any_layout_of_memory(look):
    """Read-only, turned, and far-apart images give the same; so do nested lists."""
    model, images = network(), pictures()
    expected = plain(LOOKS[look](model, images))
    frozen = images.copy()
    frozen.flags.writeable = False
    wide = np.zeros((3, 2, 12, 14))
    wide[:, :, ::2, ::-2] = images
    ordered = np.asfortranarray(images)
    for other in (frozen, wide[:, :, ::2, ::-2], ordered, images.tolist()):
        found = plain(LOOKS[look](model, other))
        if isinstance(found, dict):
            for key, value in found.items():
                np.testing.assert_allclose(value, expected[key], atol=1e-12)
        else:
            np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_whole_numbers_are_numbers(look, dtype):
    """Whole numbers count as float64."""
    model = network()
    images = np.random.default_rng(0).integers(0, 2, (3, 2, 6, 7)).astype(dtype)
    expected = plain(LOOKS[look](model, images.astype(np.float64)))
    np.testing.assert_equal(plain(LOOKS[look](model, images)), expected)


@pytest.mark.parametrize("look", LOOKS)
def test_single_precision_stays(look):
    """float32 in, float32 out."""
    found = plain(LOOKS[look](network(dtype=np.float32), pictures(dtype=np.float32)))
    values = found.values() if isinstance(found, dict) else [found]
    kinds = {value.dtype for value in values if value.dtype.kind == "f"}
    assert kinds == {np.dtype(np.float32)}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("images", "error"),
    [
        (np.zeros((0, 2, 6, 7)), ValueError),
        (np.zeros((3, 2, 0, 7)), ValueError),
        (np.zeros((3, 1, 6, 7)), ValueError),
        (np.zeros((3, 2, 5, 5)), ValueError),
        (np.zeros((2, 6, 7)), ValueError),
        (np.zeros(7), ValueError),
        (3.0, ValueError),
        (np.full((3, 2, 6, 7), np.nan), ValueError),
        (np.full((3, 2, 6, 7), np.inf), ValueError),
        (np.zeros((3, 2, 6, 7), complex), TypeError),
        (np.full((3, 2, 6, 7), "a"), TypeError),
        (np.ma.zeros((3, 2, 6, 7)), TypeError),
        (None, TypeError),
        ([[1.0], [1.0, 2.0]], TypeError),
    ],
)
def test_images_that_are_none(look, images, error):
    """What is no batch of finite images, or none for this model, is refused by name."""
    model = network()
    if look == "best_patches" and getattr(images, "shape", ()) == (3, 2, 5, 5):
        return  # its part of the network takes any size
    before = state(model)
    with pytest.raises(error, match="^images"):
        LOOKS[look](model, images)
    same(state(model), before)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("model", [None, "model", lambda x: x, Linear])
def test_models_that_are_none(look, model):
    """What is no layer is refused by name."""
    looks = {**LOOKS, "best_patches": lambda m, x: best_patches(m, x, 1)}
    with pytest.raises(TypeError, match="^model: "):
        looks[look](model, pictures())


def test_as_batch():
    """The array itself, if it is as it should be."""
    images = pictures()
    assert as_batch(images) is images
    with pytest.raises(ValueError, match=r"^images: .*\(N, C, H, W\), not empty"):
        as_batch(np.zeros((3, 4)), (4,))
    for shape in ((3,), (2, 6, 6), (1, 1, 1, 1, 1), (0, 3)):
        with pytest.raises(ValueError, match=r"^images: .* or rows \(N, D\)"):
            as_batch(np.zeros(shape))


@pytest.mark.parametrize("look", ["layer_outputs", "gradient_map", "occlusion_map"])
def test_channels_are_no_batch(look):
    """One image (C, H, W), which a convolution would take, is refused."""
    model = Sequential(Conv2d(2, 2, 3, padding=1), Flatten(), Linear(36, 4))
    with pytest.raises(ValueError, match=r"^images: .*\(2, 6, 6\)"):
        LOOKS[look](model, np.ones((2, 6, 6)))


def test_examined():
    """Inside: evaluation and clear gradients; outside, all as it was, also nested."""
    model = half_trained()
    before = state(model)
    with pytest.raises(ZeroDivisionError), examined(model) as inner:
        assert inner is model
        assert not any(layer.training for layer in model.modules())
        assert not any(p.grad.any() for p in model.parameters())
        model.backward(np.ones_like(model(pictures())))
        with examined(model):
            model.backward(np.ones_like(model(pictures())))
        assert any(p.grad.any() for p in model.parameters())
        raise ZeroDivisionError
    same(state(model), before)


def test_examined_while_training():
    """A step goes on after it as if nobody had looked."""

    def gradients(look):
        model = network()
        model.backward(np.ones_like(model(pictures())))
        if look:
            gradient_map(model, pictures(5), 0)
        model.backward(np.ones_like(model(pictures(2))))
        return [p.grad for p in model.parameters()]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("fails", [False, True])
def test_looking_between_the_ways(look, fails):
    """What a layer remembers for the way back is what it was, after an error too."""

    def way_back(between):
        model, images = network(), pictures()
        upstream = np.ones_like(model(images))
        between(model)
        return model.backward(upstream), state(model)

    def between(model):
        if fails:
            with pytest.raises((ValueError, TypeError)):
                LOOKS[look](model, pictures(1, 2)[:, :1])
        else:
            LOOKS[look](model, pictures(1))

    same(way_back(between), way_back(lambda model: None))


def test_looking_inside_of_evaluation():
    """The same in evaluation mode, in which a pooling finds its maxima late."""
    model, images = network().eval(), pictures()
    upstream = np.ones_like(model(images))
    expected = model.backward(upstream)
    model(images)
    gradient_map(model, pictures(1), 0)
    np.testing.assert_array_equal(model.backward(upstream), expected)


def test_looking_leaves_no_attributes():
    """Not even a name is left behind on a layer, a parameter or a buffer."""

    def names(model):
        parts = [*model.modules(), *(part for _, part in model.named_state())]
        return [sorted(vars(part)) for part in parts]

    model = network()
    before = names(model)
    for look in LOOKS.values():
        look(model, pictures())
        assert names(model) == before


class WithoutForward(Layer):
    """A layer that somebody has not finished."""


class WithoutBackward(Layer):
    """A layer with one way only."""

    def forward(self, x):
        return x


@pytest.mark.parametrize("look", ["layer_outputs", "gradient_map", "occlusion_map"])
def test_models_that_are_not_finished(look):
    """A layer without a way forward, or back where it is needed, is the model's."""
    for model in (WithoutForward(), Sequential(WithoutForward(), Flatten())):
        with pytest.raises(TypeError, match="^model: WithoutForward has no forward"):
            LOOKS[look](model, pictures())
        assert not any("forward" in vars(layer) for layer in model.modules())
    model = Sequential(WithoutBackward(), Flatten())
    if look == "gradient_map":
        with pytest.raises(TypeError, match="^model: WithoutBackward has no backward"):
            LOOKS[look](model, pictures())
    else:
        LOOKS[look](model, pictures())


# What comes out of layers


def test_layer_outputs_one_by_one():
    """Every layer's output is that of the row up to it, one layer after another."""
    model, x = network().eval(), pictures()
    outputs = layer_outputs(model, x)
    assert list(outputs) == ["0", "1", "2", "3", "4.body", "5", "6", "7"]
    for k, layer in enumerate(model.layers):
        if k == 4:
            np.testing.assert_array_equal(outputs["4.body"], layer.body(x))
        x = layer(x)
        if k != 4:
            np.testing.assert_array_equal(outputs[str(k)], x)


def test_layer_outputs_of_a_network_for_digits():
    """The last output is the network's; what ReLU gives isn't lost in the pooling."""
    model = small_convnet(rng=0)
    images = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    outputs = layer_outputs(model, images)
    np.testing.assert_allclose(outputs["6"], model(images), rtol=1e-5, atol=1e-5)
    assert outputs["1"].shape == (2, 8, 26, 26)
    np.testing.assert_array_equal(outputs["1"], np.maximum(outputs["0"], 0))
    np.testing.assert_array_equal(outputs["2"].reshape(2, -1), outputs["3"])


def test_layer_outputs_are_copies():
    """They share no memory with each other, nor with the images."""
    model = Sequential(Dropout(0.5), Flatten(), Dropout(0.5))
    images = pictures()
    arrays = [*layer_outputs(model, images).values(), images]
    for k, one in enumerate(arrays):
        assert one.flags.writeable
        assert not any(np.shares_memory(one, other) for other in arrays[:k])


class InPlace(Layer):
    """A layer that changes what it is given."""

    def forward(self, x):
        x *= 0
        return x


def test_layer_outputs_before_they_are_changed():
    """What a layer gave is told, whatever the next one does to it."""
    model = Sequential(Sigmoid(), InPlace())
    outputs = layer_outputs(model, pictures())
    assert (outputs["0"] > 0).all() and not outputs["1"].any()


@pytest.mark.parametrize("look", ["layer_outputs", "gradient_map", "occlusion_map"])
def test_images_of_a_layer_that_changes_them(look):
    """A layer that changes what it is given changes a copy of the images."""
    model = Sequential(InPlace(), Flatten(), Linear(84, 4, rng=0))
    model[0].backward = lambda dy: 0 * dy
    with Untouched(images := pictures()):
        LOOKS[look](model, images)


def test_best_patches_of_a_layer_that_changes_images():
    """The pieces are cut out of the images as they were."""
    images = pictures()

    class Negated(ReLU):
        def forward(self, x):
            x *= -1
            return x

    with Untouched(images):
        best = best_patches(Sequential(Negated()), images, 1)
    np.testing.assert_array_equal(best.patches[:, 0, :, 0, 0].shape, (2, 2))
    for f in range(2):
        lowest = images[:, f].min()
        assert best.answers[f, 0] == -lowest
        assert best.patches[f, 0, f, 0, 0] == lowest


def test_layer_outputs_shows_nan():
    """Weights that are NaN can be seen at work."""
    model = network()
    model[7].weight.data[2] = np.nan
    outputs = layer_outputs(model, pictures())
    assert np.isfinite(outputs["6"]).all() and np.isnan(outputs["7"][:, 2]).all()


def test_layer_outputs_other_models():
    """A single layer, an empty row, rows of numbers, somebody else who watches."""
    assert list(layer_outputs(ReLU(), [[1.0, -1.0]])) == [""]
    assert layer_outputs(Sequential(), [[1.0]]) == {}
    found = layer_outputs(Sequential(Linear(3, 2, rng=0)), np.ones((4, 3)))
    assert found["0"].shape == (4, 2)
    model, calls = Sequential(ReLU(), MaxPool2d(2)), []
    inner = model[0].forward

    def watched(x):
        calls.append(x.shape)
        return inner(x)

    model[0].forward = watched
    layer_outputs(model, np.ones((1, 1, 4, 4)))
    assert calls == [(1, 1, 4, 4)] and model[0].forward is watched


def test_layer_outputs_names_the_shape():
    """An image of another size is told with the images' shape."""
    with pytest.raises(ValueError, match=r"^images: .*\(1, 1, 9, 9\)"):
        layer_outputs(small_convnet(rng=0), np.zeros((1, 1, 9, 9)))


# Where a piece lies, and what it is


@pytest.mark.parametrize(
    "layers",
    [
        [Conv2d(1, 2, 3, padding=1, rng=0), AvgPool2d(2), Conv2d(2, 2, 3, 1, 1, rng=1)],
        [Conv2d(1, 2, (2, 3), (1, 2), (1, 2), (3, 1), rng=0), Sigmoid()],
        [Conv2d(1, 1, 4, padding="same", rng=0), AvgPool2d(3, 2, 1)],
        [Conv2d(1, 2, 5, 2, rng=0), Sigmoid(), Conv2d(2, 1, 3, 2, 2, rng=0)],
        [BatchNorm2d(1), Dropout(), Conv2d(1, 1, 1, rng=0)],
        [LocallyConnected2d(1, 2, 20, 3, 2, 1, rng=0), AvgPool2d(2)],
        [Sigmoid()],
        [],
    ],
)
def test_field_of_by_trying(layers):
    """The rows and columns that change an output are those that it says."""
    model = Sequential(*layers).astype(np.float64).eval()
    size, step, start = field_of(model)
    x = np.random.default_rng(0).random((1, 1, 20, 20))
    y = model(x)
    for axis in (0, 1):
        changed = np.zeros((20, y.shape[2 + axis]), bool)
        for k in range(20):
            nudged = x.copy()
            np.moveaxis(nudged, 2 + axis, 0)[k] += 1
            moves = np.moveaxis(model(nudged) != y, 2 + axis, 0)
            changed[k] = moves.reshape(len(moves), -1).any(axis=1)
        for place in range(y.shape[2 + axis]):
            seen = np.flatnonzero(changed[:, place])
            begin = start[axis] + step[axis] * place
            end = begin + size[axis] - 1
            assert begin <= seen.min() and seen.max() <= end
            if begin >= 0 and end < 20:  # no margin has a part in it
                assert begin == seen.min() and seen.max() == end


def test_field_of_refuses():
    """What looks at everything, or at no images, has no piece."""
    for layer in (Flatten(), Linear(2, 2), Conv1d(1, 1, 3), GlobalAvgPool2d()):
        with pytest.raises(ValueError, match="^model: .*layer 1"):
            field_of(Sequential(ReLU(), layer))
    with pytest.raises(TypeError, match="^model: "):
        field_of(Conv2d(1, 1, 3))


@given(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_cut_out(corner, size):
    """A piece of the image with wide margins of zeros around it."""
    image = np.random.default_rng(0).random((2, 4, 5))
    wide = np.pad(image, ((0, 0), (20, 20), (20, 20)))
    (i, j), (h, w) = corner, size
    expected = wide[:, 20 + i : 20 + i + h, 20 + j : 20 + j + w]
    with Untouched(image):
        np.testing.assert_array_equal(cut_out(image, corner, size), expected)


def test_cut_out_takes_what_is_like_an_array():
    """Lists, whole numbers, one number for both sides; the dtype stays."""
    image = np.arange(12).reshape(1, 3, 4)
    piece = cut_out(image, (1, 2), 2)
    assert piece.tolist() == [[[6, 7], [10, 11]]] and piece.dtype == image.dtype
    assert cut_out(image.tolist(), [1, 2], np.array([2, 2])).tolist() == piece.tolist()
    assert cut_out(image, np.array([-9, 0]), 1).tolist() == [[[0]]]


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((np.ones((1, 1, 3, 3)), (0, 0), 2), ValueError, "image"),
        ((np.ones((3, 3)), (0, 0), 2), ValueError, "image"),
        ((3.0, (0, 0), 2), ValueError, "image"),
        (([[[1.0], [1.0, 2.0]]], (0, 0), 2), TypeError, "image"),
        ((None, (0, 0), 2), TypeError, "image"),
        ((np.full((1, 2, 2), "a"), (0, 0), 2), TypeError, "image"),
        ((np.ones((1, 3, 3)), (0, 0), -2), ValueError, "size"),
        ((np.ones((1, 3, 3)), (0, 0), 0), ValueError, "size"),
        ((np.ones((1, 3, 3)), (0, 0), (1, 2, 3)), ValueError, "size"),
        ((np.ones((1, 3, 3)), (0, 0), (1.0, 2.0)), TypeError, "size"),
        ((np.ones((1, 3, 3)), (0, 0), None), TypeError, "size"),
        ((np.ones((1, 3, 3)), (0, 0, 0), 2), ValueError, "corner"),
        ((np.ones((1, 3, 3)), (0.5, 0), 2), TypeError, "corner"),
        ((np.ones((1, 3, 3)), None, 2), TypeError, "corner"),
    ],
)
def test_cut_out_refuses(arguments, error, name):
    """What doesn't fit is refused by name."""
    with pytest.raises(error, match=f"^{name}: "):
        cut_out(*arguments)


@pytest.mark.parametrize("batch_size", [1, 3, 256])
@settings(max_examples=30)
@given(SEEDS)
def test_best_patches_against_loops(batch_size, seed):
    """Every output of every image, sorted by hand."""
    rng = np.random.default_rng(seed)
    model = Sequential(
        Conv2d(2, 3, 3, padding=1, rng=rng), ReLU(), MaxPool2d(2), Conv2d(3, 4, 2)
    ).astype(np.float64)
    images = rng.random((7, 2, 9, 10))
    best = best_patches(model, images, 5, batch_size)
    y = model(images)
    size, step, start = field_of(model)
    for f in range(4):
        ranked = sorted(range(7), key=lambda n: -y[n, f].max())[:5]
        assert best.images[f].tolist() == ranked
        for r, n in enumerate(ranked):
            assert best.answers[f, r] == pytest.approx(y[n, f].max())
            place = np.unravel_index(y[n, f].argmax(), y[n, f].shape)
            corner = np.array(start) + np.array(step) * place
            assert best.corners[f, r].tolist() == corner.tolist()
            piece = cut_out(images[n], corner, size)
            np.testing.assert_array_equal(best.patches[f, r], piece)


def test_best_patches_are_what_the_filter_sees():
    """Without padding, the piece alone brings the same answer."""
    rng = np.random.default_rng(0)
    model = Sequential(
        Conv2d(1, 4, 3, rng=rng), ReLU(), MaxPool2d(2), Conv2d(4, 6, 3, rng=rng)
    ).astype(np.float64)
    best = best_patches(model, rng.random((20, 1, 16, 17)), 4)
    assert best.patches.shape == (6, 4, 1, 8, 8)
    for f in range(6):
        alone = model(best.patches[f])[:, f]  # (4, 1, 1)
        np.testing.assert_allclose(alone[:, 0, 0], best.answers[f])


def test_best_patches_ties():
    """Equal answers: the first image, and in it the first place in reading order."""
    model = Sequential(Conv2d(1, 1, 1, bias=False))
    model[0].weight.data[...] = 1
    images = np.zeros((3, 1, 2, 3))
    images[:, 0, 0, 2] = images[:, 0, 1, 0] = [4, 5, 5]
    best = best_patches(model, images, 3)
    assert best.images.tolist() == [[1, 2, 0]]
    assert best.corners.tolist() == [[[0, 2]] * 3]
    assert best.answers.tolist() == [[5, 5, 4]]


class Short(ReLU):
    """Gives maps without rows."""

    def forward(self, x):
        return x[:, :, :0]


def test_best_patches_refuses():
    """What doesn't fit is refused by name."""
    model, images = Sequential(Conv2d(1, 1, 2, rng=0)), np.ones((3, 1, 4, 4))
    for count, error in ((0, ValueError), (4, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="^count: "):
            best_patches(model, images, count)
    for size, error in ((0, ValueError), (None, TypeError)):
        with pytest.raises(error, match="^batch_size: "):
            best_patches(model, images, 1, size)
    for bad in (np.nan, np.inf):
        model[0].bias.data[...] = bad
        with pytest.raises(ValueError, match="^model: gives NaN or infinity"):
            best_patches(model, images, 1)
    with pytest.raises(ValueError, match=r"^model: must give maps .*\(3, 1, 0, 4\)"):
        best_patches(Sequential(Short()), images, 1)


# Covered pieces


@settings(max_examples=30)
@given(
    SEEDS,
    st.tuples(st.integers(1, 6), st.integers(1, 7)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([0.0, 1, -0.5, np.float32(2)]),
    st.sampled_from([1, 4, 256]),
)
def test_occlusion_map_against_loops(seed, size, stride, fill, batch_size):
    """Covered by hand, one piece of one image at a time."""
    model, images = network(seed).eval(), pictures(seed)
    classes = [2, 0, 3]
    with Untouched(images):
        found = occlusion_map(model, images, classes, size, stride, fill, batch_size)
    rows = range(0, 6 - size[0] + 1, stride[0])
    columns = range(0, 7 - size[1] + 1, stride[1])
    assert found.shape == (3, len(rows), len(columns))
    for n, k in enumerate(classes):
        for a, i in enumerate(rows):
            for b, j in enumerate(columns):
                covered = images[n : n + 1].copy()
                covered[:, :, i : i + size[0], j : j + size[1]] = fill
                fall = model(images[n : n + 1])[0, k] - model(covered)[0, k]
                assert found[n, a, b] == pytest.approx(fall, abs=1e-12)


def test_occlusion_map_of_a_linear_network():
    """The sum of weight times what was taken away; a full cover takes all."""
    rng = np.random.default_rng(0)
    model = Sequential(Flatten(), Linear(12, 2, rng=0)).astype(np.float64)
    images = rng.normal(size=(2, 1, 3, 4))
    whole = occlusion_map(model, images, 1, (3, 4), fill=0.5)[:, 0, 0]
    weight = model[1].weight.data[1].reshape(3, 4)
    expected = ((images[:, 0] - 0.5) * weight).sum(axis=(1, 2))
    np.testing.assert_allclose(whole, expected)


def test_occlusion_map_by_pairs_and_numbers():
    """A number stands for a pair; five is the usual size, one the usual stride."""
    model, images = network(), pictures()
    np.testing.assert_array_equal(
        occlusion_map(model, images, 0, 2, 3),
        occlusion_map(model, images, 0, (2, 2), (3, 3)),
    )
    assert occlusion_map(model, images).shape == (3, 2, 3)


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"size": 7}, ValueError, "size"),
        ({"size": (6, 8)}, ValueError, "size"),
        ({"size": 0}, ValueError, "size"),
        ({"size": 1.5}, TypeError, "size"),
        ({"stride": 0}, ValueError, "stride"),
        ({"stride": "2"}, TypeError, "stride"),
        ({"fill": np.nan}, ValueError, "fill"),
        ({"fill": np.inf}, ValueError, "fill"),
        ({"fill": [0.0, 1.0]}, TypeError, "fill"),
        ({"fill": None}, TypeError, "fill"),
        ({"fill": True}, TypeError, "fill"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2.0}, TypeError, "batch_size"),
    ],
)
def test_occlusion_map_refuses(options, error, name):
    """What doesn't fit is refused by name."""
    with pytest.raises(error, match=f"^{name}: "):
        occlusion_map(network(), pictures(), 0, **{"size": 2, **options})


# Slopes


@settings(max_examples=12)
@given(SEEDS, st.sampled_from([1, 2, 256]))
def test_gradient_map_against_differences(seed, batch_size):
    """Each image's slopes are those of its own logit, by central differences."""
    model, images = network(seed), pictures(seed)
    classes = np.random.default_rng(seed).integers(0, 4, 3)
    found = gradient_map(model, images, classes, batch_size)
    model.eval()
    for n, k in enumerate(classes):
        measured = numerical_gradient(lambda x, k=k: model(x[None])[0, k], images[n])
        error = np.abs(found[n] - measured).max()
        assert error <= 1e-7 * np.abs(measured).max()


def test_gradient_map_of_a_linear_network():
    """The weights of the class, whatever the image."""
    model = Sequential(Flatten(), Linear(12, 3, rng=0)).astype(np.float64)
    found = gradient_map(model, np.random.default_rng(0).random((2, 1, 3, 4)), [2, 0])
    expected = model[1].weight.data[[2, 0]].reshape(2, 1, 3, 4)
    np.testing.assert_array_equal(found, expected)


def test_gradient_map_of_rows():
    """Images may be rows of numbers, if the model takes them."""
    model = Sequential(Linear(3, 2, rng=0)).astype(np.float64)
    found = gradient_map(model, np.ones((4, 3)), 1)
    np.testing.assert_array_equal(found, np.tile(model[0].weight.data[1], (4, 1)))


def test_gradient_map_as_pytorch(torch):
    """The gradient that PyTorch's automatic differentiation finds."""
    model, images = network().eval(), pictures()
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
    ).double()
    row = Sequential(model[0], model[2], model[3], Flatten())
    theirs[0].load_state_dict(
        {k: torch.tensor(v) for k, v in model[0].state_dict().items()}
    )
    x = torch.tensor(images, requires_grad=True)
    theirs(x).flatten(1)[:, 7].sum().backward()
    np.testing.assert_allclose(gradient_map(row, images, 7), x.grad.numpy(), atol=1e-12)


# Which class is asked about


@pytest.mark.parametrize("look", [occlusion_map, gradient_map])
def test_classes(look):
    """One for all, one for each, or the model's own answer, of any whole dtype."""
    model, images = network(), pictures()
    logits, own = asked(model, images, None, 2)
    np.testing.assert_array_equal(own, logits.argmax(axis=1))
    for one, other in (
        (None, own),
        (2, [2, 2, 2]),
        (np.uint8(1), np.array([1, 1, 1], np.int8)),
        ([3, 0, 1], np.array([3, 0, 1], np.uint64)),
    ):
        np.testing.assert_array_equal(
            look(model, images, one, 5), look(model, images, other, 5)
        )


@pytest.mark.parametrize("look", [occlusion_map, gradient_map])
@pytest.mark.parametrize(
    ("classes", "error"),
    [
        (4, ValueError),
        (-1, ValueError),
        ([0, 1, 4], ValueError),
        ([0, 1], ValueError),
        ([[0, 1, 2]], ValueError),
        ([], ValueError),
        ([0.0, 1.0, 2.0], TypeError),
        (True, TypeError),
        ("2", TypeError),
        ([0, [1, 2]], TypeError),
        ([0, 1, np.nan], TypeError),
        (np.ma.array([0, 1, 2]), TypeError),
    ],
)
def test_classes_that_are_none(look, classes, error):
    """A class is a whole number that the model has a logit for."""
    model = half_trained()
    before = state(model)
    with pytest.raises(error, match="^classes: "):
        look(model, pictures(), classes)
    same(state(model), before)


def test_classes_are_told():
    """The message says what was given, and what is needed."""
    for classes, said in (
        (4, "from 0 to 3, got 4"),
        ([0, 7, 1], r"from 0 to 3, got \[0, 7, 1\]"),
        ([], r"needs one whole number, or 3, got shape \(0,\)"),
    ):
        with pytest.raises(ValueError, match=f"^classes: .*{said}"):
            gradient_map(network(), pictures(), classes)


@pytest.mark.parametrize("look", [occlusion_map, gradient_map])
@pytest.mark.parametrize("classes", [None, 3, 0])
def test_infinite_logits(look, classes):
    """They have no fall and no slope; it is the model's fault, whatever is asked."""
    model = network()
    model[7].bias.data[3] = np.inf
    with pytest.raises(ValueError, match="^model: gives infinite logits"):
        look(model, pictures(), classes)


def test_logits_that_are_infinite_where_a_piece_is_covered():
    """They are refused, too."""

    class Inverse(Layer):
        def forward(self, x):
            with np.errstate(divide="ignore"):
                return 1 / x

    model = Sequential(Flatten(), Inverse())
    with pytest.raises(ValueError, match="^model: gives infinite .* covered"):
        occlusion_map(model, np.ones((1, 1, 2, 2)), 0, 1)


@pytest.mark.parametrize("look", [occlusion_map, gradient_map])
def test_models_without_logits(look):
    """Maps are no logits, and NaN is none."""
    with pytest.raises(ValueError, match="model: must give"):
        look(Sequential(Conv2d(2, 1, 1)), pictures(), 0)
    model = network()
    model[7].bias.data[0] = np.nan
    with pytest.raises(ValueError, match="model: gives NaN"):
        look(model, pictures(), 0)


class Own(Layer):
    """A layer somebody wrote: it multiplies by a number that it learns."""

    def __init__(self):
        self.factor = Parameter(np.full(1, 3.0))

    def forward(self, x):
        self._x = x
        return x * self.factor.data

    def backward(self, dy):
        self.factor.grad += np.sum(dy * self._x)
        return dy * self.factor.data


def test_layers_of_ones_own():
    """They are looked at like any other."""
    model = Sequential(Flatten(), Own(), Linear(84, 2, rng=0)).astype(np.float64)
    images = pictures()
    model[1].factor.grad += 7
    expected = 3 * model[2].weight.data[1].reshape(1, 2, 6, 7)
    found = gradient_map(model, images, 1)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape))
    assert model[1].factor.grad.tolist() == [7]
    np.testing.assert_array_equal(
        layer_outputs(model, images)["1"], 3 * images.reshape(3, -1)
    )
