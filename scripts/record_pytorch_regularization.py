"""Record what PyTorch computes for batch norm.

    python scripts/record_pytorch_regularization.py [FOLDER]

Writes regularization.npz (the numbers) and regularization.json (versions, seed, cases)
into FOLDER (default: tests/recorded). The tests compare cnnbook with them, so that they
need no PyTorch themselves.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

SEED = 20240713
STEPS = 4
SHAPE = (3, 2, 4, 3)
CASES = {
    "default": {},
    "momentum_03": {"momentum": 0.3},
    "momentum_1": {"momentum": 1.0},
    "momentum_0": {"momentum": 0.0},
    "cumulative": {"momentum": None},
    "eps": {"eps": 0.1},
    "not_affine": {"affine": False},
    "no_statistics": {"track_running_stats": False},
    "bare": {"affine": False, "track_running_stats": False, "eps": 1e-3},
}
DTYPES = ("float64", "float32")


def numbers(module):
    """Return copies of a module's state and gradients, by name."""
    out = {f"state/{k}": v.numpy().copy() for k, v in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        out[f"grad/{name}"] = parameter.grad.numpy().copy()
    return out


def record_batch_norm(rng, options, dtype):
    """Record some training steps, each with its gradients, then an evaluation.

    Gradients are collected over all steps. Images of step k are 3k + (k + 1) times
    normal numbers, so that the running statistics have something to run after.
    """
    layer = nn.BatchNorm2d(SHAPE[1], **options).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.tensor(rng.normal(size=SHAPE[1])))
            parameter.grad = torch.zeros_like(parameter)
    out = {f"start/{k}": v.numpy().copy() for k, v in layer.state_dict().items()}
    steps = []
    for step in range(STEPS + 1):
        x = (3 * step + (step + 1) * rng.normal(size=SHAPE)).astype(dtype)
        dy = rng.normal(size=SHAPE).astype(dtype)
        layer.train(step < STEPS)
        leaf = torch.tensor(x, requires_grad=True)
        y = layer(leaf)
        y.backward(torch.tensor(dy))
        values = {"x": x, "dy": dy, "y": y.detach().numpy(), "dx": leaf.grad.numpy()}
        steps.append(values | numbers(layer))
    return out | stacked(steps)


def stacked(steps):
    """Return the arrays of several steps as one array each, steps first."""
    return {key: np.stack([step[key] for step in steps]) for key in steps[0]}


def network():
    """Return a network with a residual and three batch norms, (N, 2, 6, 6) to (N, 4).

    A residual has the names of cnnbook: body, and shortcut.
    """

    class Residual(nn.Module):
        def __init__(self, body, shortcut):
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x):
            return self.body(x) + self.shortcut(x)

    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        Residual(
            nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
            ),
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=None)),
        ),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 4),
    )


def record_network(rng):
    """Record two training steps of the network, and an evaluation, in float64."""
    model = network().double()
    with torch.no_grad():
        for parameter in model.parameters():
            values = 0.5 * rng.normal(size=tuple(parameter.shape))
            parameter.copy_(torch.tensor(values))
            parameter.grad = torch.zeros_like(parameter)
    out = {f"start/{k}": v.numpy().copy() for k, v in model.state_dict().items()}
    steps = []
    for step in range(3):
        x, dy = rng.normal(size=(3, 2, 6, 6)), rng.normal(size=(3, 4))
        model.train(step < 2)
        leaf = torch.tensor(x, requires_grad=True)
        y = model(leaf)
        y.backward(torch.tensor(dy))
        values = {"x": x, "dy": dy, "y": y.detach().numpy(), "dx": leaf.grad.numpy()}
        steps.append(values | numbers(model))
    return out | stacked(steps)


def record():
    """Return all recorded arrays by name."""
    out = {}
    for k, (name, options) in enumerate(CASES.items()):
        for dtype in DTYPES:
            rng = np.random.default_rng([SEED, k])
            found = record_batch_norm(rng, options, dtype)
            out |= {f"{name}/{dtype}/{key}": v for key, v in found.items()}
    found = record_network(np.random.default_rng([SEED, len(CASES)]))
    return out | {f"network/{key}": v for key, v in found.items()}


def main(folder):
    """Write the files into `folder`; return them."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays, notes = folder / "regularization.npz", folder / "regularization.json"
    np.savez_compressed(arrays, **record())
    about = {
        "script": "scripts/record_pytorch_regularization.py",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "seed": SEED,
        "steps": STEPS,
        "cases": CASES,
        "dtypes": DTYPES,
    }
    notes.write_text(json.dumps(about, indent=2) + "\n")
    return arrays, notes


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    here = Path(__file__).resolve().parent.parent
    default = here / "tests" / "recorded"
    for path in main(Path(sys.argv[1]) if len(sys.argv) == 2 else default):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
