"""Figures: sound SVG, the same each time, showing the numbers given."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import Untouched

from cnnbook.data import load_photograph

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402

from cnnbook import plots  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def pictures(*shape):
    """Return made-up numbers."""
    return np.random.default_rng(0).random(shape)


GRIDS = {
    "a": np.arange(6).reshape(2, 3),
    "b": [[10, 11], [12, 13], [14, 15], [16, 17]],
    "c": [[20]],
    "d": [30, 31, 32, 33],
    "e": [[40], [41]],
}
MARGIN = np.pad(np.zeros((2, 2), bool), 1, constant_values=True)
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
    "number_grids in lines": lambda: plots.number_grids(GRIDS, columns=2),
    "number_grids with faint cells": lambda: plots.number_grids(
        {"x": np.pad([[1, 2], [3, 4]], 1)}, {"x": np.s_[:2, :2]}, faint={"x": MARGIN}
    ),
    "number_grids of text": lambda: plots.number_grids({"x": [["a", "b"]]}),
    "windows": lambda: plots.windows(7, [[-1, 1, 3], [1, 3, 5], [3, 5, 7]]),
    "windows on a line alone": lambda: plots.windows(8, [[0, 1, 2], [3, 4, 5]]),
    "windows of one pixel": lambda: plots.windows(1, [[0]], cell=0.8),
    "image_grid": lambda: plots.image_grid(pictures(5, 4, 3), columns=3),
    "image_grid of two sizes": lambda: plots.image_grid(
        [pictures(4, 4), pictures(2, 3)], ["one", "two"], limits=None
    ),
    "image_grid in colour": lambda: plots.image_grid(pictures(4, 3, 5, 8), columns=2),
    "image_grid in colour and grey": lambda: plots.image_grid(
        [pictures(3, 4, 6), pictures(9, 2), pictures(2, 9)], ["a", "b", "c"], size=1.5
    ),
    "image_grid of large images": lambda: plots.image_grid(
        [np.ones((3, 90, 120)) * np.linspace(0, 1, 120), np.eye(101)], size=2
    ),
    "filters": lambda: plots.filters(pictures(9, 1, 3, 3) - 0.5),
    "filters of zero": lambda: plots.filters(np.zeros((2, 1, 3, 3))),
    "feature_maps": lambda: plots.feature_maps(pictures(3, 5, 5)),
    "feature_maps in a list": lambda: plots.feature_maps(
        [pictures(2, 3), pictures(4, 4)], ["a", "b"]
    ),
    "layer_maps": lambda: plots.layer_maps(
        {"conv": pictures(2, 5, 4, 3) - 0.5, "dense": pictures(2, 6)}, "ab", columns=3
    ),
    "layer_maps of one image": lambda: plots.layer_maps(
        {"relu": np.zeros((1, 1, 2, 2))}, width=3
    ),
    "reading": lambda: plots.reading(
        pictures(2, 1, 4, 4), pictures(2, 8, 3, 3), [[0.9, 0.1], [0.2, 0.8]]
    ),
    "reading of one image": lambda: plots.reading(
        pictures(1, 4, 4), np.zeros((1, 3, 2, 2)), np.eye(10)[:1]
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
    "histograms between limits": lambda: plots.histograms(
        {"one": pictures(30, 3), "two": pictures(9)}, "size", 5, limits=(0, 2)
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
        and name not in {"marked_cells", "frame_cells", "whole_number", "mosaic"}
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


def squares(axes):
    """Return the cells of tables or lines: corner -> the rectangle with an edge."""
    edged = [p for p in axes.patches if p.get_linewidth() > 0]
    assert {(p.get_width(), p.get_height()) for p in edged} == {(1, 1)}
    return {tuple(round(float(v), 6) for v in p.get_xy()): p for p in edged}


def inside(axes):
    """Return whether all that is drawn into axes lies within their limits."""
    left, right = axes.get_xlim()
    low, high = sorted(axes.get_ylim())
    corners = [(p.get_x(), p.get_y()) for p in axes.patches]
    corners += [
        (p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in axes.patches
    ]
    corners += [xy for line in axes.lines for xy in line.get_xydata()]
    corners += [text.get_position() for text in axes.texts]
    return all(left <= x <= right and low <= y <= high for x, y in corners)


def tables(figure):
    """Return each table of numbers: title -> (left, top, rows of texts).

    A text belongs to the square that it stands in; the squares of a table touch;
    its title stands above it, in the middle.
    """
    (axes,) = figure.axes
    cells, titles = {}, {}
    corners = set(squares(axes))
    for text in axes.texts:
        x, y = text.get_position()
        here = [(u, v) for u, v in corners if 0 < x - u < 1 and 0 < y - v < 1]
        if here:
            assert here[0] not in cells  # one number in a square
            cells[here[0]] = text.get_text()
        elif text.get_text():
            titles[text.get_text()] = (x, y)
    assert set(cells) == corners
    found = {}
    while corners:
        group = {min(corners)}
        while True:
            near = {
                (u, v)
                for u, v in corners - group
                if any(abs(u - a) + abs(v - b) < 1.01 for a, b in group)
            }
            if not near:
                break
            group |= near
        corners -= group
        left, top = min(u for u, _ in group), min(v for _, v in group)
        right, bottom = (1 + max(u for u, _ in group), 1 + max(v for _, v in group))
        shape = round(bottom - top), round(right - left)
        assert len(group) == shape[0] * shape[1]  # a whole rectangle
        rows = [[""] * shape[1] for _ in range(shape[0])]
        for u, v in group:
            rows[round(v - top)][round(u - left)] = cells[u, v]
        (title,) = (
            name
            for name, (x, y) in titles.items()
            if abs(x - (left + right) / 2) < 0.01 and 0 < top - y < 0.9
        )
        found[title] = (left, top, rows)
    return found


def written(grid):
    """Return the texts of a grid of whole numbers."""
    return [[str(value) for value in row] for row in np.atleast_2d(grid).tolist()]


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, None, np.int64(2)])
def test_number_grids_in_lines(columns):
    """Every line has so many tables, in order, left to right and top to bottom."""
    figure = plots.number_grids(GRIDS, columns=columns)
    found = tables(figure)
    assert {title: rows for title, (_, _, rows) in found.items()} == {
        title: written(grid) for title, grid in GRIDS.items()
    }
    step = len(GRIDS) if columns is None else int(columns)
    names = list(GRIDS)
    lines = [names[k : k + step] for k in range(0, len(names), step)]
    bottom = -np.inf
    for line in lines:
        boxes = [found[name] for name in line]
        lefts = [left for left, _, _ in boxes]
        rights = [left + len(rows[0]) for left, _, rows in boxes]
        assert all(a + 1 < b for a, b in zip(rights, lefts[1:], strict=False))
        middles = {round(top + len(rows) / 2, 6) for _, top, rows in boxes}
        assert len(middles) == 1  # the tables of a line have one middle
        assert min(top for _, top, _ in boxes) > bottom + 1  # room for titles
        bottom = max(top + len(rows) for _, top, rows in boxes)
        centre = (lefts[0] + rights[-1]) / 2
        assert centre == pytest.approx(sum(figure.axes[0].get_xlim()) / 2)
    assert inside(figure.axes[0])


def test_number_grids_in_one_line_unless_told():
    """As many columns as tables, or more, are the same as none given."""
    expected = plots.number_grids(GRIDS, between="abcd")._repr_svg_()
    for columns in (5, 6, 100):
        figure = plots.number_grids(GRIDS, between="abcd", columns=columns)
        assert figure._repr_svg_() == expected
    assert plots.number_grids(GRIDS, columns=4)._repr_svg_() != expected


def test_number_grids_grow_with_their_lines():
    """A cell has the same size however the tables are arranged."""
    for columns in (1, 2, None):
        for cell in (0.5, 0.25):
            figure = plots.number_grids(GRIDS, cell=cell, columns=columns)
            axes = figure.axes[0]
            figure.draw_without_rendering()
            corners = axes.transData.transform([(0, 0), (1, 1)])
            sides = np.abs(np.diff(corners, axis=0)) / figure.dpi
            np.testing.assert_allclose(sides, cell, rtol=0.06)


def signs(figure):
    """Return the signs between tables, by place, from left to right by lines."""
    found = [t for t in figure.axes[0].texts if t.get_text() in tuple("*=+")]
    found.sort(key=lambda t: t.get_position()[::-1])
    return [(t.get_text(), *t.get_position()) for t in found]


def test_number_grids_have_signs_between_neighbours():
    """A sign stands in the gap of two tables of one line, never at a line's end."""
    grids = {name: [[k]] for k, name in enumerate("abcd")}
    for columns, between, expected in (
        (None, "*=+", "*=+"),
        (4, "*=+", "*=+"),
        (1, "*=+", ""),
        (2, "*+", "*+"),
        (None, "*", "*"),
        (None, "", ""),
    ):
        figure = plots.number_grids(grids, between=between, columns=columns)
        found = signs(figure)
        assert "".join(sign for sign, _, _ in found) == expected
        boxes = [(left, top) for left, top, _ in tables(figure).values()]
        for _, x, y in found:
            beside = [left for left, top in boxes if top < y < top + 1]
            assert any(left + 1 < x for left in beside)
            assert any(x < left for left in beside)


