"""Attention over a film: its windows are the run's clips, and its keyframes those that the network attends to."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import quickstart
from tests.summarize.films import BLUE, GREEN, RED, scene, write_film
from tests.test_bad_input import command
from tests.tiny_run import CLASSES, write_data
from vidjax.data.augment import TestCrops
from vidjax.data.sampling import Dense, UniformSegments
from vidjax.data.streams import Flow, Frames, FramesAndFlow
from vidjax.errors import InputError
from vidjax.run.checkpoint import Checkpoints
from vidjax.run.folder import write_folder
from vidjax.run.opened import Run, open_run
from vidjax.summarize.attention import Windows, clip_span, run_attention, scan_attention, windows_of
from vidjax.summarize.descriptors import colour_histogram
from vidjax.types import State


def write_run(workdir, data, **model):
  """A run whose network is `Bright`, of clips of 4 frames of 16 pixels, every second frame of a film."""
  config = quickstart.get_config()
  config.data.name, config.data.dir = "folder/tiny", str(data)
  config.sampler = ConfigDict({"make": "vidjax.data.sampling.Dense", "num_frames": 4, "stride": 2})
  config.test.size, config.test.short_side = 16, 16
  config.model = ConfigDict({"make": "tests.summarize.networks.Bright", **model})
  config.normalise.mean, config.normalise.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
  config = config.to_dict()
  run = Run(config, CLASSES)
  variables = run.network.init(jax.random.key(0), jnp.zeros((1, *run.clip_shape)), False)
  write_folder(workdir, config, CLASSES)
  checkpoints = Checkpoints(workdir)
  checkpoints.save(State(jnp.int32(3), variables["params"], {}, {"count": jnp.int32(3)}), 3, config, {"top1": 0.5})
  checkpoints.close()
  return workdir


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data):
  return write_run(tmp_path_factory.mktemp("runs") / "run", data)


def flashes(path, bright=(7, 23), frames=40):
  """A film of scenes of dim colours, with bright frames of two colours."""
  film = (0.3 * np.concatenate([scene(colour, frames // 2) for colour in (RED, BLUE)])).astype(np.uint8)
  for number, colour in zip(bright, ((255, 255, 200), (200, 255, 255)), strict=True):
    film[number - 1 : number + 2] = np.maximum(scene(colour, 1)[0], 170)
  return write_film(path, film)


def attend_to_means(clips):
  """Attention is the mean level of a frame over 255."""
  attention = clips[..., :3].mean((-3, -2, -1)) / 255
  return attention, None


def windows(span, sampler, stream=None):
  return Windows(span, sampler, stream or Frames(), TestCrops(16, 16), 32)


def test_consecutive_windows_sample_as_the_run_does(tmp_path):
  film = str(write_film(tmp_path / "a.mp4", scene(GREEN, 21)))
  shapes = []

  def attend(clips):
    shapes.append(clips.shape)
    return attend_to_means(clips)

  found = scan_attention(film, attend, windows(8, Dense(4, 2)), colour_histogram)
  assert found.numbers.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]  # the last clip repeats frame 20
  assert set(shapes) == {(1, 4, 16, 16, 3)}
  assert len(shapes) == 3
  np.testing.assert_allclose(found.times, found.numbers / 10, atol=2e-3)
  found = scan_attention(film, attend, windows(8, UniformSegments(4)), colour_histogram)
  assert found.numbers.tolist() == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 20]


def test_a_step_of_two_frames_is_its_first(tmp_path):
  film = str(write_film(tmp_path / "a.mp4", scene(GREEN, 17)))

  def attend(clips):
    attention, _ = attend_to_means(clips)
    return attention[:, ::2], np.stack([attention[:, ::2], np.full((1, 2), 0.5)], -1)

  found = scan_attention(film, attend, windows(8, UniformSegments(2, 2)), colour_histogram)
  assert found.numbers.tolist() == [1, 5, 9, 13, 16]  # each clip has frames 1, 2, 5 and 6 of its window
  norms = np.hypot(found.attention, 0.5)
  np.testing.assert_allclose(found.curve, norms / norms.sum(), rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 3, 8])
def test_films_no_longer_than_a_window(tmp_path, frames):
  film = str(write_film(tmp_path / "a.mp4", scene(GREEN, frames)))
  found = scan_attention(film, attend_to_means, windows(8, UniformSegments(4)), colour_histogram)
  assert found.numbers.tolist() == sorted(set(UniformSegments(4).test(frames)[0].tolist()))
  assert found.curve.sum() == pytest.approx(1)


@pytest.mark.parametrize(("stream", "channels"), [(Flow(), 3), (FramesAndFlow(), 5)])
def test_streams_with_flow(tmp_path, stream, channels, monkeypatch):
  from vidjax.data import schema
  from vidjax.summarize import attention

  pairs = []

  def encode_flow(first, second):
    pairs.extend(zip([x.mean() for x in first], [x.mean() for x in second], strict=True))
    return schema.encode_frames([np.stack([x] * 3, -1) for x in first])

  monkeypatch.setattr(attention, "encode_flow", encode_flow)
  levels = np.arange(20, 240, 20, dtype=np.uint8)  # 11 frames
  frames = np.broadcast_to(levels[:, None, None, None], (11, 32, 32, 3))
  shapes = []

  def attend(clips):
    shapes.append(clips.shape)
    return attend_to_means(clips)

  film = str(write_film(tmp_path / "a.mp4", frames))
  found = scan_attention(film, attend, windows(3, Dense(2, 2), stream), colour_histogram)
  assert found.numbers.tolist() == [0, 2, 3, 5, 6, 8, 9, 10]
  assert set(shapes) == {(1, 2, 16, 16, channels)}
  expected = [(levels[n], levels[min(n + 1, 10)]) for n in found.numbers]
  np.testing.assert_allclose(pairs, expected, atol=3)  # the last frame has none after it


def test_the_scores_of_eq_21(tmp_path, workdir):
  film = str(flashes(tmp_path / "a.mp4"))
  run = open_run(workdir, trusted=True)
  assert clip_span(run) == 8
  found = scan_attention(film, run_attention(run), windows_of(run), colour_histogram)
  assert found.attention is not None
  norms = np.hypot(found.attention, 0.5)
  np.testing.assert_allclose(found.curve, norms / norms.sum(), rtol=1e-5)
  assert sorted(found.numbers[found.attention > 0.5]) == [6, 8, 22, 24]


def test_a_network_without_gates_or_attention(tmp_path, data):
  workdir = write_run(tmp_path / "run", data, gates=False)
  film = str(flashes(tmp_path / "a.mp4"))
  run = open_run(workdir, trusted=True)
  found = scan_attention(film, run_attention(run), windows_of(run, 4), colour_histogram)
  np.testing.assert_allclose(found.curve, found.attention / found.attention.sum(), rtol=1e-5)
  assert found.numbers[:3].tolist() == [0, 2, 4]


def test_a_sampler_of_whole_videos_spans_their_median_length(tmp_path, data, workdir):
  run = open_run(workdir, trusted=True)
  object.__setattr__(run.recipe, "sampler", UniformSegments(4))
  assert clip_span(run) == 10  # the records have 5 to 15 frames


def test_the_command_with_a_run(tmp_path, workdir, capfd):
  film, out = flashes(tmp_path / "a.mp4"), tmp_path / "out"
  assert command(f"summarize --workdir={workdir} --trust {film} --out={out}") == 0
  report = json.loads((out / "summary.json").read_text())
  assert [one["frame"] in near for one, near in zip(report["keyframes"], ({6, 8}, {22, 24}), strict=True)] == [True] * 2
  assert report["method"] == "attention"
  assert sum(report["curve"]["attention score"]) == pytest.approx(1)
  assert len(report["curve"]["attention"]) == len(report["curve"]["frame"])
  assert command(f"summarize --workdir={workdir} --trust {film} --out={out} --max_frames=1") == 0
  assert len(json.loads((out / "summary.json").read_text())["keyframes"]) == 1
  dark = write_film(tmp_path / "dark.mp4", (0.2 * scene(RED, 12)).astype(np.uint8))
  capfd.readouterr()
  assert command(f"summarize --workdir={workdir} --trust {dark} --out={out}") == 0
  assert "no frame has an attention above 0.5: the highest" in capfd.readouterr().err
  assert len(json.loads((out / "summary.json").read_text())["keyframes"]) == 1


def test_attention_that_is_not_finite(tmp_path):
  film = str(write_film(tmp_path / "a.mp4", scene(GREEN, 9)))

  def attend(clips):
    return np.full(clips.shape[:2], np.nan), None

  with pytest.raises(InputError, match="is not finite: choose another --checkpoint"):
    scan_attention(film, attend, windows(8, Dense(4, 2)), colour_histogram)


def test_a_run_without_attention(tmp_path, data):
  from tests.tiny_run import make_run

  run = make_run(tmp_path / "plain", data)
  with pytest.raises(InputError, match="gives frames no attention"):
    scan_attention(str(flashes(tmp_path / "a.mp4")), run_attention(run), windows_of(run), colour_histogram)
