"""Results as a table (Markdown), as pictures (SVG and PNG) and as numbers (JSON)."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.bars import Verdict, judge
from benchmarks.networks import OURS, SLOW, TORCH

MISSING = "-"
VERSIONS = (OURS, *TORCH, *SLOW)


def markdown(results: dict) -> str:
    """Return the report of any of the benchmarks."""
    write = {"race": race, "operators": operators, "scaling": scaling}
    parts = [
        f"# Benchmark: {results['benchmark']}",
        *write[results["benchmark"]](results),
        *bars(judge(results)),
        "## Machine and versions",
        table(("what", "which"), results["machine"].items()),
        *remarks(results["notes"]),
    ]
    return "\n\n".join(parts) + "\n"


def remarks(notes: Sequence[str]) -> list[str]:
    """Return the warnings as a section."""
    if not notes:
        return []
    return ["## Beware", "\n".join(f"* {note}" for note in notes)]


def race(results: dict) -> list[str]:
    """Return the sections of a race."""
    settings = results["settings"]
    parts = [
        "Microseconds for one image; in brackets, how many times as long as cnnbook's, "
        "with the quartiles where they matter: above 1, cnnbook is faster. All numbers "
        f"are medians, of {settings['rounds']} rounds for cnnbook and PyTorch and "
        f"{settings['slow rounds']} for im2col, einsum and loops. The loops were timed "
        "on batches of one image, and with the first number of threads only."
    ]
    for task in ("training", "inference"):
        rows = [row for row in results["rows"] if row["task"] == task]
        head = ("network", "batch", "threads", *VERSIONS)
        lines = [
            (
                row["network"],
                row["batch"],
                row["threads"],
                *(race_cell(row, name) for name in VERSIONS),
            )
            for row in rows
        ]
        title = {"training": "Training step", "inference": "Inference"}[task]
        parts += [f"## {title}", table(head, lines)]
    return [*parts, *peaks(results["memory"])]


def race_cell(row: dict, name: str) -> str:
    """Return a competitor's time for an image, and its ratio to ours."""
    if name not in row["seconds"]:
        return MISSING
    time = 1e6 * row["seconds"][name]["median"] / row["images"][name]
    if name == OURS:
        return f"{time:.4g}"
    ratio = row["ratios"][name]
    if name in SLOW:
        return f"{time:.3g} ({ratio['median']:.3g})"
    between = f"{ratio['low']:.2f} to {ratio['high']:.2f}"
    return f"{time:.4g} (**{ratio['median']:.2f}**, {between})"


def peaks(rows: list[dict]) -> list[str]:
    """Return the section about memory."""
    if not rows:
        return []
    lines = [(row["name"], number(row["megabytes"], ".1f")) for row in rows]
    sources = ", ".join(sorted({row["source"] for row in rows}))
    return [
        "## Peak memory",
        "By how many MB (10^6 bytes) four training steps of network B, batch 256, one "
        "thread, raise the resident memory at its peak, each competitor in a process "
        f"of its own. Read from {sources}.",
        table(("competitor", "MB"), lines),
    ]


def operators(results: dict) -> list[str]:
    """Return the sections of the operators."""
    batch = results["settings"]["batch"]
    parts = [
        f"Batch {batch}. Milliseconds; in brackets, the share of the roofline. For a "
        "convolution that is what the product of two 1024x1024 matrices reaches, for "
        "everything else what copying an array reaches, measured in the same rounds. "
        "The work counts products with the padding's zeros, too; PyTorch leaves them "
        "out, and so can pass 100%. A copy that fits into the caches is fast, so the "
        "shares of the two kinds don't compare. Medians of "
        f"{results['settings']['rounds']} rounds. Poolings under im2col are those of "
        "cnnbook.lowering."
    ]
    shown = [v for v in VERSIONS if any(v in r["shares"] for r in results["rows"])]
    head = ("operator", "on", "threads", *shown, "roofline")
    lines = [
        (
            row["operator"],
            row["shape"],
            row["threads"],
            *(operator_cell(row, name) for name in shown),
            f"{row['rates']['roofline']['median']:.3g} {row['unit']}",
        )
        for row in results["rows"]
    ]
    return [*parts, table(head, lines), *breakdowns(results["rows"])]


