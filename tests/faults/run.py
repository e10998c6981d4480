"""`make faults`: attack the tool, and count how often it held. With --write, the counts go to docs/reliability.md.

python tests/faults/run.py kills --commands fit,export --times 30 --write
python tests/faults/run.py kills --commands fit --times 10 --seed 1 --add
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
from faults.workplace import COMMANDS, before

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def attacks(options: argparse.Namespace, place: Path) -> Iterator[tuple[str, str, Iterator[list[str]]]]:
    """What is attacked and how, the command, and the faults that each attempt found."""
    for command in options.commands:
        of_it = place / "-".join(["after", *before(command)])
        if options.kind == "kills":
            yield f"SIGKILL of `{command}`", command, kill_and_repeat(of_it, command, options.times, options.seed)
        elif options.kind == "disk":
            yield f"full disk during `{command}`", command, full_disks(of_it, command)
            yield f"read-only folder for `{command}`", command, read_only(of_it, command)
        else:
            kind = DISTURBANCES[options.kind]
            outcomes = disturbed(of_it, command, kind, options.times, options.seed)
            yield f"{kind.what} `{command}`", command, outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["kills", "disk", *DISTURBANCES], nargs="?", default="kills")
    parser.add_argument("--commands", type=lambda text: text.split(","), default=list(COMMANDS))
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="another one gives other moments")
    parser.add_argument("--write", action="store_true", help=f"put the counts into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--add", action="store_true", help="the same, added to the counts that stand there")
    options = parser.parse_args()
    failed = 0
    with TemporaryDirectory() as place:
        for attack, command, outcomes in attacks(options, Path(place)):
            tried, held = earlier = counted(attack) if options.add else (0, 0)
            for faults in outcomes:
                tried, held = tried + 1, held + (not faults)
                print(f"{attack} {tried}: {'held' if not faults else '; '.join(faults)}", flush=True)
                if options.write or options.add:
                    write(attack, tried, held, call(options.kind, command, tried))
            failed += (tried - held) - (earlier[0] - earlier[1])
    return failed > 0


def call(kind: str, command: str, times: int) -> str:
    """How to repeat an attack so many times."""
    named = f'"{command}"' if " " in command else command
    arguments = f"{kind} --commands {named}"
    if kind == "disk":
        return f"unshare -rm make faults ARGS={shlex.quote(arguments)}"
    return f"make faults ARGS={shlex.quote(f'{arguments} --times {times}')}"


def counted(attack: str) -> tuple[int, int]:
    """How often the page says that an attack was tried, and that the tool held."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"| {attack} |"):
            return int(line.split("|")[2]), int(line.split("|")[3])
    return 0, 0


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