def test_number_grids_faint_cells_are_dotted_and_small():
    """Faint cells differ in edge, slant and size, not in colour; others don't."""
    grid = np.arange(10, 26).reshape(4, 4)
    figure = plots.number_grids({"x": grid, "y": grid + 20}, faint={"x": MARGIN})
    ((left, top, _), (second, _, _)) = tables(figure).values()
    axes = figure.axes[0]
    edges = squares(axes)
    for text in axes.texts:
        if not text.get_text().isdigit():
            continue
        value = int(text.get_text())
        i, j = divmod((value - 10) % 20, 4)
        faint = value < 30 and MARGIN[i, j]
        corner = ((left if value < 30 else second) + j, top + i)
        edge = edges[tuple(round(v, 6) for v in corner)]
        assert edge.get_linestyle() in ((":", "dotted") if faint else ("-", "solid"))
        assert text.get_style() == ("italic" if faint else "normal")
        size = text.get_fontsize()
        assert size < 10 if faint else size == 10
    assert plots.number_grids({"x": grid}, faint={})._repr_svg_() == (
        plots.number_grids({"x": grid})._repr_svg_()
    )


def test_number_grids_faint_and_highlighted_at_once():
    """A cell of the margin may be framed, too: it is then bold and slanted."""
    grid = np.arange(10, 26).reshape(4, 4)
    figure = plots.number_grids(
        {"x": grid}, highlight={"x": np.s_[:2, :2]}, faint={"x": MARGIN}
    )
    looks = {
        text.get_text(): (text.get_weight(), text.get_style())
        for text in figure.axes[0].texts
    }
    assert looks["10"] == ("bold", "italic")
    assert looks["15"] == ("bold", "normal")
    assert looks["13"] == ("normal", "italic")
    assert looks["20"] == ("normal", "normal")


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (None, []),
        ({}, []),
        ({"other": (0, 0)}, []),
        ({"x": (1, 2)}, [(1, 2)]),
        ({"x": 1}, [(1, 0), (1, 1), (1, 2)]),
        ({"x": np.s_[:, 1:]}, [(0, 1), (0, 2), (1, 1), (1, 2)]),
        ({"x": np.s_[:, [0, 2]]}, [(0, 0), (0, 2), (1, 0), (1, 2)]),
        ({"x": ([0, 1], [2, 0])}, [(0, 2), (1, 0)]),
        ({"x": np.arange(6).reshape(2, 3) > 3}, [(1, 1), (1, 2)]),
        ({"x": np.s_[:0]}, []),
    ],
    ids=str,
)
def test_marked_cells(which, expected):
    """Anything that indexes a matrix marks its cells."""
    mask = plots.marked_cells(np.zeros((2, 3)), "x", which)
    assert mask.dtype == bool
    assert mask.shape == (2, 3)
    assert list(zip(*(axis.tolist() for axis in mask.nonzero()), strict=True)) == (
        expected
    )


