"""The documentation and the command line say the same: every option is in docs/, and every command in docs/ parses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import leaves, parse
from page_commands import DOCS, trainings
from page_commands import PAGES as PARTS

from synthaug.augment.diffaugment import POLICIES
from synthaug.config import Config
from synthaug.evaluation.report.terms import TERMS
from synthaug.losses import AUXILIARIES, OBJECTIVES, REGULARIZERS
from synthaug.models import DISCRIMINATORS, MODELS, UPSCALERS
from synthaug_cli.options import EVERYWHERE

PAGES = sorted([DOCS.parent / "README.md", *DOCS.rglob("*.md")])


def options(command: Any) -> set[str]:
    found = {name for p in command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("--")}
    return found - {f"--{name}" for name in EVERYWHERE} - {"--help"}


@pytest.mark.parametrize("name", sorted({name.split()[0] for name, _ in leaves()}))
def test_every_option_has_its_place_on_its_page_and_no_other_stands_there(name: str) -> None:
    page = (DOCS / "commands" / f"{name}.md").read_text(encoding="utf-8")
    real = set().union(*(options(leaf) for found, leaf in leaves() if found.split()[0] == name))
    assert real - set(re.findall(r"--[a-z-]+", page)) == set()
    in_table = "\n".join(re.findall(r"^\| (`--.*?) \| ", page, flags=re.MULTILINE))
    assert set(re.findall(r"`(--[a-z-]+)", in_table)) - real == set()


def written_commands() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.splitlines():
                for part in re.split(r"\||\$\(|\)", line.split("  #")[0].split(" # ")[0]):
                    if (command := part.strip().removeprefix(".venv/bin/")).startswith("synthaug "):
                        yield page, command


@pytest.mark.parametrize("command", sorted({command for _, command in written_commands()}))
def test_every_command_in_the_documentation_parses(command: str) -> None:
    parse(command, request=False)  # some have a placeholder, such as N, for a number


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(DOCS.parent)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [p for p in PAGES if p not in PARTS], ids=lambda p: str(p.relative_to(DOCS.parent)))
def test_a_page_begins_with_what_it_is_for_and_an_example(page: Path) -> None:
    head = re.split(r"^## ", page.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[0]
    title, text = head.split("\n", 1)
    assert title.startswith("# ")
    assert re.match(r"[A-Za-z`*]", text.strip()), "a sentence, before any table, list or code"
    assert re.search(r"^```|^    \S", text, re.MULTILINE), "an example"


def test_the_glossary_and_the_report_say_the_same() -> None:
    glossary = " ".join((DOCS / "glossary.md").read_text(encoding="utf-8").split())
    for term, sentence in TERMS.items():
        assert f"- **{term}**: {sentence}" in glossary


def entries() -> Iterator[tuple[str, str, Callable[[Config], bool]]]:
    """Every name that a training can be made of, and whether a configuration has it."""
    for name in MODELS.names():
        yield "family", name, lambda c, name=name: c.model.family == name
    for name in UPSCALERS.names():
        yield "upscaler", name, lambda c, name=name: c.model.family == name
    for name in DISCRIMINATORS.names():
        yield "discriminator", name, lambda c, name=name: c.model.discriminator == name
    for name in OBJECTIVES.names():
        yield "objective", name, lambda c, name=name: c.training.objective == name
    for name in REGULARIZERS.names():
        yield "regularizer", name, lambda c, name=name: {
            **OBJECTIVES.get(c.training.objective).regularizers, **c.training.regularizers,
        }.get(name, 0) > 0  # fmt: skip
    for name in AUXILIARIES.names():
        yield "head", name, lambda c, name=name: name in c.training.auxiliary
    for name in POLICIES:
        yield "augmentation", name, lambda c, name=name: name in c.training.augment
    for key in ("ada", "label_smoothing", "fade_end", "embedding_noise", "freeze_discriminator"):
        yield "key", key, lambda c, key=key: bool(getattr(c.training, key))


@pytest.mark.parametrize(("name", "has"), [pytest.param(*e[1:], id=f"{e[0]}-{e[1]}") for e in entries()])
def test_every_entry_has_a_page_that_names_it_with_a_command_that_uses_it(
    name: str, has: Callable[[Config], bool]
) -> None:
    pages = [page.read_text(encoding="utf-8") for page in PARTS if any(has(config) for _, config in trainings(page))]
    named = re.compile(rf"`{name}`|\b{name}: |[\[ ]{name}[\],]|training\.{name}\b|^# {name}:", re.MULTILINE)
    assert any(named.search(page) for page in pages)


@pytest.mark.parametrize("page", PARTS, ids=lambda p: p.stem)
def test_the_page_of_a_part_says_all_that_one_asks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for said in ("Idea", "When to use .+?", "What (it is|they are) bad at", "What (it|they) made"):
        assert re.search(rf"\*\*{said}\.\*\*", text), said
    assert re.search(r"\]\(https://arxiv.org/abs/", text)
    if page.stem != "class-conditioning":  # its four ways are shown by the pages of families
        assert "| setting |" in text
        assert "![" in text
        assert re.search(r"\d+ kimg at \d+ images/s", text)
    assert "TODO" not in text
    _, use, example, *_ = text.split("\n\n")
    assert use.startswith("**When to use")
    assert example.startswith("```sh\nsynthaug ")
