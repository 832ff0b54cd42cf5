"""The package alone: a wheel beside NumPy, and nothing else."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what git would hand out."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        ROOT / "cnnbook",
        source / "cnnbook",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += [
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        "dist",
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (path,) = (source / "dist").glob("cnnbook-*.whl")
    return path


@pytest.fixture(scope="module")
def alone(wheel, tmp_path_factory):
    """A folder with the wheel's contents and NumPy: all that Python will see."""
    folder = tmp_path_factory.mktemp("alone")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    packages = Path(np.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, folder / name)
    return folder


def run_alone(folder, code):
    """Run code where only the standard library and `folder` can be imported."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "CNNBOOK"))
    }
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", start + code],
        env={**environment, "HOME": str(folder), "USERPROFILE": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_wheel_holds_the_package_its_data_and_the_licences(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "cnnbook/lowering.py" in names
    assert sum(n.startswith("cnnbook/mnist_sample/") for n in names) == 5
    folder = "cnnbook/photograph/"
    photograph = {f"{folder}LICENSE", f"{folder}pagoda-image-idx3-ubyte.gz"}
    assert {n for n in names if n.startswith(folder)} == photograph
    (about,) = {n.split("/")[0] for n in names if ".dist-info/" in n}
    licences = {n.removeprefix(f"{about}/licenses/") for n in names if about in n}
    for where in ("", "cnnbook/mnist_sample/", "cnnbook/photograph/"):
        assert f"{where}LICENSE" in licences
    assert sum("licenses/" in n and n.endswith("LICENSE") for n in names) == 3
    assert not any(n.startswith(("tests", "book")) for n in names)
    assert wheel.stat().st_size < 3_000_000


def test_wheel_says_which_licences_hold(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        lines = archive.read(name).decode().splitlines()
    assert "License-Expression: MIT AND CC-BY-SA-3.0 AND CC-BY-2.0" in lines


def test_it_has_the_photograph_with_numpy_alone(alone):
    result = run_alone(
        alone,
        """
import cnnbook as cb
x = cb.load_photograph()
print(x.shape, x.dtype, cb.conv_output_size(x.shape[1:], 3))
print("loaded", sorted(m for m in ("PIL", "sklearn") if m in sys.modules))
print(cb.__file__)
""",
    )
    assert result.returncode == 0, result.stderr
    shown, loaded, where = result.stdout.splitlines()
    assert shown == "(3, 213, 320) float32 (211, 318)"
    assert loaded == "loaded []"
    assert Path(where).is_relative_to(alone)


def test_it_trains_on_the_bundled_sample_with_numpy_alone(alone):
    result = run_alone(
        alone,
        """
import cnnbook as cb
train, test = cb.load_mnist()
model = cb.small_convnet(rng=0)
cb.fit(model, train.take(slice(2000)), loss=cb.CrossEntropyLoss(),
       optimizer=cb.Adam(model.parameters()), epochs=2, batch_size=64, seed=0)
print("accuracy", cb.evaluate(model, test)["accuracy"])
print("loaded", sorted(m for m in ("matplotlib", "scipy", "tqdm") if m in sys.modules))
""",
    )
    assert result.returncode == 0, result.stderr
    accuracy = float(
        re.search(r"accuracy (\S+)\n", result.stdout.split("epoch")[-1])[1]
    )
    assert accuracy > 0.8
    assert "loaded []" in result.stdout


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import cnnbook; cnnbook.plots", "plot"),
        (
            "from cnnbook.data import download_mnist; download_mnist('x')",
            "data",
        ),
    ],
)
def test_missing_extra_is_named_with_its_command(alone, code, extra):
    result = run_alone(alone, code)
    assert result.returncode != 0
    assert f'pip install "cnnbook[{extra}]"' in result.stderr


def test_readme_trains_as_it_says(tmp_path):
    """The README's ten lines run, and learn to read."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    ast.parse(code)
    environment = {**os.environ, "CNNBOOK_CACHE": str(tmp_path)}
    environment.pop("CNNBOOK_DATA", None)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    shown = ast.literal_eval(result.stdout.strip().splitlines()[-1])
    assert shown["accuracy"] > 0.94