@pytest.mark.parametrize(
    "marked",
    [
        [[0, 0, 0], [0, 0, 0]],
        [[0, 1, 0], [0, 0, 0]],
        [[1, 1, 1], [1, 1, 1]],
        [[1, 0, 0], [1, 1, 0]],
        [[1, 0, 1], [0, 1, 0]],
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
    ],
    ids=str,
)
def test_frame_cells_draw_the_outline(marked):
    """A line where just one of two neighbours is marked; a tint on every cell."""
    marked = np.array(marked, bool)
    _, (axes,) = plots.new_figure(2, 2)
    with Untouched(marked):
        plots.frame_cells(axes, marked, 10.0, 20.0)
    tinted = {(p.get_x() - 10, p.get_y() - 20) for p in axes.patches}
    assert tinted == {(j, i) for i, j in zip(*marked.nonzero(), strict=True)}
    assert len(axes.patches) == marked.sum()
    assert all(0 < p.get_alpha() < 0.5 for p in axes.patches)
    wide = np.pad(marked, 1)
    expected = set()
    for i, j in np.ndindex(wide.shape[0] - 1, wide.shape[1] - 1):
        if wide[i, j] != wide[i + 1, j]:  # the line between two rows
            expected.add(frozenset({(9.0 + j, 20.0 + i), (10.0 + j, 20.0 + i)}))
        if wide[i, j] != wide[i, j + 1]:
            expected.add(frozenset({(10.0 + j, 19.0 + i), (10.0 + j, 20.0 + i)}))
    drawn = [frozenset(map(tuple, line.get_xydata().tolist())) for line in axes.lines]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == expected


