"""`python -m ravine report FILE [LATER]`: prints a saved report of a monitor, or compares two."""

from __future__ import annotations

import argparse
import sys

from ._errors import RavineError
from ._health import Report


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ravine")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser(
        "report", help="prints a report that was saved with report.save(path), or compares two"
    )
    report.add_argument("file")
    report.add_argument("later", nargs="?", help="a second report: what is new, gone or changed")
    given = parser.parse_args(arguments)
    try:
        first = Report.load(given.file)
        print(first.compare(Report.load(given.later)) if given.later else str(first), end="")
    except RavineError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
