"""Record what PyTorch computes for layers, losses, optimizers and schedules.

    python scripts/record_pytorch_training.py [FOLDER]

Writes training.npz (the numbers, float64 unless they say otherwise), training.json
(versions, seed, settings, the layers) and curve.json (the loss of every step of an
epoch) into FOLDER (default: tests/recorded). The tests compare cnnbook with them, so
that they need no PyTorch themselves.
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
    "adamw": ("AdamW", {}),
    "adamw_weight_decay": ("AdamW", {"lr": 0.02, "weight_decay": 0.5}),
}
SGD9 = ("SGD", {"lr": 0.02, "momentum": 0.9})
SCHEDULES = {
    "step": ("StepLR", {"step_size": 30}, *SGD9),
    "step_often": ("StepLR", {"step_size": 7, "gamma": 0.8}, *SGD9),
    "multi_step": ("MultiStepLR", {"milestones": [1, 20, 60], "gamma": 0.5}, *SGD9),
    "cosine": ("CosineAnnealingLR", {"T_max": 99}, *SGD9),
    "cosine_not_to_zero": (
        "CosineAnnealingLR",
        {"T_max": 99, "eta_min": 0.003},
        "Adam",
        {"lr": 0.05},
    ),
    "one_cycle": ("OneCycleLR", {"max_lr": 0.05, "total_steps": 100}, *SGD9),
    "one_cycle_adam": ("OneCycleLR", {"max_lr": 0.1, "total_steps": 100}, "Adam", {}),
    "one_cycle_settings": (
        "OneCycleLR",
        {
            "max_lr": 0.03,
            "total_steps": 100,
            "pct_start": 0.25,
            "base_momentum": 0.7,
            "max_momentum": 0.9,
            "div_factor": 10.0,
            "final_div_factor": 50.0,
        },
        "SGD",
        {"lr": 0.02, "momentum": 0.5, "nesterov": True},
    ),
    "one_cycle_rate_only": (
        "OneCycleLR",
        {"max_lr": 0.04, "total_steps": 100, "cycle_momentum": False},
        "AdamW",
        {"weight_decay": 0.1},
    ),
}
SMOOTHINGS = (0.0, 0.1, 0.5, 1.0)
MAX_NORMS = (0.0, 0.5, 3.0, 1e3)

# Layers: kind, arguments, options; those of residual ones are layers themselves.
SAME = ("Conv2d", (2, 2, 3), {"padding": 1})
BODY = ("Sequential", (SAME, ("ReLU", (), {}), SAME), {})
SMALLER = (
    "Residual",
    (
        (
            "Sequential",
            (
                ("Conv2d", (2, 3, 3), {"stride": 2, "padding": 1}),
                ("ReLU", (), {}),
                ("Conv2d", (3, 3, 3), {"padding": 1, "bias": False}),
            ),
            {},
        ),
        ("Conv2d", (2, 3, 1), {"stride": 2, "bias": False}),
    ),
    {},
)
DEEP = (
    "Sequential",
    (
        ("Conv2d", (1, 2, 3), {"padding": 1}),
        ("Residual", (BODY,), {}),
        ("ReLU", (), {}),
        SMALLER,
        ("ReLU", (), {}),
        ("GlobalAvgPool2d", (), {}),
        ("Flatten", (), {}),
        ("Linear", (3, 3), {}),
    ),
    {},
)
# Name: a layer, and an input shape.
LAYERS = {
    "conv": ("Conv2d", (2, 4, 3), {}, (3, 2, 7, 6)),
    "conv strided": (
        "Conv2d",
        (2, 3, (3, 2)),
        {"stride": (2, 3), "padding": (1, 2)},
        (2, 2, 8, 9),
    ),
    "conv dilated": ("Conv2d", (1, 2, 3), {"dilation": (1, 2)}, (2, 1, 6, 8)),
    "conv groups": (
        "Conv2d",
        (4, 6, 3),
        {"groups": 2, "padding": 1, "bias": False},
        (2, 4, 5, 4),
    ),
    "conv same": ("Conv2d", (2, 2, 3), {"padding": "same"}, (2, 2, 5, 6)),
    "conv valid": ("Conv2d", (2, 2, 3), {"padding": "valid"}, (2, 2, 5, 6)),
    "conv of one image": ("Conv2d", (2, 3, 2), {}, (2, 4, 5)),
    "signal conv": ("Conv1d", (2, 3, 3), {}, (2, 2, 7)),
    "signal conv strided": (
        "Conv1d",
        (2, 2, 3),
        {"stride": 2, "padding": 2, "dilation": 2},
        (2, 2, 9),
    ),
    "signal conv groups": (
        "Conv1d",
        (4, 6, 2),
        {"groups": 2, "bias": False},
        (2, 4, 5),
    ),
    "signal conv same": ("Conv1d", (1, 2, 3), {"padding": "same"}, (2, 1, 6)),
    "max pool": ("MaxPool2d", (2,), {}, (2, 3, 7, 6)),
    "max pool overlapping": (
        "MaxPool2d",
        ((3, 2),),
        {"stride": (2, 1), "padding": 1, "dilation": (1, 2)},
        (2, 2, 7, 8),
    ),
    "max pool ceil": ("MaxPool2d", (3, 2), {"ceil_mode": True}, (2, 2, 8, 8)),
    "signal max pool": ("MaxPool1d", (2,), {}, (2, 3, 7)),
    "signal max pool overlapping": (
        "MaxPool1d",
        (3,),
        {"stride": 2, "padding": 1, "dilation": 2},
        (2, 2, 9),
    ),
    "signal max pool ceil": ("MaxPool1d", (3, 2), {"ceil_mode": True}, (2, 2, 8)),
    "average pool": ("AvgPool2d", (2,), {}, (2, 3, 7, 6)),
    "average pool clipped": (
        "AvgPool2d",
        (3,),
        {"stride": 2, "padding": 1, "count_include_pad": False},
        (2, 2, 7, 6),
    ),
    "average pool ceil": ("AvgPool2d", (3, 2), {"ceil_mode": True}, (1, 2, 8, 6)),
    "global average pool": ("GlobalAvgPool2d", (), {}, (2, 3, 4, 5)),
    "global average pool of one image": ("GlobalAvgPool2d", (), {}, (3, 4, 5)),
    "linear": ("Linear", (6, 4), {}, (5, 6)),
    "linear without bias": ("Linear", (3, 2), {"bias": False}, (4, 3)),
    "linear over axes": ("Linear", (4, 3), {}, (2, 3, 4)),
    "relu": ("ReLU", (), {}, (3, 4, 5)),
    "sigmoid": ("Sigmoid", (), {}, (3, 4, 5)),
    "softmax": ("Softmax", (), {}, (4, 7)),
    "flatten": ("Flatten", (), {}, (3, 2, 4, 5)),
    "reshape": ("Reshape", (2, 3, 4), {}, (3, 24)),
    "reshape inferred": ("Reshape", (-1, 4), {}, (2, 3, 8)),
    "locally connected": ("LocallyConnected2d", (2, 3, (4, 5), 3), {}, (2, 2, 4, 5)),
    "locally connected strided": (
        "LocallyConnected2d",
        (1, 2, (5, 6), (3, 2)),
        {"stride": (2, 1), "padding": (1, 2), "bias": False},
        (2, 1, 5, 6),
    ),
    "residual": ("Residual", (BODY,), {}, (2, 2, 4, 5)),
    "residual with shortcut": (*SMALLER, (2, 2, 6, 5)),
    "residual network": (*DEEP, (2, 1, 6, 5)),
}
FANS = {
    "linear": ("Linear", (7, 5), {}),
    "conv": ("Conv2d", (6, 8, (3, 5)), {}),
    "conv groups": ("Conv2d", (6, 9, (3, 2)), {"groups": 3}),
    "depthwise": ("Conv2d", (4, 4, 3), {"groups": 4}),
    "signal conv": ("Conv1d", (4, 6, 3), {}),
}


class Residual(nn.Module):
    """body(x) + shortcut(x), or body(x) + x."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        """Return the sum of both ways."""
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class LocallyConnected2d(nn.Module):
    """A convolution with other weights in every place, by unfolding."""

    def __init__(
        self,
        channels,
        filters,
        input_size,
        kernel_size,
        stride=1,
        padding=0,
        bias=True,
    ):
        super().__init__()
        self.options = {"stride": stride, "padding": padding}
        conv = nn.Conv2d(channels, filters, kernel_size, **self.options)
        self.kernel_size = conv.kernel_size
        self.places = conv(torch.zeros(1, channels, *input_size)).shape[2:]
        shape = filters, channels, *self.kernel_size, *self.places
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.randn(filters, *self.places)) if bias else None

    def forward(self, x):
        """Return the sums of each column times its own weights."""
        columns = functional.unfold(x, self.kernel_size, **self.options)
        weight = self.weight.flatten(4).flatten(1, 3)  # (F, C * KH * KW, places)
        y = torch.einsum("nkp,fkp->nfp", columns, weight).unflatten(2, self.places)
        return y if self.bias is None else y + self.bias


TWINS = {
    "Residual": Residual,
    "LocallyConnected2d": LocallyConnected2d,
    "GlobalAvgPool2d": lambda: nn.AdaptiveAvgPool2d(1),
    "Softmax": lambda: nn.Softmax(-1),
    "Reshape": lambda *shape: nn.Sequential(nn.Flatten(), nn.Unflatten(1, shape)),
}


def build(kind, arguments, options):
    """Return PyTorch's layer for one of LAYERS or FANS."""
    made = [
        build(*a) if isinstance(a, tuple) and isinstance(a[0], str) else a
        for a in arguments
    ]
    return TWINS.get(kind, getattr(nn, kind, None))(*made, **options)