WINDOWS = [
    (7, [[-1, 1, 3], [1, 3, 5], [3, 5, 7]]),
    (8, [[0, 1, 2], [3, 4, 5]]),
    (4, [[i - 2, i - 1, i] for i in range(6)]),
    (5, [[4, 0, 2]]),
    (3, [[-3, -2]]),
    (3, [[5, 6]]),
    (1, [[0]]),
    (4, [[2, 2, 2]]),
    (6, np.array([[0, 1], [2, 3]], np.uint8)),
    (200, np.array([[100, 127]], np.int8)),
    (np.int64(3), np.array([[0, 1], [1, 2]])[:, ::-1]),
]


@pytest.mark.parametrize(("size", "places"), WINDOWS, ids=str)
def test_windows_show_the_pixels_taken(size, places):
    """Row i has a bar under each pixel that output i takes, and no other."""
    (axes,) = plots.windows(size, places).axes
    bars = [p for p in axes.patches if p.get_linewidth() == 0]
    tops = sorted({p.get_y() for p in bars})
    assert len(tops) == len(places)
    assert all(a + 0.7 < b for a, b in pairwise(tops))
    assert tops[0] > 1  # below the line
    names = {t.get_position()[1]: t for t in axes.texts if t.get_text()[0] == "Y"}
    assert len(names) == len(places)
    spans = [line for line in axes.lines if line.get_ydata()[0] > 1]
    for i, (top, taken) in enumerate(zip(tops, places, strict=True)):
        row = [p for p in bars if p.get_y() == top]
        middles = [p.get_x() + p.get_width() / 2 for p in row]
        assert sorted(middles) == pytest.approx(
            [j + 0.5 for j in sorted(map(int, taken))]
        )
        assert all(0.5 < p.get_width() < 1 for p in row)
        (name,) = (t for y, t in names.items() if top < y < top + 0.7)
        assert name.get_text() == f"Y[{i}]"
        (span,) = (line for line in spans if top < line.get_ydata()[0] < top + 0.7)
        reach = int(min(taken)) + 0.5, int(max(taken)) + 0.5
        assert tuple(span.get_xdata()) == reach


