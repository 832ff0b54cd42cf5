"""The training loop: what it learns, what it calls, what it refuses."""

import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnbook.data import load_mnist
from cnnbook.layers import Flatten, Layer, Linear, Parameter, ReLU, Sequential
from cnnbook.losses import CrossEntropyLoss
from cnnbook.models import small_convnet
from cnnbook.optimizers import SGD, Adam
from cnnbook.training import batches, evaluate, fit, predict

LOSS = CrossEntropyLoss()


def tiny(seed=0):
    """Return a small network, (N, 1, 3, 3) to (N, 4)."""
    rng = np.random.default_rng(seed)
    return Sequential(Flatten(), Linear(9, 6, rng=rng), ReLU(), Linear(6, 4, rng=rng))


def made(count=23, seed=1):
    """Return made-up images and labels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, 1, 3, 3)).astype(np.float32)
    return images, rng.integers(0, 4, count)


def train(model, data, **options):
    """Call fit with settings that a test didn't choose."""
    settings = {"loss": LOSS, "epochs": 1, "batch_size": 5, "seed": 0}
    settings |= {"progress": False}
    if "optimizer" not in options:
        settings["optimizer"] = SGD(model.parameters(), 0.1)
    return fit(model, data, **(settings | options))


class Watch(Layer):
    """A model that notes every batch it sees; its images carry numbers."""

    def __init__(self):
        self.weight = Parameter([0.0])
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, [int(v) for v in x.ravel()]))
        return np.repeat(x.reshape(-1, 1), 3, axis=1)

    def backward(self, dy):
        return dy.sum(axis=1, keepdims=True)


def numbered(count):
    """Return images that are their own numbers, and labels of zero."""
    images = np.arange(count, dtype=np.float64).reshape(count, 1)
    return images, np.zeros(count, int)


# What it learns


@pytest.fixture(scope="module")
def ten():
    """Return ten real digits, one of each."""
    digits = load_mnist("sample")[0]
    first = [int(np.flatnonzero(digits.labels == k)[0]) for k in range(10)]
    return digits.take(first)


def test_ten_images(ten):
    """The small network learns ten digits by heart."""
    model = small_convnet(0)
    optimizer = Adam(model.parameters(), lr=3e-3)
    history = train(model, ten, valid=ten, optimizer=optimizer, epochs=25, batch_size=4)
    assert history["accuracy"][-1] == 1
    assert history["valid_accuracy"][-1] == 1
    assert history["valid_loss"][-1] < 0.05 < 1 < history["loss"][0]
    assert predict(model, ten.images).tolist() == list(range(10))
    assert evaluate(model, ten) == {"accuracy": 1.0}
    for p in model.parameters():
        assert p.data.dtype == p.grad.dtype == np.float32


def test_one_step_by_hand():
    """One epoch of one batch is one step against the mean gradient."""
    images, labels = made(6)
    model = Sequential(Flatten(), Linear(9, 4, rng=0))
    weight, bias = (p.data.astype(float) for p in model.parameters())
    x = images.reshape(6, 9).astype(float)
    scores = np.exp(x @ weight.T + bias)
    p = scores / scores.sum(axis=1, keepdims=True)
    expected_loss = -np.log(p[range(6), labels]).mean()
    right = np.mean(p.argmax(axis=1) == labels)
    p[range(6), labels] -= 1
    history = train(model, (images, labels), batch_size=6)
    assert history["loss"] == [pytest.approx(expected_loss, rel=1e-5)]
    assert history["accuracy"] == [pytest.approx(right)]
    found = model.state_dict()
    np.testing.assert_allclose(found["1.weight"], weight - 0.1 * p.T @ x / 6, atol=1e-6)
    np.testing.assert_allclose(found["1.bias"], bias - 0.1 * p.mean(axis=0), atol=1e-6)


def test_gradients_are_cleared():
    """What was left in the gradients before does not matter."""
    clean, dirty = tiny(), tiny()
    for p in dirty.parameters():
        p.grad += 100
    for model in (clean, dirty):
        train(model, made(), epochs=2)
    for a, b in zip(clean.parameters(), dirty.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9), Adam])
