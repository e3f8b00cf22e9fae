"""Pictures of every input representation of one clip, side by side, untrained or a run's (thesis Fig. 3.15, 5.3)."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from vidjax.analyse.pictures import legible, save_figure, shorten
from vidjax.inputs.dynamic_image import DynamicImage
from vidjax.inputs.flow import Flow
from vidjax.inputs.mbpm import MBPM, quiet
from vidjax.inputs.persistent_appearance import PersistentAppearance
from vidjax.inputs.pwtp import PWTP
from vidjax.inputs.rgb_difference import RGBDifference
from vidjax.inputs.tsp import TSP
from vidjax.inputs.tvnet import TVNet
from vidjax.types import Tree

FRAMES = 6
"""Of a segment, as in the thesis' comparison (Table 3.12)."""
LEAST_MOTION = 1.0
"""Pixels a frame that have full colour in a picture of flow at least, so that noise stays pale."""
LEAST_CHANGE = 0.02
"""About a grey level of a normalised clip: smaller differences are no picture of motion."""


def modules(frames: int = FRAMES) -> tuple[nn.Module, ...]:
  """What is drawn where no run has trained it, for segments of that many frames."""
  squeezing = PWTP(frames), TSP(frames, 2), DynamicImage(frames)
  return MBPM(normalise="l1"), *squeezing, RGBDifference(2), Flow(2), TVNet(2), PersistentAppearance(2)


Trained = tuple[nn.Module, Mapping[str, Tree]]


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
  """One representation of all segments.

  Attributes:
    title: its name.
    note: its settings.
    images: uint8 `[S, H, W, 3]`; floats are normalised as the clip is.
  """

  title: str
  note: str
  images: np.ndarray


def trained_inputs(network: nn.Module, variables: Mapping[str, Tree]) -> dict[str, Trained]:
  """The input modules a network has, by class name, with their own variables: a representation's, a series', BQN's.

  Of a series, the first module alone reads frames. The others are named by what they read, too: "Flow/TSP" squeezes
  flow. In a network of streams the first stream that has one of a name counts.

  Args:
    network: of a run.
    variables: its "params" and "batch_stats".
  """
  found: dict[str, Trained] = {}

  def collect(module: nn.Module, path: tuple[str, ...], reads: tuple[str, ...] = ()) -> None:
    own = {kind: _below(tree, path) for kind, tree in variables.items()}
    found.setdefault("/".join((*reads, type(module).__name__)), (module, own))
    names: list[str] = []
    for part in getattr(module, "modules", ()):  # as inputs.series names its parts
      before = tuple(names)
      names.append(kind := type(part).__name__)
      collect(part, (*path, kind if names.count(kind) == 1 else f"{kind}_{names.count(kind)}"), (*reads, *before))

  streams = zip(("spatial", "temporal"), getattr(network, "streams", ()), strict=False)
  for path, part in [((), network), *(((name,), stream) for name, stream in streams)]:
    for name in ("representation", "mbpm"):
      if isinstance(module := getattr(part, name, None), nn.Module):
        collect(module, (*path, name))
  return found


def _below(tree: Tree, path: tuple[str, ...]) -> Tree:
  for name in path:
    tree = tree.get(name, {})
  return tree


def of_runs(runs: Mapping[str, Mapping[str, Trained]]) -> dict[str, Trained]:
  """The input modules of several runs, the first run's of each class; those that learn are all kept, as "TSP of NAME".

  Of those that read flow, as "Flow/TSP", only the first run's is kept.

  Args:
    runs: name -> from `trained_inputs`.
  """
  result: dict[str, Trained] = {}
  for name, found in runs.items():
    for kind, one in found.items():
      several = sum(kind in other for other in runs.values()) > 1 and "/" not in kind and one[1].get("params")
      result.setdefault(f"{kind} of {name}" if several else kind, one)
  return result


def _of_kind(trained: Mapping[str, Trained], template: nn.Module) -> list[tuple[str, nn.Module, Any]]:
  """(note, module, variables) of all trained modules of the template's class, or of the template and None."""
  found = [(*key.partition(" of "), one) for key, one in trained.items()]
  own = [
    ("trained" + f", {legible(name)}" * bool(name), module, variables)
    for kind, _, name, (module, variables) in found
    if kind == type(template).__name__
  ]
  return own or [("", template, None)]


def length(trained: Mapping[str, Trained], frames: int = FRAMES) -> int:
  """Frames a segment must have for `represent`.

  Args:
    trained: from `trained_inputs`.
    frames: of a segment, for modules that no run has trained.
  """
  found = [_frames(module) for template in modules(frames) for _, module, _ in _of_kind(trained, template)]
  if "Flow/TSP" in trained:
    found.append(_frames(trained["Flow/TSP"][0]) + 1)
  return max(found)