@pytest.mark.parametrize(("size", "places"), WINDOWS, ids=str)
def test_windows_show_the_line_its_margin_and_what_nobody_takes(size, places):
    """Pixels are numbered, the margin is dotted, pixels not taken are crossed out."""
    (axes,) = plots.windows(size, places).axes
    line = squares(axes)
    assert {y for _, y in line} == {0}
    taken = {int(j) for row in places for j in row}
    every = range(min(0, *taken), max(int(size), *(j + 1 for j in taken)))
    assert sorted(x for x, _ in line) == list(every)
    texts = {t.get_position()[0]: t for t in axes.texts if t.get_position()[1] < 1}
    crossed = {}
    for drawn in axes.lines:
        if max(drawn.get_ydata()) <= 1:
            ends = tuple(map(tuple, drawn.get_xydata().tolist()))
            crossed.setdefault(min(x for x, _ in ends), set()).add(frozenset(ends))
    for j in every:
        within = 0 <= j < size
        style = line[j, 0].get_linestyle()
        assert style in (("-", "solid") if within else (":", "dotted"))
        if within:  # the margin's cells are empty: a number there would be a value
            assert texts.pop(j + 0.5).get_text() == str(j)
        if within and j not in taken:
            both = {frozenset({(j, 1), (j + 1, 0)}), frozenset({(j, 0), (j + 1, 1)})}
            assert crossed.pop(j) == both
    assert not texts
    assert not crossed


@pytest.mark.parametrize(("size", "places"), WINDOWS, ids=str)
def test_windows_cut_nothing_off(size, places):
    """All rows and bars lie within the picture, whose cells have the size given."""
    for cell in (0.42, 0.2):
        figure = plots.windows(size, places, cell=cell)
        (axes,) = figure.axes
        assert inside(axes)
        figure.draw_without_rendering()
        corners = axes.transData.transform([(0, 0), (1, 1)])
        sides = np.abs(np.diff(corners, axis=0)) / figure.dpi
        np.testing.assert_allclose(sides, cell, rtol=0.06)


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


def shown(axes):
    """Return the pixels of the image in axes, and their interpolation."""
    (image,) = axes.get_images()
    return np.asarray(image.get_array()), image.get_interpolation()


def test_image_grid_shows_colours_as_they_are():
    """Red, green and blue of every pixel, whatever the limits for grey are."""
    images = pictures(2, 3, 4, 6)
    for limits in ((0, 1), (-5, 5), None):
        figure = plots.image_grid(images, ["one", "two"], limits=limits)
        for image, axes in zip(images, figure.axes, strict=True):
            pixels, _ = shown(axes)
            assert pixels.shape == (4, 6, 3)
            for channel in range(3):
                np.testing.assert_array_equal(pixels[..., channel], image[channel])


def test_image_grid_cuts_colours_off_at_0_and_1(caplog):
    """No colour comes out as another one, and Matplotlib has nothing to say."""
    image = np.linspace(-1, 2, 3 * 4 * 4).reshape(3, 4, 4)
    with Untouched(image):
        pixels, _ = shown(plots.image_grid([image]).axes[0])
    np.testing.assert_array_equal(pixels, image.clip(0, 1).transpose(1, 2, 0))
    assert not caplog.records


