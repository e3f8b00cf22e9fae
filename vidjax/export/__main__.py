"""`python -m vidjax.export --workdir=DIR --format=stablehlo|onnx|safetensors --out=FILE [FILM...]`: a run for others.

`stablehlo` is one file for CPUs, GPUs and TPUs that any program with JAX runs: a deployment, not an archive. `onnx` is
for other runtimes and requires `pip install -e '.[onnx]'`. `safetensors` are the parameters alone. Both programs take
any number of clips. They are run once more and compared with the network, on the films that are named, else on noise;
a file that differs is not written. FILE.json beside the file says how clips are made of a film and what the numbers
mean.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict, unflatten_dict

from vidjax.command import define_crop, run_main
from vidjax.console import counted, say
from vidjax.errors import InputError
from vidjax.export import contract, int8, onnx_file, stablehlo
from vidjax.export.network import Exported, difference, exported
from vidjax.files import whole
from vidjax.run.films import check_reads_films, read_clip
from vidjax.run.opened import Run, open_run
from vidjax.types import Tree
from vidjax.weights.export import export as write_weights

FORMATS = {"stablehlo": ".stablehlo", "onnx": ".onnx", "safetensors": ".safetensors"}
"""With the endings of their files."""
TOLERANCE = 1e-4
"""Of the largest difference of two logits, as a share of the largest logit."""
MADE = 2
"""Clips of noise, where no film is named."""


def define_flags() -> None:
  """The command's flags."""
  flags.FLAGS.set_gnu_getopt(True)
  flags.DEFINE_string("workdir", None, "Folder of a training run.")
  flags.DEFINE_string("checkpoint", "best", "best, last or a step.")
  flags.DEFINE_enum("format", None, list(FORMATS), "What to write.")
  flags.DEFINE_string("out", None, f"The file to write, which ends in {', '.join(FORMATS.values())}.")
  flags.DEFINE_bool("preprocessing", True, "Normalise in the graph: it takes uint8 frames; else normalised floats.")
  flags.DEFINE_enum("int8", None, ["static", "dynamic"], "Of onnx: 8-bit weights, ranges fixed or found for each clip.")
  flags.DEFINE_list("without", [], "Of safetensors: path prefixes to leave out, such as what only training needs.")
  flags.DEFINE_string("data_dir", None, "Where the data sets lie, if not where they lay in training.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  define_crop()


def main(argv: list[str]) -> None:
  """The command."""
  values, films = flags.FLAGS, argv[1:]
  if not values.workdir or not values.format or not values.out:
    raise InputError(f"say --workdir=RUN --format={'|'.join(FORMATS)} --out=FILE")
  out, form = pathlib.Path(values.out), values.format
  _check(out, form, values.int8, values.without, films)
  crop = values.size, values.short_side
  run = open_run(values.workdir, values.checkpoint, values.data_dir, None, *crop, trusted=values.trust)
  out.parent.mkdir(parents=True, exist_ok=True)
  if form == "safetensors":
    part, checked, line = exported(run), {}, _weights(run, out, values.without)
  else:
    part = exported(run, values.preprocessing, jnp.float32 if form == "onnx" else None)
    checked, line = _graph(run, part, out, values, films)
  beside = contract.write(out, contract.contract(run, form, part, values.preprocessing, checked))
  say(f"{out}: {out.stat().st_size / 1e6:.2f} MB, step {run.step}, {line}")
  say(f"wrote {beside}")


def _check(out: pathlib.Path, form: str, quantised: str | None, left_out: Sequence[str], films: Sequence[str]) -> None:
  ending = FORMATS[form]
  if out.suffix != ending:
    raise InputError(f"--out={out} must end in {ending} for --format={form}")
  for path in (out, contract.beside_of(out)):
    if path.exists():
      raise InputError(f"{path} exists: choose another --out")
  for flag, given, needed in (("int8", quantised, "onnx"), ("without", left_out, "safetensors")):
    if given and form != needed:
      raise InputError(f"--{flag} is for --format={needed}: leave it out")
  if films and form == "safetensors":
    raise InputError("--format=safetensors runs nothing on films: leave them out")


def _weights(run: Run, out: pathlib.Path, left_out: Sequence[str]) -> str:
  tensors = write_weights(without(run.variables, left_out), out)
  own = sum("/" in name for name in tensors)
  return f"{len(tensors)} tensors, {own} of them under vidjax's own paths"


def _graph(
  run: Run, part: Exported, out: pathlib.Path, values: Any, films: Sequence[str]
) -> tuple[dict[str, Any], str]:
  """Writes a graph that was compared with the network; returns what was found, and a line."""
  clips = _clips(run, part, films, values.preprocessing)
  with whole(out) as partial:
    load = stablehlo.load if values.format == "stablehlo" else onnx_file.load
    (stablehlo if values.format == "stablehlo" else onnx_file).write(part, partial)
    wanted = part.call(clips)
    name = "logits" if "logits" in wanted else "features"
    error = difference(load(partial)(clips)[name], wanted[name])
    if not error <= TOLERANCE:
      raise InputError(
        f"{name} of the {values.format} file differ from the network's by {error:.1e} of the largest, more than"
        f" {TOLERANCE:.0e}: nothing is written; take another --format"
      )
    on = counted(len(films), "film") if films else f"{MADE} clips of noise"
    found = {"compared": name, "largest_difference": error, "share_of": "largest", "clips": list(films) or on}
    line = f"{name} differ by {error:.1e} of the largest on {on}"
    if values.int8:
      some = int8.training_clips(run) if values.int8 == "static" else None
      some = np.asarray(run.normalise(some)) if some is not None and not values.preprocessing else some
      int8.quantise(partial, partial, values.int8, some)
      lost = difference(load(partial)(clips)[name], wanted[name])
      found |= {"int8": values.int8, "int8_largest_difference": lost}
      line += f", with 8-bit weights by {lost:.1e}"
  return found, line


def _clips(run: Run, part: Exported, films: Sequence[str], preprocessing: bool) -> np.ndarray:
  if not films:
    return part.made(MADE)
  check_reads_films(run)
  clips = np.stack([read_clip(run, film).clip for film in films])
  return clips if preprocessing else np.asarray(run.normalise(clips))


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


if __name__ == "__main__":
  define_flags()
  run_main(main, arguments=True)
