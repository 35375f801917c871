"""What a module imports, read from its source."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Import(NamedTuple):
    """One imported name, and where it is imported."""

    name: str
    line: int
    in_function: bool


def imports_of(module: Path) -> Iterator[Import]:
    """Yield every import of *module*, at whatever depth."""
    yield from _imports_in(ast.parse(module.read_text()), in_function=False)


def _imports_in(node: ast.AST, *, in_function: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, in_function)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, f"line {node.lineno}: a relative import"
        for alias in node.names:
            yield Import(f"{node.module}.{alias.name}", node.lineno, in_function)
    inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):  # most of a tree, and no place for imports
            yield from _imports_in(child, in_function=inside)