def rendered(figure):
    """Return the colours in the middle of each of a figure's axes, as bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())
    found = []
    for axes in figure.axes:
        box = axes.get_window_extent()
        row = round(len(picture) - (box.y0 + box.y1) / 2)
        found.append(picture[row, round((box.x0 + box.x1) / 2), :3].tolist())
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, int, bool])
def test_image_grid_paints_the_colours(dtype):
    """What is on the paper: pure colours, white, black and a middle grey."""
    colours = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0)]
    if np.issubdtype(dtype, np.floating):
        colours.append((0.5, 0.5, 0.5))
    images = [
        np.array(c, dtype)[:, None, None] * np.ones((5, 5), dtype) for c in colours
    ]
    found = rendered(plots.image_grid(images))
    expected = np.array(colours) * 255
    np.testing.assert_allclose(found, expected, atol=1)


def test_image_grid_mixes_colour_and_grey():
    """Three arrays (H, W) are three grey images; one (3, H, W) is one in colour."""
    grey = plots.image_grid(pictures(3, 4, 6))
    assert len(grey.axes) == 3
    assert all(shown(axes)[0].shape == (4, 6) for axes in grey.axes)
    colour = plots.image_grid([pictures(3, 4, 6)])
    assert len(colour.axes) == 1
    both = plots.image_grid([pictures(3, 4, 6), pictures(4, 6)], ["a", "b"])
    assert [shown(axes)[0].shape for axes in both.axes] == [(4, 6, 3), (4, 6)]
    assert [axes.get_title() for axes in both.axes] == ["a", "b"]


@pytest.mark.parametrize("titles", [None, ["one", "two", "three"]])
@pytest.mark.parametrize("shape", [(20, 20), (10, 30), (30, 10), (3, 16, 24)])
def test_image_grid_keeps_width_and_proportions(shape, titles):
    """Every image is as wide as was asked, and no pixel is stretched."""
    for columns in (1, 2, 3):
        figure = plots.image_grid(pictures(3, *shape), titles, columns, size=1.5)
        figure._repr_svg_()  # lays it out
        boxes = [axes.get_window_extent() for axes in figure.axes[:3]]
        for box in boxes:
            assert box.height / box.width == pytest.approx(shape[-2] / shape[-1], 0.02)
            assert box.width / figure.dpi == pytest.approx(1.5, rel=0.1)
        assert len({round(box.x0) for box in boxes}) == columns


def test_image_grid_smooths_no_large_image_away():
    """Large images are left to the viewer; small ones are enlarged as squares."""
    large, colour = np.eye(101), np.ones((3, 90, 120)) * np.linspace(0, 1, 120)
    figure = plots.image_grid([large, colour, np.eye(28), pictures(3, 28, 28)])
    kinds = [shown(axes)[1] for axes in figure.axes]
    assert kinds[:2] == ["none", "none"]
    assert "none" not in kinds[2:]
    for axes, pixels in zip(
        figure.axes, (large, colour.transpose(1, 2, 0)), strict=False
    ):
        np.testing.assert_array_equal(shown(axes)[0], pixels)


def test_the_photograph_is_drawn():
    """The photograph that the package bundles, in colour and one channel in grey."""
    photograph = load_photograph()
    with Untouched(photograph):
        figure = plots.image_grid([photograph, photograph[0]], size=3)
    pixels, _ = shown(figure.axes[0])
    np.testing.assert_array_equal(pixels.transpose(2, 0, 1), photograph)
    np.testing.assert_array_equal(shown(figure.axes[1])[0], photograph[0])


@given(
    st.integers(1, 7),
    st.integers(1, 5),
    st.integers(0, 3),
    st.sampled_from([0.5, -1.0]),
)
def test_mosaic_against_loops(count, columns, gap, fill):
    """Each image stands in its row and column; all the rest is filled."""
    images = pictures(count, 2, 3)
    rows, across = -(-count // columns), min(columns, count)
    shape = rows * (2 + gap) - gap, across * (3 + gap) - gap
    expected = np.full(shape, fill)
    for k in range(count):
        i, j = (k // across) * (2 + gap), (k % across) * (3 + gap)
        expected[i : i + 2, j : j + 3] = images[k]
    with Untouched(images):
        found = plots.mosaic(images, columns, gap, fill)
    np.testing.assert_array_equal(found, expected)
    unfilled = plots.mosaic(images, columns, gap)
    assert np.isnan(unfilled).sum() == unfilled.size - images.size
    np.testing.assert_array_equal(unfilled == expected, ~np.isnan(unfilled))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.uint8, np.float32),
        (bool, np.float32),
    ],
)
def test_mosaic_can_hold_nan(given, found):
    """Whole numbers become floating-point ones, which can be NaN."""
    assert plots.mosaic(np.ones((2, 2, 2), given)).dtype == found


def test_layer_maps_show_every_image_on_one_scale():
    """A layer's pictures share limits, those that its heading tells; all fits."""
    outputs = {"conv": pictures(3, 5, 4, 3) - 0.5, "dense": 9 * pictures(3, 6)}
    outputs["conv"][1] *= 4
    with Untouched(*outputs.values()):
        figure = plots.layer_maps(outputs, ["x", "y", "z"], columns=2)
    assert len(figure.axes) == 6
    for k, axes in enumerate(figure.axes):
        output = outputs["conv" if k < 3 else "dense"]
        expected = plots.mosaic(output[k], 2) if k < 3 else output[k - 3][None]
        (image,) = axes.get_images()
        pixels = image.get_array().filled(np.nan)
        np.testing.assert_array_equal(pixels, expected)
        assert image.get_clim() == (output.min(), output.max())
        assert image.get_interpolation() == "nearest"
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(0 < box.x0 < box.x1 <= 1.0001 for box in boxes)
    tops = [1, *(box.y0 for box in boxes)]
    assert all(0 <= b.y0 < b.y1 < t for b, t in zip(boxes, tops[:-1], strict=True))
    width, height = figure.get_size_inches()
    box = boxes[0]  # 2 maps of 3 and a gap across, 3 maps of 4 and two gaps down
    ratio = box.height * height / (box.width * width)
    assert ratio == pytest.approx(14 / 7)
    written = [text.get_text() for text in figure.texts]
    assert [t for t in written if len(t) == 1] == [*"xyz", *"xyz"]
    low, high = (plots.number_text(f(outputs["conv"])) for f in (np.min, np.max))
    assert written[0] == f"conv    black {low}, white {high}"
    assert written[4].startswith("dense ")


