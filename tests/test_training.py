"""The training loop: what it learns, what it calls, what it refuses."""

import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnbook import optimizers
from cnnbook.data import Digits, load_mnist
from cnnbook.initialization import he_normal
from cnnbook.layers import (
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    Parameter,
    ReLU,
    Residual,
    Sequential,
)
from cnnbook.losses import CrossEntropyLoss
from cnnbook.models import small_convnet
from cnnbook.optimizers import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    OneCycleLR,
    clip_grad_norm,
)
from cnnbook.training import (
    EarlyStopping,
    KeepBest,
    batches,
    best_epoch,
    evaluate,
    fit,
    predict,
    suspect,
    train_step,
    train_valid_split,
)

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


def test_to_zero_loss(ten):
    """Trained on for longer, the loss on the ten goes to zero."""
    model = he_normal(Sequential(Flatten(), Linear(784, 30), ReLU(), Linear(30, 10)), 0)
    options = {"optimizer": Adam(model.parameters(), lr=0.01), "batch_size": 10}
    history = train(model, ten, epochs=150, **options)
    assert abs(history["loss"][0] - np.log(10)) < 1.5
    assert history["loss"][-1] < 1e-3 and history["accuracy"][-1] == 1


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9), Adam, AdamW])
def test_residual_network_learns(make):
    """A residual network gets a tiny set right, whichever the optimizer."""
    rng = np.random.default_rng(0)
    model = Sequential(
        Conv2d(1, 6, 3, padding=1, rng=rng),
        Residual(Sequential(Conv2d(6, 6, 3, padding=1, rng=rng), ReLU())),
        Residual(Conv2d(6, 8, 3, padding=1, rng=rng), Conv2d(6, 8, 1, rng=rng)),
        GlobalAvgPool2d(),
        Flatten(),
        Linear(8, 3, rng=rng),
    )
    images = np.zeros((12, 1, 6, 6), np.float32)
    labels = np.arange(12) % 3
    for k, label in enumerate(labels):  # a row, a column, or a square
        place = k // 3
        if label == 0:
            images[k, 0, place] = 1
        elif label == 1:
            images[k, 0, :, place] = 1
        else:
            images[k, 0, place : place + 2, place : place + 3] = 1
    optimizer = make(model.parameters())
    optimizer.lr = {SGD: 0.05}.get(type(optimizer), 0.02)
    history = train(
        model, (images, labels), optimizer=optimizer, epochs=80, batch_size=6
    )
    assert history["loss"][-1] < 0.02 and history["accuracy"][-1] == 1


