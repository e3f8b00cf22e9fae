"""Drawing the clips of `synthetic_actions`: a sprite of two colours moves over a textured background.

The camera shakes a little and its sensor is noisy.

A motion is a pose per frame, float32 `[T, 4]`: x and y in pixels, angle in radians, logarithm of the scale.
"""

import dataclasses
import functools

import cv2
import numpy as np

SIZE = 48
"""Height and width of a frame in pixels."""
CONTRAST = 28.0
"""Standard deviation of the background, grey levels."""
JITTER = 0.25
"""Standard deviation of the camera's step from frame to frame, pixels."""
NOISE = 4.0
"""Standard deviation of the sensor noise, grey levels."""

ACTIONS = (
  "slide_left",
  "slide_right",
  "slide_up",
  "slide_down",
  "rotate_clockwise",
  "rotate_counterclockwise",
  "grow",
  "shrink",
)
"""Action 2k + 1 is action 2k played backwards."""

MOTIONS = ("hop", "shake", "spin", "pulse")
"""The vocabulary of `repeat`: every motion ends in the pose it started from."""

ROUTINES = {
  f"{first}_{share}_then_{second}": (first, second, fraction)
  for first, second in (("hop", "spin"), ("spin", "hop"), ("shake", "pulse"), ("pulse", "shake"))
  for share, fraction in (("quarter", 0.25), ("half", 0.5))
}
"""The classes of `repeat`: first motion, second motion, share of the frames that show the first."""

TEXTURES = ("blotches", "rows", "columns", "rising", "falling", "checks", "dots", "rings")
"""Backgrounds of equal mean and contrast that differ in structure."""

SPRITES = 64
_CANVAS = 28


@dataclasses.dataclass(frozen=True)
class Clip:
  """A drawn clip.

  Attributes:
    video: uint8 `[T, SIZE, SIZE, 3]`.
    key_frames: numbers of the frames that show the action (`sparse`), or None.
    frame_labels: index into MOTIONS of every frame (`repeat`), or None.
  """

  video: np.ndarray
  key_frames: list[int] | None = None
  frame_labels: list[int] | None = None


