"""`python -m bench [NAME …]`: all measurements, or some: medians of interleaved runs, ratios against a peer in the same run."""

import runpy
import sys

ALL = ("push", "tags", "first_line", "peers", "workspace", "notes", "ssh", "cli", "engine")
LONG = ("deploy", "downtime", "machine")  # only by name


def main(names: list[str]) -> int:
    """Run the named modules one after the other; 2 for a name that is not there."""
    unknown = [name for name in names if name not in (*ALL, *LONG)]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are {', '.join((*ALL, *LONG))}", file=sys.stderr)
        return 2
    sys.argv = sys.argv[:1]
    for name in names or ALL:
        runpy.run_module(f"bench.{name}", run_name="__main__")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
