"""What the explorer's directive writes; the page itself is test_site_explorer's."""

import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sphinx")
pytest.importorskip("matplotlib")

from cnnbook import explorer
from cnnbook.convolution import correlate2d
from cnnbook.shapes import conv_output_size
from cnnbook.steps import sliding

ROOT = Path(__file__).resolve().parent.parent


def test_rows_are_read():
    assert explorer.read_rows("1 2; -3 .5") == [[1, 2], [-3, 0.5]]
    for wrong in ("", "1 2; 3", "1; ; 2", "a b"):
        with pytest.raises(ValueError):
            explorer.read_rows(wrong)


@pytest.mark.parametrize(("n", "k", "s", "p", "d"), [(5, 3, 2, 1, 1), (9, 2, 3, 0, 4)])
def test_formula_has_its_numbers(n, k, s, p, d):
    text = explorer.size_formula(n, k, s, p, d)
    assert text.endswith(f"= {conv_output_size(n, k, s, p, d)}")
    assert [int(t) for t in re.findall(r"\d+", text)][:6] == [n, 2, p, d, k, 1]


def test_sentence_tells_the_output():
    image, kernel = np.arange(12).reshape(3, 4) % 5, np.array([[1, 0], [-1, 1]])
    text = explorer.sentence(image, kernel)
    rows = correlate2d(image, kernel, "valid").astype(int).tolist()
    said = "; ".join(" ".join(map(str, row)) for row in rows).replace("-", "−")
    assert f"columns: {said}. Its first number is" in text


def test_picture_carries_its_drawing_and_words():
    figure = sliding([1, 2, 3], [1, 0])
    element = ET.fromstring(explorer.picture(figure).replace(">", "/>"))
    assert element.get("alt") == figure.alt
    kind, data = element.get("src").split(",", 1)
    assert kind == "data:image/svg+xml;base64"
    assert ET.fromstring(base64.b64decode(data)).tag.endswith("svg")


def test_limits_are_those_of_the_script():
    script = (ROOT / "book" / "_static" / "explorer.js").read_text(encoding="utf-8")
    told = re.search(r"LIMITS = \{(.+?)\}", script)[1].replace("x:", "input:")
    pairs = dict(re.findall(r"(\w+): (\d+)", told))
    assert {name: int(value) for name, value in pairs.items()} == explorer.LIMITS
    assert float(re.search(r"LARGEST = (\S+);", script)[1]) == explorer.LARGEST


@pytest.mark.parametrize(
    ("name", "x", "kernel", "numbers"),
    [
        ("input", np.ones((9, 1)), [[1]], {}),
        ("input", np.ones((1, 9)), [[1]], {}),
        ("input", [[2e6]], [[1]], {}),
        ("input", [[np.nan]], [[1]], {}),
        ("kernel", np.ones((8, 8)), np.ones((6, 6)), {}),
        ("kernel", [[1]], [[-1.1e6]], {}),
        ("stride", [[1]], [[1]], {"stride": 5}),
        ("padding", [[1]], [[1]], {"padding": 4}),
        ("dilation", [[1]], [[1]], {"dilation": 4}),
    ],
)
def test_what_the_script_has_no_room_for_is_refused(name, x, kernel, numbers):
    with pytest.raises(ValueError, match=f"^{name}: "):
        explorer.check_limits(np.asarray(x).tolist(), kernel, **numbers)


def test_the_largest_example_is_taken():
    x, kernel = np.full((8, 8), 1e6).tolist(), np.full((5, 5), -1e6).tolist()
    explorer.check_limits(x, kernel, stride=4, padding=3, dilation=3)
