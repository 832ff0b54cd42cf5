"""What the explorer's directive writes; the page itself is test_site_explorer's."""

import base64
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

pytest.importorskip("sphinx")
pytest.importorskip("matplotlib")

from cnnbook import explorer
from cnnbook.convolution import correlate2d
from cnnbook.shapes import conv_output_size
from cnnbook.steps import sliding


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
