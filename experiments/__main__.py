"""The command line: ``python -m experiments wide light deep leave_one_out``."""

import argparse
import os
import sys
import warnings

from experiments import recipes, record


def main(arguments=None) -> int:
    """Record the experiments that are named; return the exit code."""
    known = [*recipes.HEADLINES, "leave_one_out"]
    parser = argparse.ArgumentParser(
        "python -m experiments", description="Train, and record as JSON."
    )
    parser.add_argument(
        "names", nargs="+", choices=known, metavar="NAME", help=", ".join(known)
    )
    parser.add_argument("--data", help="MNIST's folder (default: $CNNBOOK_DATA)")
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="record although files were changed since the last commit",
    )
    options = parser.parse_args(arguments)
    kept = os.environ.get("CNNBOOK_RUNS") or record.FOLDER.parent / "_build" / "runs"
    os.environ["CNNBOOK_RUNS"] = str(kept)
    data = options.data or os.environ.get("CNNBOOK_DATA")
    more = {"data_path": data, "allow_changes": options.allow_changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the record says which data it is of
        try:
            for name in options.names:
                if name == "leave_one_out":
                    record.record_comparison(
                        name, recipes.LEFT_OUT, recipes.FEW, **more
                    )
                    continue
                recipe = recipes.HEADLINES[name]
                results = record.record_headline(name, recipe, recipes.SEEDS, **more)
                shares = [run["test"]["accuracy"] for run in results["runs"]]
                print(name, " ".join(f"{share:.2%}" for share in shares), flush=True)
        except (RuntimeError, OSError) as error:
            print(f"experiments: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
