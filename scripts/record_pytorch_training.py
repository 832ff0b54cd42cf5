"""Record what PyTorch computes for layers, losses and optimizers.

    python scripts/record_pytorch_training.py [FOLDER]

Writes training.npz (the numbers, float64), training.json (versions, seed, settings)
and curve.json (the loss of every step of an epoch) into FOLDER (default:
tests/recorded). The tests compare cnnbook with
them, so that they need no PyTorch themselves.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SEED = 20240601
STEPS = (1, 2, 3, 5, 10, 20, 50, 100)
OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd_momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True}),
    "sgd_weight_decay": ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    "sgd_everything": (
        "SGD",
        {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.03},
    ),
    "adam": ("Adam", {}),
    "adam_betas": ("Adam", {"lr": 0.05, "betas": [0.7, 0.95], "eps": 1e-6}),
    "adam_weight_decay": ("Adam", {"lr": 0.02, "weight_decay": 0.1}),
}


def record_curve():
    """Record the loss of every step of an epoch, in float64 and float32.

    The network, its starting weights, the batches and Adam are those of the page
    "Training": weights and order come from cnnbook.
    """
    from cnnbook.data import load_mnist
    from cnnbook.layers import Conv2d, Linear
    from cnnbook.training import batches

    conv, dense = Conv2d(1, 8, 3, rng=0), Linear(1352, 10, rng=1)
    images, labels = load_mnist("sample")[0].take(np.s_[:3000])
    recording = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__}
    for dtype in (torch.float64, torch.float32):
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(1352, 10),
        ).to(dtype)
        for theirs, ours in ((model[0], conv), (model[4], dense)):
            state = {k: torch.tensor(v) for k, v in ours.state_dict().items()}
            theirs.load_state_dict(state)
        optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.003), []
        for x, y in batches(images, labels, 64, np.random.default_rng(0)):
            logits = model(torch.tensor(x, dtype=dtype))
            loss = functional.cross_entropy(logits, torch.tensor(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        recording[str(dtype).removeprefix("torch.")] = losses
    return recording


def tensor(array):
    """Return a leaf tensor that collects a gradient."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def record_functions(rng):
    """Record functions and their gradients under a random upstream gradient."""
    out = {}
    functions = {
        "relu": functional.relu,
        "softmax": lambda x: functional.softmax(x, -1),
        "log_softmax": lambda x: functional.log_softmax(x, -1),
    }
    for name, function in functions.items():
        array = 4 * rng.normal(size=(3, 5, 7))
        array[0, 0, :3] = 0  # ReLU's corner
        x, dy = tensor(array), rng.normal(size=array.shape)
        y = function(x)
        y.backward(torch.tensor(dy))
        values = {"x": x, "dy": dy, "y": y, "dx": x.grad}
        out |= {f"{name}/{key}": value for key, value in values.items()}

    x, weight, bias = (tensor(rng.normal(size=s)) for s in [(5, 6), (3, 6), 3])
    dy = rng.normal(size=(5, 3))
    y = functional.linear(x, weight, bias)
    y.backward(torch.tensor(dy))
    values = {"x": x, "weight": weight, "bias": bias, "dy": dy, "y": y}
    grads = {"dx": x.grad, "dweight": weight.grad, "dbias": bias.grad}
    out |= {f"linear/{key}": v for key, v in (values | grads).items()}

    logits = tensor(6 * rng.normal(size=(8, 10)))
    labels = rng.integers(0, 10, 8)
    loss = functional.cross_entropy(logits, torch.tensor(labels))
    loss.backward()
    values = {"logits": logits, "labels": labels, "loss": loss}
    values["dlogits"] = logits.grad
    out |= {f"cross_entropy/{key}": value for key, value in values.items()}
    return out


def record_optimizers(rng):
    """Record the weights of a least-squares problem after some of 100 steps.

    The loss is the mean over the rows of ``inputs`` of the squared length of
    ``inputs @ weight.T + bias - targets``.
    """
    inputs, targets = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
    start = {"weight": rng.normal(size=(3, 4)), "bias": rng.normal(size=3)}
    out = {"problem/inputs": inputs, "problem/targets": targets}
    out |= {f"problem/{key}": value for key, value in start.items()}
    for name, (kind, options) in OPTIMIZERS.items():
        weight, bias = tensor(start["weight"]), tensor(start["bias"])
        optimizer = getattr(torch.optim, kind)([weight, bias], **options)
        kept = {"weight": [], "bias": []}
        for step in range(1, max(STEPS) + 1):
            optimizer.zero_grad()
            y = functional.linear(torch.tensor(inputs), weight, bias)
            ((y - torch.tensor(targets)) ** 2).sum(1).mean().backward()
            optimizer.step()
            if step in STEPS:
                kept["weight"].append(weight.detach().numpy().copy())
                kept["bias"].append(bias.detach().numpy().copy())
        out |= {f"{name}/{key}": np.array(rows) for key, rows in kept.items()}
    return out


def record_network(rng):
    """Record a small network's output, gradients and weights."""
    model = nn.Sequential(
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(18, 4),
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            values = 0.4 * rng.normal(size=tuple(parameter.shape))
            parameter.copy_(torch.tensor(values))
    x, dy = tensor(rng.normal(size=(3, 2, 9, 8))), rng.normal(size=(3, 4))
    y = model(x)
    y.backward(torch.tensor(dy))
    out = {"x": x, "dy": dy, "y": y, "dx": x.grad}
    out |= {f"state/{key}": v for key, v in model.state_dict().items()}
    out |= {f"grad/{key}": p.grad for key, p in model.named_parameters()}
    return {f"network/{key}": value for key, value in out.items()}


def record():
    """Return all recorded arrays by name."""
    rng = np.random.default_rng(SEED)
    out = record_functions(rng) | record_optimizers(rng) | record_network(rng)
    return {
        key: v.detach().numpy() if isinstance(v, torch.Tensor) else v
        for key, v in out.items()
    }


def main(folder):
    """Write the files into `folder`; return them."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays, notes = folder / "training.npz", folder / "training.json"
    np.savez_compressed(arrays, **record())
    about = {
        "script": "scripts/record_pytorch_training.py",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "seed": SEED,
        "steps": STEPS,
        "optimizers": OPTIMIZERS,
    }
    notes.write_text(json.dumps(about, indent=2) + "\n")
    curve = folder / "curve.json"
    curve.write_text(json.dumps(record_curve(), indent=1) + "\n")
    return arrays, notes, curve


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    here = Path(__file__).resolve().parent.parent
    default = here / "tests" / "recorded"
    for path in main(Path(sys.argv[1]) if len(sys.argv) == 2 else default):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
