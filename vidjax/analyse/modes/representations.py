"""`python -m vidjax.analyse representations`: every input representation of a video, side by side."""

import pathlib
from collections.abc import Sequence

from absl import flags

from vidjax.analyse.modes import draw_each, workdirs
from vidjax.errors import InputError

SHORT_SIDE = 160


def run(files: Sequence[str]) -> None:
  """One picture for each file."""
  values = flags.FLAGS
  from vidjax.analyse.representations import length, represent, save_representations, trained_inputs
  from vidjax.apply.device_augment import Normalise
  from vidjax.data.sample_film import sample_file
  from vidjax.data.sampling import UniformSegments
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
  sampler = UniformSegments(values.segments, length(trained, values.frames))

  def draw(file: str, path: pathlib.Path) -> None:
    numbers, video = sample_file(file, lambda count, times: sampler.test(count, 1, times)[0], short_side)
    segments = video.reshape(values.segments, -1, *video.shape[1:])
    rows = represent(segments, normalise, trained, values.steps, values.frames)
    save_representations(path, rows, numbers[:: sampler.frames_per_segment], pathlib.Path(file).name)

  draw_each("representations", files, draw)
