"""`make faults`: attack the tool, and count how often it held. With --write, the counts go to docs/reliability.md.

python tests/faults/run.py kills --commands fit,export --times 30 --write
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.disk import full_disks, read_only
from faults.disturbances import DISTURBANCES, disturbed
from faults.kills import kill_and_repeat
from faults.workplace import COMMANDS, UNTRAINED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def attacks(options: argparse.Namespace, place: Path) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """What is attacked and how, and the faults that each attempt found."""
    for command in options.commands:
        of_it = place / ("images" if command.startswith(UNTRAINED) else "trained")
        if options.kind == "kills":
            yield f"SIGKILL of `{command}`", kill_and_repeat(of_it, command, options.times, options.seed)
        elif options.kind == "disk":
            yield f"full disk during `{command}`", full_disks(of_it, command)
            yield f"read-only folder for `{command}`", read_only(of_it, command)
        else:
            kind = DISTURBANCES[options.kind]
            yield f"{kind.what} `{command}`", disturbed(of_it, command, kind, options.times, options.seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["kills", "disk", *DISTURBANCES], nargs="?", default="kills")
    parser.add_argument("--commands", type=lambda text: text.split(","), default=list(COMMANDS))
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"put the counts into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    failed = 0
    with TemporaryDirectory() as place:
        for attack, outcomes in attacks(options, Path(place)):
            tried = held = 0
            for faults in outcomes:
                tried, held = tried + 1, held + (not faults)
                print(f"{attack} {tried}: {'held' if not faults else '; '.join(faults)}", flush=True)
            failed += tried - held
            if options.write:
                arguments = [a for a in sys.argv[1:] if a != "--write"]
                run = "unshare -rm make faults" if options.kind == "disk" else "make faults"
                write(attack, tried, held, f"{run} ARGS={shlex.quote(' '.join(arguments))}")
    return failed > 0


def write(attack: str, tried: int, held: int, command: str) -> None:
    """Put a row of the table into the page, in the place of an earlier one of the same attack."""
    row = f"| {attack} | {tried} | {held} | {date.today()} | `{command}` |"
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [k for k, line in enumerate(lines) if line.startswith("|")]
    same = [k for k in table if lines[k].startswith(f"| {attack} |")]
    if same:
        lines[same[0]] = row
    else:
        lines.insert(table[-1] + 1, row)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
