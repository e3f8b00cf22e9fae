"""`python -m experiments.export_parity [CLASS...] --out=TABLE.md`: every class of the contract table as files.

Each plug-in, input, backbone and network of tests/test_contracts.py, at its small size and with random variables, is
written by `vidjax.export` for any number of clips, read back, and compared with JAX on two clips and on one.
"""

import logging
import math
import pathlib
import re
from typing import Any

import jax
import jax.export
import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict, unflatten_dict

from tests import test_contracts
from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.export import onnx_file, stablehlo
from vidjax.export.network import difference
from vidjax.files import write_text
from vidjax.types import Output

HEAD = "| module | StableHLO | bytes | ONNX | bytes |\n| --- | --- | --- | --- | --- |\n"


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("out", None, "OUT.md: the table.")


def main(argv: list[str]) -> None:
  """The command."""
  known = {cls.__name__ for cls in test_contracts.ALL}
  if set(argv[1:]) - known:
    raise InputError(f"there is no {' or '.join(sorted(set(argv[1:]) - known))}: choose {', '.join(sorted(known))}")
  logging.disable(logging.WARNING)
  rows = []
  for cls in test_contracts.ALL:
    if len(argv) > 1 and cls.__name__ not in argv[1:]:
      continue
    rows.append(row(cls))
    say(rows[-1])
    if flags.FLAGS.out:
      write_text(pathlib.Path(flags.FLAGS.out), HEAD + "".join(f"{one}\n" for one in rows))


def row(cls: type) -> str:
  """The row of a class: the largest difference as a share of the largest value, and the size, or why there is none."""
  call, spec, clip = function(cls)
  wanted = np.asarray(jax.jit(call)(clip)["y"])

  def compared(load: Any) -> str:
    run = load()
    pairs = [(run(x)["y"], y) for x, y in ((clip, wanted), (clip[:1], wanted[:1]))]
    return f"{max(difference(found, y) for found, y in pairs):.0e}"

  cells = []
  try:
    file = stablehlo.lowered(call, spec)
    cells += [compared(lambda: jax.jit(file.call)), f"{len(file.mlir_module_serialized):,}"]
  except Exception as error:  # the table says what it was
    cells += [_said(error), ""]
  try:
    model = onnx_file.converted(call, spec, ("y",)).SerializeToString()
    cells += [compared(lambda: onnx_file.load(model)), f"{len(model):,}"]
  except Exception as error:
    cells += [_said(error), ""]
  return f"| {cls.__module__.removeprefix('vidjax.')}.{cls.__name__} | {' | '.join(cells)} |"


def function(cls: type) -> tuple[Any, jax.ShapeDtypeStruct, np.ndarray]:
  """The function of a class, for one array as "y"; the spec of its input for any number of clips; and two clips."""
  module, clip = test_contracts.make(cls), np.asarray(test_contracts.clip_of(cls))
  variables = random_variables(module, clip)

  def call(x: Any) -> dict[str, Any]:
    y = module.apply(variables, x, False)
    if isinstance(y, Output):
      y = y.features if y.logits is None else y.logits
    return {"y": y}

  (batch,) = jax.export.symbolic_shape("batch")
  return call, jax.ShapeDtypeStruct((batch, *clip.shape[1:]), clip.dtype), clip


def random_variables(module: Any, clip: np.ndarray) -> dict[str, Any]:
  """Variables of the size that keeps values near 1, without compiling the module's own.

  Args:
    module: of Flax.
    clip: what it takes.
  """
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), clip, False))
  rng, found = np.random.default_rng(0), {}
  for path, leaf in flatten_dict({kind: shapes.get(kind, {}) for kind in ("params", "batch_stats")}).items():
    if path[-1] in ("var", "scale"):
      value = rng.uniform(0.5, 1, leaf.shape)
    else:
      value = rng.standard_normal(leaf.shape) / (math.sqrt(math.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 10)
    found[path] = value.astype(leaf.dtype)
  return {"params": {}, "batch_stats": {}} | unflatten_dict(found)


def _said(error: Exception) -> str:
  return re.sub(r"[|\s]+", " ", str(error))[:160]


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
