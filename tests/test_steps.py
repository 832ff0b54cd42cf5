"""Step figures: what stands in a frame is what NumPy and SciPy compute."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg

from cnnbook import plots, steps

IMAGE = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]])
SMALL = np.array([[1, 0], [-1, 1]])
FIGURES = {
    "line": lambda: steps.sliding([1, 3, 2, 5, 4], [1, 0, -1], padding=1),
    "image": lambda: steps.sliding(IMAGE, SMALL, stride=(1, 2), dilation=(2, 1)),
    "shrinking": lambda: steps.shrinking(IMAGE, 2),
    "turning": lambda: steps.turning(np.arange(9).reshape(3, 3)),
    "unrolling": lambda: steps.unrolling(IMAGE[:3, :3], SMALL),
}


def written(figure):
    """All texts of a figure, in the order in which they were drawn."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def number(text):
    return float(text.replace("−", "-"))


def dumb_sum(text):
    """The value of a sum like "1·2 + 0·(−1)", computed from its letters."""
    plain = text.replace("−", "-").replace("·", "*").replace("+ ", "+")
    assert re.fullmatch(r"[-+*().\d ]+", plain), text
    total = 0.0
    for part in plain.split("+"):
        a, b = part.strip().split("*")
        total += float(a) * float(b.strip("()"))
    return total


def test_walk_agrees_with_scipy():
    """Windows and outputs, for strides, paddings and dilations with remainders."""
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(0)
    for _ in range(60):
        image = rng.integers(-9, 10, rng.integers(3, 8, 2))
        kernel = rng.integers(-9, 10, rng.integers(1, 4, 2))
        stride, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
        padding = rng.integers(0, 3, 2)
        wide = np.zeros(dilation * (np.array(kernel.shape) - 1) + 1)
        wide[:: dilation[0], :: dilation[1]] = kernel
        padded = np.pad(image, [(p, p) for p in padding])
        options = {
            "stride": tuple(stride),
            "padding": tuple(padding),
            "dilation": tuple(dilation),
        }
        if (np.array(padded.shape) < wide.shape).any():
            with pytest.raises(ValueError, match="kernel"):
                steps.walk(image, kernel, **options)
            continue
        expected = signal.correlate2d(padded, wide, "valid")
        expected = expected[:: stride[0], :: stride[1]]
        walked = steps.walk(image, kernel, **options)
        assert np.array_equal(walked.output, expected)
        assert np.array_equal(walked.padded, padded)
        assert [step.value for step in walked.steps] == expected.ravel().tolist()
        for step in walked.steps:
            assert np.sum(step.pixels * kernel) == step.value
            assert np.array_equal(step.pixels, padded[np.ix_(step.rows, step.columns)])


def test_numbers_in_the_frames_of_an_image():
    figure = steps.sliding(IMAGE, SMALL)  # nine steps, four of them drawn
    texts = written(figure)
    titles = [t for t in texts if t.startswith("Y[")]
    assert titles == ["Y[0,0]", "Y[0,1]", "Y[0,2]", "Y[2,2]"]
    whole = " ".join(texts)
    sums = re.findall(r"(\S+·\S+(?: \+ \S+·\S+)+) = (\S+)", whole)
    assert [number(value) for _, value in sums] == [2, 3, 4, 2]
    assert [dumb_sum(terms) for terms, _ in sums] == [2, 3, 4, 2]


def test_output_is_filled_as_far_as_it_is_known():
    walked = steps.walk(IMAGE, SMALL)
    for step in walked.steps:
        texts = steps.so_far(walked.output, step).ravel()
        known = step.number + 1
        assert [number(t) for t in texts[:known]] == walked.output.ravel()[
            :known
        ].tolist()
        assert not any(texts[known:])


def test_weights_stand_on_their_pixels():
    walked = steps.walk(IMAGE, SMALL, stride=1, dilation=2)
    assert steps.laid(walked.steps[1], SMALL) == {
        (0, 1): "·1",
        (0, 3): "·0",
        (2, 1): "·−1",
        (2, 3): "·1",
    }


def test_a_sentence_for_each_step():
    alt = steps.sliding([1, 3, 2, 5, 4], [1, 0, -1], show=(0, -1)).alt
    assert "2 of 3 steps are drawn." in alt
    assert "Step 1: Y[0] is 1·1 + 3·0 + 2·(−1) = −1." in alt
    assert "Step 3: Y[2] is 2·1 + 5·0 + 4·(−1) = −2." in alt
    assert "Step 2" not in alt
    for name, draw in FIGURES.items():
        told = draw().alt
        assert len(told) > 80 and "nan" not in told and "  " not in told, name