def test_same_seed(make):
    """The same seed gives the same weights, bit for bit; another doesn't."""

    def run(seed):
        model = tiny()
        optimizer = make(model.parameters())
        history = train(model, made(), optimizer=optimizer, epochs=3, seed=seed)
        return history, [p.data for p in model.parameters()]

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = run(7), run(7)
    generator, other = run(np.random.default_rng(7)), run(8)
    for same in (again, generator):
        assert same[0] == first[0]
        for a, b in zip(same[1], first[1], strict=True):
            assert a.tobytes() == b.tobytes()
    assert any(np.any(a != b) for a, b in zip(other[1], first[1], strict=True))
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before)


def test_history():
    """One number an epoch; valid's are those of evaluate."""
    model = tiny()
    assert train(model, made(), epochs=0) == {"loss": [], "accuracy": []}
    assert train(model, made(), epochs=2).keys() == {"loss", "accuracy"}
    valid = made(9, seed=5)
    history = train(model, made(), valid=valid, epochs=3)
    assert set(history) == {"loss", "accuracy", "valid_loss", "valid_accuracy"}
    assert all(len(values) == 3 for values in history.values())
    assert all(type(v) is float for values in history.values() for v in values)
    last = evaluate(model, valid, LOSS)
    assert last["loss"] == history["valid_loss"][-1]
    assert last["accuracy"] == history["valid_accuracy"][-1]


def test_history_weighs_images_not_batches():
    """A smaller last batch counts for less in the epoch's loss."""
    model = Watch()

    def loss(logits, labels):
        return float(logits[:, 0].mean()), np.zeros_like(logits)

    history = train(
        model,
        numbered(7),
        loss=loss,
        batch_size=5,
        optimizer=SGD(model.parameters(), 0.1),
    )
    assert history["loss"] == [pytest.approx(3.0)]  # the mean of 0 to 6
    assert history["accuracy"] == [1.0]


# What it shows to the model


@given(st.integers(1, 40), st.integers(1, 50), st.none() | st.integers(0, 99))
def test_batches(count, size, seed):
    """Batches cover everything once, labels beside their images."""
    images = np.arange(count)[:, None] * np.ones((1, 2))
    labels = np.arange(count) * 10
    rng = None if seed is None else np.random.default_rng(seed)
    parts = list(batches(images, labels, size, rng))
    sizes = [len(x) for x, _ in parts]
    assert sizes[:-1] == [size] * (len(parts) - 1)
    assert 1 <= sizes[-1] <= size
    x = np.concatenate([x for x, _ in parts])
    y = np.concatenate([y for _, y in parts])
    np.testing.assert_array_equal(x[:, 0] * 10, y)
    assert sorted(y.tolist()) == labels.tolist()
    if seed is None:
        np.testing.assert_array_equal(y, labels)


def test_fit_shuffles_anew():
    """Each epoch shows every image once, in a new order, in training mode."""
    model = Watch().eval()
    train(model, numbered(20), epochs=3, batch_size=6)
    assert [len(s) for _, s in model.seen] == [6, 6, 6, 2] * 3
    assert all(training for training, _ in model.seen)
    orders = [
        [number for _, part in model.seen[k : k + 4] for number in part]
        for k in (0, 4, 8)
    ]
    for order in orders:
        assert sorted(order) == list(range(20))
    assert len({tuple(order) for order in [*orders, range(20)]}) == 4


def test_batch_larger_than_the_set():
    """One batch then; the result is that of a batch of the set's size."""
    model = Watch()
    train(model, numbered(4), batch_size=100)
    assert [sorted(s) for _, s in model.seen] == [[0, 1, 2, 3]]
    results = []
    for size in (23, 24, 10**9):
        net = tiny()
        train(net, made(23), batch_size=size)
        results.append(net.state_dict()["1.weight"].tobytes())
    assert results[0] == results[1] == results[2]


def test_one_image():
    """A set of a single image is trained on, too."""
    history = train(tiny(), made(1), epochs=2)
    assert history["loss"][1] < history["loss"][0]


