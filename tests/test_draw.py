"""What a drawing becomes, and a network in a file; the page is test_site_draw's."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("sphinx")
pytest.importorskip("matplotlib")

from tiny_book import HEADER, build

from cnnbook import draw
from cnnbook.layers import (
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Sigmoid,
)
from cnnbook.models import small_convnet

ROOT = Path(__file__).resolve().parent.parent
DRAWINGS = st.lists(
    arrays(float, st.tuples(st.integers(1, 6), st.just(2)), elements=st.floats(0, 1)),
    min_size=1,
    max_size=4,
)


def large_enough(strokes):
    points = np.concatenate(strokes)
    return np.ptp(points, axis=0).max() > 0.1


# -- A network in a file


def test_bytes_are_those_of_the_numbers():
    record = draw.encoded([[1.0, -2.0, 0.5]])
    raw = base64.b64decode(record["data"])
    assert record["shape"] == [1, 3]
    assert raw == bytes.fromhex("0000803f 000000c0 0000003f")  # lowest byte first
    assert draw.decoded(record).dtype == np.float32


def test_array_that_misses_bytes_is_refused():
    record = draw.encoded(np.ones(4)) | {"shape": [5]}
    with pytest.raises(ValueError, match=r"^record: 4 numbers for \[5\]"):
        draw.decoded(record)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (small_convnet(rng=0), (1, 28, 28)),
        (
            Sequential(
                Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2), bias=False, rng=0),
                MaxPool2d((3, 2), stride=(2, 3), padding=1),
                Conv2d(3, 4, 2, padding="same", dilation=(1, 3), rng=1),
                ReLU(),
                Flatten(),
                Linear(60, 5, bias=False, rng=2),
            ),
            (2, 12, 11),
        ),
    ],
)
def test_unpacked_network_is_the_same(model, shape):
    before = model.state_dict()
    text = draw.packed(model, shape)
    again = draw.unpacked(text)
    x = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    assert np.array_equal(again(x), model(x))
    assert repr(again) == repr(model)
    after = model.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert json.loads(text)["input"] == list(shape)


def test_packed_network_of_the_book_is_small_ascii_and_one_line():
    text = draw.packed(small_convnet(rng=0))
    assert len(text) < 950_000 and text.isascii() and "\n" not in text


@pytest.mark.parametrize("weight", [1e39, np.inf, np.nan])
def test_weight_that_float32_cannot_hold_is_refused(weight):
    model = Sequential(Flatten(), Linear(4, 2, rng=0)).astype(np.float64)
    model[1].weight.data[0, 0] = weight
    with pytest.raises(ValueError, match=r"^model: Linear.*too large for float32"):
        draw.packed(model, (1, 2, 2))


def test_weights_in_float64_are_packed_in_float32():
    model = Sequential(Flatten(), Linear(4, 2, rng=0)).astype(np.float64)
    packed = json.loads(draw.packed(model, (1, 2, 2)))
    assert np.array_equal(
        draw.decoded(packed["layers"][1]["weight"]),
        model.state_dict()["1.weight"].astype(np.float32),
    )


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([Sigmoid()], "no layer Sigmoid"),
        ([AvgPool2d(2)], "no layer AvgPool2d"),
        ([Sequential(ReLU())], "no layer Sequential"),
        ([Conv2d(2, 2, 3, groups=2)], "groups"),
        ([MaxPool2d(2, ceil_mode=True)], "ceil_mode"),
        ([MaxPool2d(2, dilation=2)], "dilation"),
        ([ReLU()], "logits"),
        ([Flatten(), Linear(7, 2)], "features"),
    ],
)
def test_network_that_the_script_cannot_compute_is_refused(layers, told):
    with pytest.raises(ValueError, match=told):
        draw.packed(Sequential(*layers), (2, 8, 8))


def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match="^model: needs a Sequential, got Linear"):
        draw.packed(Linear(2, 2))
    broken = (
        '{"layers": [{"kind": "linear", "weight": {"shape": [2, 2], "data": "%s"}}]}'
    )
    for text in (
        *("", "[]", "{}", '{"layers": [{}]}', '{"layers": 3}', '{"layers": ["relu"]}'),
        *(broken % letters for letters in ("AACAPw==", "A", "é")),
    ):
        with pytest.raises(ValueError, match="^text: no packed network"):
            draw.unpacked(text)


# -- A drawing


def test_ink_by_hand():
    """At distances 0, 1, 2, 3 from a horizontal line: 1, 0.7, 1/30, 0."""
    a, b = np.array([[5.0, 10.0]]), np.array([[15.0, 10.0]])
    ink = draw.pen_ink(a, b)
    assert np.allclose(ink[10:14, 9], [1, 0.7, 1 / 30, 0])
    assert np.allclose(ink[6:11, 9], ink[14:9:-1, 9])
    assert np.allclose(ink[10, 15:19], [1, 0.7, 1 / 30, 0])  # beyond the end: round
    assert np.isclose(ink[11, 16], (1.3 - 2**0.5) / 1.5 + 0.5)


def test_ink_is_that_of_the_nearest_segment():
    rng = np.random.default_rng(0)
    starts, ends = rng.uniform(2, 25, (2, 6, 2))
    each = [draw.pen_ink(a[None], b[None]) for a, b in zip(starts, ends, strict=True)]
    assert np.allclose(draw.pen_ink(starts, ends), np.max(each, axis=0))
    assert np.allclose(draw.pen_ink(ends, starts), draw.pen_ink(starts, ends))


@given(DRAWINGS.filter(large_enough), st.floats(0.4, 3), st.floats(-1, 1))
def test_same_picture_at_any_size_and_place(strokes, size, move):
    before = [stroke.copy() for stroke in strokes]
    picture = draw.rendered(strokes)
    moved = [size * stroke + [move, -2 * move] for stroke in strokes]
    assert np.allclose(draw.rendered(moved), picture, atol=1e-5)
    assert picture.shape == (1, 28, 28) and picture.dtype == np.float32
    assert picture.min() >= 0 and picture.max() <= 1
    assert all(np.array_equal(a, b) for a, b in zip(before, strokes, strict=True))


@given(DRAWINGS.filter(large_enough))
def test_ink_fits_into_the_box(strokes):
    """Over half ink lies in 20 x 20, in whichever direction the drawing is longer."""
    dark = draw.rendered(strokes)[0] > 0.5
    extents = [np.ptp(np.flatnonzero(dark.any(axis=axis))) + 1 for axis in (0, 1)]
    assert 19 <= max(extents) <= 21


@given(DRAWINGS.filter(large_enough))
def test_turned_about_its_diagonal_the_picture_is_transposed(strokes):
    across = draw.rendered([stroke[:, ::-1] for stroke in strokes])
    assert np.allclose(across[0], draw.rendered(strokes)[0].T, atol=1e-5)


def test_center_of_mass_is_in_the_middle():
    for strokes in draw.EXAMPLES:
        (picture,) = draw.rendered(strokes)
        for places in np.indices(picture.shape):
            assert abs(np.sum(places * picture) / picture.sum() - 14) < 0.15


def test_heavy_side_does_not_push_the_rest_out():
    """A dot far from a block: the mass can't come to the middle, the dot stays."""
    block = [[x, y] for x in (0.9, 0.95, 1.0) for y in (0.1, 0.9)]
    (picture,) = draw.rendered([[[0, 0.5]], block])
    columns = np.flatnonzero((picture > 0.5).any(axis=0))
    assert (columns[0], columns[-1]) == (0, 19)
    (across,) = draw.rendered([[[0.5, 1]], np.array(block)[:, ::-1] * [1, -1] + [0, 1]])
    rows = np.flatnonzero((across > 0.5).any(axis=1))
    assert (rows[0], rows[-1]) == (8, 27)