def test_wrong_labels_are_learned_by_heart():
    """Labels at random are learned, too; others are then no better than chance."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 1, 3, 3)).astype(np.float32)
    labels, model = rng.integers(0, 4, 40), Sequential(Flatten(), Linear(9, 64, rng=0))
    model = Sequential(*model.layers, ReLU(), Linear(64, 4, rng=1))
    optimizer = Adam(model.parameters(), lr=0.02)
    history = train(
        model, (images, labels), optimizer=optimizer, epochs=150, batch_size=20
    )
    assert history["accuracy"][-1] == 1
    others = rng.normal(size=(400, 1, 3, 3)).astype(np.float32)
    assert evaluate(model, (others, rng.integers(0, 4, 400)))["accuracy"] < 0.4


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


@pytest.mark.parametrize(("per", "count"), [("epoch", 3), ("batch", 15), (None, 3)])
def test_schedule_per_batch_or_epoch(per, count):
    """It is stepped after every epoch, or every batch if its ``per`` says so."""
    log, model = [], tiny()
    optimizer = SGD(model.parameters(), 0.1)
    schedule = Schedule(optimizer, log)
    if per is not None:
        schedule.per = per
    rates = []

    def loss(logits, labels):
        rates.append(optimizer.lr)
        return LOSS(logits, labels)

    train(model, made(), optimizer=optimizer, loss=loss, epochs=3, schedule=schedule)
    assert len(log) == count
    expected = [0.1 / 2 ** (k if per == "batch" else k // 5) for k in range(15)]
    assert rates == pytest.approx(expected)


def test_one_cycle_in_fit():
    """Its rates go up and down over all batches; momentum the other way."""
    model, seen = tiny(), []
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    schedule = OneCycleLR(optimizer, 0.2, total_steps=15)  # three epochs

    def loss(logits, labels):
        seen.append((optimizer.lr, optimizer.momentum))
        return LOSS(logits, labels)

    train(model, made(), optimizer=optimizer, loss=loss, epochs=3, schedule=schedule)
    rates, momenta = zip(*seen, strict=True)
    assert len(rates) == 15 and schedule.steps == 15
    assert np.argmax(rates) == np.argmin(momenta) in (3, 4)
    assert rates[0] == pytest.approx(0.008)
    assert rates[-1] == optimizer.lr == pytest.approx(0.008 / 1e4)


def test_callback_that_stops():
    """True ends the training, after the other callbacks; nothing else does."""
    log = []
    for answer in (True, np.True_, None, False, "stop", [True]):

        def ask(epoch, model, history, answer=answer):
            return answer if epoch == 2 else None

        def note(epoch, model, history, answer=answer):
            log.append((answer, epoch))

        log.clear()
        history = train(tiny(), made(), epochs=4, callbacks=[ask, note])
        epochs = 2 if isinstance(answer, bool | np.bool_) and answer else 4
        assert len(history["loss"]) == epochs
        assert log == [(answer, k) for k in range(1, epochs + 1)]


def test_error_in_a_callback():
    """It comes through as it is; what was learned until then stays."""

    class Own(Exception):
        """An error that nobody else raises."""

    def fail(epoch, model, history):
        if epoch == 2:
            raise Own("here")

    model, twin = tiny(), tiny()
    with pytest.raises(Own, match="^here$"):
        train(model, made(), epochs=3, callbacks=[fail])
    train(twin, made(), epochs=2)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, twin.state_dict()[key])


# Changed images, limited gradients


def test_augment():
    """Training batches are changed, by the run's generator; valid's are not."""
    model, calls, rng = Watch(), [], np.random.default_rng(3)

    def augment(images, generator):
        assert generator is rng
        calls.append(images.ravel().tolist())
        return images + 100

    data = numbered(5)
    train(
        model,
        data,
        valid=numbered(3),
        epochs=2,
        batch_size=3,
        seed=rng,
        augment=augment,
    )
    assert [len(c) for c in calls] == [3, 2, 3, 2]
    assert sorted(calls[0] + calls[1]) == [0, 1, 2, 3, 4]
    shown = [(mode, numbers) for mode, numbers in model.seen if mode]
    for (_, numbers), call in zip(shown, calls, strict=True):
        assert numbers == [int(c) + 100 for c in call]
    assert [numbers for mode, numbers in model.seen if not mode] == [[0, 1, 2]] * 2
    np.testing.assert_array_equal(data[0], numbered(5)[0])


def test_augment_in_place():
    """A function that writes into its batch does not touch the data."""
    data = made()
    kept = data[0].copy()

    def augment(images, rng):
        images += 1
        return images

    train(tiny(), data, augment=augment, epochs=2)
    np.testing.assert_array_equal(data[0], kept)


def test_augment_by_seed():
    """The same seed augments alike; no augmenting is as if unchanged."""

    def noise(images, rng):
        return images + rng.normal(size=images.shape).astype(np.float32)

    def run(seed, augment):
        model = tiny()
        return train(model, made(), epochs=2, seed=seed, augment=augment)

    assert run(1, noise) == run(1, noise) != run(2, noise)
    assert run(1, None) == run(1, lambda images, rng: images) != run(1, noise)


def test_clip_norm():
    """No step is longer than the rate times the limit; a high limit is none."""
    steps = []

    def run(limit):
        model = tiny()
        optimizer = SGD(model.parameters(), 0.5)
        last = [p.data.astype(float) for p in model.parameters()]
        plain = optimizer.step
        steps.clear()

        def step():
            plain()
            now = [p.data.astype(float) for p in model.parameters()]
            moves = zip(now, last, strict=True)
            steps.append(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in moves)))
            last[:] = now

        optimizer.step = step
        history = train(model, made(), optimizer=optimizer, epochs=2, clip_norm=limit)
        return history, [p.data.tobytes() for p in model.parameters()]

    free = run(None)
    longest = max(steps)
    assert run(1e9) == free
    limited = run(0.01)
    assert limited != free and longest > 0.1
    assert max(steps) == pytest.approx(0.005, rel=1e-3)
    run(0)
    assert max(steps) == 0
    with pytest.raises(ValueError, match="max_norm|clip_norm"):
        run(-1)


def test_train_step():
    """It returns loss and logits, clears, clips and steps; or learns nothing."""
    images, labels = made(8)
    model, twin = tiny(), tiny()
    optimizer = SGD(model.parameters(), 0.1)
    for p in model.parameters():
        p.grad += 50
    value, logits = train_step(model, images, labels, LOSS, optimizer, 0.25)
    expected, dlogits = LOSS(twin(images), labels)
    twin.backward(dlogits)
    norm = clip_grad_norm(twin.parameters(), 0.25)
    assert norm > 0.25 and value == expected
    np.testing.assert_array_equal(logits, twin(images))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data - np.float32(0.1) * q.grad)
    before = model.state_dict()
    grads = [p.grad.copy() for p in model.parameters()]
    for wrong in (np.nan, np.inf, -np.inf):
        value, _ = train_step(
            model, images, labels, lambda a, b, w=wrong: (w, a), optimizer
        )
        assert not np.isfinite(value)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    for p, grad in zip(model.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    assert optimizer.steps == 1


# Going on with a run


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("plan", [None, "StepLR", "CosineAnnealingLR", "OneCycleLR"])
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
def test_going_on(name, plan, cut):
    """Two runs with one history are one run, bit for bit."""

    def start():
        model = tiny()
        extra = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(optimizers, name)(model.parameters(), lr=0.05, **extra)
        arguments = {"StepLR": (2,), "CosineAnnealingLR": (5,), "OneCycleLR": (0.1, 30)}
        schedule = plan and getattr(optimizers, plan)(optimizer, *arguments[plan])
        return model, {"optimizer": optimizer, "schedule": schedule}

    def noise(images, rng):
        return images + rng.normal(size=images.shape).astype(np.float32)

    valid = made(7, seed=4)
    model, parts = start()
    rng = np.random.default_rng(9)
    whole = train(
        model, made(), valid=valid, epochs=5, seed=rng, augment=noise, **parts
    )
    other, parts = start()
    rng, epochs = np.random.default_rng(9), []
    options = parts | {"valid": valid, "seed": rng, "augment": noise}
    first = train(other, made(), epochs=cut, **options)
    kept = {key: list(values) for key, values in first.items()}
    second = train(
        other,
        made(),
        epochs=5,
        history=first,
        callbacks=[lambda epoch, model, history: epochs.append(epoch)],
        **options,
    )
    assert second == whole
    assert first == kept  # the history that was given is not changed
    assert epochs == list(range(cut + 1, 6))
    for key, array in other.state_dict().items():
        assert array.tobytes() == model.state_dict()[key].tobytes()


def test_going_on_with_states():
    """So are runs whose model, optimizer and schedule were made anew."""

    def start():
        model = tiny(3)
        optimizer = AdamW(model.parameters(), 0.05)
        return model, optimizer, CosineAnnealingLR(optimizer, 6)

    model, optimizer, schedule = start()
    options = {"optimizer": optimizer, "schedule": schedule, "epochs": 6}
    whole = train(model, made(), seed=np.random.default_rng(1), **options)
    first = start()
    rng = np.random.default_rng(1)
    options = {"optimizer": first[1], "schedule": first[2], "epochs": 2}
    history = train(first[0], made(), seed=rng, **options)
    second = start()
    for new, old in zip(second, first, strict=True):
        new.load_state_dict(old.state_dict())
    options = {"optimizer": second[1], "schedule": second[2], "epochs": 6}
    other = np.random.default_rng()
    other.bit_generator.state = rng.bit_generator.state
    assert train(second[0], made(), seed=other, history=history, **options) == whole
    for key, array in second[0].state_dict().items():
        assert array.tobytes() == model.state_dict()[key].tobytes()


def test_nothing_left_to_do():
    """A history of enough epochs comes back, and nothing is learned."""
    model, history = tiny(), {"loss": [3.0, 2.0], "accuracy": [0.1, 0.2]}
    before = model.state_dict()
    for epochs in (0, 1, 2):
        found = train(model, made(), epochs=epochs, history=history)
        assert found == history and found is not history
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


# A part to judge by


@given(
    st.integers(2, 60),
    st.floats(0.05, 0.95),
    st.integers(0, 2**32 - 1),
)
def test_split(count, share, seed):
    """Each image is in one part, in its old order, beside its label."""
    images = np.arange(count, dtype=np.float32)[:, None]
    size = round(share * count)
    if not 0 < size < count:
        with pytest.raises(ValueError, match="^valid_share: "):
            train_valid_split((images, np.arange(count)), share, seed)
        return
    parts = train_valid_split((images, np.arange(count)), share, seed)
    again = train_valid_split((images, np.arange(count)), share, seed)
    assert [len(y) for _, y in parts] == [count - size, size]
    for (x, y), (same, _) in zip(parts, again, strict=True):
        np.testing.assert_array_equal(x[:, 0], y)
        np.testing.assert_array_equal(x, same)
        assert x.dtype == np.float32
        assert np.all(np.diff(y) > 0)
    together = np.concatenate([y for _, y in parts])
    assert sorted(together.tolist()) == list(range(count))


def test_split_by_seed():
    """Another seed splits otherwise; a generator will do; none differs every time."""
    data = made(200)[0], np.arange(200)

    def chosen(seed):
        return train_valid_split(data, 0.25, seed)[1][1].tolist()

    assert chosen(3) == chosen(np.random.default_rng(3)) != chosen(4)
    assert chosen(None) != chosen(None)
    assert len(train_valid_split(data)[1][1]) == 20
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    chosen(None)
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before)


def test_split_digits(ten):
    """Digits are split into Digits."""
    parts = train_valid_split(ten, 0.3, 0)
    assert all(isinstance(part, Digits) for part in parts)
    assert [len(part.labels) for part in parts] == [7, 3]
    labels = np.concatenate([part.labels for part in parts])
    assert sorted(labels.tolist()) == list(range(10))
    for part in parts:
        for image, label in zip(*part, strict=True):
            np.testing.assert_array_equal(image, ten.images[label])
        images, chosen = train_valid_split(tuple(ten), 0.3, 0)[parts.index(part)]
        np.testing.assert_array_equal(images, part.images)
        np.testing.assert_array_equal(chosen, part.labels)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((made(10), 0.0), ValueError, "valid_share"),
        ((made(10), 1.0), ValueError, "valid_share"),
        ((made(10), -0.1), ValueError, "valid_share"),
        ((made(10), 1.5), ValueError, "valid_share"),
        ((made(10), np.nan), ValueError, "valid_share"),
        ((made(10), "0.1"), (TypeError, ValueError), "valid_share"),
        ((made(10), None), (TypeError, ValueError), "valid_share"),
        ((made(10), 0.01), ValueError, "valid_share"),
        ((made(10), 0.99), ValueError, "valid_share"),
        ((made(1), 0.5), ValueError, "valid_share"),
        ((made(10), 0.5, "seed"), TypeError, "seed"),
        ((made(10)[0], 0.5), TypeError, "data"),
        (((np.ones((0, 2)), []), 0.5), ValueError, "data"),
        (((np.ones((3, 2)), [1]), 0.5), ValueError, "data"),
        ((None,), TypeError, "data"),
    ],
)
def test_split_refuses(arguments, error, name):
    """What can't be split is refused by name."""
    with pytest.raises(error, match=f"^{name}: "):
        train_valid_split(*arguments)


