"""The small network and the table of what its layers cost."""

import numpy as np
import pytest

from cnnbook.layers import (
    Conv1d,
    Conv2d,
    Flatten,
    Linear,
    LocallyConnected2d,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    check_layer,
)
from cnnbook.models import MODELS, deep_convnet, small_convnet, summary
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
    names, shapes, counts, products, sizes = zip(*table.rows, strict=True)
    assert [name.split("(")[0] for name in names] == [
        "0: Conv2d",
        "1: ReLU",
        "2: MaxPool2d",
        "3: Flatten",
        "4: Linear",
        "5: ReLU",
        "6: Linear",
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
    assert products == (8 * 9 * 26 * 26, 0, 0, 0, 1352 * 128, 0, 1280)
    assert sizes == tuple(4 * int(np.prod(shape)) for shape in shapes)
    assert (table.multiplications, table.bytes) == (sum(products), sum(sizes))
    text = repr(table).splitlines()
    assert len(text) == 9  # a heading, seven layers, the total
    assert "(8, 13, 13)" in text[3]
    assert "173,184" in text[5]
    assert "174,554" in text[-1]
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_summary_of_other_models():
    """A lone layer is one row; layers inside layers are listed one by one."""
    table = summary(Linear(5, 3), (5,))
    assert table.rows == (("Linear(5, 3)", (3,), 18, 15, 12),)
    inner = Sequential(Conv2d(1, 2, 3), ReLU())
    past = Residual(Conv2d(2, 2, 3, padding=1), Conv2d(2, 2, 1, bias=False))
    table = summary(Sequential(inner, past, MaxPool2d(2), Flatten()), (1, 6, 8))
    assert [row[1:4] for row in table.rows] == [
        ((2, 4, 6), 20, 2 * 9 * 24),
        ((2, 4, 6), 0, 0),
        ((2, 4, 6), 38, 4 * 9 * 24),
        ((2, 4, 6), 4, 4 * 24),
        ((2, 2, 3), 0, 0),
        ((12,), 0, 0),
    ]
    names = [row.layer.split(":")[0] for row in table.rows]
    assert names == ["0.0", "0.1", "1.body", "1.shortcut", "2", "3"]
    assert table.total == 62


def test_summary_counts_what_weights_multiply():
    """Groups divide the work; a locally connected layer uses each weight once."""
    rows = summary(Conv2d(4, 6, 3, groups=2), (4, 5, 7)).rows
    assert rows[0].multiplications == 6 * 2 * 9 * 3 * 5
    rows = summary(Conv1d(2, 3, 4, stride=2), (2, 9)).rows
    assert rows[0].multiplications == 3 * 2 * 4 * 3
    layer = LocallyConnected2d(2, 3, (5, 4), 3)
    rows = summary(layer, (2, 5, 4)).rows
    assert rows[0].multiplications == layer.weight.data.size == 3 * 18 * 3 * 2


def test_summary_leaves_the_model_alone():
    """Nothing is remembered, no weight or mode is changed."""
    model = small_convnet(0)
    x = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    model(x)
    summary(model, (1, 28, 28))
    assert model.training
    assert model.backward(np.ones((2, 10))).shape == x.shape


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [("small", 174_554, 80), ("light", 206_922, 160), ("wide", 454_922, 832)],
)
def test_networks_for_digits(name, count, first):
    """Counted by hand; they answer digits with ten logits, with He's weights."""
    recipe = MODELS[name]
    model = recipe.build(rng=0)
    table = summary(model, recipe.input_shape)
    assert (table.total, table.rows[0].parameters) == (count, first)
    assert model(np.zeros((2, 1, 28, 28), np.float32)).shape == (2, 10)
    again = recipe.build(rng=0).state_dict()
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, again[key])
        spread = array.std() if array.ndim > 1 else 0.0
        fan_in = max(array[0].size, 1)
        if array.ndim > 1:
            assert spread == pytest.approx(np.sqrt(2 / fan_in), rel=0.25)
        else:
            assert not array.any()


def test_the_network_for_colours():
    """The walk of the chapter on shapes: 122,570 parameters."""
    recipe = MODELS["colour"]
    table = summary(recipe.build(rng=0), recipe.input_shape)
    assert table.total == 122_570
    outputs = [row.output for row in table.rows if row.parameters]
    assert outputs == [(32, 30, 30), (64, 13, 13), (64, 4, 4), (64,), (10,)]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_deep_network_as_pytorch(torch, batch_norm, dropout):
    """The same weights in PyTorch give the same logits, in evaluation mode."""
    nn = torch.nn
    layers = []
    for channels, filters, kernel in ((1, 32, 5), (32, 64, 3), (64, 128, 3)):
        layers.append(nn.Conv2d(channels, filters, kernel, padding="same"))
        layers += [nn.MaxPool2d(2)] if filters != 128 else []
        layers += [nn.BatchNorm2d(filters)] if batch_norm else []
        layers.append(nn.ReLU())
    layers += [nn.Flatten()] + ([nn.Dropout(dropout)] if dropout else [])
    twin = nn.Sequential(*layers, nn.Linear(6272, 10)).eval()
    model = deep_convnet(1, batch_norm=batch_norm, dropout=dropout)
    x = np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32)
    model(x)  # moves the running statistics
    state = {k: torch.tensor(v) for k, v in model.eval().state_dict().items()}
    twin.load_state_dict(state)
    expected = twin(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


def test_deep_network_draws_from_its_seed():
    """Weights and dropout come from one generator; another seed, another network."""
    one, two, other = (deep_convnet(seed) for seed in (5, 5, 6))
    x = np.ones((4, 1, 28, 28), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(one(x), two(x))
    assert np.abs(one(x) - other(x)).max() > 0.1
    assert np.abs(one(x) - one(x)).max() > 0  # dropout


def test_recipes_can_not_be_changed_by_accident():
    """A recipe is frozen; every one of them has a name and sensible numbers."""
    assert list(MODELS) == ["small", "light", "wide", "deep", "colour"]
    for recipe in MODELS.values():
        with pytest.raises(AttributeError):
            recipe.lr = 1.0
        assert recipe.epochs > 0 and recipe.batch_size > 0 and 0 < recipe.lr < 1


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
