"""What griffe is told of Flax: the fields of a Linen module, or of a struct, are the arguments it is made with."""

from typing import Any

import griffe

BASES = ("nn.Module", "NamedTuple")


class Linen(griffe.Extension):
  """Gives a class the signature that Flax, or NamedTuple, gives it."""

  def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
    """Called for each class whose members have been read."""
    struct = any(str(decorator.value) == "flax.struct.dataclass" for decorator in cls.decorators)
    if not struct and not any(str(base).endswith(BASES) for base in cls.bases):
      return
    kind = griffe.ParameterKind.positional_or_keyword
    fields = [
      griffe.Parameter(name, annotation=field.annotation, kind=kind, default=field.value)
      for name, field in cls.attributes.items()
      if field.annotation is not None
    ]
    own = griffe.Parameter("self", kind=kind)
    cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(own, *fields)))