def represent(
  segments: np.ndarray,
  normalise: Callable[[Any], jax.Array],
  trained: Mapping[str, Trained] | None = None,
  steps: int = 100,
  frames: int = FRAMES,
) -> list[Row]:
  """Every representation of a clip, as pictures.

  What has parameters and is not trained, is fitted to the clip where it has an error of its own to minimise (PWTP's
  ENoPR, TSP's projection error), since a random subspace shows nothing.

  Args:
    segments: uint8 `[S, n, H, W, 3]`, n from `length`; a module of fewer frames takes the first ones of each segment.
    normalise: as the network's.
    trained: from `trained_inputs`.
    steps: of Adam, for that fit; 0 shows random initial parameters.
    frames: of a segment, for modules that no run has trained.

  Raises:
    InputError: frames too small for a module's kernel.
  """
  clip = normalise(jnp.asarray(segments)[None].reshape(1, -1, *segments.shape[2:])).reshape(segments.shape)
  mean = segments[:, :frames].mean(axis=1).round().astype(np.uint8)
  rows = [Row("frames", "first of each segment", segments[:, 0]), Row("frame mean", f"of {frames} frames", mean)]
  trained = trained or {}
  for template in modules(frames):
    kind = type(template).__name__
    for note, module, variables in _of_kind(trained, template):
      start = variables["params"]["initial"].shape[:-1] if kind == "TVNet" and variables is not None else ()
      if start not in ((), clip.shape[2:4]):
        module, variables = template, None  # the flow it starts from is of frames of another size
      module = module.clone(parent=None, name=None)
      x = clip[:, : _frames(module)].reshape(1, -1, *clip.shape[2:])
      note = note if variables is not None and variables.get("params") else ""
      if variables is None:
        variables, note = _fitted(module, x, steps)
      rows += DRAW[kind](module, variables, x, len(segments), note)
    if kind == "TSP" and "Flow/TSP" in trained:
      rows += _squeezed_flow(trained, clip)
  black, white = (np.asarray(normalise(jnp.full((1, 1, 1, 1, 3), level, jnp.uint8)))[0] for level in (0, 255))
  for number, row in enumerate(rows):
    if row.images.dtype != np.uint8:  # without the normalisation, which differs from channel to channel
      rows[number] = dataclasses.replace(row, images=stretched((row.images - black) / (white - black)))
  return rows


def _frames(module: nn.Module) -> int:
  return getattr(module, "frames", 3)  # MBPM reads three


def _apply(module: nn.Module, variables: Mapping[str, Tree], x: jax.Array, segments: int) -> np.ndarray:
  """What a module makes of each segment, float32 `[S, frames of a segment, H, W, C]`."""
  y = np.asarray(jax.jit(lambda v, x: module.apply(v, x, False))(variables, x), np.float32)
  return y.reshape(segments, -1, *y.shape[2:])


def _fitted(module: nn.Module, x: jax.Array, steps: int) -> tuple[Mapping[str, Tree], str]:
  made = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))
  if "params" not in made:
    return {}, ""
  variables: dict[str, Tree] = dict(jax.jit(module.init, static_argnums=2)(jax.random.key(0), x, False))
  if not variables.pop("aux", {}) or not steps:
    return variables, "untrained"
  optimizer = optax.adam(1e-2)
  few = x[..., ::2, ::2, :]  # a quarter of the pixels says as much

  def loss(params: Tree, stats: Tree):
    _, changed = module.apply({"params": params, "batch_stats": stats}, few, True, mutable=["batch_stats", "aux"])
    (error,) = jax.tree.leaves(changed["aux"])
    return error.mean(), changed.get("batch_stats", {})

  @jax.jit
  def fit(params: Tree, stats: Tree):
    def step(carry: tuple[Tree, Tree, Tree], _: None):
      params, stats, state = carry
      gradient, stats = jax.grad(loss, has_aux=True)(params, stats)
      updates, state = optimizer.update(gradient, state)
      return (optax.apply_updates(params, updates), stats, state), None

    return jax.lax.scan(step, (params, stats, optimizer.init(params)), length=steps)[0][:2]

  params, stats = fit(variables["params"], variables.get("batch_stats", {}))
  return {"params": params, "batch_stats": stats}, "fitted to this clip"


def _note(*parts: str) -> str:
  return "\n".join(part for part in parts if part)