# The best epoch


def test_best_epoch():
    """The least loss, the largest of anything else, and the first of equals."""
    history = {
        "loss": [3.0, 1.0, 2.0, 1.0],
        "valid_loss": [2.0, 3.0, 1.0, 4.0],
        "accuracy": [0.1, 0.5, 0.7, 0.7],
        "valid_accuracy": [0.9, 0.2, 0.3, 0.1],
    }
    assert best_epoch(history, "loss") == 2
    assert best_epoch(history, "valid_loss") == 3
    assert best_epoch(history, "accuracy") == 3
    assert best_epoch(history, "valid_accuracy") == 1
    assert type(best_epoch(history, "loss")) is int
    assert best_epoch({"loss": [np.nan, 2.0, 1.0, np.nan]}, "loss") == 3
    assert best_epoch({"accuracy": [np.nan, 0.5, 0.7, np.nan]}, "accuracy") == 3
    assert best_epoch({"loss": [np.inf, 2.0]}, "loss") == 2
    for wrong in ({}, {"loss": []}, {"accuracy": [1.0]}):
        with pytest.raises(KeyError, match="monitor: 'loss' is not among"):
            best_epoch(wrong, "loss")


@pytest.mark.parametrize(("patience", "stops"), [(0, 3), (1, 4), (2, 5), (3, 9)])
def test_early_stopping(patience, stops):
    """It stops as soon as more than `patience` epochs were no better than the best."""
    losses = [3.0, 2.0, 2.5, 2.0, 2.1, 1.0, 1.2, 1.1, 1.3]
    stopper, epochs = EarlyStopping(patience), []
    for epoch in range(1, len(losses) + 1):
        history = {"loss": [0.0] * epoch, "valid_loss": losses[:epoch]}
        epochs.append(stopper(epoch, None, history) is True)
    first = epochs.index(True) + 1 if any(epochs) else len(losses)
    assert first == stops
    assert EarlyStopping().patience == 3


