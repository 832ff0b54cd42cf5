"""The small network and the table of what its layers cost."""

import numpy as np
import pytest

from cnnbook.layers import (
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    check_layer,
)
from cnnbook.models import small_convnet, summary
from cnnbook.shapes import parameter_count

SHAPES = {
    "0.weight": (8, 1, 3, 3),
    "0.bias": (8,),
    "4.weight": (128, 1352),
    "4.bias": (128,),
    "6.weight": (10, 128),
    "6.bias": (10,),
}


def test_shapes():
    """Weights and outputs have the shapes that the description gives."""
    model = small_convnet(0)
    state = model.state_dict()
    assert {k: v.shape for k, v in state.items()} == SHAPES
    assert all(v.dtype == np.float32 for v in state.values())
    for count in (1, 3):
        x = np.ones((count, 1, 28, 28), np.float32)
        y = model(x)
        assert y.shape == (count, 10)
        assert y.dtype == np.float32
        dx = model.backward(y)
        assert dx.shape == x.shape
        assert dx.dtype == np.float32


def test_as_pytorch(torch):
    """The same weights in PyTorch give the same logits."""
    nn = torch.nn
    twin = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1352, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    model = small_convnet(1)
    state = {k: torch.tensor(v) for k, v in model.state_dict().items()}
    assert list(state) == list(twin.state_dict())
    twin.load_state_dict(state)
    x = np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32)
    expected = twin(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_he_initialization():
    """Weights have variance 2 / fan-in; biases start at zero."""
    state = small_convnet(0).state_dict()
    for name, fan_in in [("0", 9), ("4", 1352), ("6", 128)]:
        weight = state[f"{name}.weight"]
        spread = weight.std() / np.sqrt(2 / fan_in)
        assert spread == pytest.approx(1, abs=3 / np.sqrt(weight.size))
        assert not state[f"{name}.bias"].any()


def test_seeds():
    """The same seed gives the same weights, another one doesn't."""
    first, again, other = (small_convnet(s).state_dict() for s in (3, 3, 4))
    generator = small_convnet(np.random.default_rng(3)).state_dict()
    for key in SHAPES:
        assert first[key].tobytes() == again[key].tobytes()
        assert first[key].tobytes() == generator[key].tobytes()
        if "weight" in key:
            assert np.mean(first[key] != other[key]) > 0.99
    assert np.any(
        small_convnet().state_dict()["0.weight"]
        != small_convnet().state_dict()["0.weight"]
    )


def test_parameter_counts():
    """Counted by hand."""
    by_hand = 8 * (3 * 3 + 1) + 128 * (8 * 13 * 13 + 1) + 10 * (128 + 1)
    assert by_hand == 174_554
    assert parameter_count(small_convnet()) == 174_554
    layers = (80, 0, 0, 0, 173_184, 0, 1_290)
    assert tuple(map(parameter_count, small_convnet())) == layers
    assert parameter_count(*SHAPES.values()) == 174_554


def test_gradients():
    """The layers together pass the check that each passes alone."""
    model = small_convnet(0)
    small = Sequential(*model[:4], Linear(8 * 2 * 3, 3, rng=0))
    assert check_layer(small, (2, 1, 6, 9)) <= 1e-7


def test_summary():
    """Every layer's name, output and parameters, and the total."""
    model = small_convnet(0)
    before = model.state_dict()
    table = summary(model, (1, 28, 28))
    names, shapes, counts = zip(*table.rows, strict=True)
    assert [name.split("(")[0] for name in names] == [
        "Conv2d",
        "ReLU",
        "MaxPool2d",
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert shapes == (
        (8, 26, 26),
        (8, 26, 26),
        (8, 13, 13),
        (1352,),
        (128,),
        (128,),
        (10,),
    )
    assert counts == (80, 0, 0, 0, 173_184, 0, 1_290)
    assert table.total == sum(counts) == 174_554
    text = repr(table).splitlines()
    assert len(text) == 9  # a heading, seven layers, the total
    assert "(8, 13, 13)" in text[3]
    assert "173,184" in text[5]
    assert "174,554" in text[-1]
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_summary_of_other_models():
    """A lone layer is one row; a network in a network is one row, too."""
    table = summary(Linear(5, 3), (5,))
    assert [row[1:] for row in table.rows] == [((3,), 18)]
    inner = Sequential(Conv2d(1, 2, 3), ReLU())
    table = summary(Sequential(inner, MaxPool2d(2), Flatten()), (1, 6, 8))
    assert [row[1:] for row in table.rows] == [
        ((2, 4, 6), 20),
        ((2, 2, 3), 0),
        ((12,), 0),
    ]
    assert table.rows[0][0].startswith("Sequential")
    assert table.total == 20


@pytest.mark.parametrize(
    ("model", "shape", "says"),
    [
        (small_convnet(0), (1, 27, 31), r"4.*Linear\(1352, 128\).*1344"),
        (small_convnet(0), (1, 32, 32), r"4.*Linear\(1352, 128\).*1800"),
        (small_convnet(0), (3, 28, 28), r"0.*Conv2d\(1, 8"),
        (small_convnet(0), (1, 2, 2), r"0.*Conv2d\(1, 8"),
        (Sequential(ReLU(), Linear(4, 2)), (5,), r"1.*Linear\(4, 2\)"),
        (Linear(4, 2), (5,), r"Linear\(4, 2\)"),
    ],
)
def test_summary_names_what_does_not_fit(model, shape, says):
    """The layer that can't take what it is given is named."""
    with pytest.raises(ValueError, match=says):
        summary(model, shape)


@pytest.mark.parametrize("shape", [28, (1, -28, 28), ("a", 28, 28), None])
def test_summary_input_shape(shape):
    """A shape that is none is refused by name."""
    with pytest.raises((TypeError, ValueError), match="input_shape"):
        summary(small_convnet(0), shape)
