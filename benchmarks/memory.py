"""Peak memory of training steps, each competitor in a process of its own.

    python -m benchmarks.memory NAME NETWORK BATCH

measures one competitor in this process and prints JSON.
"""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import set_threads
from benchmarks.networks import competitor_steps, digits

ROOT = Path(__file__).resolve().parent.parent
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
STEPS = 4
MB = 1e6  # bytes


def in_new_process(name: str, network: str, batch: int) -> dict:
    """Measure a competitor in a fresh process with one thread; see :py:func:`peak`."""
    limits = ("OMP", "OPENBLAS", "MKL")
    environment = os.environ | {f"{limit}_NUM_THREADS": "1" for limit in limits}
    command = [sys.executable, "-m", "benchmarks.memory", name, network, str(batch)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}: measuring memory failed\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peak(name: str, network: str, batch: int) -> dict:
    """Return by how many MB some training steps raise this process's peak memory.

    The start is the resident memory before the first forward: everything is imported,
    the batch and the network are there, and a step on two images has made the
    optimizer's arrays.

    Returns
    -------
    dict
        ``name``, ``megabytes`` (10^6 bytes; None where the system doesn't tell) and
        ``source``, where the peak was read.
    """
    set_threads(1)
    batches = [digits(2), digits(batch)]
    tiny, step = competitor_steps(name, network, "training", batches)
    tiny()
    gc.collect()
    source = reset_peak()
    before = resident(source)
    for _ in range(STEPS):
        step()
    after = highest(source)
    grown = None if before is None or after is None else (after - before) / MB
    return {"name": name, "megabytes": grown, "source": source}


def reset_peak() -> str:
    """Make the peak start from now, where that is possible; say where it is read."""
    try:
        RESET.write_text("5", encoding="ascii")
    except OSError:
        return "ru_maxrss of getrusage"
    return "VmHWM of /proc/self/status, reset before the steps"


def resident(source: str) -> int | None:
    """Return the resident memory in bytes; without /proc, the peak so far."""
    return status("VmRSS") if source.startswith("VmHWM") else largest_ever()


def highest(source: str) -> int | None:
    """Return the peak since :py:func:`reset_peak` in bytes."""
    return status("VmHWM") if source.startswith("VmHWM") else largest_ever()


def status(key: str) -> int:
    """Return one of Linux's numbers about this process, in bytes."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    raise KeyError(key)


def largest_ever() -> int | None:
    """Return the process's peak since it began, in bytes; None on Windows."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


if __name__ == "__main__":
    name, network, batch = sys.argv[1:]
    print(json.dumps(peak(name, network, int(batch))))