def test_inputs_stay():
    """Neither images nor labels are changed, read-only ones will do."""
    data, valid = made(), made(8, seed=3)
    kept = [a.copy() for a in (*data, *valid)]
    for array in (*data, *valid):
        array.flags.writeable = False
    model = tiny()
    train(model, data, valid=valid, epochs=2)
    predict(model, data[0])
    for array, before in zip((*data, *valid), kept, strict=True):
        np.testing.assert_array_equal(array, before)


# Evaluation


def test_predict_any_batch_size():
    """The batch size does not change the predictions."""
    model, (images, labels) = tiny(), made(23)
    found = predict(model, images)
    assert found.dtype == np.int64
    assert found.shape == (23,)
    assert len(set(found.tolist())) > 1
    for size in (1, 2, 7, 22, 23, 24, 1000):
        np.testing.assert_array_equal(predict(model, images, size), found)
        result = evaluate(model, (images, labels), LOSS, size)
        assert result["accuracy"] == pytest.approx(np.mean(found == labels))
        assert result["loss"] == pytest.approx(LOSS(model(images), labels)[0])
    single = [int(model(image[None])[0].argmax()) for image in images]
    assert found.tolist() == single


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored(training):
    """Images are judged in evaluation mode; then the old mode is back."""
    watch = Watch()
    model = Sequential(watch, Flatten())
    model.train(training)
    predict(model, numbered(5)[0], 2)
    evaluate(model, numbered(5))
    assert [mode for mode, _ in watch.seen] == [False] * 4
    assert model.training is training
    assert watch.training is training


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_after_an_error(training):
    """The old mode is back even if the model fails."""
    model = tiny().train(training)
    with pytest.raises(ValueError, match="x"):
        predict(model, np.ones((2, 1, 5, 5)))
    assert model.training is training
    assert model[1].training is training


def test_validation_in_evaluation_mode():
    """In fit, training images are seen in training mode, valid's are not."""
    model = Watch()
    train(model, numbered(4), valid=numbered(3), epochs=2, batch_size=4)
    assert [mode for mode, _ in model.seen] == [True, False] * 2
    assert [len(s) for _, s in model.seen] == [4, 3] * 2


# Callbacks and schedules


class Schedule:
    """Counts its steps, and halves the rate."""

    def __init__(self, optimizer, log):
        self.optimizer, self.log = optimizer, log

    def step(self):
        self.log.append("schedule")
        self.optimizer.lr /= 2


def test_callbacks_and_schedule():
    """Each is called once an epoch, with the epoch, model and history."""
    log, model = [], tiny()
    optimizer = SGD(model.parameters(), 0.4)

    def first(epoch, net, history):
        assert net is model
        assert len(history["loss"]) == len(history["valid_loss"]) == epoch
        log.append(epoch)

    def second(epoch, net, history):
        log.append(-epoch)

    train(
        model,
        made(),
        valid=made(4),
        optimizer=optimizer,
        epochs=3,
        schedule=Schedule(optimizer, log),
        callbacks=(first, second),
    )
    assert log == ["schedule", 1, -1, "schedule", 2, -2, "schedule", 3, -3]
    assert optimizer.lr == pytest.approx(0.05)


def test_callbacks_of_any_iterable():
    """Callbacks may come from an iterator; each is called every epoch."""
    epochs = []
    calls = iter([lambda epoch, model, history: epochs.append(epoch)])
    train(tiny(), made(), epochs=3, callbacks=calls)
    assert epochs == [1, 2, 3]


def test_schedule_decides():
    """A rate set to zero by a callback stops all change."""
    model, states = tiny(), []
    optimizer = SGD(model.parameters(), 0.1)

    def stop(epoch, net, history):
        states.append(net.state_dict()["1.weight"])
        if epoch == 2:
            optimizer.lr = 0.0

    train(model, made(), optimizer=optimizer, epochs=4, callbacks=[stop])
    assert np.any(states[0] != states[1])
    np.testing.assert_array_equal(states[1], states[3])


# What it prints