def coarse(rng, shape, size=1.0):
    """Return random numbers that float32 holds exactly, and that pack well."""
    return np.round(64 * size * rng.normal(size=shape)) / 64


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


def record_layers(rng):
    """Record output, gradients and weights of every layer."""
    out = {}
    for name, (*spec, shape) in LAYERS.items():
        layer = build(*spec).double()
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.tensor(coarse(rng, tuple(p.shape), 0.5)))
        x = tensor(coarse(rng, shape))
        y = layer(x)
        dy = coarse(rng, tuple(y.shape))
        y.backward(torch.tensor(dy))
        values = {"x": x, "dy": dy, "y": y, "dx": x.grad}
        values |= {f"state/{key}": v for key, v in layer.state_dict().items()}
        values |= {f"grad/{key}": p.grad for key, p in layer.named_parameters()}
        out |= {f"layers/{name}/{key}": value for key, value in values.items()}
    return out


def record_losses(rng):
    """Record losses and their gradients: smoothing, soft targets, extremes."""
    out = {}
    logits, labels = coarse(rng, (6, 5), 4), rng.integers(0, 5, 6)
    huge = np.float32(1e4) * rng.choice([-1, 0, 1], (6, 5)).astype(np.float32)
    for name, array in (("usual", logits), ("huge", huge)):
        out |= {f"smoothing/{name}/logits": array, f"smoothing/{name}/labels": labels}
        for smoothing in SMOOTHINGS:
            x = torch.tensor(array, requires_grad=True)
            loss = functional.cross_entropy(
                x, torch.tensor(labels), label_smoothing=smoothing
            )
            loss.backward()
            key = f"smoothing/{name}/{smoothing}"
            out |= {f"{key}/loss": loss, f"{key}/dlogits": x.grad}
    targets = np.round(64 * rng.uniform(size=(5, 4))) / 64
    targets[0], targets[1] = 0, 1
    inside = np.clip(np.round(64 * rng.uniform(size=(5, 4))), 1, 63) / 64
    edges = np.tile([0.0, 1.0, 0.5, 1.0], (5, 1))
    usual, extreme = coarse(rng, (5, 4), 5), np.tile([1e4, -1e4, 0.0, 200.0], (5, 1))
    for name, function, array in (
        ("bce/inside", functional.binary_cross_entropy, inside),
        ("bce/edges", functional.binary_cross_entropy, edges),
        ("bce_logits/usual", functional.binary_cross_entropy_with_logits, usual),
        ("bce_logits/huge", functional.binary_cross_entropy_with_logits, extreme),
    ):
        for dtype in (np.float64, np.float32):
            x = torch.tensor(array.astype(dtype), requires_grad=True)
            loss = function(x, torch.tensor(targets.astype(dtype)))
            loss.backward()
            key = f"{name}/{np.dtype(dtype)}"
            values = {"values": x, "targets": targets, "loss": loss, "grad": x.grad}
            out |= {f"{key}/{k}": value for k, value in values.items()}
    return out


