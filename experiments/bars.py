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
    "untrained loss, off from log 10": Bar(0.7, 0.7, most=True),
    "first network": Bar(0.980, 0.965),
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
