"""Makes a JupyterLite in a folder, to try the downloaded notebooks in.

    python scripts/lite.py FOLDER

Its packages are those of lite.txt. Python (Pyodide) comes from the folder that
$CNNBOOK_PYODIDE names, or ../shared/pyodide beside the checkout. That folder lacks two
of Python's own modules, which IPython imports though no notebook needs them: they have
stand-ins. With CNNBOOK_PYODIDE=cdn nothing stands in; Python and the kernel's wheels
come from the network when a notebook is opened.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"

STAND_IN = """
import sys
from unittest.mock import MagicMock

module = MagicMock()
for name in ("DatabaseError", "IntegrityError", "OperationalError"):
    setattr(module, name, type(name, (Exception,), {}))
sys.modules[__name__] = module
"""


def stand_in(name: str, folder: Path) -> None:
    """Write a wheel with a module that has any name one asks for."""
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", STAND_IN)
        for file, text in about.items():
            wheel.writestr(f"{name}-1.0.0.dist-info/{file}", text)


def build(folder: Path, work: Path) -> None:
    """Install JupyterLite in a folder for work, and let it build a site."""
    wheels = work / "wheels"
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    from_lock = ["--no-deps", "--require-hashes", "-r", str(ROOT / "scripts/lite.txt")]
    download = ["download", "--only-binary", ":all:", "--dest", str(wheels)]
    subprocess.run([sys.executable, *pip, *download, *from_lock], check=True)
    venv.create(work / "venv", with_pip=True)
    binaries = work / "venv" / ("Scripts" if os.name == "nt" else "bin")
    offline = ["install", "--no-index", "--find-links", str(wheels)]
    packages = ["jupyterlite-core", "jupyterlite-pyodide-kernel"]
    subprocess.run([binaries / "python", *pip, *offline, *packages], check=True)
    (work / "empty").mkdir()
    command = [binaries / "jupyter", "lite", "build", "--lite-dir", work / "empty"]
    command += ["--output-dir", folder.resolve()]
    if pyodide() is not None:
        for name in ("ssl", "sqlite3"):
            stand_in(name, wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            if not wheel.name.startswith("jupyter"):
                command += ["--piplite-wheels", wheel]
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(
        command, check=True, cwd=work, env=environment, stdout=subprocess.DEVNULL
    )


def pyodide() -> Path | None:
    """Return the folder with Pyodide, or None if it comes from the network."""
    named = os.environ.get("CNNBOOK_PYODIDE")
    if named == "cdn":
        return None
    folder = Path(named) if named else ROOT.parent / "shared" / "pyodide"
    if not (folder / "pyodide.js").exists():
        raise SystemExit(
            f"{folder}: has no pyodide.js; set CNNBOOK_PYODIDE to a folder"
        )
    return folder


def settle(folder: Path) -> None:
    """Let the site take Python from its own folder, and show itself to scripts."""
    path = folder / "jupyter-lite.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    settings = told["jupyter-config-data"]
    settings["exposeAppInBrowser"] = True
    if (source := pyodide()) is not None:
        settings["litePluginSettings"][KERNEL]["pyodideUrl"] = "./pyodide/pyodide.js"
        shutil.copytree(source, folder / "pyodide")
        # What the lock file names and the folder lacks would be asked for.
        lock = folder / "pyodide" / "pyodide-lock.json"
        known = json.loads(lock.read_text(encoding="utf-8"))
        known["packages"] = {
            name: package
            for name, package in known["packages"].items()
            if (source / package["file_name"]).exists()
        }
        lock.write_text(json.dumps(known), encoding="utf-8")
    path.write_text(json.dumps(told), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Build into the folder that is named."""
    if len(arguments) != 1:
        raise SystemExit("usage: python scripts/lite.py FOLDER")
    folder = Path(arguments[0])
    if folder.exists():
        raise SystemExit(f"{folder}: is there already; name a folder to be made")
    pyodide()
    with tempfile.TemporaryDirectory() as work:
        build(folder, Path(work))
    settle(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
