"""`python -m vidjax.analyse representations`: every input representation of a video, side by side."""

from collections.abc import Sequence

from absl import flags

from vidjax.analyse.modes import draw_each, workdirs
from vidjax.errors import InputError


def run(files: Sequence[str]) -> None:
  """One picture for each file."""
  values = flags.FLAGS
  from vidjax.analyse.film_representations import SHORT_SIDE, drawer
  from vidjax.analyse.representations import trained_inputs
  from vidjax.apply.device_augment import Normalise
  from vidjax.run.opened import open_run

  normalise, short_side, trained = Normalise(), values.short_side or SHORT_SIDE, {}
  if folders := workdirs(0, 1):
    one = open_run(folders[0], values.checkpoint, trusted=values.trust)
    if "colour" not in one.recipe.stream.gives:
      stream = type(one.recipe.stream).__name__
      raise InputError(f"{folders[0]}: its network reads {stream}, not frames: name another run")
    normalise, short_side = one.normalise, values.short_side or one.crop_sizes["short_side"]
    trained = trained_inputs(one.network, one.variables)
    if not trained:
      raise InputError(f"{folders[0]}: its network reads plain frames: leave --workdir out, or name another run")
  draw_each(
    "representations", files, drawer(normalise, trained, short_side, values.segments, values.frames, values.steps)
  )