def _mbpm(module: MBPM, variables: Mapping[str, Tree], x: jax.Array, segments: int, note: str) -> list[Row]:
  busy = _apply(module, variables, x, segments)
  # Of the magnitude of the frames, as in Eq. 5.4; what "sum" puts out would hide them.
  unit = module.clone(normalise="l1", trainable=False)
  calm = quiet(x, jnp.asarray(_apply(unit, {}, x, 1)[0])[None], x.shape[-3:-1])
  settings = f"MBPM, \u03c3 {module.sigma}, {module.kernel} x {module.kernel}"
  return [
    Row("Busy", _note(settings, note if note.startswith("trained") else ""), signed(busy[:, 0])),
    Row("Busy as flow", "red as u, green as v", flow_colours(busy[:, 0, ..., :2] / _full(busy[:, 0, ..., :2]))),
    Row("Quiet", "mean of three less Busy", np.asarray(calm[0])),
  ]


def _pwtp(module: PWTP, variables: Mapping[str, Tree], x: jax.Array, segments: int, note: str) -> list[Row]:
  static, dynamic = (
    _apply(module.clone(result=result), variables, x, segments)[:, 0] for result in ("projection", "dynamic")
  )
  settings = f"PWTP, T {module.frames}, D {module.rank}"
  return [
    Row("static\nappearance", _note(settings, note), stretched(static, (0, 1, 2))),
    Row("dynamic\nappearance", _note("residual of the above,", "mean over T"), signed(dynamic)),
  ]


def _tsp(module: TSP, variables: Mapping[str, Tree], x: jax.Array, segments: int, note: str) -> list[Row]:
  squeezed = _apply(module, variables, x, segments)
  first = np.asarray(x, np.float32).reshape(segments, -1, *x.shape[2:])[:, 0]
  rows = []
  for i in range(module.rank):
    image = squeezed[:, i]
    # A coordinate's sign is arbitrary: the one that looks like the frame.
    sign = np.sign(np.sum((first - first.mean()) * (image - image.mean())))
    settings = f"TSP, K {module.frames}, D {module.rank}"
    rows.append(Row(f"squeezed image {i + 1}", _note(settings, note), stretched(image * (sign or 1), (0, 1, 2))))
  return rows


def _squeezed_flow(trained: Mapping[str, Trained], clip: jax.Array) -> list[Row]:
  """What a TSP trained behind a Flow makes of the flow of each segment's first frames (thesis Fig. 3.7)."""
  flow: Any = trained["Flow"][0]
  module: Any = trained["Flow/TSP"][0]
  variables = trained["Flow/TSP"][1]
  x = clip[:, : module.frames + 1].reshape(1, -1, *clip.shape[2:])
  flows = _apply(flow.clone(parent=None, name=None, frames=module.frames + 1, stack=False), {}, x, len(clip))
  squeezed = _apply(
    module.clone(parent=None, name=None), variables, jnp.asarray(flows).reshape(1, -1, *flows.shape[2:]), len(clip)
  )
  rows = []
  for i in range(module.rank):
    image = squeezed[:, i]
    sign = np.sign(np.sum(flows[:, 0] * image)) or 1  # arbitrary, as that of a squeezed frame
    settings = f"TSP of flow, K {module.frames}, D {module.rank}"
    rows.append(
      Row(
        f"squeezed flow {i + 1}",
        _note(settings, "trained"),
        flow_colours(sign * image / _full(image, LEAST_MOTION / flow.bound)),
      )
    )
  return rows


def _dynamic_image(module: DynamicImage, v: Mapping[str, Tree], x: jax.Array, segments: int, note: str) -> list[Row]:
  note = f"rank pooling of {module.frames} frames"
  return [Row("dynamic image", note, signed(_apply(module, v, x, segments)[:, 0]))]


def _difference(module: RGBDifference, v: Mapping[str, Tree], x: jax.Array, segments: int, note: str) -> list[Row]:
  return [Row("RGB difference", "second frame less first", signed(_apply(module, v, x, segments)[:, 0, ..., :3]))]


def _flow(module: Flow | TVNet, v: Mapping[str, Tree], x: jax.Array, segments: int, note: str) -> list[Row]:
  flow = module.bound * _apply(module, v, x, segments)[:, 0, ..., :2]
  most = _full(flow, LEAST_MOTION)
  title, name = ("TVNet", note or "TVNet") if isinstance(module, TVNet) else ("optical flow", "TV-L1")
  return [Row(title, f"{name}, full colour at\n{most:.1f} pixels a frame", flow_colours(flow / most))]


def _full(flow: np.ndarray, least: float = LEAST_CHANGE) -> float:
  """The length of vectors that has full colour; a hundredth is longer."""
  return max(float(np.percentile(np.linalg.norm(flow, axis=-1), 99)), least)


def _appearance(module: PersistentAppearance, v: Mapping[str, Tree], x: jax.Array, s: int, note: str) -> list[Row]:
  distance = _apply(module, v, x, s)[:, 0, ..., :1]
  top = max(float(np.percentile(distance, 99.5)), LEAST_CHANGE)
  grey = (255 * distance / top).clip(0, 255).astype(np.uint8)
  return [Row("persistent\nappearance", _note(f"{module.kernel} x {module.kernel}", note), grey.repeat(3, axis=-1))]