def record_schedules(rng):
    """Record the rate, the momentum and the weights of 100 steps of each schedule.

    The problem is a least-squares one, as in record_optimizers.
    """
    inputs, targets = coarse(rng, (8, 4)), coarse(rng, (8, 3))
    start = {"weight": coarse(rng, (3, 4)), "bias": coarse(rng, 3)}
    out = {"scheduled/inputs": inputs, "scheduled/targets": targets}
    out |= {f"scheduled/{key}": value for key, value in start.items()}
    for name, (kind, options, optimizer_kind, settings) in SCHEDULES.items():
        weight, bias = tensor(start["weight"]), tensor(start["bias"])
        optimizer = getattr(torch.optim, optimizer_kind)([weight, bias], **settings)
        schedule = getattr(torch.optim.lr_scheduler, kind)(optimizer, **options)
        kept = {"lr": [], "momentum": [], "weight": [], "bias": []}
        for step in range(1, max(STEPS) + 1):
            group = optimizer.param_groups[0]
            momentum = group["betas"][0] if "betas" in group else group["momentum"]
            kept["lr"].append(group["lr"])
            kept["momentum"].append(momentum)
            optimizer.zero_grad()
            y = functional.linear(torch.tensor(inputs), weight, bias)
            ((y - torch.tensor(targets)) ** 2).sum(1).mean().backward()
            optimizer.step()
            if step < max(STEPS):
                schedule.step()
            if step in STEPS:
                kept["weight"].append(weight.detach().numpy().copy())
                kept["bias"].append(bias.detach().numpy().copy())
        out |= {f"scheduled/{name}/{k}": np.array(rows) for k, rows in kept.items()}
    return out


