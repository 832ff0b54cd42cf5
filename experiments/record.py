"""Train, and keep everything that a page needs to tell of it, as JSON."""

import base64
import dataclasses
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.beside import commit
from benchmarks.measure import machine
from cnnbook.checkpoints import checksum, replace_file
from cnnbook.data import Digits, load_mnist
from cnnbook.losses import cross_entropy, softmax
from cnnbook.models import Recipe
from cnnbook.runs import Run, train, trained
from cnnbook.threads import get_num_threads
from cnnbook.training import logits_of, train_valid_split

FOLDER = Path(__file__).resolve().parent


def split(data: Digits) -> tuple[Digits, Digits]:
    """Return what is learned from, and the validation part: one image in twelve."""
    return train_valid_split(data, 1 / 12, seed=0)


def data_digest(train_part: Digits, test: Digits) -> str:
    """Return the SHA-256 of all images and labels."""
    names = ("train images", "train labels", "test images", "test labels")
    arrays = dict(zip(names, (*train_part, *test), strict=True))
    return checksum("", arrays)


def settings(recipe: Recipe) -> dict:
    """Return a recipe as JSON keeps it, its ``build`` as the function's name."""
    fields = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    return fields | {
        "build": f"{recipe.build.__module__}.{recipe.build.__qualname__}",
        "input_shape": list(recipe.input_shape),
    }


def told(run: Run, seed: int) -> dict:
    """Return what is kept of one run."""
    return {
        "seed": seed,
        "epoch": run.epoch,
        "valid_accuracy": run.history["valid_accuracy"][run.epoch - 1],
        "history": run.history,
        "seconds": run.seconds,
        "kept": run.kept,
    }


def judged(run: Run, test: Digits) -> dict:
    """Return how a run's network does on the test images, and which it misreads.

    Returns
    -------
    dict
        ``accuracy``, ``loss``, and ``wrong``: for each image that is misread its
        index, label, the answer and its probability.
    """
    logits = logits_of(run.model, test.images).astype(np.float64)
    answers, chances = logits.argmax(axis=1), softmax(logits).max(axis=1)
    wrong = np.flatnonzero(answers != test.labels)
    return {
        "accuracy": 1 - len(wrong) / len(test),
        "loss": cross_entropy(logits, test.labels),
        "wrong": [
            [int(k), int(test.labels[k]), int(answers[k]), round(float(chances[k]), 4)]
            for k in wrong
        ],
    }


def source_commit(allow_changes: bool) -> str:
    """Return the commit that is checked out; every result belongs to one.

    Raises
    ------
    RuntimeError
        If files were changed since.
    """
    status = ["git", "status", "--porcelain", "--", ":!experiments/*.json"]
    try:
        done = subprocess.run(
            status, cwd=FOLDER.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"needs a git checkout: {error}") from error
    if done.stdout and not allow_changes:
        raise RuntimeError(f"commit your changes first:\n{done.stdout}")
    return commit().split(",")[0] + (" with changes" if done.stdout else "")


def circumstances(
    data_path, allow_changes: bool = False
) -> tuple[dict, Digits, Digits]:
    """Return what all results of one command share, and the data."""
    at = source_commit(allow_changes)
    train_part, test = load_mnist(data_path)
    if len(train_part) != 60_000 and not allow_changes:
        raise RuntimeError("needs all of MNIST; name its folder with --data")
    facts = {
        "commit": at,
        "machine": machine() | {"threads": get_num_threads()},
        "data": {
            "source": f"{len(train_part):,} and {len(test):,} images of MNIST",
            "sha256": data_digest(train_part, test),
        },
        "split": "train_valid_split(train, 1 / 12, seed=0)",
    }
    return facts, train_part, test


def record_headline(
    name: str,
    recipe: Recipe,
    seeds: Iterable[int],
    data_path=None,
    folder: Path = FOLDER,
    allow_changes: bool = False,
) -> dict:
    """Train a recipe with several seeds; then read the test images, once for each.

    Returns
    -------
    dict
        As it is written to ``folder / f"{name}.json"``.
    """
    facts, data, test = circumstances(data_path, allow_changes)
    learn, valid = split(data)
    runs = {seed: trained(recipe, learn, valid, seed) for seed in seeds}
    kept = [told(run, s) | {"test": judged(run, test)} for s, run in runs.items()]
    results = {"name": name, "recipe": settings(recipe), **facts, "runs": kept}
    results["misread by all"] = pictures(test, misread_by_all(results))
    write(results, folder / f"{name}.json")
    return results


