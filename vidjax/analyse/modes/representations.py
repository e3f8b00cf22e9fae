"""`python -m vidjax.analyse representations`: every input representation of a video, side by side."""

import pathlib
from collections.abc import Sequence

from absl import flags

from vidjax.analyse.modes import draw_each, workdirs
from vidjax.errors import InputError


def run(files: Sequence[str]) -> None:
  """One picture for each file; an input that several runs have trained is drawn of each."""
  values = flags.FLAGS
  from vidjax.analyse.film_representations import SHORT_SIDE, drawer
  from vidjax.analyse.representations import of_runs, trained_inputs
  from vidjax.apply.device_augment import Normalise
  from vidjax.run.opened import open_run

  normalise, short_side, inputs = Normalise(), values.short_side or SHORT_SIDE, {}
  runs = {folder: open_run(folder, values.checkpoint, trusted=values.trust) for folder in workdirs(0)}
  for number, (folder, one) in enumerate(runs.items()):
    if "colour" not in one.recipe.stream.gives:
      stream = type(one.recipe.stream).__name__
      raise InputError(f"{folder}: its network reads {stream}, not frames: name another run")
    if not number:
      normalise, short_side = one.normalise, values.short_side or one.crop_sizes["short_side"]
    elif one.normalise != normalise:
      raise InputError(f"{folder} normalises frames otherwise than {next(iter(runs))}: draw it in a picture of its own")
    found = trained_inputs(one.network, one.variables)
    if not found:
      raise InputError(f"{folder}: its network reads plain frames: leave --workdir out, or name another run")
    name = pathlib.Path(folder).name
    inputs[str(folder) if name in inputs else name] = found
  draw = drawer(normalise, of_runs(inputs), short_side, values.segments, values.frames, values.steps)
  draw_each("representations", files, draw)