def test_dots_and_lines():
    (dot,) = draw.rendered([[[0.9, 0.1]]])
    assert np.unravel_index(dot.argmax(), dot.shape) == (14, 14)
    assert 5 < dot.sum() < 8  # pi * 1.3² is 5.3, and the rim adds a little
    nearly = draw.rendered([[[0.9, 0.1], [0.9001, 0.1001]]])
    assert np.allclose(nearly, dot, atol=0.05)
    (line,) = draw.rendered([[[0.1, 0.7], [0.5, 0.7]]])
    assert np.flatnonzero(line.any(axis=1)).tolist() == [12, 13, 14, 15, 16]
    assert (line[14] > 0.5).sum() == 20 or (line[14] > 0.5).sum() == 19


def test_nothing_drawn_is_an_empty_picture():
    for nothing in ([], [[]], [np.empty((0, 2))], ()):
        picture = draw.rendered(nothing)
        assert picture.shape == (1, 28, 28) and not picture.any()
        assert picture.dtype == np.float32


@pytest.mark.parametrize(
    ("strokes", "kind", "told"),
    [
        (None, TypeError, "strokes: needs a list"),
        ("drawing", TypeError, "strokes: needs a list"),
        ([[0.1, 0.2]], ValueError, r"strokes\[0\]: needs shape \(K, 2\), got \(2,\)"),
        ([[[1, 2, 3]]], ValueError, r"strokes\[0\]: needs shape"),
        ([[[1, 2]], [[1, 2], [3]]], TypeError, r"strokes\[1\]: needs points"),
        ([[["a", "b"]]], TypeError, r"strokes\[0\]: needs points"),
        ([[[0, np.nan]]], ValueError, r"strokes\[0\]: holds NaN"),
        ([[[0, 0]], [[np.inf, 0]]], ValueError, r"strokes\[1\]: holds NaN, or points"),
        (
            [[[0, 0], [1e300, -1e300]]],
            ValueError,
            r"strokes\[0\]: .* far off the canvas",
        ),
        ([[[0, 1j]]], TypeError, r"strokes\[0\]: needs points"),
    ],
)
def test_what_is_no_drawing_is_refused(strokes, kind, told):
    with pytest.raises(kind, match=f"^{told}"):
        draw.rendered(strokes)