@settings(max_examples=25)
@given(
    st.lists(st.integers(-20, 20), min_size=3, max_size=8),
    st.lists(st.integers(-20, 20), min_size=1, max_size=3),
)
def test_every_sum_that_is_told_is_right(signal, kernel):
    alt = steps.sliding(signal, kernel).alt
    expected = np.correlate(signal, kernel, "valid").tolist()
    found = re.findall(r"Step (\d+): Y\[(\d+)\] is (.+?) = (\S+?)\.(?: |$)", alt)
    assert found
    for count, place, terms, value in found:
        assert int(count) == int(place) + 1
        assert dumb_sum(terms) == number(value) == expected[int(place)]


def test_turned_kernel():
    kernel = np.arange(1, 7).reshape(2, 3)
    figure = steps.turning(kernel)
    digits = [int(t) for t in written(figure) if re.fullmatch(r"\d+", t)]
    frames = np.reshape(digits, (3, 7))  # the frame's number, and six numbers
    assert frames[:, 0].tolist() == [1, 2, 3]
    assert np.array_equal(frames[0, 1:], kernel.ravel())
    assert np.array_equal(frames[1, 1:], kernel[::-1].ravel())
    assert np.array_equal(frames[2, 1:], np.rot90(kernel, 2).ravel())
    assert figure.alt.endswith("turned by 180°: 6 5 4; 3 2 1.")


def marked(figure):
    """(mark, number in the same cell) of every mark of a figure."""
    (axes,) = figure.axes
    texts = {tuple(np.round(t.get_position(), 3)): t.get_text() for t in axes.texts}
    found = []
    for line in axes.lines:
        if line.get_marker() not in ("None", "", None):
            place = (line.get_xdata()[0] + 0.28, line.get_ydata()[0] + 0.30)
            look = (line.get_marker(), line.get_markerfacecolor())
            found.append((look, texts[tuple(np.round(place, 3))]))
    return found


def test_marks_follow_their_numbers():
    """A number's mark is the same in all three frames, wherever it went."""
    marks = marked(steps.turning(np.arange(9).reshape(3, 3)))
    assert len(marks) == 27 and len(set(marks)) == 9
    assert len({look for look, _ in marks}) == 9
    corners = marked(steps.turning(np.arange(16).reshape(4, 4)))
    assert {number for _, number in corners} == {"0", "3", "12", "15"}


def test_winner_is_marked():
    numbers = [number for _, number in marked(steps.shrinking(IMAGE, 2))]
    assert numbers == ["2", "3", "3", "2"]
    assert marked(steps.shrinking(IMAGE, 2, how="mean")) == []


def test_columns_are_those_of_im2col():
    from cnnbook.lowering import im2col

    image = IMAGE[:3, :3]
    alt = steps.unrolling(image, SMALL).alt
    columns = im2col(image[None], 2)
    found = re.findall(r"numbers (.+?) are column (\d)", alt)
    assert len(found) == 4
    for numbers, place in found:
        given = [number(n) for n in numbers.split(", ")]
        assert given == columns[:, int(place)].tolist()
    outputs = SMALL.reshape(1, -1) @ columns
    shown = " ".join(steps.short(v) for v in outputs.ravel())
    assert alt.endswith(f"in a row: {shown}.")


@pytest.mark.parametrize("how", ["max", "mean"])
def test_pooling_frames(how):
    figure = steps.shrinking(IMAGE, 2, stride=1, how=how, show=range(9))
    windows = np.lib.stride_tricks.sliding_window_view(IMAGE, (2, 2))
    expected = getattr(windows, how)(axis=(2, 3)).ravel()
    shown = [
        number(t.split()[-1]) for t in written(figure) if t.startswith(f"the {how}")
    ]
    assert np.allclose(shown, expected, rtol=5e-3)
    assert figure.alt.count("Step ") == 9


def test_rounded_numbers_are_called_so():
    assert "≈ 0.333" in steps.sliding([1.0, 1.0], [1 / 6, 1 / 6]).alt
    assert "= 0.5" in steps.sliding([1.0, 1.0], [0.25, 0.25]).alt
    assert steps.short(12345) == "12345" and steps.short(-3) == "−3"
    assert steps.equals(0.5, (0.1 + 0.2,)) == "≈ 0.5"


@pytest.mark.parametrize("name", FIGURES)
def test_same_bytes_twice_and_sound(name):
    first, second = FIGURES[name]()._repr_svg_(), FIGURES[name]()._repr_svg_()
    assert first == second
    root = ET.fromstring(first[first.index("<svg") :])
    wide = float(root.get("width").removesuffix("pt")) / 72
    assert wide <= 5.5  # inches: letters stay legible on a telephone
    assert plots.INK in first


def test_letters_are_legible_on_a_telephone():
    """At 358 pixels, the column of a telephone, no letter is under 6.5 pixels."""
    for name, draw in FIGURES.items():
        figure = draw()
        shrunk = min(1, 358 / (96 * figure.get_size_inches()[0]))
        sizes = [t.get_fontsize() for axes in figure.axes for t in axes.texts]
        assert min(sizes) * 96 / 72 * shrunk >= 6.5, name


def test_nothing_of_a_frame_lies_outside():
    for name, draw in FIGURES.items():
        (axes,) = draw().axes
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        for text in axes.texts:
            x, y = text.get_position()
            assert low <= x <= high and top <= y <= bottom, (name, text)


