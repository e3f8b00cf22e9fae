"""VideoPrism (Zhao et al., ICML 2024): one transformer within each frame, then one over time at each place.

The code is that of its authors: `pip install -e '.[videoprism]'`. Nothing of it is here, so that it takes no plug-ins.
"""

import functools
import importlib
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.bounds import Count
from vidjax.checks import check_clip, check_fields, checked, place
from vidjax.errors import InputError
from vidjax.ops.positions import Grid

OURS, THEIRS = "params/backbone/encoder/", "params/"
"""What stands before the authors' names of parameters: in a Recognizer, and in their files."""


class VideoPrism(nn.Module):
  """The encoder: clips `[B, T, H, W, 3]` with colours from 0 to 1 to features `[B, T, H/patch, W/patch, width]`.

  Frames are square. Another number or size of frames than trained on is fine: the authors' code interpolates positions.

  Attributes:
    width: channels.
    depth: blocks over places.
    heads: of the attention.
    hidden: channels inside of an MLP.
    grid: (T, H, W) that positions were trained on.
    patch: pixels.
    time_depth: blocks over time.
  """

  width: Count = 768
  depth: Count = 12
  heads: Count = 12
  hidden: Count = 3072
  grid: Grid = (16, 16, 16)
  patch: Count = 18
  time_depth: Count = 4

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Returns the features; InputError where frames are no squares of whole patches, or the package is missing."""
    check_fields(self)
    check_clip(self, x)
    frames, height, width = x.shape[-4:-1]
    if height != width or height % self.patch:
      raise InputError(
        f"VideoPrism at {place(self, x)} takes squares of a multiple of {self.patch} pixels, got {height} x {width}:"
        " take 288 x 288, as its authors"
      )
    # its code adds in place: to arrays of NumPy, and so to the parameters themselves
    arrays = functools.partial(jax.tree.map, jnp.asarray)
    encoder = nn.map_variables(_package().FactorizedEncoder, "params", arrays, init=self.is_initializing())(
      patch_size=self.patch,
      pos_emb_shape=tuple(self.grid),
      model_dim=self.width,
      num_spatial_layers=self.depth,
      num_temporal_layers=self.time_depth,
      num_heads=self.heads,
      mlp_dim=self.hidden,
      atten_logit_cap=50.0,
      scan=True,
      name="encoder",
    )
    with jax.numpy_rank_promotion("allow"):  # the authors' code needs it
      y, _ = encoder(x.reshape(-1, *x.shape[-4:]), train=train)
    side = height // self.patch
    return y.reshape(*x.shape[:-4], frames, side, side, self.width).astype(x.dtype)


@checked
def videoprism(size: Literal["base", "large"] = "base") -> VideoPrism:
  """The released encoder of a size.

  Args:
    size: "base" was trained on 16 frames, "large" on 8.
  """
  return VideoPrism() if size == "base" else VideoPrism(1024, 24, 16, 4096, (8, 16, 16))


def renamed(tensors: Mapping[str, np.ndarray], paths: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
  """A released file's tensors by the names they have here.

  Args:
    tensors: by name.
    paths: the variables here, by path; of any other network the tensors stay as they are.
  """
  if not any(path.startswith(f"{OURS}patch_projection/") for path in paths):
    return tensors
  return {
    f"{OURS}{name.removeprefix(THEIRS)}" if name.startswith(THEIRS) and name not in paths else name: x
    for name, x in tensors.items()
  }


def _package() -> Any:
  try:
    return importlib.import_module("videoprism.encoders")
  except ImportError as error:
    raise InputError(f"VideoPrism needs the package {error.name}: pip install -e '.[videoprism]'") from None
