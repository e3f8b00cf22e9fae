"""Frames of other clips and repeated ones: where they come from, and what moves with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.apply.insert_frames import InsertFrames
from vidjax.errors import ConfigError

CLIPS, STEPS = 64, 8


def batch(frames: int = 1) -> dict:
  """Pixel [b, t] is 100 b + t; each clip's own third step is the key moment."""
  video = 100 * np.arange(CLIPS)[:, None] + np.arange(STEPS * frames)
  key_frames = np.tile(np.arange(STEPS * frames) // frames == 2, (CLIPS, 1))
  labels = video.astype(np.int32)
  return {"video": video[..., None, None, None].astype(np.float32), "key_frames": key_frames, "frame_labels": labels}


@pytest.mark.parametrize("frames", [1, 2])
def test_steps_keep_their_order_and_as_many_are_inserted_as_asked_for(frames):
  before = batch(frames)
  after = jax.jit(InsertFrames(0.8, 0.25, 0.125, frames))(before, jax.random.key(0))
  clip, frame = np.divmod(np.asarray(after["video"])[..., 0, 0, 0].astype(int), 100)
  np.testing.assert_array_equal(after["frame_labels"], 100 * clip + frame)
  step = frame.reshape(CLIPS, STEPS, frames) // frames
  np.testing.assert_array_equal(step, step[..., :1] + np.zeros(frames, int))  # frames of a step stay together
  changed = 0
  for b in range(CLIPS):
    own = (clip[b] == b)[::frames]
    assert set(clip[b]) <= {b, CLIPS - 1 - b}
    mine = step[b, own, 0]
    assert (np.diff(mine) >= 0).all()
    if own.all() and len(set(mine)) == STEPS:
      continue
    changed += 1
    assert (~own).sum() == 1
    assert len(set(mine)) == STEPS - 3
  assert 0.65 < changed / CLIPS < 0.95
  np.testing.assert_array_equal(after["key_frames"], (clip == np.arange(CLIPS)[:, None]) & (frame // frames == 2))


def test_nothing_changes_at_probability_0_and_every_clip_at_1():
  before = batch()
  same = InsertFrames(0.0)(before, jax.random.key(0))
  np.testing.assert_array_equal(same["video"], before["video"])
  every = InsertFrames(1.0, 0.25, 0.25)(before, jax.random.key(0))
  assert (np.asarray(every["video"]) != before["video"]).any(axis=(1, 2, 3, 4)).all()
  features = jnp.arange(30.0).reshape(2, 3, 5)
  np.testing.assert_array_equal(InsertFrames(1.0, 0.0, 0.0)({"video": features}, jax.random.key(0))["video"], features)


def test_amounts_that_cannot_be():
  with pytest.raises(ConfigError, match=r"own=0.5 and others=0.5 leave nothing of a clip"):
    InsertFrames(own=0.5, others=0.5)
  with pytest.raises(ConfigError, match="clips have 8 frames, which is no multiple"):
    InsertFrames(frames=3)(batch(), jax.random.key(0))
