"""What all tests share: isolation from the user's settings, data, scripts."""

import importlib.util
import os
import warnings
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Matplotlib reads and writes a folder of its own as soon as it is imported.
os.environ["MPLCONFIGDIR"] = str(ROOT / "_build" / "matplotlib")
os.environ.pop("MATPLOTLIBRC", None)

hypothesis.settings.register_profile(
    "cnnbook", derandomize=True, deadline=None, database=None
)
hypothesis.settings.load_profile("cnnbook")


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path_factory):
    """Hide the user's data and cache; return the empty folder used instead."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNNBOOK_CACHE", str(folder))
    monkeypatch.delenv("CNNBOOK_DATA", raising=False)
    return folder


@pytest.fixture(scope="session")
def full_mnist():
    """Return the folder with all of MNIST, or skip the test."""
    named = os.environ.get("CNNBOOK_TEST_DATA")
    if named:
        return Path(named)
    folder = ROOT.parent / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("all of MNIST is not here; set CNNBOOK_TEST_DATA to it")
    return folder


@pytest.fixture(scope="session")
def torch():
    """Return PyTorch, or skip the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="session")
def load_script():
    """Return a function that loads ``scripts/NAME.py`` as a module."""

    def load(name):
        path = ROOT / "scripts" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"script_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
