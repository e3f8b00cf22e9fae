"""Frames put into clips where they do not belong, so that a network learns to pass over them (rtsae 5.1.1 B)."""

import dataclasses
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp

from vidjax.bounds import Bound, Count, Share
from vidjax.checks import check_fields
from vidjax.errors import ConfigError
from vidjax.types import Array, Batch

Part = Annotated[float, Bound("a number from 0 to under 1", lambda part: 0 <= part < 1)]


@dataclasses.dataclass(frozen=True)
class InsertFrames:
  """Inserts repeated frames of the clip itself, and frames of another clip, at random places of most clips.

  A clip keeps its length: as many of its own steps as are inserted are left out, at random. Steps keep their order. The
  other clip of clip i is clip B - 1 - i. `key_frames` and `frame_labels` move with their frames; a frame of another
  clip is no key frame.

  Attributes:
    probability: share of the clips that are changed; the paper's is nearly 80%.
    own: share of the steps of such a clip that repeat the step before them; the amount is not given [I].
    others: share of them that come from another clip [I].
    frames: of a step, which move together: the sampler's `frames_per_segment`.
  """

  probability: Share = 0.8
  own: Part = 0.125
  others: Part = 0.125
  frames: Count = 1

  needs: ClassVar[frozenset[str]] = frozenset()

  def __post_init__(self):
    check_fields(self)
    if self.own + self.others >= 1:
      raise ConfigError(f"InsertFrames: own={self.own} and others={self.others} leave nothing of a clip: give less")

  def __call__(self, batch: Batch, key: jax.Array) -> Batch:
    """Changes clips `[B, T, ...]`; raises ConfigError where `frames` does not divide T."""
    clips, length = jnp.shape(batch["video"])[:2]
    if length % self.frames:
      raise ConfigError(f"InsertFrames(frames={self.frames}): clips have {length} frames, which is no multiple of that")
    steps = length // self.frames
    keys = jax.random.split(key, clips)
    source, foreign = jax.vmap(lambda key: self._draw(steps, key))(keys)
    clip = jnp.arange(clips)[:, None]
    clip = jnp.where(foreign, clips - 1 - clip, clip)

    def moved(x: Array) -> jax.Array:
      x = jnp.asarray(x)
      return x.reshape(clips, steps, self.frames, *x.shape[2:])[clip, source].reshape(x.shape)

    changed = {name: moved(batch[name]) for name in ("video", "frame_labels") if name in batch}
    if "key_frames" in batch:
      changed["key_frames"] = moved(batch["key_frames"]) & ~jnp.repeat(foreign, self.frames, axis=1)
    return {**batch, **changed}

  def _draw(self, steps: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The step each step comes from, int `[T]`, and whether that is of the other clip, bool `[T]`."""
    own, others = round(self.own * steps), round(self.others * steps)
    chosen_key, keep_key, place_key, other_key = jax.random.split(key, 4)
    kept = jnp.sort(jax.random.permutation(keep_key, steps)[: steps - own - others])
    order = jax.random.permutation(place_key, steps)
    foreign = jnp.zeros(steps, bool).at[order[:others]].set(True)
    inserted = jnp.zeros(steps, bool).at[order[: own + others]].set(True)
    latest = jnp.maximum(jnp.cumsum(~inserted) - 1, 0)
    source = jnp.where(foreign, jax.random.randint(other_key, (steps,), 0, steps), kept[latest])
    changes = jax.random.uniform(chosen_key) < self.probability
    return jnp.where(changes, source, jnp.arange(steps)), foreign & changes
