"""The keyframes of a scout as a data set: the frames whose gate is open, as they were stored."""

import dataclasses
import pathlib

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_features import records
from tests.tiny_run import VIDEOS, make_run, write_data
from vidjax.apply.sharding import make_mesh
from vidjax.data.schema import encode_frames
from vidjax.errors import InputError
from vidjax.prepare.keyframes import prepare_keyframes
from vidjax.run.opened import open_run
from vidjax.types import Output


class Scout(nn.Module):
  """Its gate is open where a frame is brighter than the mean of its clip."""

  threshold: float = 0.0

  def __call__(self, clips, train):
    light = clips.mean((2, 3, 4))
    return Output(
      jnp.zeros((len(clips), 2)), light, {"attention": 0.5 + light - light.mean(1, keepdims=True) - self.threshold}
    )


def scout(tmp_path, threshold: float = 0.0):
  run = make_run(tmp_path / "run", write_data(tmp_path / "data"))
  run.__dict__["recipe"] = dataclasses.replace(run.recipe, network=Scout(threshold))
  run.variables = {"params": {}, "batch_stats": {}}
  return run


def test_open_gates_are_kept_and_the_frames_are_those_stored(tmp_path):
  run = scout(tmp_path)
  data = pathlib.Path(run.data.dir)
  report = prepare_keyframes(run, "bright", data, mesh=make_mesh(2), clips=2)
  before, after = records(data, run.data.name), records(data, "folder/bright")
  assert [r.video_id for r in before] == [r.video_id for r in after]
  assert report["splits"]["validation"]["videos"] == VIDEOS
  assert report["splits"]["validation"]["frames"] == sum(r.num_frames for r in after)
  for old, new in zip(before, after, strict=True):
    clips = run.recipe.sampler.test(old.num_frames, 2, old.times)
    views = np.concatenate([run.test_crops(old.decode(clip)[None]) for clip in clips])
    light = np.asarray(run.normalise(jnp.asarray(views))).mean((2, 3, 4))
    kept = sorted({int(i) for i in clips[light > light.mean(1, keepdims=True)]})
    assert list(new.frames) == encode_frames(old.decode(kept))
    assert new.label == old.label
    times = old.times if old.times is not None else np.arange(old.num_frames) / old.fps
    np.testing.assert_allclose(new.times, times[kept] - times[kept[0]], atol=1e-5)


def test_where_every_gate_is_shut_the_best_frame_is_kept_and_counted(tmp_path):
  run = scout(tmp_path, threshold=9.0)
  report = prepare_keyframes(run, "dark", pathlib.Path(run.data.dir), mesh=make_mesh(1), clips=1)
  assert report["splits"]["validation"]["every_gate_shut"] == VIDEOS
  assert {r.num_frames for r in records(pathlib.Path(run.data.dir), "folder/dark")} == {1}


def test_what_cannot_be_a_scout_is_named(tmp_path):
  run = make_run(tmp_path / "run", write_data(tmp_path / "data"))
  run = open_run(run.workdir)
  data = pathlib.Path(run.data.dir)
  with pytest.raises(InputError, match=r"'attention'.*name a run with attention"):
    prepare_keyframes(run, "none", data, mesh=make_mesh(1))
  assert not (data / "folder" / "none").exists()
  with pytest.raises(InputError, match="use up to 100 letters"):
    prepare_keyframes(run, "a/b", data, mesh=make_mesh(1))
