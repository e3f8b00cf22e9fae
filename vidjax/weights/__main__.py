"""`python -m vidjax.weights show FILE` and `python -m vidjax.weights export --workdir=RUN --out=FILE.safetensors`.

The first says what a checkpoint (a file, or a model on the hub) holds; the second writes a trained network for other
libraries, by the names of torchvision or PyTorchVideo where they have any, without the parts that `--without` names.
"""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict, unflatten_dict

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.run.checkpoint import load_variables
from vidjax.run.folder import run_folder
from vidjax.types import Tree
from vidjax.weights.export import export
from vidjax.weights.load import licence_line
from vidjax.weights.read import read_tensors


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("workdir", None, "Folder of the run to export.")
  flags.DEFINE_string("checkpoint", "best", "Which of its checkpoints: best, last or a step.")
  flags.DEFINE_string("out", None, "The safetensors file to write.")
  flags.DEFINE_list("without", [], "Path prefixes of parts to leave out, such as those only training needs.")


def main(argv: list[str]) -> None:
  """The command."""
  match argv[1:]:
    case ["show", source]:
      show(read_tensors(source))
    case ["export"]:
      values = flags.FLAGS
      if not values.workdir or not values.out:
        raise InputError("export needs --workdir=RUN and --out=FILE.safetensors")
      out = pathlib.Path(values.out)
      if out.suffix != ".safetensors" or out.exists():
        raise InputError(f"--out={out} {'exists: choose another file' if out.exists() else 'must end in .safetensors'}")
      variables, step = load_variables(run_folder(values.workdir), values.checkpoint)
      tensors = export(without(variables, values.without), out)
      own = [name for name in tensors if "/" in name]
      say(f"{out}: {len(tensors)} tensors of step {step}, {len(own)} of them under vidjax's own paths")
    case given:
      usage = "say 'show FILE' or 'export --workdir=RUN --out=FILE.safetensors'"
      raise InputError(f"{usage}: got {' '.join(given) or 'nothing'}")


def without(variables: Mapping[str, Tree], prefixes: Sequence[str]) -> Mapping[str, Tree]:
  """Variables but for those whose path starts with a prefix; InputError where a prefix fits none.

  Args:
    variables: "params" and "batch_stats" of a network.
    prefixes: below a collection, as in "backbone/res5".
  """
  flat = {path: x for kind in variables for path, x in flatten_dict({kind: variables[kind]}).items()}
  left_out = {p: {path for path in flat if f"{'/'.join(path[1:])}/".startswith(f"{p.rstrip('/')}/")} for p in prefixes}
  for prefix, paths in left_out.items():
    if not paths:
      parts = sorted({path[1] for path in flat})
      raise InputError(f"--without={prefix}: no parameter starts so; they start with {', '.join(parts)}")
  return unflatten_dict({path: x for path, x in flat.items() if not any(path in paths for paths in left_out.values())})


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
