"""The package's top level: names that load when they are asked for."""

import configparser
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cnnbook

ROOT = Path(__file__).resolve().parent.parent
PROMISED = [
    "conv_output_size",
    "receptive_field",
    "parameter_count",
    "correlate1d",
    "convolve1d",
    "correlate2d",
    "convolve2d",
    "pad",
    "conv1d",
    "conv2d",
    "conv1d_backward",
    "conv2d_backward",
    "max_pool2d",
    "avg_pool2d",
    "max_pool2d_backward",
    "avg_pool2d_backward",
    "im2col",
    "col2im",
    "linear",
    "linear_backward",
    "relu",
    "relu_backward",
    "softmax",
    "softmax_backward",
    "log_softmax",
    "log_softmax_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "numerical_gradient",
    "check_gradient",
    "check_layer",
    "SOBEL_X",
    "SOBEL_Y",
    "PREWITT_X",
    "PREWITT_Y",
    "BLUR",
    "SHARPEN",
    "Parameter",
    "Layer",
    "Sequential",
    "Conv2d",
    "MaxPool2d",
    "AvgPool2d",
    "Linear",
    "Flatten",
    "ReLU",
    "CrossEntropyLoss",
    "Optimizer",
    "SGD",
    "Adam",
    "fit",
    "predict",
    "evaluate",
    "summary",
    "accuracy",
    "confusion_matrix",
    "load_mnist",
    "load_photograph",
]


def fresh(code):
    """Run code in a new interpreter; return what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_nothing():
    """The import loads no chapter, and nothing that isn't needed."""
    loaded = fresh(
        "import sys, json; old = set(sys.modules); import cnnbook;"
        "print(json.dumps(sorted(set(sys.modules) - old)))"
    )
    assert "cnnbook" in loaded
    assert [m for m in loaded if m.startswith("cnnbook.")] == []
    heavy = {"matplotlib", "sklearn", "scipy", "torch", "tqdm", "nbdev", "PIL"}
    assert heavy.isdisjoint(m.split(".")[0] for m in loaded)


def test_library_needs_numpy_alone():
    """Every public name loads where NumPy is the only other package."""
    count = fresh(
        "import sys, json\n"
        "for name in ['matplotlib', 'sklearn', 'scipy', 'torch', 'tqdm',"
        " 'nbdev', 'PIL', 'safetensors', 'yaml', 'jupytext']:\n"
        "    sys.modules[name] = None\n"
        "import cnnbook\n"
        "print(json.dumps(len([getattr(cnnbook, n) for n in cnnbook.__all__])))"
    )
    assert count == len(cnnbook.__all__)


@pytest.mark.parametrize("name", cnnbook.__all__)
def test_names_resolve(name):
    """Every name in __all__ is there, and is its module's own object."""
    value = getattr(cnnbook, name)
    assert value is not None
    assert name in dir(cnnbook)
    assert getattr(cnnbook, name) is value
    module = getattr(value, "__module__", None)
    if callable(value):
        assert module.startswith("cnnbook.")
        assert getattr(importlib.import_module(module), name) is value


def test_all():
    """No name comes twice; what the design promises so far is there."""
    assert len(set(cnnbook.__all__)) == len(cnnbook.__all__)
    assert set(PROMISED) <= set(cnnbook.__all__)


def test_modules_resolve():
    """Every module of the package can be asked for at the top level."""
    names = {
        path.stem
        for path in (ROOT / "cnnbook").glob("*.py")
        if not path.stem.startswith("_")
    }
    assert {"data", "plots", "pooling", "shapes", "training", "weave"} <= names
    for name in sorted(names):
        assert getattr(cnnbook, name) is sys.modules[f"cnnbook.{name}"]
        assert name in dir(cnnbook)
    assert names.isdisjoint(cnnbook.__all__)


def test_modules_load_when_asked_for():
    """A name loads its own module and earlier ones, not the last."""
    loaded = fresh(
        "import sys, json, cnnbook; cnnbook.relu;"
        "print(json.dumps([m for m in sys.modules if 'cnnbook.' in m]))"
    )
    assert "cnnbook.layers" in loaded
    assert {"cnnbook.training", "cnnbook.plots"}.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("conv_output_size", "shapes"),
        ("receptive_field", "shapes"),
        ("parameter_count", "shapes"),
        ("load_photograph", "data"),
    ],
)
def test_names_that_need_one_module_load_one(name, home):
    """Counting and reading stand on no other chapter."""
    loaded = fresh(
        f"import sys, json, cnnbook; cnnbook.{name};"
        "print(json.dumps([m for m in sys.modules if 'cnnbook.' in m]))"
    )
    assert loaded == [f"cnnbook.{home}"]


@pytest.mark.parametrize("name", ["no_such_name", "Conv2D", "__wrapped__", ""])
def test_unknown(name):
    """An unknown name is an AttributeError that says it."""
    with pytest.raises(AttributeError, match=f"'cnnbook'.*'{name}'"):
        getattr(cnnbook, name)
    assert not hasattr(cnnbook, name)


def test_unknown_import():
    """From-imports of unknown names fail as they do anywhere."""
    with pytest.raises(ImportError, match="no_such_name"):
        from cnnbook import no_such_name  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        importlib.import_module("cnnbook.no_such_module")


def test_conv2d_is_the_fast_one():
    """The names built more than once are fast's, not the loops' or lowering's."""
    from cnnbook import convolution, fast, pooling

    assert cnnbook.conv2d is fast.conv2d
    assert cnnbook.conv1d is fast.conv1d
    assert cnnbook.max_pool2d is fast.max_pool2d
    assert cnnbook.avg_pool2d is fast.avg_pool2d
    assert cnnbook.conv2d is not convolution.conv2d
    assert cnnbook.max_pool2d is not pooling.max_pool2d


def test_modules_that_count_use_the_counting_of_shapes():
    """No module keeps a second formula under the same name."""
    from cnnbook import convolution, layers, lowering, models, shapes

    assert convolution.conv_output_size is lowering.conv_output_size
    assert lowering.conv_output_size is shapes.conv_output_size
    assert layers.as_sizes is convolution.as_sizes is shapes.as_sizes
    assert layers.as_padding is convolution.as_padding is shapes.as_padding
    assert models.parameter_count is shapes.parameter_count
    for module in (convolution, layers, lowering, models):
        assert set(module.__all__).isdisjoint(shapes.__all__)


def test_star_import():
    """A star import gives every public name, and no module."""
    names = fresh(
        "import json\nfrom cnnbook import *\n"
        "import sys, types\n"
        "own = {k: v for k, v in globals().items()"
        " if k not in ('json', 'sys', 'types')}\n"
        "assert not any(type(v) is types.ModuleType for k, v in own.items()"
        " if k != '__builtins__')\n"
        "assert relu([-1.0, 2.0]).tolist() == [0, 2]\n"
        "print(json.dumps(sorted(own)))"
    )
    assert set(cnnbook.__all__) <= set(names)


def test_version():
    """The version is the one of settings.ini."""
    settings = configparser.ConfigParser(interpolation=None)
    assert settings.read(ROOT / "settings.ini", "utf-8")
    assert cnnbook.__version__ == settings["DEFAULT"]["version"]
