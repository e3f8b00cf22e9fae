"""`python -m experiments.export_speed --workdir=RUN --data_dir=DATA`: accuracy and speed of a run's files on a CPU.

JAX, ONNX Runtime in float32, and both forms of 8-bit weights. They take turns, and the fastest of all rounds counts, so
that another program on the machine slows none of them alone.
"""

import pathlib
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.export import int8, onnx_file
from vidjax.export.network import exported
from vidjax.run.opened import open_run


def define_flags() -> None:
  """The command's flags."""
  flags.DEFINE_string("workdir", None, "Folder of a run.")
  flags.DEFINE_string("data_dir", None, "Where its data set lies, if not where it lay in training.")
  flags.DEFINE_integer("batch", 8, "Clips at once.", 1)
  flags.DEFINE_integer("threads", 2, "Of ONNX Runtime; JAX takes all cores.", 1)
  flags.DEFINE_integer("rounds", 30, "Rounds that are timed.", 1)


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  if not values.workdir:
    raise InputError("--workdir=DIR is missing: name the folder of a training run")
  run = open_run(values.workdir, "best", values.data_dir)
  part = exported(run, dtype=jnp.float32)
  compiled = jax.jit(lambda clips: part.call(clips))
  calls: dict[str, Any] = {"JAX": lambda clips: jax.block_until_ready(compiled(clips))}
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "net.onnx"
    onnx_file.write(part, path)
    files = {"ONNX Runtime": path}
    for form in ("static", "dynamic"):
      files[f"int8 {form}"] = path.with_name(f"{form}.onnx")
      int8.quantise(path, files[f"int8 {form}"], form, int8.training_clips(run) if form == "static" else None)
    calls |= {name: onnx_file.load(file, values.threads) for name, file in files.items()}
    sizes = {name: file.stat().st_size for name, file in files.items()}
  right, total = dict.fromkeys(calls, 0), 0
  for batch in run.eval_loader(run.data.validation_split, values.batch).batches():
    clips, mask, label = (np.asarray(batch[name]) for name in ("video", "mask", "label"))
    total += int(mask.sum())
    for name, call in calls.items():
      right[name] += int((np.asarray(call(clips[:, 0])["logits"]).argmax(-1) == label)[mask].sum())
  clips, times = part.made(values.batch), {name: [] for name in calls}
  for _ in range(values.rounds):
    for name, call in calls.items():
      start = time.perf_counter()
      call(clips)
      times[name].append(time.perf_counter() - start)
  say("| runtime | top-1 | clips/s, best | clips/s, median | bytes |")
  say("| --- | --- | --- | --- | --- |")
  for name in calls:
    best, median = (values.batch / x for x in (min(times[name]), float(np.median(times[name]))))
    say(f"| {name} | {right[name] / total:.1%} of {total} | {best:.0f} | {median:.0f} | {sizes.get(name, 0):,} |")


if __name__ == "__main__":
  define_flags()
  run_main(main)