def test_early_stopping_when_it_was_over():
    """A run that had been stopped does not go on with its history."""
    history = {"loss": [1.0, 2.0, 2.0], "accuracy": [0.5, 0.5, 0.5]}
    for patience, epochs in [(1, 3), (2, 4)]:
        model, stopper = tiny(), EarlyStopping(patience, "loss")
        before = model.state_dict()
        found = train(model, made(), epochs=4, history=history, callbacks=[stopper])
        assert len(found["loss"]) == epochs
        same = model.state_dict()["1.weight"] == before["1.weight"]
        assert np.all(same) == (epochs == 3)
    assert len(train(tiny(), made(), callbacks=[EarlyStopping(0, "loss")])["loss"]) == 1


def test_early_stopping_monitor():
    """It can watch accuracy, whose largest value is best."""
    history = {"valid_accuracy": [0.5, 0.9, 0.8, 0.9]}
    assert EarlyStopping(1, "valid_accuracy")(4, None, history) is True
    assert EarlyStopping(2, "valid_accuracy")(4, None, history) is False
    with pytest.raises(KeyError, match="monitor: 'valid_loss'"):
        EarlyStopping()(4, None, history)
    for wrong in (-1, 1.5, None):
        with pytest.raises((TypeError, ValueError), match="^patience: "):
            EarlyStopping(wrong)


