"""Reading one film: how it is cut into clips by its frames' own times."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.data.conftest import frames_of
from tests.data.test_prepare import records
from tests.tiny_run import write_video
from vidjax.data.augment import TestCrops
from vidjax.data.dataset import open_dataset
from vidjax.data.loader import eval_loader
from vidjax.data.read_film import Shot, Storage, cut, frame_times, rate_varies
from vidjax.data.records import Records
from vidjax.data.sampling import UniformSegments
from vidjax.prepare.folder import prepare_folder


def shots(times) -> list[Shot]:
  return [Shot(b"", time) for time in times]


@pytest.mark.parametrize(
  ("frames", "seconds", "expected"),
  [(1, 1, [1]), (8, 1, [8]), (11, 1, [11]), (12, 1, [8, 4]), (20, 1, [8, 8, 4]), (19, 1, [8, 11]), (5, 0.125, [1] * 5)],
)
def test_films_are_cut_without_losing_a_frame(frames, seconds, expected):
  film = shots(5 + np.arange(frames) / 8)
  clips = list(cut(film, seconds))
  assert [len(clip) for clip in clips] == expected
  assert list(itertools.chain(*clips)) == film


def test_clips_last_their_seconds_where_the_rate_changes():
  times = [*np.arange(0, 10, 0.04), *np.arange(10, 60, 1.0)]
  clips = list(cut(shots(times), 2))
  assert [len(clip) for clip in clips] == [50] * 5 + [2] * 25
  assert max(clip[-1].time - clip[0].time for clip in clips) < 2
  assert [len(clip) for clip in cut(shots([0, 0.1, 100.0, 100.1, 100.2]), 1)] == [2, 3]
  assert [len(clip) for clip in cut(shots([0, 0.4, 0.8, 1.2]), 0.8, least=2)] == [2, 2]
  assert [len(clip) for clip in cut(shots([0, 0.4, 0.8]), 0.8, least=2)] == [3]


def test_rates_that_vary():
  steady = np.full(99, 0.04)
  assert not rate_varies(steady)
  assert not rate_varies(steady + np.arange(99) % 2 * 0.001)
  assert rate_varies(np.append(steady, 10.0))
  assert not rate_varies(np.zeros(3))


def write_varying(path) -> list[float]:
  """16 frames at 8 a second, then 6 at 1 a second; returns their seconds."""
  times = [*np.arange(16) / 8, *range(2, 8)]
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=1000)
    stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
    for image, time in zip(frames_of(len(times), 32, 48), times, strict=True):
      frame = av.VideoFrame.from_ndarray(image, format="rgb24")
      frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return times


@pytest.mark.parametrize("encoding", ["jpeg", "video"])
def test_times_are_stored_and_sampled_by(tmp_path, encoding):
  times = write_varying(tmp_path / "videos" / "walk" / "a.mkv")
  report = prepare_folder(
    tmp_path / "videos", "mine", tmp_path, fractions={"train": 1.0}, storage=Storage(encoding=encoding)
  )
  assert "the frame rate of 1 files varies (walk/a.mkv)" in report.warnings[-1]
  (record,) = records(tmp_path).values()
  np.testing.assert_allclose(record.times, times, atol=1e-6)
  np.testing.assert_allclose(frame_times(str(tmp_path / "videos" / "walk" / "a.mkv")), times)
  assert record.fps == pytest.approx(21 / 7)
  sampler = UniformSegments(4, by="time")
  (chosen,) = sampler.test(22, 1, record.times)
  np.testing.assert_array_equal(np.array(times)[chosen], [0.75, 2, 4, 6])  # shown at the middles of the quarters
  assert sorted(UniformSegments(4).test(22)[0]) != sorted(chosen)
  drawn = np.stack([sampler.train(22, np.random.default_rng(i), record.times) for i in range(200)])
  assert np.mean(drawn >= 16) == pytest.approx(5.3 / 7.3, abs=0.06)  # so much of the time lies in the slow part
  dataset = open_dataset("folder/mine", str(tmp_path))
  (batch,) = eval_loader(Records(dataset.source("train")), sampler, TestCrops(16, 16), 1, num_threads=0).batches()
  np.testing.assert_array_equal(batch["frame_index"], [[chosen]])


def test_clips_of_a_film_whose_rate_varies(tmp_path):
  write_varying(tmp_path / "videos" / "walk" / "a.mkv")
  prepare_folder(tmp_path / "videos", "mine", tmp_path, fractions={"train": 1.0}, storage=Storage(clip_seconds=2))
  lengths = [record.num_frames for _, record in sorted(records(tmp_path).items())]
  assert lengths == [16, 2, 2, 2]


def test_a_film_without_times_has_those_of_its_own_rate(tmp_path):
  (tmp_path / "videos" / "walk").mkdir(parents=True)
  write_video(tmp_path / "videos" / "walk" / "a.h264", 0, frames=20)
  report = prepare_folder(tmp_path / "videos", "mine", tmp_path, fractions={"train": 1.0})
  (record,) = records(tmp_path).values()
  np.testing.assert_allclose(record.times, np.arange(20) / 8)
  (entry,) = report.kept
  assert entry["remarks"] == ["it states no times, and has those of 8 frames a second"]
