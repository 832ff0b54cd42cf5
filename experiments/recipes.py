"""What is trained: the recipes by name, and the deep one with a part left out."""

import dataclasses

from cnnbook.models import MODELS, Recipe, deep_convnet


def without_batch_norm(rng=None):
    """Return the deep network without batch norm."""
    return deep_convnet(rng, batch_norm=False)


def without_dropout(rng=None):
    """Return the deep network without dropout."""
    return deep_convnet(rng, dropout=0.0)


# The comparison trains for fewer epochs than the record, with one seed for each.
BRIEF = dataclasses.replace(MODELS["deep"], epochs=5)
LEFT_OUT: dict[str, Recipe] = {
    "nothing": BRIEF,
    "batch norm": dataclasses.replace(BRIEF, build=without_batch_norm),
    "dropout": dataclasses.replace(BRIEF, build=without_dropout),
    "changed digits": dataclasses.replace(BRIEF, shift=0, rotation=0.0, distortion=0.0),
    "one cycle": dataclasses.replace(BRIEF, schedule="none"),
}
# By name, what is trained and judged on the test images, for every seed.
HEADLINES: dict[str, Recipe] = {
    name: MODELS[name] for name in ("wide", "light", "deep")
}
SEEDS = (0, 1, 2)