def test_layer_maps_number_the_images_unless_told():
    """Without names they are counted."""
    figure = plots.layer_maps({"a": pictures(3, 4)})
    assert [t.get_text() for t in figure.texts][1:] == ["0", "1", "2"]


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
    grids, faint = {"m": matrix, "n": matrix}, {"n": matrix > 4}
    plots.number_grids(grids, columns=1, faint=faint)
    plots.windows(5, matrix)
    plots.image_grid(weights[:, 0])
    plots.image_grid([matrix[None] + np.zeros((3, 1, 1)), matrix])
    assert list(grids) == ["m", "n"]
    assert grids["m"] is matrix
    assert list(faint) == ["n"]
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
        (lambda: plots.image_grid(np.ones((2, 2, 4, 5))), "^images: "),
        (lambda: plots.image_grid(np.ones((2, 1, 4, 5))), "^images: "),
        (lambda: plots.image_grid([np.ones((4, 5, 3))]), "^images: "),
        (lambda: plots.image_grid([np.ones((4, 5)), np.ones(4)]), "^images: "),
        (lambda: plots.image_grid([np.ones((3, 3, 4, 5))]), "^images: "),
        (lambda: plots.image_grid([3.0]), "^images: "),
        (lambda: plots.image_grid(pictures(2, 3, 4, 5), ["one"]), "^titles: "),
        (lambda: plots.image_grid(np.ones((3, 2, 2)), ["one"]), "titles"),
        (lambda: plots.number_grids({"x": np.ones((2, 2, 2))}), ""),
        (lambda: plots.number_grids({}), "grids"),
        (lambda: plots.number_grids({}, columns=2), "^grids: "),
        (lambda: plots.number_grids(GRIDS, columns=0), "^columns: .*got 0"),
        (lambda: plots.number_grids(GRIDS, columns=-1), "^columns: .*got -1"),
        (lambda: plots.number_grids(GRIDS, columns=1.0), "^columns: "),
        (lambda: plots.number_grids(GRIDS, columns=True), "^columns: "),
        (lambda: plots.number_grids(GRIDS, faint={"z": 0}), "^faint: .*'z'"),
        (lambda: plots.number_grids(GRIDS, {"z": 0}), "^highlight: .*'z'"),
        (lambda: plots.number_grids({"a": []}), "^grids: "),
        (lambda: plots.image_grid([np.ones((3, 3))], columns=0), "^columns: "),
        (lambda: plots.image_grid([np.ones((3, 0))]), "^images: "),
        (lambda: plots.image_grid([np.full((3, 2, 2), 255)]), "^images: .*0 to 1"),
        (lambda: plots.mosaic(np.ones((2, 3))), "^images: "),
        (lambda: plots.mosaic(np.ones((2, 1, 3, 3))), "^images: "),
        (lambda: plots.mosaic(np.ones((0, 3, 3))), "^images: "),
        (lambda: plots.mosaic(np.ones((2, 0, 3))), "^images: "),
        (lambda: plots.mosaic(np.full((1, 1, 1), "a")), "^images: "),
        (lambda: plots.mosaic(np.ones((2, 3, 3)), 0), "^columns: "),
        (lambda: plots.mosaic(np.ones((2, 3, 3)), 1.0), "^columns: "),
        (lambda: plots.mosaic(np.ones((2, 3, 3)), 2, -1), "^gap: "),
        (lambda: plots.layer_maps({}), "^outputs: "),
        (lambda: plots.layer_maps({"a": np.ones((2, 3, 4))}), "^outputs: "),
        (lambda: plots.layer_maps({"a": np.ones((0, 3))}), "^outputs: "),
        (lambda: plots.layer_maps({"a": np.ones((2, 3))}, "abc"), "^names: "),
        (
            lambda: plots.layer_maps({"a": np.ones((2, 3)), "b": np.ones((3, 3))}),
            "^names: ",
        ),
        (lambda: plots.layer_maps({"a": np.ones((2, 3))}, columns=0), "^columns: "),
        (lambda: plots.windows(7.0, [[0, 1]]), "^size: "),
        (lambda: plots.windows(-7, [[0, 1]]), "^size: "),
        (lambda: plots.windows(7, [[0, 1], [2]]), "^places: "),
        (lambda: plots.windows(7, []), "^places: "),
        (lambda: plots.windows(7, [[]]), "^places: "),
        (lambda: plots.windows(7, [0, 1]), "^places: "),
        (lambda: plots.windows(7, [[[0, 1]]]), "^places: "),
        (lambda: plots.windows(7, [[0.0, 1.0]]), "^places: "),
        (lambda: plots.windows(7, [[np.nan, 1]]), "^places: "),
        (lambda: plots.windows(7, [[True, False]]), "^places: "),
        (lambda: plots.windows(7, [["0", "1"]]), "^places: "),
        (lambda: plots.windows(7, None), "^places: "),
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
        (lambda: plots.histograms({"a": [1, 2]}, limits=(1, 1)), "^limits: "),
        (lambda: plots.histograms({"a": [1, 2]}, limits=(2, 1)), "^limits: "),
        (lambda: plots.histograms({"a": [1, 2]}, limits=(0, np.nan)), "^limits: "),
        (lambda: plots.histograms({"a": [1, 2]}, limits=(0, 1, 2)), "^limits: "),
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


