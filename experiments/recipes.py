"""What is trained: the recipes by name, and the deep one with a part left out."""

import dataclasses

from cnnbook.models import MODELS, Recipe, deep_convnet


def without_batch_norm(rng=None):
    """Return the deep network without batch norm."""
    return deep_convnet(rng, batch_norm=False)


def without_dropout(rng=None):
    """Return the deep network without dropout."""
    return deep_convnet(rng, dropout=0.0)


# The comparison learns from fewer images than the record, so that it is soon done.
FEW = 6_000
DEEP = MODELS["deep"]
LEFT_OUT: dict[str, Recipe] = {
    "nothing": DEEP,
    "batch norm": dataclasses.replace(DEEP, build=without_batch_norm),
    "dropout": dataclasses.replace(DEEP, build=without_dropout),
    "changed digits": dataclasses.replace(DEEP, shift=0, rotation=0.0, distortion=0.0),
    "one cycle": dataclasses.replace(DEEP, schedule="none"),
}
# By name, what is trained and judged on the test images, for every seed.
HEADLINES: dict[str, Recipe] = {
    name: MODELS[name] for name in ("wide", "light", "deep")
}
SEEDS = (0, 1, 2)