def test_progress_lines(capsys):
    """One line an epoch, with the numbers of the history."""
    history = train(tiny(), made(), valid=made(9, 2), epochs=3, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for k, line in enumerate(lines):
        assert f"{k + 1}/3" in line
        for values in history.values():
            assert f"{values[k]:.3f}" in line
    train(tiny(), made(), progress=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert "valid" not in line


def test_silent(capsys):
    """With progress=False, nothing is printed."""
    train(tiny(), made(), valid=made(9, 2), epochs=3, progress=False)
    caught = capsys.readouterr()
    assert caught.out == caught.err == ""


@pytest.mark.parametrize("installed", [True, False])
def test_in_a_terminal(monkeypatch, capsys, installed):
    """In a terminal there is a bar if tqdm is there; the result is the same."""
    expected = train(tiny(), made(), epochs=2)
    if installed:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "__stderr__", terminal)
    assert train(tiny(), made(), epochs=2, progress=True) == expected
    caught = capsys.readouterr()
    assert len(caught.out.splitlines()) == 2 and caught.err == ""
    assert ("epoch 1/2" in terminal.getvalue()) is installed


# What it refuses


def test_nan_in_images():
    """NaN stops the training, naming epoch and batch; weights stay finite."""
    images, labels = made(20)
    images[13, 0, 1, 1] = np.nan
    model = tiny()
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch \d"):
        train(model, (images, labels), epochs=2)
    for p in model.parameters():
        assert np.isfinite(p.data).all()


def test_loss_that_runs_away():
    """The epoch and the batch named are those where it happened."""
    calls = []

    def loss(logits, labels):
        calls.append(len(labels))
        return (np.inf if len(calls) == 6 else 1.0), np.zeros_like(logits)

    with pytest.raises(FloatingPointError, match=r"inf.*epoch 2, batch \d"):
        train(tiny(), made(20), loss=loss, epochs=3)
    assert len(calls) == 6  # the second batch of four in the second epoch


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ((np.ones((0, 1, 3, 3)), np.ones(0, int)), ValueError),
        ((np.ones((3, 1, 3, 3)), np.ones(2, int)), ValueError),
        ((np.ones((2, 1, 3, 3)), np.ones(3, int)), ValueError),
        ((np.ones((2, 1, 3, 3)), 1), ValueError),
        (np.ones((3, 1, 3, 3)), TypeError),
        (None, TypeError),
        ((np.ones((2, 1, 3, 3)),), TypeError),
    ],
)
def test_bad_data(data, error):
    """Data that are no pair of the same, positive length are refused."""
    model = tiny()
    with pytest.raises(error, match="train"):
        train(model, data)
    with pytest.raises(error, match="data"):
        evaluate(model, data)


@pytest.mark.parametrize(
    "valid",
    [
        (np.ones((0, 1, 3, 3)), np.ones(0, int)),
        (np.ones((3, 1, 3, 3)), np.ones(2, int)),
        np.ones((3, 1, 3, 3)),
    ],
)
def test_bad_validation_data(valid):
    """So are data to judge by, and before any training."""
    model = tiny()
    before = model.state_dict()
    with pytest.raises((TypeError, ValueError), match="valid"):
        train(model, made(), valid=valid)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.parametrize("size", [0, -1, 2.5, "5", None, np.nan])
def test_bad_batch_size(size):
    """A batch size that is no whole number from 1 is refused by name."""
    model, (images, labels) = tiny(), made()
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        train(model, (images, labels), batch_size=size)
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        list(batches(images, labels, size))
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        predict(model, images, size)


@pytest.mark.parametrize("epochs", [-1, 1.5, "2", None, np.nan])
def test_bad_epochs(epochs):
    """A number of epochs is a whole number from 0."""
    with pytest.raises((TypeError, ValueError), match="epochs"):
        train(tiny(), made(), epochs=epochs)


@pytest.mark.parametrize("labels", [np.full(23, 4), np.full(23, -1)])
def test_labels_out_of_range(labels):
    """Labels that the model has no logit for are refused."""
    with pytest.raises(ValueError, match="labels"):
        train(tiny(), (made()[0], labels))


def test_labels_of_the_wrong_type():
    """So are labels that are no whole numbers."""
    with pytest.raises(TypeError, match="labels"):
        train(tiny(), (made()[0], np.zeros(23)))


@pytest.mark.parametrize("images", [np.ones((0, 1, 3, 3)), 1.0])
def test_predict_nothing(images):
    """There is nothing to predict for no images."""
    with pytest.raises(ValueError, match="images"):
        predict(tiny(), images)