def test_histograms_between_limits():
    """All values between the limits are counted, those at both ends too."""
    values = np.array([0.0] * 2 + [0.3] * 5 + [1.0] * 40)
    axis = plots.histograms({"a": values}, bins=3, limits=(0, 1)).axes[0]
    assert [(bar.get_x(), bar.get_height()) for bar in axis.patches] == [
        (0, 7),
        (0.5, 40),
    ]
    few = plots.histograms({"a": values}, bins=3, limits=(-1, 0.5)).axes[0]
    assert [bar.get_height() for bar in few.patches] == [0, 7]
    # Without limits the half percent at each end is left out.
    many = np.concatenate([[-99], np.linspace(0, 1, 999), [99]])
    axis = plots.histograms({"a": many}, bins=3).axes[0]
    ends = axis.patches[0].get_x(), axis.patches[-1].get_x()
    assert 0 <= ends[0] < ends[1] < 1


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


def test_reading_names_the_most_probable_class():
    figure = plots.reading(
        np.zeros((2, 1, 4, 4)), np.ones((2, 4, 3, 3)), [[0.9, 0.1, 0], [0.2, 0.3, 0.5]]
    )
    bars = [axis for axis in figure.axes if axis.patches]
    assert [axis.texts[0].get_text() for axis in bars] == ["90%", "50%"]
    assert [axis.texts[0].get_position()[0] for axis in bars] == [0, 2]
    assert [[b.get_height() for b in axis.patches] for axis in bars] == [
        [0.9, 0.1, 0],
        [0.2, 0.3, 0.5],
    ]


@pytest.mark.parametrize(
    ("images", "maps", "probabilities"),
    [
        ((2, 4, 4), (2, 4, 3, 3), (3, 10)),
        ((2, 4, 4), (1, 4, 3, 3), (2, 10)),
        ((2, 4, 4), (2, 3, 3), (2, 10)),
        ((0, 4, 4), (0, 4, 3, 3), (0, 10)),
        ((2, 4, 4), (2, 4, 3, 3), (10,)),
    ],
)
def test_reading_refuses_what_does_not_fit(images, maps, probabilities):
    with pytest.raises(ValueError, match="maps|probabilities"):
        plots.reading(np.ones(images), np.ones(maps), np.ones(probabilities))
