"""Figures: sound SVG, the same each time, showing the numbers given."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from cnnbook import plots  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def pictures(*shape):
    """Return made-up numbers."""
    return np.random.default_rng(0).random(shape)


HISTORY = {
    "loss": [0.9, 0.4, 0.2],
    "accuracy": [0.5, 0.8, 0.9],
    "valid_loss": [1.0, 0.5, 0.4],
    "valid_accuracy": [0.4, 0.7, 0.75],
}
FIGURES = {
    "number_grids": lambda: plots.number_grids(
        {"x": np.arange(6).reshape(2, 3), "k": [[1.5, -2]], "y": [[7]]},
        highlight={"x": (slice(0, 2), slice(1, 3))},
        between="*=",
    ),
    "number_grids shaded": lambda: plots.number_grids(
        {"x": [[0, 0.25], [0.75, 1]]}, shade=True
    ),
    "number_grids of text": lambda: plots.number_grids({"x": [["a", "b"]]}),
    "image_grid": lambda: plots.image_grid(pictures(5, 4, 3), columns=3),
    "image_grid of two sizes": lambda: plots.image_grid(
        [pictures(4, 4), pictures(2, 3)], ["one", "two"], limits=None
    ),
    "filters": lambda: plots.filters(pictures(9, 1, 3, 3) - 0.5),
    "filters of zero": lambda: plots.filters(np.zeros((2, 1, 3, 3))),
    "feature_maps": lambda: plots.feature_maps(pictures(3, 5, 5)),
    "feature_maps in a list": lambda: plots.feature_maps(
        [pictures(2, 3), pictures(4, 4)], ["a", "b"]
    ),
    "predictions": lambda: plots.predictions(
        pictures(3, 1, 4, 4), [1, 2, 3], [1, 7, 3]
    ),
    "predictions without a channel": lambda: plots.predictions(
        pictures(2, 4, 4), np.array([1, 2]), np.array([1, 7]), columns=1
    ),
    "curves": lambda: plots.curves(
        {f"line {k}": ([1, 2, 3], [k, 2 * k, 9]) for k in range(7)}, "x", "y"
    ),
    "curves on logarithmic axes": lambda: plots.curves(
        {"one": ([1, 10, 100], [1, 2, 4])}, logx=True, logy=True, marks=False
    ),
    "training_curves": lambda: plots.training_curves(HISTORY),
    "training_curves without valid": lambda: plots.training_curves(
        {k: v for k, v in HISTORY.items() if "valid" not in k}
    ),
    "bars": lambda: plots.bars({"a": 1.0, "b": 250.0}, "ms"),
    "bars on a logarithmic axis": lambda: plots.bars(
        {"a": 1.0, "b": 250.0}, form="{:.1f}", log=True
    ),
    "histograms": lambda: plots.histograms(
        {str(k): pictures(30, 3) * (k + 1) for k in range(5)}, "size"
    ),
    "paths": lambda: plots.paths(
        lambda x, y: x**2 + 4 * y**2,
        {"a": [(2, 1), (1, 0.5), (0, 0)], "b": np.array([[1, 1], [0, 1]])},
        (-3, 3),
        (-2, 2),
    ),
    "confusion_matrix": lambda: plots.confusion_matrix(
        [[8, 2, 0], [1, 9, 0], [0, 0, 0]]
    ),
    "confusion_matrix with names": lambda: plots.confusion_matrix(
        np.eye(2, dtype=int), ["cat", "dog"]
    ),
    "arcs": lambda: plots.arcs(
        ["data", "layers", "training"],
        {("layers", "data"), ("training", "data"), ("training", "layers")},
    ),
}


def test_every_figure_is_here():
    """No drawing function is left out of the table above."""
    drawing = {
        name
        for name in plots.__all__
        if callable(getattr(plots, name))
        and name[0].islower()
        and name not in {"styled", "new_figure", "draw_grid", "number_text"}
    }
    assert drawing == {name.split(" ")[0] for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_svg(name):
    """A figure is well-formed SVG, the same each time it is drawn."""
    before = dict(matplotlib.rcParams)
    figure = FIGURES[name]()
    assert isinstance(figure, matplotlib.figure.Figure)
    svg = figure._repr_svg_()
    assert isinstance(svg, str)
    root = ET.fromstring(svg.encode())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.get("width").removesuffix("pt")) > 10
    assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}path")) > 0
    assert FIGURES[name]()._repr_svg_() == svg
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", FIGURES)
def test_svg_shown_twice(name):
    """One figure, shown twice, gives the same bytes."""
    figure = FIGURES[name]()
    first = figure._repr_svg_()
    assert figure._repr_svg_() == first


def test_svg_fetches_nothing():
    """Links in an SVG lead into itself or hold their data."""
    links = 0
    for draw in FIGURES.values():
        for element in ET.fromstring(draw()._repr_svg_().encode()).iter():
            for key, value in element.attrib.items():
                if key.endswith("href"):
                    assert value.startswith(("#", "data:"))
                    links += 1
    assert links > 100


@pytest.mark.parametrize("name", FIGURES)
def test_the_readers_settings_do_not_matter(name):
    """With other settings the figure is the same, and they stay as set."""
    expected = FIGURES[name]()._repr_svg_()
    settings = {
        "axes.grid": True,
        "lines.linewidth": 7,
        "font.size": 30,
        "image.cmap": "jet",
        "image.origin": "lower",
        "axes.facecolor": "red",
        "figure.dpi": 30,
    }
    with matplotlib.rc_context(settings):
        assert FIGURES[name]()._repr_svg_() == expected
        for key, value in settings.items():
            assert matplotlib.rcParams[key] == value


def test_pyplot_is_left_alone():
    """No figure stays behind in pyplot, which is not even loaded."""
    code = (
        "import sys, numpy as np; from cnnbook import plots;"
        "plots.filters(np.ones((2, 1, 3, 3)))._repr_svg_();"
        "assert 'matplotlib.pyplot' not in sys.modules; print('fine')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "fine\n", done.stderr


def test_settings_after_an_error():
    """A drawing that fails leaves the settings as they were."""
    before = dict(matplotlib.rcParams)
    with pytest.raises(KeyError):
        plots.arcs(["a"], {("a", "b")})
    assert dict(matplotlib.rcParams) == before


# What they show


def texts(axes):
    """Return all texts inside axes that aren't empty."""
    return [t.get_text() for t in axes.texts if t.get_text()]


