"""`python -m vidjax.weights show FILE`: what a checkpoint, a file or a model on the hub, holds."""

from collections.abc import Mapping

import numpy as np
from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.weights.load import licence_line
from vidjax.weights.read import read_tensors


def define_flags() -> None:
  """The command has no flags of its own."""
  flags.FLAGS.set_gnu_getopt(True)


def main(argv: list[str]) -> None:
  """The command."""
  match argv[1:]:
    case ["show", source]:
      show(read_tensors(source))
    case ["export", *_]:
      raise InputError(
        "python -m vidjax.export --workdir=RUN --format=safetensors --out=FILE.safetensors writes weights"
      )
    case given:
      raise InputError(f"say 'show FILE': got {' '.join(given) or 'nothing'}")


def show(tensors: Mapping[str, np.ndarray]) -> None:
  """Prints names, shapes and types."""
  width = max(map(len, tensors))
  for name, x in tensors.items():
    say(f"{name:{width}}  {x.dtype!s:8}  {list(x.shape)}")
  licence = getattr(tensors, "licence", "")
  more = f", {licence_line(licence)}" if licence else ""
  say(f"{len(tensors)} tensors, {sum(x.size for x in tensors.values()):,} numbers{more}")


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
