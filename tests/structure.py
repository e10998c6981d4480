"""The structure of the product in numbers: lines, files, upward imports, cycles, long functions and files.

    python tests/structure.py            # this checkout
    python tests/structure.py FOLDER     # another one, such as a worktree of an earlier commit

Imports under `TYPE_CHECKING` count. A package is a folder or a file right inside `synthaug/`, the command line, or the
recipes; an import is upward if it goes to a package on a higher layer. Cycles are groups of files that import each
other, directly or over others.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

LAYERS = (
    ("synthaug_cli",),
    ("synthaug",),  # the package's own file: names for Python users
    ("torch", "imbalanced"),
    ("pipelines",),
    ("requests", "results"),
    ("evaluation", "exporters"),
    ("sampling",),
    ("training",),
    ("upscalers",),
    ("losses", "translators"),
    ("models", "metrics", "classifiers"),
    ("features", "augment"),
    ("data",),
    ("runs",),
    (
        "config",
        "locks",
        "page_server",
        "documents",
        "storage",
        "parsing",
        "processes",
        "budget",
        "device",
        "files",
        "dotted",
        "grid",
        "seeds",
        "progress",
        "tasks",
        "version",
        "synthaug_recipes",
    ),
    ("launched", "registry"),
    ("errors", "turns"),
)
LONG_FUNCTION, LONG_FILE = 80, 450


def package(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "synthaug" and rest else first


def layer(module: str) -> int:
    return next((k for k, packages in enumerate(LAYERS) if package(module) in packages), len(LAYERS))


def imports(root: Path) -> dict[str, set[str]]:
    """File → the files of the product that it imports."""
    sys.path[:0] = [str(root), str(root / "cli"), str(root / "recipes")]
    graph = grimp.build_graph(
        "synthaug", "synthaug_cli", "synthaug_recipes", exclude_type_checking_imports=False, cache_dir=None
    )
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one file (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def long_functions(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > LONG_FUNCTION:
                yield f"{file.name}: {node.name}", lines


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    listed = subprocess.run(
        ["git", "ls-files", "synthaug", "cli", "recipes"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.split()
    product = [root / name for name in listed if name.endswith((".py", ".j2", ".css", ".yaml"))]
    python = [file for file in product if file.suffix == ".py"]
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in product}
    graph = imports(root)
    up = sorted((a, b) for a in graph for b in graph[a] if layer(b) < layer(a))
    print(f"lines of product code, with templates and recipes: {sum(lengths.values()):,} in {len(product)} files")
    print(f"upward imports: {len(up)}", *(f"  {a} -> {b}" for a, b in up), sep="\n")
    print(f"cycles: {len(found := cycles(graph))}", *(f"  {', '.join(group)}" for group in found), sep="\n")
    functions = [entry for file in python for entry in long_functions(file)]
    print(f"functions over {LONG_FUNCTION} lines: {len(functions)}", *(f"  {f} {n}" for f, n in functions), sep="\n")
    files = [(file.relative_to(root), n) for file, n in lengths.items() if n > LONG_FILE]
    print(f"files over {LONG_FILE} lines: {len(files)}", *(f"  {f} {n}" for f, n in files), sep="\n")


if __name__ == "__main__":
    main()