def test_number_grids_show_their_numbers():
    """Every number is there, with a true minus sign, and every title."""
    found = texts(FIGURES["number_grids"]().axes[0])
    expected = [*"012345", "1.5", "−2", "7", *"xky", *"*="]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-1.5, "−1.5"),
        (np.float32(0.1), "0.1"),
        (2 / 3, "0.667"),
        ("a-b", "a-b"),
        (np.str_("w"), "w"),
        (True, "1"),
    ],
)
def test_number_text(value, text):
    """Three digits, no needless ones; text stays."""
    assert plots.number_text(value) == text


def test_confusion_matrix_shows_its_counts():
    """Counts by row and column, ticks with names, axes that say which."""
    matrix = np.array([[8, 2], [1, 90]])
    axes = plots.confusion_matrix(matrix, ["cat", "dog"]).axes[0]
    found = {
        (round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
        for t in axes.texts
    }
    expected = {(i, j): str(n) for (i, j), n in np.ndenumerate(matrix)}
    assert found == expected
    assert axes.get_xlabel() == "predicted"
    assert axes.get_ylabel() == "true"
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [t.get_text() for t in labels] == ["cat", "dog"]
    low, high = axes.get_ylim()
    assert low > high  # the first row is on top


def test_training_curves_show_the_history():
    """Loss left, accuracy right, over epochs from 1."""
    loss, accuracy = plots.training_curves(HISTORY).axes
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel() == name
        lines = axes.get_lines()
        for line, key in zip(lines, (name, f"valid_{name}"), strict=True):
            assert list(line.get_xdata()) == [1, 2, 3]
            assert list(line.get_ydata()) == HISTORY[key]
        labels = [t.get_text() for t in axes.get_legend().get_texts()]
        assert labels == ["training", "validation"]


def test_predictions_say_right_or_wrong():
    """Right and wrong differ by sign and weight, not by colour alone."""
    titles = [axes.title for axes in FIGURES["predictions"]().axes]
    assert [t.get_text() for t in titles] == ["1 ✓", "2, not 7 ✗", "3 ✓"]
    weights = [t.get_fontweight() for t in titles]
    assert weights == ["normal", "bold", "normal"]


def test_lines_differ_without_colour():
    """Five lines differ in mark and in dash as well as in colour."""
    lines = FIGURES["curves"]().axes[0].get_lines()[:5]
    for aspect in ("get_marker", "get_linestyle", "get_color"):
        assert len({str(getattr(line, aspect)()) for line in lines}) >= 4
    assert len({line.get_marker() for line in lines}) == 5


def test_images_show_their_pixels():
    """Filters share one scale around zero; maps have their own each."""
    weights = pictures(3, 1, 2, 2) - 0.7
    for k, axes in enumerate(plots.filters(weights).axes[:3]):
        (image,) = axes.get_images()
        np.testing.assert_array_equal(image.get_array(), weights[k, 0])
        low, high = image.get_clim()
        assert -low == high == pytest.approx(np.abs(weights).max())
    maps = [pictures(2, 3), 5 * pictures(4, 4)]
    for one, axes in zip(maps, plots.feature_maps(maps).axes, strict=False):
        assert axes.get_images()[0].get_clim() == (one.min(), one.max())


def test_inputs_stay():
    """No drawing changes what it is given."""
    weights, matrix = pictures(2, 1, 3, 3), np.arange(9).reshape(3, 3)
    kept = weights.copy(), matrix.copy()
    weights.flags.writeable = matrix.flags.writeable = False
    plots.filters(weights)
    plots.feature_maps(weights[:, 0])
    plots.predictions(weights, [1, 2], [2, 2])
    plots.confusion_matrix(matrix)
    plots.number_grids({"m": matrix}, {"m": (0, 0)})
    np.testing.assert_array_equal(weights, kept[0])
    np.testing.assert_array_equal(matrix, kept[1])


# What they refuse


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda: plots.filters(np.ones((2, 3, 3, 3))), "weights"),
        (lambda: plots.filters(np.ones((2, 3, 3))), "weights"),
        (lambda: plots.filters(np.ones((0, 1, 3, 3))), "weights"),
        (lambda: plots.feature_maps(np.ones((2, 3, 4, 4))), "maps"),
        (lambda: plots.feature_maps(np.ones((4, 4))), "maps"),
        (lambda: plots.feature_maps([]), "maps"),
        (lambda: plots.confusion_matrix(np.ones((2, 3))), "matrix"),
        (lambda: plots.confusion_matrix(np.ones(4)), "matrix"),
        (lambda: plots.confusion_matrix(np.eye(3, dtype=int), "ab"), ""),
        (lambda: plots.image_grid([]), "images"),
        (lambda: plots.image_grid(np.ones((2, 3, 4, 5))), ""),
        (lambda: plots.image_grid(np.ones((3, 2, 2)), ["one"]), "titles"),
        (lambda: plots.number_grids({"x": np.ones((2, 2, 2))}), ""),
        (lambda: plots.number_grids({}), "grids"),
        (lambda: plots.curves({"a": ([1, 2], [1, 2, 3])}), ""),
        (
            lambda: plots.predictions(pictures(3, 1, 4, 4), [1, 2], [1, 2, 3]),
            "labels",
        ),
        (
            lambda: plots.predictions(pictures(3, 1, 4, 4), [1, 2, 3], [1]),
            "predicted",
        ),
        (
            lambda: plots.predictions(pictures(2, 3, 4, 4), [1, 2], [1, 2]),
            "",
        ),
        (lambda: plots.histograms({}), "samples"),
        (
            lambda: plots.paths(lambda x, y: x, {"a": np.ones((4, 3))}, (0, 1), (0, 1)),
            "walks",
        ),
    ],
)
def test_wrong_shapes(draw, name):
    """What has the wrong shape is refused, by name where it has one."""
    with pytest.raises((TypeError, ValueError), match=name or None):
        draw()


def test_without_matplotlib():
    """A missing Matplotlib is named, with the command that installs it."""
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import cnnbook\n"
        "try: cnnbook.plots\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert 'pip install "cnnbook[plot]"' in done.stdout, done.stderr