def record_clipping(rng):
    """Record gradients scaled down to several norms, and the norm before."""
    grads = [coarse(rng, shape, 2) for shape in [(3, 4), (5,), ()]]
    out = {f"clip/grad{k}": grad for k, grad in enumerate(grads)}
    for limit in MAX_NORMS:
        weights = [tensor(np.zeros_like(grad)) for grad in grads]
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = torch.tensor(grad)
        norm = torch.nn.utils.clip_grad_norm_(weights, limit)
        out[f"clip/{limit}/norm"] = norm
        out |= {f"clip/{limit}/grad{k}": w.grad for k, w in enumerate(weights)}
    return out


def record_fans():
    """Record fan-in and -out, and He's and Xavier's deviations and bounds."""
    out = {}
    for name, spec in FANS.items():
        weight = build(*spec).weight
        inward, outward = nn.init._calculate_fan_in_and_fan_out(weight)
        gain = nn.init.calculate_gain("relu")
        he, xavier = gain / inward**0.5, (2 / (inward + outward)) ** 0.5
        sizes = [inward, outward, he, 3**0.5 * he, xavier, 3**0.5 * xavier]
        out[f"fans/{name}"] = np.array(sizes)
    return out


def record_run(rng):
    """Record 60 steps of a residual network: AdamW, one cycle, smoothing, clipping."""
    model = build(*DEEP).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(coarse(rng, tuple(p.shape), 0.5)))
    images, labels = coarse(rng, (12, 1, 6, 5)), np.arange(12) % 3
    out = {"x": images, "labels": labels}
    out |= {f"start/{k}": v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=60)
    losses, norms = [], []
    for step in range(60):
        part = slice(0, 6) if step % 2 == 0 else slice(6, 12)
        loss = functional.cross_entropy(
            model(torch.tensor(images[part])),
            torch.tensor(labels[part]),
            label_smoothing=0.1,
        )
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        optimizer.step()
        if step < 59:
            schedule.step()
        losses.append(loss.item())
    out |= {"losses": np.array(losses), "norms": np.array(norms)}
    out |= {f"end/{k}": v for k, v in model.state_dict().items()}
    return {f"run/{key}": value for key, value in out.items()}


def record():
    """Return all recorded arrays by name."""
    rng = np.random.default_rng(SEED)
    out = record_functions(rng) | record_optimizers(rng) | record_network(rng)
    parts = (record_layers, record_losses, record_schedules, record_clipping)
    for k, part in enumerate((*parts, record_run)):  # each has numbers of its own
        out |= part(np.random.default_rng([SEED, k]))
    out |= record_fans()
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
        "schedules": SCHEDULES,
        "smoothings": SMOOTHINGS,
        "max_norms": MAX_NORMS,
        "layers": LAYERS,
        "fans": FANS,
    }
    notes.write_text(json.dumps(about, indent=1) + "\n")
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