def test_every_letter_lies_in_one_part():
    """A slide shows the parts apart: nothing may be cut off, or shown twice."""
    for name, draw in FIGURES.items():
        figure = draw()
        (axes,) = figure.axes
        renderer = FigureCanvasAgg(figure).get_renderer()
        named = [p for p in axes.patches if "part-" in str(p.get_gid())]
        assert [p.get_gid() for p in named] == [
            f"part-{k + 1}" for k in range(len(named))
        ]
        assert len(named) >= 2, name
        boxes = [p.get_window_extent(renderer) for p in named]
        for text in axes.texts:
            box = text.get_window_extent(renderer)
            inside = [
                b.x0 <= box.x0 and box.x1 <= b.x1 and b.y0 <= box.y0 and box.y1 <= b.y1
                for b in boxes
            ]
            assert sum(inside) == 1, (name, text)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("x", lambda: steps.sliding([], [1])),
        ("x", lambda: steps.sliding(np.zeros((2, 2, 2)), [[1]])),
        ("x", lambda: steps.sliding([1, np.nan], [1])),
        ("x", lambda: steps.sliding([1, np.inf], [1])),
        ("x", lambda: steps.sliding(np.zeros((1000, 1000)), [[1]])),
        ("x", lambda: steps.unrolling([1, 2], [1])),
        ("x", lambda: steps.shrinking([1, 2], 1)),
        ("kernel", lambda: steps.sliding([1, 2], [])),
        ("kernel", lambda: steps.sliding([1, 2], [1, 2, 3])),
        ("kernel", lambda: steps.sliding([1, 2], [[1]])),
        ("kernel", lambda: steps.sliding([1, 2], [np.nan])),
        ("kernel", lambda: steps.sliding(IMAGE, np.ones((3, 3)), dilation=2)),
        ("kernel", lambda: steps.turning([1, 2])),
        ("kernel", lambda: steps.turning(np.ones((6, 6)))),
        ("kernel", lambda: steps.unrolling(IMAGE, np.ones((1, 1)))),
        ("kernel_size", lambda: steps.shrinking(IMAGE, 0)),
        ("kernel_size", lambda: steps.shrinking(IMAGE, 5)),
        ("padding", lambda: steps.sliding([1, 2], [1], padding=-1)),
        ("padding", lambda: steps.sliding([1, 2], [1], padding=10**6)),
        ("stride", lambda: steps.sliding([1, 2], [1], stride=0)),
        ("stride", lambda: steps.sliding(IMAGE, SMALL, stride=(1, 2, 3))),
        ("dilation", lambda: steps.sliding([1, 2], [1], dilation=0)),
        ("show", lambda: steps.sliding([1, 2], [1], show=())),
        ("show", lambda: steps.sliding([1, 2], [1], show=(2,))),
        ("show", lambda: steps.sliding(IMAGE, [[1]], show=range(10))),
        ("names", lambda: steps.sliding([1, 2], [1], names="XY")),
        ("how", lambda: steps.shrinking(IMAGE, 2, how="median")),
    ],
)
def test_refusals_name_the_argument(argument, call):
    with pytest.raises(ValueError, match=f"^{argument}\\b"):
        call()


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("x", lambda: steps.sliding(["a"], [1])),
        ("stride", lambda: steps.sliding([1, 2], [1], stride=1.5)),
        ("padding", lambda: steps.sliding([1, 2], [1], padding="much")),
        ("show", lambda: steps.sliding([1, 2], [1], show=(0.5,))),
    ],
)
def test_wrong_types_name_the_argument(argument, call):
    with pytest.raises(TypeError, match=f"^{argument}\\b"):
        call()


@pytest.mark.parametrize("names", [None, 5, "XYZK", ["X", "K", 3]])
def test_wrong_names_are_refused_by_name(names):
    with pytest.raises(ValueError, match="names: needs three texts"):
        steps.sliding(IMAGE, SMALL, names=names)
    with pytest.raises(ValueError, match="names: needs three texts"):
        steps.unrolling(IMAGE, SMALL, names=names)
    with pytest.raises(ValueError, match="names: needs two texts"):
        steps.shrinking(IMAGE, 2, names=names)


def test_truth_values_are_no_steps():
    for show in ([True], [np.True_], np.array([True, False])):
        with pytest.raises(TypeError, match="show: needs a list of whole numbers"):
            steps.sliding(IMAGE, SMALL, show=show)


def test_ragged_rows_are_refused_by_name():
    rows = [[1, 2], [3]]
    with pytest.raises(TypeError, match="kernel: can't be made an array"):
        steps.turning(rows)
    for draw in (
        lambda: steps.shrinking(rows, 1),
        lambda: steps.unrolling(rows, SMALL),
        lambda: steps.sliding(rows, SMALL),
    ):
        with pytest.raises(TypeError, match="x: can't be made an array"):
            draw()
