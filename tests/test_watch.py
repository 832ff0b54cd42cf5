"""A training that is looked at."""

import itertools
import json

import numpy as np
import pytest

from cnnbook.data import load_mnist
from cnnbook.losses import CrossEntropyLoss
from cnnbook.models import small_convnet
from cnnbook.optimizers import Adam
from cnnbook.session import looks
from cnnbook.training import fit
from cnnbook.watch import watched

pytestmark = pytest.mark.filterwarnings("ignore:using the bundled sample")


@pytest.fixture(scope="module")
def some():
    train, _ = load_mnist("sample")
    return train.take(np.s_[:1200])


def test_looks_come_as_often_as_asked(some):
    found = list(watched(some, epochs=2, batch_size=100, every=4))
    assert [look.images for look in found] == [400, 800, 1100, 1500, 1900, 2200]
    assert [look.valid is not None for look in found] == [False, False, True] * 2
    assert all(0 <= look.accuracy <= 1 and look.speed > 0 for look in found)
    assert np.shape(found[0].filters) == (8, 3, 3)
    assert found[-1].loss < found[0].loss and found[-1].valid > 0.6
    assert not np.array_equal(found[0].filters, found[-1].filters)


def test_it_learns_what_fit_learns(some):
    """The same network, images, order and rates, in the library's own loop."""
    found = list(watched(some, epochs=2, batch_size=100, every=11))
    kept = np.arange(len(some)) % 12 != 11
    model, losses = small_convnet(rng=0), []
    optimizer = Adam(model.parameters(), lr=3e-3, weight_decay=5e-4)

    def slower(epoch, model, history):
        optimizer.lr = 3e-3 * (1 - epoch / 2)
        losses.append(history["loss"][-1])

    fit(
        model,
        some.take(kept),
        loss=CrossEntropyLoss(),
        optimizer=optimizer,
        epochs=2,
        batch_size=100,
        seed=0,
        callbacks=[slower],
        progress=False,
    )
    assert np.allclose([look.loss for look in found], losses, rtol=1e-6)
    filters = model[0].weight.data[:, 0]
    assert np.allclose(found[-1].filters, filters, atol=1e-4)


def test_nothing_is_computed_before_it_is_asked_for(some):
    asked = watched(some, epochs=1000)
    assert next(asked).images == 640
    asked.close()
    assert len(list(itertools.islice(watched(some), 2))) == 2


def test_a_look_is_json(some):
    shown = looks(next(watched(some)))
    told = json.loads(shown["application/json"])
    assert told["images"] == 640 and told["valid"] is None
    assert "text/plain" in shown


def test_the_callers_images_stay(some):
    images, labels = some.images.copy(), some.labels.copy()
    list(watched((images, labels), epochs=1))
    assert np.array_equal(images, some.images)
    assert np.array_equal(labels, some.labels)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"epochs": 0}, "epochs"),
        ({"every": 0}, "every"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
    ],
)
def test_wrong_settings_are_named(some, options, name):
    with pytest.raises((TypeError, ValueError), match=name):
        next(watched(some, **options))


def test_wrong_images_are_named():
    for wrong in ((), [], (np.zeros((20, 784)), np.zeros(20, int))):
        with pytest.raises((TypeError, ValueError), match="train"):
            next(watched(wrong))


def test_too_few_images(some):
    with pytest.raises(ValueError, match="train: needs at least 12"):
        next(watched(some.take(np.s_[:5])))


def test_filters_move_most_in_the_first_epoch():
    """As the chapter on the first network says."""
    ends = [look.filters for look in watched(epochs=3, every=10**6)]
    starts = [small_convnet(rng=0)[0].weight.data[:, 0], *ends[:-1]]
    pairs = zip(starts, ends, strict=True)
    moved = [np.linalg.norm(np.subtract(b, a)) for a, b in pairs]
    assert moved[0] > 1.5 * moved[1] > 1.5 * moved[2] > 0