def operator_cell(row: dict, name: str) -> str:
    """Return a competitor's time and its share of the roofline."""
    if name not in row["shares"]:
        return MISSING
    time = 1e3 * row["seconds"][name]["median"]
    return f"{time:.3g} ({row['shares'][name]['median']:.0%})"


def breakdowns(rows: list[dict]) -> list[str]:
    """Return the section that says where the rest goes."""
    watched = [row for row in rows if "breakdown" in row]
    if not watched:
        return []
    head = (
        "operator",
        "on",
        "the product, at the roofline",
        "the product, beyond that",
        "everything else",
    )
    kinds = ("roofline", "product", "other")
    lines = [
        (
            row["operator"],
            row["shape"],
            *(
                f"{row['breakdown'][kind]:.0%}" if row["breakdown"] else "not seen"
                for kind in kinds
            ),
        )
        for row in watched
    ]
    return [
        "## Where the rest goes",
        "Shares of the time of cnnbook's convolutions, one thread, with a stopwatch on "
        "the products inside cnnbook.fast. The first share is what the large square "
        "product would take for the same work; the second, what the products really "
        "used take beyond that (below zero: they were faster); the third is lowering, "
        "sums, copies, fresh memory and Python.",
        table(head, lines),
    ]


def scaling(results: dict) -> list[str]:
    """Return the sections of the sweeps."""
    settings = results["settings"]
    batches = results["batches"]
    sizes = list(batches[0]["per image"]) if batches else []
    head = ("network", "threads", *(f"batch {n}" for n in sizes), "slowest / fastest")
    lines = [
        (
            row["network"],
            row["threads"],
            *(f"{1e6 * row['per image'][n]['median']:.4g}" for n in sizes),
            f"{row['spread']:.2f}",
        )
        for row in batches
    ]
    sweeps = [
        (
            row["sweep"],
            row["kind"],
            row["threads"],
            ", ".join(
                f"{value}: {1e3 * row['seconds'][str(value)]['median']:.3g}"
                for value in row["values"]
            ),
            f"{row['slope']:.2f}",
            f"{row['expected']:.0f}",
        )
        for row in results["sizes"]
    ]
    return [
        f"Medians of {settings['rounds']} rounds, cnnbook alone.",
        "## Time for an image, by batch size",
        "Microseconds, training step.",
        table(head, lines),
        "## A convolution's time, by its sizes",
        f"Milliseconds for {settings['images in a sweep']} images, as many filters as "
        "channels. The slope is that of the line through the logarithms: 2 says that "
        "twice the size takes four times as long, as the work does; small sizes, where "
        "the work is not all of the time, flatten it.",
        table(("swept", "pass", "threads", "size: ms", "slope", "work"), sweeps),
    ]


def bars(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the section of verdicts."""
    if not verdicts:
        return []
    words = {True: "cleared", False: "MISSED", None: "not measured"}
    lines = [
        (what, number(value, ".3f"), bar, words[cleared])
        for what, value, bar, cleared in verdicts
    ]
    return ["## Bars", table(("what", "measured", "bar", "verdict"), lines)]


def number(value: float | None, form: str) -> str:
    """Return a number as text, or a dash for None."""
    return MISSING if value is None else format(value, form)


def table(head: Sequence, lines: Iterable[Sequence]) -> str:
    """Return a Markdown table whose columns are aligned as plain text, too."""
    rows = [[str(cell) for cell in row] for row in (head, *lines)]
    wide = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in wide])
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, wide, strict=True)) + " |"
        for row in rows
    )


def save(results: dict, folder: Path, name: str) -> list[Path]:
    """Write the table, the numbers and the pictures; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.md", folder / f"{name}.json"]
    paths[0].write_text(markdown(results), encoding="utf-8")
    paths[1].write_text(to_json(results), encoding="utf-8")
    try:
        from benchmarks import pictures
    except ModuleNotFoundError as error:
        print(f"No pictures: {error}")
        return paths
    for suffix, figure in pictures.draw(results).items():
        for kind in ("svg", "png"):
            paths.append(folder / f"{name}{suffix}.{kind}")
            pictures.write(figure, paths[-1])
    return paths


def to_json(results: dict) -> str:
    """Return results as JSON."""
    return json.dumps(results, indent=1, allow_nan=False) + "\n"


def load(path: Path) -> dict:
    """Return the results that :py:func:`save` wrote as JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
