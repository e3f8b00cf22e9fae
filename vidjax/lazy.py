"""Names that a package has without importing what they need before they are used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
  """The `__getattr__` of a package.

  Args:
    package: its name.
    names: a name -> the module it is in; a name that is that of the module itself is the module.
  """

  def getattr_(name: str) -> Any:
    if name not in names:
      raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(names)}")
    module = importlib.import_module(names[name])
    return module if names[name] == f"{package}.{name}" else getattr(module, name)

  return getattr_