def misread_by_all(results: dict) -> list[int]:
    """Return the indices of the test images that every run misread, sorted."""
    wrong = [{each[0] for each in run["test"]["wrong"]} for run in results["runs"]]
    return sorted(set.intersection(*wrong))


def pictures(test: Digits, indices: list[int]) -> dict[str, str]:
    """Return images by index, as base64 of their bytes: a page can show them."""
    return {
        str(k): base64.b64encode(
            np.rint(255 * test.images[k, 0]).astype(np.uint8).tobytes()
        ).decode()
        for k in indices
    }


def kept_pictures(results: dict) -> np.ndarray:
    """Return the images that :py:func:`pictures` kept, (N, 28, 28), from 0 to 1."""
    parts = [base64.b64decode(text) for text in results["misread by all"].values()]
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, 28, 28) / 255


def record_comparison(
    name: str,
    recipes: dict[str, Recipe],
    images: int,
    data_path=None,
    folder: Path = FOLDER,
    allow_changes: bool = False,
) -> dict:
    """Train each of several recipes once, on the first images of those to learn from.

    Only the validation part judges; the test images are not looked at.
    """
    facts, data, _ = circumstances(data_path, allow_changes)
    learn, valid = split(data)
    learn = learn.take(np.s_[:images])
    kept = []
    for label, recipe in recipes.items():
        print(f"{name}: {label}", flush=True)
        run = trained(recipe, learn, valid, 0)
        kept.append({"label": label, "recipe": settings(recipe), **told(run, 0)})
    results = {"name": name, "images": images, **facts, "runs": kept}
    write(results, folder / f"{name}.json")
    return results


def write(results: dict, path: Path) -> None:
    """Write results as JSON; a crash leaves the old file or the new one."""
    replace_file(path, report.to_json(results).encode())


def read(name: str, folder: Path = FOLDER) -> dict:
    """Return the recorded results of that name."""
    return report.load(folder / f"{name}.json")


def first_epoch(results: dict, recipe: Recipe, data: Digits, test: Digits) -> float:
    """Train one epoch of the first recorded run again; return the loss it gives.

    Raises
    ------
    ValueError
        If the record is of other data or of another recipe.
    """
    check_same_data(results, data, test)
    if results["recipe"] != settings(recipe):
        raise ValueError(f"{results['name']}.json is of another recipe")
    seed = results["runs"][0]["seed"]
    run = train(recipe, *split(data), seed, stop_after=1)
    return run.history["loss"][0]


def agrees(loss: float, results: dict, tolerance: float = 0.01) -> bool:
    """Tell whether a first epoch's loss is the recorded one.

    Sums are taken in another order on another machine, or with more threads; what that
    does to the loss of an epoch is far below a hundredth of it.
    """
    recorded = results["runs"][0]["history"]["loss"][0]
    return abs(loss - recorded) <= tolerance * recorded


def spread(results: dict) -> str:
    """Return a Markdown table of the runs' test results, with mean and deviation."""
    runs = results["runs"]
    lines = [
        "| seed | best epoch | validation | test | missed | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        lines.append(
            f"| {run['seed']} | {run['epoch']} | {run['valid_accuracy']:.2%} "
            f"| {run['test']['accuracy']:.2%} | {len(run['test']['wrong'])} "
            f"| {sum(run['seconds']) / 60:.1f} |"
        )
    shares = [100 * run["test"]["accuracy"] for run in runs]
    low, middle = np.std(shares, ddof=1), np.mean(shares)
    lines.append(f"| **mean** | | | **{middle:.2f}%**\u00a0±\u00a0{low:.2f}% | | |")
    return "\n".join(lines)


def told_where(results: dict) -> str:
    """Return by which command, when and on what the results were made (Markdown)."""
    machine = results["machine"]
    one = machine["threads"] == 1
    return (
        f"`python -m experiments {results['name']}`, commit {results['commit']}, "
        f"{machine['date']}; {machine['processor']}, "
        f"{machine['threads']} thread{'' if one else 's'}, beside other work; "
        f"NumPy {machine['numpy']}"
    )


def check_same_data(results: dict, data: Digits, test: Digits) -> None:
    """Raise a ValueError if the results are of other data."""
    if results["data"]["sha256"] != data_digest(data, test):
        raise ValueError(f"{results['name']}.json is of other data")
