"""Docstrings: public fields stand under `Attributes:`, parameters of public functions with two or more under `Args:`.

Public is what has no leading underscore in its own name or those around it; `__main__` counts as public.
"""

import ast
import functools
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TYPES = pathlib.Path("vidjax", "types.py")
FILES = [path.relative_to(ROOT) for path in sorted(ROOT.glob("vidjax/**/*.py")) if not re.match(r"_(?!_)", path.name)]

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.ClassDef


def _functions(scope: Scope) -> Iterator[Function]:
  return (node for node in scope.body if isinstance(node, Function) and not node.name.startswith("_"))


def _classes(scope: Scope) -> Iterator[ast.ClassDef]:
  return (node for node in scope.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def _parameters(function: Function) -> list[str]:
  """All but `self`, `cls`, `*args` and `**kwargs`."""
  arguments = function.args
  names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
  return [name for name in names if name not in ("self", "cls")]


def _fields(scope: ast.ClassDef) -> list[str]:
  """The public annotated names of a dataclass, a NamedTuple or a Linen module; a ClassVar is none."""
  return [
    node.target.id
    for node in scope.body
    if isinstance(node, ast.AnnAssign)
    and isinstance(node.target, ast.Name)
    and not node.target.id.startswith("_")
    and "ClassVar" not in ast.unparse(node.annotation)
  ]


def _described(node: ast.ClassDef | Function, section: str) -> set[str]:
  """The names before the colons of a section: `name: ...`, or `one, two: ...`."""
  text = re.search(rf"^{section}:\n((?:  .*\n|\n)*)", (ast.get_docstring(node) or "") + "\n", re.MULTILINE)
  entries = re.findall(r"^  (\w[\w, ]*):", text[1], re.MULTILINE) if text else []
  return {name for entry in entries for name in re.findall(r"\w+", entry)}


@functools.cache
def _protocol_methods() -> frozenset[str]:
  """Methods of the Protocols of `vidjax/types.py`, whose docstrings speak for every class that has such a method."""
  classes = _classes(ast.parse((ROOT / TYPES).read_text(encoding="utf-8")))
  protocols = [node for node in classes if "Protocol" in map(ast.unparse, node.bases)]
  return frozenset(method.name for protocol in protocols for method in _functions(protocol))


def _missing(file: pathlib.Path, scope: Scope, exempt: frozenset[str]) -> Iterator[str]:
  """A line for each class and each function in a scope whose docstring lacks names."""
  within = f"{scope.name}." if isinstance(scope, ast.ClassDef) else ""
  if isinstance(scope, ast.ClassDef):
    described = _described(scope, "Attributes")
    if fields := [name for name in _fields(scope) if name not in described]:
      yield f"{file}: {scope.name} lacks under Attributes: {', '.join(fields)}"
  for function in _functions(scope):
    names, described = _parameters(function), _described(function, "Args")
    absent = [name for name in names if name not in described]
    if len(names) > 1 and absent and not (within and function.name in exempt):
      yield f"{file}: {within}{function.name} lacks under Args: {', '.join(absent)}"
  for inner in _classes(scope):
    yield from _missing(file, inner, exempt)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_fields_and_parameters_are_described(file):
  exempt = frozenset() if file == TYPES else _protocol_methods()
  missing = list(_missing(file, ast.parse((ROOT / file).read_text(encoding="utf-8")), exempt))
  assert not missing, "\n".join(missing)


def test_a_missing_name_is_told():
  text = '''
class Layer:
  """A layer.

  Attributes:
    width: of it.
  """

  width: int
  depth: int
  kind: ClassVar[int] = 1
  _hidden: int

  def grow(self, by: int, *, at: int):
    """Grows.

    Args:
      by: that much, as in
        at: this line goes with the one before.
    """

  def measure(self, output, batch):
    """A Protocol's."""


def measure(output, batch):
  """No method."""
'''
  assert list(_missing(pathlib.Path("a.py"), ast.parse(text), _protocol_methods())) == [
    "a.py: measure lacks under Args: output, batch",
    "a.py: Layer lacks under Attributes: depth",
    "a.py: Layer.grow lacks under Args: at",
  ]
