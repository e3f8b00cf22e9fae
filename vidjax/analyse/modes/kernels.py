"""`python -m vidjax.analyse kernels`: first convolutions of a run, and MBPM's kernels before and after training."""

from collections.abc import Sequence

from absl import flags

from vidjax.analyse.modes import no_files, out_folder, workdirs
from vidjax.console import say
from vidjax.errors import InputError


def run(files: Sequence[str]) -> None:
  """One picture for all MBPMs, and one for each convolution."""
  values = flags.FLAGS
  no_files("kernels", files)
  (folder,) = workdirs(most=1)
  out = out_folder()
  from vidjax.analyse.kernels import kernels_of, save_band_pass, save_filters
  from vidjax.run.opened import open_run

  one = open_run(folder, values.checkpoint, trusted=values.trust)
  found = kernels_of(one.network, one.variables, one.clip_shape, values.at)
  if not found.filters and not found.band_pass:
    where = f"at --at={values.at}" if values.at else "to draw"
    raise InputError(f"{folder}: its network has no kernel of several weights {where}: name another run or path")
  if found.band_pass:
    save_band_pass(out / "mbpm.png", found.band_pass)
    say(f"wrote {out / 'mbpm.png'}")
  for path, filters in found.filters.items():
    picture = out / f"{path.replace('/', '_')}.png"
    save_filters(picture, filters, f"{one.workdir.name if one.workdir else folder}: {path}")
    say(f"wrote {picture}")
