"""What the results pages promise: a bar for every figure that a sentence hangs on."""

from typing import NamedTuple


class Bar(NamedTuple):
    """A figure's bar.

    Attributes
    ----------
    full, sample
        The least value, on all of MNIST and on the bundled sample; None where that
        edition makes no such promise.
    most
        Whether it is the largest value instead.
    """

    full: float | None
    sample: float | None
    most: bool = False


BARS = {
    # A first network
    "first network": Bar(0.980, 0.965),
    "untrained, accuracy": Bar(0.25, 0.25, most=True),
    "untrained, loss off from log 10": Bar(0.7, 0.7, most=True),
    "untrained guide, accuracy": Bar(0.2, 0.2, most=True),
    "untrained guide, loss off from log 10": Bar(0.01, 0.01, most=True),
    "guide's loss after five epochs": Bar(2.2, 2.2),
    "guide with He's weights, loss after five": Bar(1.0, 1.0, most=True),
    "guide with He's filters, loss after five": Bar(1.0, 1.0, most=True),
    "guide with patience": Bar(0.75, 0.75),
    "one image at a time": Bar(0.87, 0.87),
    # The 98.33% network
    "wide network": Bar(0.993, 0.985),
    "wide network, mean of three": Bar(0.993, 0.993),
    # Past 98%, past 99.5%
    "light network": Bar(0.994, 0.985),
    "light network, mean of three": Bar(0.995, 0.995),
    "light network, minutes": Bar(10, 10, most=True),
    "deep network, mean of three": Bar(0.996, 0.996),
}


def hold(name: str, value: float, images: int) -> float:
    """Return `value`, or raise if it misses its bar.

    Parameters
    ----------
    name : str
        Of the bar.
    value : float
    images : int
        How many training images there are: 60,000 are all of MNIST.

    Raises
    ------
    KeyError
        If there is no such bar.
    AssertionError
        If the bar is missed; it says by what.
    """
    bar = BARS[name]
    edition = "full" if images == 60_000 else "sample"
    least = getattr(bar, edition)
    if least is None:
        return value
    if not (value <= least if bar.most else value >= least):
        kind = "at most" if bar.most else "at least"
        raise AssertionError(f"{name}: {value} is not {kind} {least} ({edition})")
    return value
