"""Make the photograph that the package bundles.

    python scripts/make_photograph.py [OUTPUT]

The picture is one of the two that scikit-learn brings (see LICENSE beside the
output). It is made half as large, every four pixels becoming their mean, and
written to OUTPUT (default: cnnbook/photograph) as unsigned bytes, (3, H, W), in the
IDX format, gzipped. Needs scikit-learn and Pillow.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_image

from cnnbook.data import PHOTOGRAPH, to_idx


def make_photograph(output):
    """Write the photograph; return the file written."""
    pixels = load_sample_image("china.jpg").astype(np.float64)  # (H, W, 3)
    height, width = (size // 2 for size in pixels.shape[:2])
    blocks = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    small = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    path = Path(output) / f"{PHOTOGRAPH}.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(to_idx(small.transpose(2, 0, 1)), 9, mtime=0))
    return path


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    here = Path(__file__).resolve().parent.parent
    output = sys.argv[1] if len(sys.argv) == 2 else here / "cnnbook" / "photograph"
    path = make_photograph(output)
    print(f"{path}: {path.stat().st_size:,} bytes")
