"""Record what PyTorch computes for convolution, pooling and unfolding.

    python scripts/record_pytorch.py [FOLDER]

Writes operations.npz (inputs, random upstream gradients, results, gradients)
and operations.json (versions, seeds) into FOLDER (default: tests/recorded). The
cases are those of tests/oracle_cases.py. The tests compare cnnbook with the
recording, so that they need no PyTorch themselves.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from oracle_cases import NAMED, PYTORCH  # noqa: E402

LIMIT = 400_000


def record():
    """Return every array to keep, under operation/case/name."""
    arrays = {}
    for operation, cases in NAMED.items():
        for name, case in cases.items():
            for key, value in PYTORCH[operation](torch, case).items():
                arrays[f"{operation}/{name}/{key}"] = value
    return arrays


def about():
    """Return versions and seeds."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "seeds": {
            operation: {name: case.seed for name, case in cases.items()}
            for operation, cases in NAMED.items()
        },
    }


def main():
    """Write both files."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TESTS / "recorded"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = record()
    np.savez_compressed(folder / "operations.npz", **arrays)
    text = json.dumps(about(), indent=2) + "\n"
    (folder / "operations.json").write_text(text, encoding="utf-8")
    size = sum(f.stat().st_size for f in folder.glob("operations.*"))
    if size > LIMIT:
        raise SystemExit(f"{size} bytes is more than {LIMIT}: use fewer cases")
    print(f"{len(arrays)} arrays, {size} bytes, in {folder}")


if __name__ == "__main__":
    main()
