"""`synthaug recipes ls|show|cp|validate`: list, read, copy and check recipes for `fit`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from synthaug.errors import shell_command
from synthaug_cli import console, fast_checks
from synthaug_cli.completion import values_of
from synthaug_cli.help import Command, Group
from synthaug_cli.options import everywhere

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from synthaug.config import Config
    from synthaug.documents import RecipeDocument, RecipesDocument

app = typer.Typer(name="recipes", help="List, show, copy and check recipes.", cls=Group, rich_markup_mode=None)

_FIRST = ("default", "sprites-colour", "photos-64", "finetune", "demo")
"""Recipes that are listed first."""
RecipeName = Annotated[
    str, typer.Argument(metavar="NAME", help="A recipe of `synthaug recipes ls`.", autocompletion=values_of("NAME"))
]


@app.callback()
@everywhere
def group() -> None:
    """List, show, copy and check recipes."""


@app.command("ls", cls=Command)
@everywhere
def ls() -> None:
    """List the recipes with their purpose and cost.

    Examples:
        synthaug recipes ls
        synthaug recipes ls --json
    """
    from synthaug.config import recipe_names
    from synthaug.documents import RecipesDocument

    console.result(RecipesDocument(recipes={name: _describe(name) for name in recipe_names()}), render_list)


@app.command("show", cls=Command)
@everywhere
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A recipe. [default: every key with its default]", autocompletion=values_of("NAME")
        ),
    ] = None,
) -> None:
    """Print a recipe, or every key of a recipe.

    Examples:
        synthaug recipes show default
        synthaug recipes show
    """
    from synthaug.documents import RecipeDocument

    if name is None:
        from synthaug.config import Config

        text = every_key(Config()) + family_keys(Config())
        document = RecipeDocument(name="every key", text=text, config=Config().model_dump(mode="json"))
    else:
        document = _describe(name)
    console.result(document, lambda shown: console.line(shown.text.rstrip()))


@app.command("cp", cls=Command)
@everywhere
def cp(
    name: RecipeName,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The copy. [default: NAME.yaml]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.", rich_help_panel="Output")] = False,
) -> None:
    """Copy a recipe to a file, to edit and use with --config.

    Examples:
        synthaug recipes cp default
        synthaug recipes cp default mine.yaml
    """
    from synthaug.config import recipe_text
    from synthaug.files import check_new_file, write_text

    text = recipe_text(name)
    target = Path(f"{name}.yaml") if file is None else file
    if target.is_dir():
        target = target / f"{name}.yaml"
    check_new_file(target, overwrite=overwrite, option="FILE")
    fast_checks.new_folder(target.parent, overwrite=True, option="FILE")
    write_text(target, text)
    message = f"wrote {target}\nnext: edit it, then {shell_command('fit', 'DATA', config=target)}"
    console.result(_describe(name), lambda _: console.line(message))


@app.command("validate", cls=Command)
@everywhere
def validate(file: Annotated[Path, typer.Argument(metavar="FILE", help="A recipe file.")]) -> None:
    """Check a recipe, and report all faults at once.

    Examples:
        synthaug recipes validate mine.yaml
        synthaug recipes validate mine.yaml --json
    """
    from synthaug.config import resolve
    from synthaug.documents import RecipeDocument
    from synthaug.parsing import read_text
    from synthaug.pipelines.config_checks import check_config, config_warnings

    resolved = resolve(file=file)
    check_config(resolved.config)
    for warning in config_warnings(resolved.config):
        console.progress().warn(warning)
    text = read_text(file)
    document = RecipeDocument(name=str(file), **header(text), text=text, config=resolved.config.model_dump(mode="json"))
    console.result(document, lambda _: console.line(f"{file} is a valid recipe"))


def header(text: str) -> dict[str, str]:
    """The fields of a recipe's leading comment: `purpose`, `cost`, `run`."""
    fields: dict[str, str] = {}
    key = ""
    for comment in re.findall(r"^#[ ]?(.*)$", text.split("\n\n")[0], flags=re.MULTILINE):
        if found := re.match(r"(For|Cost|Run):\s*(.*)", comment):
            key = {"For": "purpose", "Cost": "cost", "Run": "run"}[found[1]]
            fields[key] = found[2]
        elif key:
            fields[key] += f" {comment.strip()}"
    return fields


def every_key(config: BaseModel, indent: str = "") -> str:
    """Every key of a configuration as YAML, with its value, its meaning and the allowed values."""
    lines = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if hasattr(value, "model_dump"):
            lines += [f"{indent}{name}:", every_key(value, f"{indent}  ")]
            continue
        lines.append(f"{indent}{_entry(name, field, value)}")
    return "\n".join(lines)


def family_keys(config: Config) -> str:
    """The `model` keys that the family of `config` does not have, as comments by family."""
    from synthaug.config import FAMILY_OPTIONS

    text = ""
    for family in FAMILY_OPTIONS.names():
        options = FAMILY_OPTIONS.get(family)(family=family)
        fields = {k: f for k, f in type(options).model_fields.items() if k not in type(config.model).model_fields}
        if fields:
            text += f"\n# in model, with family {family}:"
            text += "".join(f"\n#   {_entry(name, field, getattr(options, name))}" for name, field in fields.items())
    return text


def _entry(name: str, field: FieldInfo, value: Any) -> str:
    import yaml

    written = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
    notes = [n for n in (field.description, _allowed(field.annotation, field.metadata)) if n]
    return f"{name}: {written}" + (f"  # {'; '.join(notes)}" if notes else "")


def _allowed(annotation: Any, limits: list[Any]) -> str:
    choices = [a for a in get_args(annotation) if isinstance(a, (str, int))]
    if choices:
        return " | ".join(str(c) for c in choices)
    symbols = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [(limit, name) for limit in limits for name in symbols if hasattr(limit, name)]
    return ", ".join(f"{symbols[name]} {getattr(limit, name):g}" for limit, name in found)


def _describe(name: str) -> RecipeDocument:
    from synthaug.config import recipe_text, resolve
    from synthaug.documents import RecipeDocument

    text = recipe_text(name)
    return RecipeDocument(name=name, **header(text), text=text, config=resolve(name).config.model_dump(mode="json"))


def render_list(listed: RecipesDocument) -> None:
    from synthaug.config import AUTO, family_options
    from synthaug.translators.options import SourceOptions

    def group(recipe: RecipeDocument) -> str:
        if recipe.name in _FIRST:
            return "to begin with"
        if recipe.name.startswith("gpu-"):
            return "on a GPU"
        options = family_options(recipe.config["model"]["family"])
        return "from images" if issubclass(options, SourceOptions) else "other families"

    auto = [AUTO, "your images and your device: it chooses from them, with a reason for each choice.", "as it says."]
    groups: dict[str, list[list[str]]] = {"to begin with": [auto]}
    first = [listed.recipes[name] for name in _FIRST if name in listed.recipes]
    for recipe in (*first, *(r for r in listed.recipes.values() if r.name not in _FIRST)):
        groups.setdefault(group(recipe), []).append([recipe.name, recipe.purpose, recipe.cost])
    for title in ("to begin with", "on a GPU", "from images", "other families"):
        console.table(title, ["recipe", "for", "cost"], groups.get(title, []), words=3)