def test_keep_best():
    """The weights of the best epoch are kept, as a copy."""
    model, keeper = tiny(), KeepBest()
    shares, states = [0.3, 0.6, 0.6, 0.2, 0.7, 0.1], []
    assert keeper.weights == {} and keeper.epoch == 0
    for epoch, best in enumerate([1, 2, 2, 2, 5, 5], 1):
        for p in model.parameters():
            p.data += 1
        states.append(model.state_dict())
        history = {"valid_accuracy": shares[:epoch]}
        assert keeper(epoch, model, history) is not True
        assert keeper.epoch == best
        for key, array in keeper.weights.items():
            np.testing.assert_array_equal(array, states[best - 1][key])
    fresh = tiny(5)
    fresh.load_state_dict(keeper.weights)
    with pytest.raises(KeyError, match="monitor: 'valid_accuracy'"):
        KeepBest()(1, model, {"loss": [1.0]})


def test_stopping_and_keeping_in_fit():
    """Both together, in a run whose rate becomes far too large."""
    model, states = tiny(), []
    optimizer = SGD(model.parameters(), 0.05)
    keeper = KeepBest("valid_loss")

    def spoil(epoch, net, history):
        states.append(net.state_dict())
        optimizer.lr = 0.0 if epoch < 4 else 5.0

    history = train(
        model,
        made(),
        valid=made(12, seed=2),
        optimizer=optimizer,
        epochs=50,
        callbacks=[spoil, keeper, EarlyStopping(2)],
    )
    best = best_epoch(history, "valid_loss")
    assert keeper.epoch == best and len(history["loss"]) == best + 3 < 50
    for key, array in keeper.weights.items():
        np.testing.assert_array_equal(array, states[best - 1][key])


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


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_image_that_holds_nan(wrong):
    """The message names epoch, batch, and the image in the batch as it was shown."""
    images, labels = made(20)
    images[13, 0, 1, 1] = wrong
    order = np.random.default_rng(4).permutation(20)
    place = int(np.flatnonzero(order == 13)[0])
    match = f"^loss is (nan|inf) in epoch 1, batch {place // 5 + 1}: "
    match += f"its image {place % 5} holds NaN or infinity$"
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=match),
    ):
        train(tiny(), (images, labels), seed=4, batch_size=5)
    assert suspect(images) == "its image 13 holds NaN or infinity"
    images[17] = wrong
    assert suspect(images) == "its image 13 holds NaN or infinity"
    assert "learning rate" in suspect(images[:13])
    assert "learning rate" in suspect(np.arange(6).reshape(2, 3))


