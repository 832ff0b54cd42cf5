"""The pictures of the reports, in the book's style. They need Matplotlib."""

from pathlib import Path

import matplotlib

from benchmarks.networks import OURS, PYTORCH, SLOW, TORCH
from cnnbook import plots

VERSIONS = (OURS, *TORCH, *(name for name in SLOW if name != "loops"))


def draw(results: dict) -> dict[str, plots.Figure]:
    """Return the figures of a benchmark, by what is added to the file's name."""
    if results["benchmark"] == "race":
        return {"": ratios(results["rows"]), "-versions": versions(results["rows"])}
    if results["benchmark"] == "operators":
        return {"": shares(results["rows"])}
    return {"": growth(results["sizes"]), "-batches": batches(results["batches"])}


def write(figure, path: Path) -> None:
    """Save a figure as SVG or PNG, after the path's ending."""
    options = {"dpi": 150} if path.suffix == ".png" else {"metadata": {"Date": None}}
    # A picture of its own has no page behind it, so it brings its background.
    with matplotlib.rc_context(plots.STYLE):
        figure.savefig(path, facecolor="white", **options)


@plots.styled
def ratios(rows: list[dict]):
    """Draw PyTorch's times over ours, with quartiles, for every event of a race."""
    tasks = [t for t in ("training", "inference") if any(r["task"] == t for r in rows)]
    most = max(sum(row["task"] == task for row in rows) for task in tasks)
    figure, axes = plots.new_figure(
        4.6 * len(tasks), 0.36 * most + 1.3, 1, len(tasks), sharex=True
    )
    for axis, task in zip(axes, tasks, strict=True):
        events = [row for row in rows if row["task"] == task]
        dots(
            axis,
            [f"{e['network']}, {e['batch']}, {e['threads']} thr." for e in events],
            {name: [event["ratios"].get(name) for event in events] for name in TORCH},
        )
        axis.axvline(1, color=plots.INK, lw=1)
        axis.set(title=task, xlabel="PyTorch's time / cnnbook's", xlim=(0, None))
    legend(figure, axes[0])
    return figure


@plots.styled
def versions(rows: list[dict]):
    """Draw the time for an image of every version, at the first batch and threads."""
    first = [r for r in rows if r["task"] == "training"][:1] or rows[:1]
    chosen = [
        row
        for row in rows
        if all(row[key] == first[0][key] for key in ("task", "batch", "threads"))
    ]
    figure, (axis,) = plots.new_figure(6.5, 0.5 * len(chosen) + 1.6)
    series = {
        name: [per_image(row, name) for row in chosen]
        for name in (OURS, PYTORCH, *SLOW)
    }
    dots(axis, [row["network"] for row in chosen], series)
    task, batch = chosen[0]["task"], chosen[0]["batch"]
    axis.set(xscale="log", xlabel=f"{task}, batch {batch}: microseconds for an image")
    legend(figure, axis)
    return figure


def per_image(row: dict, name: str) -> dict[str, float] | None:
    """Return the quartiles of a competitor's microseconds for an image."""
    if name not in row["seconds"]:
        return None
    scale = 1e6 / row["images"][name]
    return {key: scale * value for key, value in row["seconds"][name].items()}


@plots.styled
def shares(rows: list[dict]):
    """Draw every operator's share of the roofline, by version."""
    figure, (axis,) = plots.new_figure(8.0, 0.36 * len(rows) + 1.6)
    labels = [
        f"{row['operator']} ({row['shape'].split(':')[0]}, {row['threads']} thr.)"
        for row in rows
    ]
    series = {name: [row["shares"].get(name) for row in rows] for name in VERSIONS}
    dots(axis, labels, series)
    axis.axvline(1, color=plots.INK, lw=1)
    axis.set(xlabel="share of the roofline", xlim=(0, None))
    legend(figure, axis)
    return figure


@plots.styled
def growth(rows: list[dict]):
    """Draw a convolution's time over its sizes, with the first number of threads."""
    rows = [row for row in rows if row["threads"] == rows[0]["threads"]]
    sweeps = list(dict.fromkeys(row["sweep"] for row in rows))
    figure, axes = plots.new_figure(3.4 * len(sweeps), 3.6, 1, len(sweeps), sharey=True)
    for axis, sweep in zip(axes, sweeps, strict=True):
        drawn = [row for row in rows if row["sweep"] == sweep]
        for row, (colour, mark, dash) in zip(drawn, plots.LINES, strict=False):
            axis.plot(
                row["values"],
                [1e3 * row["seconds"][str(v)]["median"] for v in row["values"]],
                color=colour,
                marker=mark,
                ls=dash,
                ms=4,
                label=f"{row['kind']}, slope {row['slope']:.2f}",
            )
        axis.set(xlabel=sweep, xscale="log", yscale="log")
        axis.set_xticks(drawn[0]["values"], map(str, drawn[0]["values"]))
        axis.minorticks_off()
        axis.legend()
    axes[0].set(ylabel="milliseconds")
    return figure


def batches(rows: list[dict]):
    """Draw the time for an image over the batch size."""
    lines = {
        f"{row['network']}, {row['threads']} thr.": (
            [int(n) for n in row["per image"]],
            [1e6 * q["median"] for q in row["per image"].values()],
        )
        for row in rows
    }
    return plots.curves(
        lines, "batch", "microseconds for an image", logx=True, logy=True
    )


def dots(axis, labels: list[str], series: dict[str, list[dict | None]]) -> None:
    """Draw medians as marks and quartiles as lines, one row for each label."""
    places = range(len(labels))
    for k, (name, values) in enumerate(series.items()):
        colour, mark, _ = plots.LINES[k]
        known = [(y, v) for y, v in zip(places, values, strict=True) if v]
        if not known:
            continue
        # each series a little lower than the one before, so that none is hidden
        heights = [y + 0.14 * (k - (len(series) - 1) / 2) for y, _ in known]
        middle = [v["median"] for _, v in known]
        axis.errorbar(
            middle,
            heights,
            xerr=[
                [v["median"] - v["low"] for _, v in known],
                [v["high"] - v["median"] for _, v in known],
            ],
            fmt=mark,
            color=colour,
            ms=4,
            lw=1,
            label=name,
        )
    axis.set_yticks(places, labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.grid(axis="x", color=plots.INK, alpha=0.25, lw=0.5)
    for y in places[1:]:
        axis.axhline(y - 0.5, color=plots.INK, alpha=0.25, lw=0.5)


def legend(figure, axis) -> None:
    """Name the series above all axes."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