def draw_action(action: int, rng: np.random.Generator, texture: int = 0, num_frames: int = 24) -> Clip:
  """A clip of one action at random speed, phase and place.

  From the same random state, the clip of action 2k + 1 is the clip of action 2k with its frames in reverse order, bit
  for bit. So a clip played backwards is exactly distributed as a clip of its twin, and a model that sees the frames but
  not their order cannot tell the twins apart: 50% of the clips at most.

  Args:
    action: its number, 0 to 7.
    rng: draws everything but the action and the texture.
    texture: index into TEXTURES.
    num_frames: of the clip.
  """
  sprites = np.full(num_frames, rng.integers(SPRITES))
  video = _film(sprites, _act(action // 2, num_frames, rng), texture, rng)
  return Clip(video if action % 2 == 0 else np.ascontiguousarray(video[::-1]))


def draw_sparse(action: int, rng: np.random.Generator, num_frames: int = 64) -> Clip:
  """A sprite wanders; for 6 to 10 frames another one takes its place and shows the action.

  From the same random state, the frames outside the key moment are the same for every action.

  Args:
    action: its number, 0 to 7.
    rng: draws everything else.
    num_frames: of the clip, at least 10.
  """
  wanderer, actor = rng.choice(SPRITES, 2, replace=False)
  length = int(rng.integers(6, 11))
  start = int(rng.integers(num_frames - length + 1))
  key_frames = list(range(start, start + length))
  poses = _wander(num_frames, rng)
  moment = _act(action // 2, length, rng, hurry=0.75)
  poses[key_frames] = moment if action % 2 == 0 else moment[::-1]
  sprites = np.full(num_frames, wanderer)
  sprites[key_frames] = actor
  return Clip(_film(sprites, poses, 0, rng), key_frames=key_frames)


def draw_repeat(routine: str, rng: np.random.Generator, num_frames: int = 96) -> Clip:
  """Two motions, each repeated every 7 to 9 frames; the routine says which comes first and how long it lasts.

  Args:
    routine: a key of ROUTINES.
    rng: draws everything else.
    num_frames: of the clip.
  """
  first, second, share = ROUTINES[routine]
  change = round(num_frames * share) + int(rng.integers(-4, 5))
  labels = [MOTIONS.index(first)] * change + [MOTIONS.index(second)] * (num_frames - change)
  poses = np.concatenate([_repeat(first, change, rng), _repeat(second, num_frames - change, rng)])
  sprites = np.full(num_frames, rng.integers(SPRITES))
  return Clip(_film(sprites, _pose(rng) + poses, 0, rng), frame_labels=labels)


def _pose(rng: np.random.Generator, margin: float = 20.0) -> np.ndarray:
  """A resting pose, at least `margin` pixels away from the edges."""
  x, y = rng.uniform(margin, SIZE - margin, 2)
  return np.array([x, y, rng.uniform(0, 2 * np.pi), rng.uniform(-0.15, 0.15)], np.float32)


def _act(pair: int, num_frames: int, rng: np.random.Generator, hurry: float = 1.0) -> np.ndarray:
  """Poses of action 2 * pair, from draws that are the same for every pair; `hurry` scales how far the motion goes."""
  extents = np.array(
    [
      [-rng.uniform(14, 26), 0, 0, 0],
      [0, -rng.uniform(14, 26), 0, 0],
      [0, 0, np.deg2rad(rng.uniform(200, 360)), 0],
      [0, 0, 0, np.log(rng.uniform(1.8, 2.8))],
    ]
  )
  return _pose(rng) + np.linspace(-0.5, 0.5, num_frames)[:, None] * hurry * extents[pair]


def _wander(num_frames: int, rng: np.random.Generator) -> np.ndarray:
  """The distractor: drifting, turning and breathing in slow waves, the same for every class."""
  waves = rng.uniform(0.5, 1.5, (4, 1)) * np.arange(num_frames) / 32 + rng.uniform(0, 1, (4, 1))
  return _pose(rng) + (np.sin(2 * np.pi * waves) * [[8], [8], [0.8], [0.2]]).T


def _repeat(motion: str, num_frames: int, rng: np.random.Generator) -> np.ndarray:
  """Departure from the resting pose, `[num_frames, 4]`."""
  phase = np.arange(num_frames) / rng.integers(7, 10)
  strength = rng.uniform(0.8, 1.2)
  wave, bump = np.sin(2 * np.pi * phase), np.abs(np.sin(np.pi * phase))
  curve = {
    "hop": (1, -12 * strength * bump),
    "shake": (0, 7 * strength * wave),
    "spin": (2, 2 * np.pi * phase),
    "pulse": (3, 0.6 * strength * bump),
  }
  poses = np.zeros((num_frames, 4))
  axis, values = curve[motion]
  poses[:, axis] = values
  return poses


def _film(sprites: np.ndarray, poses: np.ndarray, texture: int, rng: np.random.Generator) -> np.ndarray:
  """Frames of sprite numbers `[T]` in poses `[T, 4]`: uint8 `[T, SIZE, SIZE, 3]`."""
  num_frames = len(poses)
  background = _texture(texture, rng)
  camera = np.cumsum(rng.normal(0, JITTER, (num_frames, 2)), axis=0)
  camera = np.clip(camera - camera.mean(axis=0), -6, 6)
  video = rng.standard_normal((num_frames, SIZE, SIZE, 3), np.float32)
  video *= NOISE
  margin = (background.shape[0] - SIZE) / 2
  for image, number, (x, y, angle, log_scale), (dx, dy) in zip(video, sprites, poses, camera, strict=True):
    shift = np.array([[1, 0, dx - margin], [0, 1, dy - margin]])
    scene = cv2.warpAffine(background, shift, (SIZE, SIZE))
    cos, sin = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])  # y points down: a growing angle turns clockwise
    centre = [x + dx, y + dy] - turn @ np.full(2, (_CANVAS - 1) / 2)
    sprite = cv2.warpAffine(_sprites()[number], np.column_stack([turn, centre]), (SIZE, SIZE))
    scene *= 1 - sprite[..., 3:]
    image += scene
    image += sprite[..., :3]
  return np.clip(np.rint(video, out=video), 0, 255, out=video).astype(np.uint8)


@functools.cache
def _sprites() -> np.ndarray:
  """The sprites, float32 `[SPRITES, _CANVAS, _CANVAS, 4]`: colours times opacity, then opacity in [0, 1].

  An uneven polygon, cut in two by a line off its centre: no two angles look alike.
  """
  rng = np.random.default_rng(64)
  sprites, zoom = [], 8
  for _ in range(SPRITES):
    corners = int(rng.integers(5, 9))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) / corners
    radii = rng.uniform(6, 11, corners)[:, None]
    polygon = (np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii + _CANVAS / 2) * zoom
    mask = cv2.fillPoly(np.zeros((_CANVAS * zoom,) * 2, np.float32), [polygon.astype(np.int32)], 1.0)
    rows, columns = np.indices(mask.shape) / zoom - _CANVAS / 2
    cut = rng.uniform(0, 2 * np.pi)
    side = np.cos(cut) * columns + np.sin(cut) * rows > rng.uniform(0, 3)
    hue = rng.uniform(0, 360)
    colours = np.array([[[hue, 1, 1], [(hue + rng.uniform(90, 270)) % 360, 1, 1]]], np.float32)
    first, second = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)[0] * 255
    rgb = np.where(side[..., None], first, second) * mask[..., None]
    sprites.append(cv2.resize(np.dstack([rgb, mask]).astype(np.float32), (_CANVAS,) * 2, interpolation=cv2.INTER_AREA))
  return np.stack(sprites)


def _texture(texture: int, rng: np.random.Generator) -> np.ndarray:
  """A background, float32 `[SIZE + 16, SIZE + 16, 3]`, of random tint and fixed contrast."""
  size = SIZE + 16
  phase, period = rng.uniform(0, 2 * np.pi, 2), rng.uniform(8, 11)
  y, x = np.indices((size, size)) * 2 * np.pi / period + phase[:, None, None]
  middle = rng.uniform(0.3, 0.7, 2) * size * 2 * np.pi / period + phase
  grain = rng.standard_normal((size, size))
  name = TEXTURES[texture]
  if name == "blotches":
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    pattern = np.fft.irfft2(np.fft.rfft2(grain) / frequency, (size, size))
  else:
    pattern = {
      "rows": np.sin(y),
      "columns": np.sin(x),
      "rising": np.sin((x + y) * np.sqrt(0.5)),
      "falling": np.sin((x - y) * np.sqrt(0.5)),
      "checks": np.sign(np.sin(x / 1.5) * np.sin(y / 1.5)),
      "dots": np.exp(2 * (np.cos(x) + np.cos(y))),
      "rings": np.sin(np.hypot(x - middle[1], y - middle[0])),
    }[name]
  pattern = (pattern - pattern.mean()) / pattern.std() * CONTRAST
  tint = rng.uniform(-15, 15, 3)
  return (128 + tint + pattern[..., None]).astype(np.float32)
