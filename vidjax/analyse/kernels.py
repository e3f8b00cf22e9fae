"""Kernels that a run has learnt: MBPM's before and after (thesis Fig. 5.10), first convolutions (Fig. 5.11)."""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vidjax.analyse.pictures import save_figure, shorten
from vidjax.inputs.mbpm import MBPM, TEMPORAL, laplacian_of_gaussian
from vidjax.types import Tree

CHANNELS = 3
"""Of an MBPM that are drawn; that of the input has no more."""
FILTERS = 256
"""Of a convolution that are drawn, at most."""

BLOCK = 8
"""Pixels of a weight in a picture of filters; they stand half of it apart."""


class BandPass(NamedTuple):
  """The kernels of an MBPM.

  Attributes:
    before: the Laplacian of Gaussian it starts with, `[k, k]`.
    spatial: what has become of it, `[k, k, C]`.
    temporal: `[3, C]`.
  """

  before: np.ndarray
  spatial: np.ndarray
  temporal: np.ndarray


class Kernels(NamedTuple):
  """What `kernels_of` finds, by the paths of the modules.

  Attributes:
    band_pass: of the MBPMs that are trained.
    filters: of convolutions, `[..., h, w, C, F]`.
  """

  band_pass: dict[str, BandPass]
  filters: dict[str, np.ndarray]


def kernels_of(network: nn.Module, variables: Mapping[str, Tree], clip_shape: tuple[int, ...], at: str = "") -> Kernels:
  """The kernels of a network; nothing is computed.

  Args:
    network: called as `(clips, train)`.
    variables: `{"params", "batch_stats"}`.
    clip_shape: `[T, H, W, C]`.
    at: start of the modules' paths; "" stands for all MBPMs, and the first convolution of every stem.
  """
  band_pass: dict[str, BandPass] = {}
  filters: dict[str, np.ndarray] = {}

  def watch(call: Any, args: tuple, kwargs: Mapping[str, Any], context: nn.module.InterceptorContext) -> Any:
    module: Any = context.module
    path = "/".join(module.path)
    if context.method_name == "__call__" and path.startswith(at):
      own = variables["params"]
      for name in module.path:
        own = own.get(name, {})
      if isinstance(module, MBPM) and module.trainable:
        before = laplacian_of_gaussian(module.sigma, module.kernel, module.normalise)
        spatial, temporal = (np.asarray(own[name]["kernel"], np.float32) for name in ("spatial", "temporal"))
        band_pass[path] = BandPass(before, spatial[:, :, 0], temporal[:, 0])
      if isinstance(module, nn.Conv) and math.prod(own["kernel"].shape[:-2]) > 1:
        filters[path] = np.asarray(own["kernel"], np.float32)
    return call(*args, **kwargs)

  clips = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
  with nn.intercept_methods(watch):
    jax.eval_shape(lambda x: network.apply(variables, x, False), clips)
  if not at:  # in the order they are called in: the first one of each stem, or of all
    stems: dict[str, str] = {}
    for path in filters:
      if "stem" in path.split("/"):
        stems.setdefault(path.partition("stem")[0], path)
    filters = {path: filters[path] for path in stems.values() or [*filters][:1]}
  return Kernels(band_pass, filters)


def save_band_pass(path: str | os.PathLike, found: Mapping[str, BandPass]) -> None:
  """Draws MBPMs, a row for each: the spatial kernel before, and after, with its change, for a few channels.

  Each has a scale of its own, since a kernel may grow while it keeps its shape.

  Args:
    path: of the picture; its ending is one of `pictures.ENDINGS`.
    found: by the path of the module.
  """
  from matplotlib.figure import Figure

  columns = 1 + 2 * min(CHANNELS, max(one.spatial.shape[-1] for one in found.values()))
  figure = Figure(figsize=(1.75 * columns + 0.6, 2.35 * len(found) + 0.25), dpi=150, layout="constrained")
  grid = figure.subplots(len(found), columns, squeeze=False)
  for line, (name, one) in zip(grid, found.items(), strict=True):
    panels = [(one.before, f"before\n{_taps(TEMPORAL)}")]
    for i in range(min(CHANNELS, one.spatial.shape[-1])):
      change = one.spatial[..., i] - one.before
      share = np.abs(change).max() / np.abs(one.before).max()
      panels.append((one.spatial[..., i], f"after, channel {i}\n{_taps(one.temporal[:, i])}"))
      panels.append((change, f"change, channel {i}\nup to {share:.2g} of the peak"))
    for axes in line[len(panels) :]:
      axes.set_visible(False)
    for axes, (kernel, title) in zip(line, panels, strict=False):
      scale = max(float(np.abs(kernel).max()), 1e-30)
      image = axes.imshow(kernel, cmap="RdBu_r", vmin=-scale, vmax=scale)
      axes.set_title(title, fontsize=7)
      axes.set(xticks=[], yticks=[])
      bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.05, pad=0.03, ticks=[-scale, 0, scale])
      bar.ax.set_xticklabels([f"{-scale:.2g}", "0", f"{scale:.2g}"], fontsize=6)
    line[0].set_ylabel(shorten(name), fontsize=8, parse_math=False)
  figure.suptitle("MBPM: spatial kernels, and the three taps over time", fontsize=10)
  save_figure(figure, path)


def _taps(kernel: np.ndarray) -> str:
  return " ".join(f"{tap:.2f}" for tap in kernel)


def save_filters(path: str | os.PathLike, filters: np.ndarray, title: str) -> None:
  """Draws the filters of a convolution, each scaled to its own largest weight; grey is 0.

  Those of three channels are in colour. Of others the first channel is drawn, as in the thesis. Slices over time stand
  side by side.

  Args:
    path: of the picture; its ending is one of `pictures.ENDINGS`.
    filters: `[h, w, C, F]` or `[t, h, w, C, F]`.
    title: of the picture.
  """
  from matplotlib.figure import Figure

  filters = filters[..., :FILTERS]
  colours = filters.shape[-2] == 3
  kernels = np.moveaxis(filters if colours else filters[..., :1, :], -1, 0)
  if kernels.ndim == 5:
    kernels = np.concatenate(list(np.moveaxis(kernels, 1, 0)), axis=-2)
  kernels = kernels / np.maximum(np.abs(kernels).max(axis=(1, 2, 3), keepdims=True), 1e-30)
  count, height, width = kernels.shape[:3]
  columns = max(min(round(math.sqrt(count * height / width)), count), 1)
  rows = -(-count // columns)
  kernels = kernels.repeat(BLOCK, 1).repeat(BLOCK, 2)
  height, width = height * BLOCK + BLOCK // 2, width * BLOCK + BLOCK // 2
  sheet = np.ones((rows * height, columns * width, 3), np.float32)
  for i, kernel in enumerate(kernels):
    top, left = (i // columns) * height, (i % columns) * width
    sheet[top : top + kernel.shape[0], left : left + kernel.shape[1]] = 0.5 + 0.5 * kernel
  side = 4.5
  figure = Figure(figsize=(side, side * sheet.shape[0] / sheet.shape[1] + 0.5), dpi=150, layout="constrained")
  axes = figure.add_subplot()
  axes.imshow(sheet, interpolation="nearest")
  axes.set_axis_off()
  size = "x".join(map(str, filters.shape[:-2]))
  what = "in colour" if colours else f"the first of {filters.shape[-2]} channels"
  axes.set_title(f"{shorten(title, 44)}\n{count} filters of {size}, {what}", fontsize=8, parse_math=False)
  save_figure(figure, path)