def test_examples_fit_the_canvas():
    assert len(draw.EXAMPLES) == 10
    for strokes in draw.EXAMPLES:
        points = np.concatenate(draw.as_strokes(strokes))
        assert points.min() > 0.05 and points.max() < 0.95


def test_arc_goes_down_with_its_angle():
    points = draw.arc((0.5, 0.5), (0.2, 0.1), 0, 90, 2)
    assert points == [[0.7, 0.5], [0.5, 0.6]]


def test_script_has_the_same_numbers():
    script = (ROOT / "book" / "_static" / "draw.js").read_text(encoding="utf-8")
    numbers = re.search(r"\[SIDE, BOX, MIDDLE, PEN, EDGE\] = \[(.+?)\]", script)[1]
    told = [float(number) for number in numbers.split(",")]
    assert told == [draw.SIDE, draw.BOX, draw.SIDE / 2, draw.PEN, draw.EDGE]
    assert float(re.search(r"SMALLEST = (\S+);", script)[1]) == draw.SMALLEST


# -- The directive

DIGITS = """\
```{code-cell} ipython3
from myst_nb import glue

from cnnbook.draw import packed
from cnnbook.models import small_convnet

glue("network", packed(small_convnet(rng=0)), display=False)
```
"""
CANVAS = "```{draw}\n```\n"


def book(folder, pages):
    texts = {name: f"{HEADER}# {name}\n\n{text}" for name, text in pages.items()}
    return build(folder, texts, ["cnnbook.draw"], {"html_static_path": []})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A book with a canvas on its opening page, its pages and its folder."""
    folder = tmp_path_factory.mktemp("book")
    pages = {"index": CANVAS, "digits": DIGITS, "plain": "Words.\n"}
    contents = "\n```{toctree}\ndigits\nplain\n```\n"
    soups, warnings = book(folder, pages | {"index": CANVAS + contents})
    assert warnings == ""
    return soups, folder / "_build" / "html"


def test_box_has_a_picture_a_sentence_and_the_examples(made):
    (box,) = made[0]["index"].select("div.draw")
    still = box.select_one("div.draw-still")
    assert draw.STILL in " ".join(still.get_text().split())
    image = still.select_one("img")
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert "digits 0 to 9" in image["alt"]
    examples = json.loads(box.select_one('script[type="application/json"]').string)
    assert examples == draw.EXAMPLES


def test_only_pages_with_a_canvas_load_the_script(made):
    soups, _ = made
    for name, has in (("index", 1), ("digits", 0), ("plain", 0)):
        scripts = [s["src"] for s in soups[name].select("script[src]")]
        styles = [s["href"] for s in soups[name].select("link[href]")]
        for files, ending in ((scripts, "draw.js"), (styles, "draw.css")):
            assert sum(f"/{ending}" in file for file in files) == has, (name, ending)
        assert not any("network.js" in file for file in scripts)


def test_network_of_the_build_is_written(made):
    text = (made[1] / "draw" / "network.js").read_text(encoding="ascii")
    assert len(text) < 1_000_000
    start, rest = text.split(" = ", 1)
    assert start == "window.cnnbookNetwork" and rest.endswith(";\n")
    again = draw.unpacked(rest[:-2])
    x = np.random.default_rng(0).uniform(size=(3, 1, 28, 28)).astype(np.float32)
    assert np.array_equal(again(x), small_convnet(rng=0)(x))


@pytest.mark.parametrize(
    "digits",
    [None, "Words.\n", DIGITS.replace('"network"', '"another"')],
)
def test_canvas_without_a_network_is_a_warning(tmp_path, digits):
    pages = {"index": CANVAS}
    if digits is not None:
        pages["index"] += "\n```{toctree}\ndigits\n```\n"
        pages["digits"] = digits
    _, warnings = book(tmp_path, pages)
    assert re.search(r"index.*WARNING: \{draw\}: digits glues no 'network'", warnings)
    assert not (tmp_path / "_build" / "html" / "draw").exists()


def test_book_without_a_canvas_needs_no_network(tmp_path):
    _, warnings = book(tmp_path, {"index": "Words.\n"})
    assert warnings == ""
    assert not (tmp_path / "_build" / "html" / "draw").exists()
