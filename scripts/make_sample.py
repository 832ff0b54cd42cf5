"""Make the sample of MNIST that the package bundles.

    python scripts/make_sample.py FOLDER [OUTPUT]

FOLDER holds the four official IDX files, gzipped or not. Every fifth image of each
official split, with its label, is written to OUTPUT (default: cnnbook/mnist_sample)
in the same format, gzipped. Every fifth, and not the first ones, because the
first half of the official test images is easier to read than the second.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from cnnbook.data import MNIST_FILES, load_mnist, to_idx

EVERY = 5


def make_sample(source, output):
    """Write the sample; return the files written."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    names = iter(MNIST_FILES)
    written = []
    for split in load_mnist(source):
        pixels = np.rint(split.images[::EVERY, 0] * 255).astype(np.uint8)
        for array in (pixels, split.labels[::EVERY].astype(np.uint8)):
            path = output / f"{next(names)}.gz"
            path.write_bytes(gzip.compress(to_idx(array), 9, mtime=0))
            written.append(path)
    return written


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    here = Path(__file__).resolve().parent.parent
    output = sys.argv[2] if len(sys.argv) == 3 else here / "cnnbook" / "mnist_sample"
    for path in make_sample(sys.argv[1], output):
        print(f"{path}: {path.stat().st_size:,} bytes")
