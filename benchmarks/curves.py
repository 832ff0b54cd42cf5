"""Two trainings side by side: the same network, weights and batches, ours and PyTorch.

Read by the book's page "Beside PyTorch", which runs it where PyTorch is installed and
shows the recorded run elsewhere.
"""

import time
from pathlib import Path

import numpy as np

from benchmarks import beside, report
from benchmarks.measure import PAUSE, machine, set_threads
from benchmarks.networks import (
    OURS,
    PYTORCH,
    build,
    import_torch,
    own_training,
    prepared,
    torch_training,
    twin,
)
from cnnbook.data import load_mnist
from cnnbook.threads import machine_threads
from cnnbook.training import batches, predict

RECORDED = Path(__file__).with_name("recorded_curves.json")
NETWORK, BATCH, EPOCHS = "C", 64, 3


def run(images: int = 12_000, epochs: int = EPOCHS) -> dict:
    """Train both on the bundled digits, an epoch by turns.

    Parameters
    ----------
    images : int
        How many of the sample's training images are learned from.
    epochs : int

    Returns
    -------
    dict
        By competitor: ``loss``, one for each batch; ``seconds`` and ``accuracy`` on the
        sample's last 2,000 training images, one for each epoch. Also ``machine``,
        ``commit`` and ``settings``.
    """
    set_threads(machine_threads())
    train, _ = load_mnist("sample")
    learn, judge = train.take(np.s_[: images - 2000]), train.take(np.s_[-2000:])
    model = build(NETWORK)
    other = twin(model)
    steps = {OURS: own_training(model), PYTORCH: torch_training(other)}
    ready = {
        OURS: lambda x, y: (x, y),
        PYTORCH: lambda x, y: prepared(other, x, y, channels_last=False),
    }
    answers = {OURS: lambda: predict(model, judge.images), PYTORCH: None}
    answers[PYTORCH] = lambda: torch_answers(other, judge.images)
    found: dict = {name: {"loss": [], "seconds": [], "accuracy": []} for name in steps}
    for epoch in range(epochs):
        for name in list(steps)[:: 1 if epoch % 2 == 0 else -1]:
            rng = np.random.default_rng(epoch)  # the same order for both
            time.sleep(PAUSE)
            start = time.perf_counter()
            found[name]["loss"] += [
                float(steps[name](*ready[name](x, y)))
                for x, y in batches(*learn, BATCH, rng)
            ]
            found[name]["seconds"].append(time.perf_counter() - start)
            right = answers[name]() == judge.labels
            found[name]["accuracy"].append(float(np.mean(right)))
    return {
        "curves": found,
        "machine": machine(),
        "commit": beside.commit(),
        "settings": {
            "network": NETWORK,
            "batch": BATCH,
            "images": len(learn),
            "judged": len(judge),
            "threads": machine_threads(),
        },
    }


def torch_answers(model, images) -> np.ndarray:
    """Return PyTorch's classes for images."""
    torch = import_torch()
    model.eval()
    with torch.inference_mode():
        classes = model(torch.from_numpy(images)).argmax(1).numpy()
    model.train()
    return classes


def record(path: Path = RECORDED) -> dict:
    """Run, and keep the results for machines without PyTorch."""
    results = run()
    path.write_text(report.to_json(results), encoding="utf-8")
    return results


def run_or_read() -> tuple[dict, bool]:
    """Return results, and whether they are new; else they are the recorded ones."""
    if beside.can_race():
        return run(), True
    return report.load(RECORDED), False