def test_nan_made_by_augment():
    """It is the changed images that are looked at."""

    def spoil(images, rng):
        images[2] = np.nan
        return images

    with pytest.raises(FloatingPointError, match="epoch 1, batch 1: its image 2"):
        train(tiny(), made(20), augment=spoil)


def test_rate_too_large():
    """A loss that is no number without NaN in the data points to the rate."""
    model = tiny()
    optimizer = SGD(model.parameters(), 1e30)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"epoch \d, batch \d: .*learning rate"),
    ):
        train(model, made(20), optimizer=optimizer, epochs=5)


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


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"loss": None}, "loss"),
        ({"optimizer": None}, "optimizer"),
        ({"optimizer": 0.1}, "optimizer"),
        ({"seed": "one"}, "seed"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_bad_options(options, name):
    """Options of the wrong type are refused by name, before anything is learned."""
    model = tiny()
    before = model.state_dict()
    with pytest.raises(TypeError, match=name):
        train(model, made(), **options)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_labels_of_the_wrong_type():
    """So are labels that are no whole numbers."""
    with pytest.raises(TypeError, match="labels"):
        train(tiny(), (made()[0], np.zeros(23)))


@pytest.mark.parametrize("images", [np.ones((0, 1, 3, 3)), 1.0])
def test_predict_nothing(images):
    """There is nothing to predict for no images."""
    with pytest.raises(ValueError, match="images"):
        predict(tiny(), images)