DRAW: dict[str, Callable[..., list[Row]]] = {
  "MBPM": _mbpm,
  "PWTP": _pwtp,
  "TSP": _tsp,
  "DynamicImage": _dynamic_image,
  "RGBDifference": _difference,
  "Flow": _flow,
  "TVNet": _flow,
  "PersistentAppearance": _appearance,
}


def signed(x: np.ndarray) -> np.ndarray:
  """Differences as uint8: 0 is grey, all images share one scale; the largest half percent is clipped."""
  most = max(float(np.percentile(np.abs(x), 99.5)), LEAST_CHANGE)
  return (127.5 + 127.5 * x / most).round().clip(0, 255).astype(np.uint8)


def stretched(x: np.ndarray, axes: tuple[int, ...] | None = None) -> np.ndarray:
  """Images as uint8, from black to white over these axes together (default: all); a hundredth is clipped.

  Args:
    x: images, floats `[..., H, W, C]`.
    axes: share one black and one white.
  """
  low, high = np.percentile(x, (0.5, 99.5), axis=axes, keepdims=True)
  return (255 * (x - low) / np.maximum(high - low, LEAST_CHANGE)).round().clip(0, 255).astype(np.uint8)


def flow_colours(flow: np.ndarray) -> np.ndarray:
  """Flow `[..., 2]` to uint8 `[..., 3]`: direction is hue, red to the right; rest is white, length 1 full colour."""
  from matplotlib.colors import hsv_to_rgb

  hue = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1
  saturation = np.linalg.norm(flow, axis=-1).clip(0, 1)
  return (255 * hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], -1))).round().astype(np.uint8)


def colour_wheel(pixels: int = 64) -> np.ndarray:
  """The key of `flow_colours`: each place has the colour of the motion that leads there from the centre; uint8 RGBA."""
  y, x = np.mgrid[-1 : 1 : pixels * 1j, -1 : 1 : pixels * 1j]
  flow = np.stack([x, y], -1)
  inside = (np.linalg.norm(flow, axis=-1, keepdims=True) <= 1) * 255
  return np.concatenate([flow_colours(flow), inside.astype(np.uint8)], -1)


def save_representations(path: str | os.PathLike, rows: list[Row], starts: np.ndarray, title: str) -> None:
  """Draws rows of representations, a column for each segment.

  Args:
    path: of the picture; its ending is one of `pictures.ENDINGS`.
    rows: from `represent`.
    starts: int `[S]`, 0-based number of each segment's first frame in the video.
    title: such as the file's name.
  """
  from matplotlib.figure import Figure
  from matplotlib.layout_engine import ConstrainedLayoutEngine

  columns, height, width = len(starts), *rows[0].images.shape[1:3]
  cell = 1.9 * min(1.0, width / height), 1.9 * min(1.0, height / width)
  figure = Figure(figsize=(1.75 + columns * (cell[0] + 0.05), 0.7 + len(rows) * (cell[1] + 0.05)), dpi=150)
  grid = figure.subplots(len(rows), columns, squeeze=False)
  figure.set_layout_engine(
    ConstrainedLayoutEngine(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0, rect=(0.01, 0, 0.985, 1))
  )
  for line, row in zip(grid, rows, strict=True):
    for axes, image in zip(line, row.images, strict=True):
      axes.imshow(image, interpolation="nearest" if min(cell) * 150 > 2 * min(height, width) else None)
      axes.set(xticks=[], yticks=[])
      axes.spines[:].set_visible(False)
    wheel = row.title == "optical flow"
    style = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right"}
    style |= {"annotation_clip": False, "parse_math": False}
    line[0].annotate(row.title, (0, 0.5), (-6 - 26 * wheel, 1), va="bottom", fontsize=9, weight="bold", **style)
    line[0].annotate(row.note, (0, 0.5), (-6 - 26 * wheel, -1), va="top", fontsize=7, color="0.35", **style)
    if wheel:
      _draw_wheel(line[0])
  for axes, start in zip(grid[0], starts, strict=True):
    axes.set_title(f"frame {start}", fontsize=8, pad=3)
  figure.suptitle(shorten(title, int(72 * figure.get_figwidth() / 6.6)), fontsize=11, parse_math=False)
  save_figure(figure, path)


def _draw_wheel(axes: Any) -> None:
  from matplotlib.offsetbox import AnnotationBbox, OffsetImage

  image = OffsetImage(colour_wheel(), zoom=0.34)
  style = {"xycoords": "axes fraction", "boxcoords": "offset points", "frameon": False, "annotation_clip": False}
  axes.add_artist(AnnotationBbox(image, (0, 0.5), xybox=(-18, 0), pad=0, **style))
