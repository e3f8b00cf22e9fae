"""Feature maps inside a network, channel by channel, as TDRL shows them (Weng et al., ECCV 2020, Fig. 3 and 4)."""

import functools
import os
import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.analyse.pictures import save_batch
from vidjax.errors import InputError
from vidjax.types import Array, Tree

PEM_SITES = r"_PEM(_\d+)?$"
TEMPORAL_SITES = r"_(TIM|TSM)(_\d+)?$"
"""Paths of the modules that the pictures show."""

Trained = tuple[nn.Module, Mapping[str, Tree]]
"""A network and its variables."""


@functools.partial(jax.jit, static_argnums=(0, 3))
def record(
  network: nn.Module, variables: Mapping[str, Tree], clips: Array, sites: str
) -> tuple[dict[str, tuple[jax.Array, jax.Array]], dict[str, jax.Array]]:
  """What goes into and comes out of some modules of a network, in evaluation.

  Args:
    network: called as `(clips, train)`.
    variables: `{"params", "batch_stats"}`.
    clips: `[B, T, H, W, C]`, normalised floats.
    sites: regular expression, searched in the modules' paths, such as "backbone/res3/block0/before_TIM".

  Returns:
    Input and output of each, float32, by path; and the factors `[B, T, C]` of every PEM, by path.
  """
  maps: dict[str, tuple[jax.Array, jax.Array]] = {}

  def watch(call: Any, args: tuple, kwargs: Mapping[str, Any], context: nn.module.InterceptorContext) -> Any:
    output = call(*args, **kwargs)
    path = "/".join(context.module.path)
    if context.method_name == "__call__" and re.search(sites, path):
      maps[path] = (args[0].astype(jnp.float32), output.astype(jnp.float32))
    return output

  with nn.intercept_methods(watch):
    _, changed = network.apply(variables, clips, False, mutable=["intermediates"])
  sown: dict[tuple[str, ...], Any] = dict(flax.traverse_util.flatten_dict(changed.get("intermediates", {})))
  return maps, {"/".join(path[:-1]): value[0] for path, value in sown.items() if _of_pem(path)}


def _of_pem(path: tuple[str, ...]) -> bool:
  return path[-1] == "excitation" and re.search(PEM_SITES, "/".join(path[:-1])) is not None


def save_enhancement(
  path: str | os.PathLike, frames: np.ndarray, clip: Array, trained: Trained, at: str = "", count: int = 10
) -> str:
  """Draws what PEM excites and suppresses in a clip (Fig. 3).

  Rows: the frames; the maps before PEM, means of three groups of channels as red, green and blue; the mean of the
  `count` channels that each frame's factors raise most, and that of those they raise least, on one scale.

  Args:
    path: of the picture.
    frames: uint8 `[T, H, W, 3]`.
    clip: `[T, H, W, C]`, the same for the network.
    trained: the network and its variables.
    at: start of the path of the PEM (default: the first one).
    count: channels in a mean, at most.

  Returns:
    Path of the PEM shown.
  """
  maps, factors = record(*trained, jnp.asarray(clip)[None], PEM_SITES)
  site = _first(maps, at, "PEM")
  before, order = np.asarray(maps[site][0][0]), np.argsort(np.asarray(factors[site][0]), axis=-1)
  count = min(count, before.shape[-1])
  groups = np.stack([group.mean(-1) for group in np.array_split(before, 3, axis=-1)], axis=-1)
  chosen = [np.take_along_axis(before, rows[:, None, None], axis=-1) for rows in (order[:, -count:], order[:, :count])]
  rows = [groups, *np.stack([x.mean(-1, keepdims=True) for x in chosen])]
  titles = ["before PEM", f"the {count} channels raised most", f"the {count} raised least"]
  images = [_image(rows[0], rows[0], frames), *(_image(row, np.stack(rows[1:]), frames) for row in rows[1:])]
  save_batch(path, np.stack([frames, *images]), ["frames", *titles])
  return site


def save_diversity(
  path: str | os.PathLike, frames: np.ndarray, clips: Mapping[str, tuple[Array, Trained]], at: str = ""
) -> str:
  """Draws a clip's maps before and after a temporal module, means over the channels (Fig. 4), for several networks.

  Args:
    path: of the picture.
    frames: uint8 `[T, H, W, 3]`.
    clips: name of a network -> the clip as it requires it, `[T, H, W, C]`, and the network, such as one trained with
      the TD loss and one without. A network's two rows share a scale.
    at: start of the path of the temporal module (default: the first one).

  Returns:
    Path of the module shown.
  """
  images, titles, site = [frames], ["frames"], at
  for name, (clip, trained) in clips.items():
    maps, _ = record(*trained, jnp.asarray(clip)[None], TEMPORAL_SITES)
    site = _first(maps, at, "TIM or TSM")
    rows = np.stack([np.asarray(x[0]).mean(-1, keepdims=True) for x in maps[site]])
    images += [_image(row, rows, frames) for row in rows]
    titles += [f"{name}: before", f"{name}: after"]
  save_batch(path, np.stack(images), titles, max_clips=len(images))
  return site


def _first(maps: Mapping[str, Any], at: str, kind: str) -> str:
  found = [path for path in sorted(maps) if path.startswith(at)]
  if not found:
    raise InputError(
      f"--at={at}: no {kind} there; the network has {', '.join(sorted(maps)) or 'none: name another run'}"
    )
  return found[0]


def _image(maps: np.ndarray, scale: np.ndarray, frames: np.ndarray) -> np.ndarray:
  """Maps `[T, h, w, 1 or 3]` as uint8 like the frames, each cell a block, from the least to the most of `scale`."""
  low, high = float(scale.min()), float(scale.max())
  unit = np.broadcast_to((maps - low) * (255 / max(high - low, 1e-12)), (*maps.shape[:-1], 3))
  return np.asarray(jax.image.resize(unit, frames.shape, "nearest")).round().astype(np.uint8)
