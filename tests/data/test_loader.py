import itertools
import logging
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import simplejpeg
from tensorflow_datasets.proto import tf_example_pb2

from vidjax.data.augment import Flip, MultiScaleCrop, TestCrops
from vidjax.data.loader import eval_loader, train_loader
from vidjax.data.records import Records
from vidjax.data.sampling import Dense, UniformSegments
from vidjax.data.schema import encode_frames
from vidjax.errors import InputError

LABELS = 3


def record(number: int, num_frames: int = 6, size: tuple[int, int] = (16, 16)) -> bytes:
  """A video whose frames say their number: grey level 5 t, and whose label is the record number modulo LABELS."""
  frames = encode_frames(np.full((*size, 3), 5 * t, np.uint8) for t in range(num_frames))
  example = tf_example_pb2.Example()
  feature = example.features.feature
  feature["video"].bytes_list.value.extend(frames)
  feature["video_id"].bytes_list.value.append(f"clip_{number}".encode())
  feature["label"].int64_list.value.append(number % LABELS)
  feature["num_frames"].int64_list.value.append(num_frames)
  feature["fps"].float_list.value.append(25)
  return example.SerializeToString()


def records(count: int, damaged=()) -> list[bytes]:
  return [b"\x0b rubbish" if i in damaged else record(i, num_frames=5 + i % 3) for i in range(count)]


def take(loader, count: int, start: int = 0) -> list[dict[str, np.ndarray]]:
  batches = loader.batches(start)
  taken = list(itertools.islice(batches, count))
  batches.close()
  return taken


def small_loader(source, batch_size=4, seed=7, **options):
  transforms = (MultiScaleCrop(12), Flip(swap=((0, 1),)))
  keep = options.pop("keep_records", False)
  given = Records(source, keep=keep)
  return train_loader(given, UniformSegments(4), transforms, batch_size, seed, **{"num_threads": 2, **options})


def assert_same(batches, others):
  assert len(batches) == len(others)
  for one, other in zip(batches, others, strict=True):
    assert one.keys() == other.keys()
    for key in one:
      np.testing.assert_array_equal(one[key], other[key])


def test_every_epoch_is_a_fresh_permutation_and_batches_cross_its_border():
  loader = small_loader(records(10))
  assert loader.batches_per_epoch == 2
  index = np.concatenate([batch["index"] for batch in take(loader, 5)])
  epochs = index.reshape(2, 10)
  assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
  assert epochs[0].tolist() != epochs[1].tolist()
  assert index.tolist() != np.concatenate([b["index"] for b in take(small_loader(records(10), seed=8), 5)]).tolist()


def test_records_kept_in_memory_give_the_same_batches_and_are_read_once():
  class Counted(list):
    reads = 0

    def __getitem__(self, index):
      Counted.reads += 1
      return super().__getitem__(index)

  source = Counted(records(10, damaged=(4,)))
  kept = take(small_loader(source, keep_records=True, num_threads=0, max_damaged=0.1), 10)
  assert Counted.reads == 9 + 4  # four epochs: the damaged one is tried in each
  assert_same(kept, take(small_loader(source, num_threads=0, max_damaged=0.1), 10))


def test_batches_hold_what_they_say():
  batch = take(train_loader(Records(records(8)), UniformSegments(4), (), 4, 0), 1)[0]
  shapes = {key: (value.shape, value.dtype) for key, value in batch.items()}
  assert shapes == {
    "video": ((4, 4, 16, 16, 3), np.uint8),
    "label": ((4,), np.int32),
    "mask": ((4,), np.bool_),
    "index": ((4,), np.int32),
    "frame_index": ((4, 4), np.int32),
    "damaged": ((4,), np.bool_),
  }
  assert batch["mask"].all()
  assert not batch["damaged"].any()
  np.testing.assert_array_equal(batch["label"], batch["index"] % LABELS)
  np.testing.assert_allclose(batch["video"].mean((2, 3, 4)), 5 * batch["frame_index"], atol=1)


def test_batches_depend_on_seed_and_position_alone():
  source = records(10)
  expected = take(small_loader(source), 8)
  assert_same(take(small_loader(source), 5, start=3), expected[3:])
  for threads in (0, 1, 3):
    assert_same(take(small_loader(source, num_threads=threads), 8), expected)
  shares = [take(small_loader(source, process_index=p, process_count=2), 8) for p in range(2)]
  joined = [{key: np.concatenate([a[key], b[key]]) for key in a} for a, b in zip(*shares, strict=True)]
  assert_same(joined, expected)


def test_repeats_are_one_record_and_its_frames_transformed_each_in_its_own_way():
  def noisy(clip, rng):
    return {**clip, "video": clip["video"] + rng.integers(0, 9, clip["video"].shape, np.uint8)}

  def loader(batch_size=6, repeats=3, **options):
    given = Records(records(10, damaged=(3,)))
    return train_loader(given, UniformSegments(4), (noisy,), batch_size, 7, repeats=repeats, max_damaged=0.1, **options)

  assert loader().batches_per_epoch == 5
  batches = take(loader(), 10)
  index, frames = (np.concatenate([batch[key] for batch in batches]) for key in ("index", "frame_index"))
  for epoch in index.reshape(2, 10, 3):
    assert sorted(epoch[:, 0]) == list(range(10))
    assert (epoch == epoch[:, :1]).all()
  assert (frames.reshape(20, 3, -1) == frames[::3, None]).all()
  videos = np.concatenate([batch["video"] for batch in batches])
  assert len(np.unique(videos.reshape(60, -1), axis=0)) == 60
  assert_same(take(loader(), 6, start=4), batches[4:])
  shares = [take(loader(process_index=p, process_count=6), 10) for p in range(6)]  # a record in several processes
  joined = [{key: np.concatenate([a[key] for a in one]) for key in one[0]} for one in zip(*shares, strict=True)]
  assert_same(joined, batches)
  once = np.concatenate([batch["index"] for batch in take(loader(2, repeats=1), 10)])
  np.testing.assert_array_equal(once, index[::3])


@pytest.mark.slow
def test_worker_processes_make_the_same_batches():
  source = records(10, damaged=(3,))
  expected = take(small_loader(source, max_damaged=0.2), 7, start=2)
  assert_same(take(small_loader(source, max_damaged=0.2, num_processes=2), 7, start=2), expected)


def test_decodes_only_the_sampled_frames(monkeypatch):
  decoded = []
  decode = simplejpeg.decode_jpeg
  monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *args, **named: decoded.append(1) or decode(*args, **named))
  take(train_loader(Records([record(0, 40)] * 8), Dense(4, 2), (), 8, 0, num_threads=0), 1)
  assert len(decoded) == 8 * 4


def test_damaged_records_are_replaced_flagged_and_logged_once(caplog):
  caplog.set_level(logging.WARNING)
  loader = small_loader(records(10, damaged=(4, 5)), max_damaged=0.2)
  batches = take(loader, 10)  # four epochs
  rows = [(int(i), bool(d)) for batch in batches for i, d in zip(batch["index"], batch["damaged"], strict=True)]
  assert sorted(index for index, _ in rows) == sorted(list(range(10)) * 4)
  assert {index for index, flag in rows if flag} == {4, 5}
  assert all(batch["mask"].all() for batch in batches)
  plain = take(train_loader(Records(records(10, damaged=(4, 5))), UniformSegments(4), (), 10, 0, max_damaged=0.2), 1)[0]
  standing_in = np.where(np.isin(plain["index"], (4, 5)), 6, plain["index"])
  np.testing.assert_array_equal(plain["label"], standing_in % LABELS)
  messages = [r.getMessage() for r in caplog.records if "training record" in r.getMessage()]
  assert len(messages) == 4  # two records, two loaders
  assert "training record 4 " in " ".join(messages)


def test_too_many_damaged_records_stop_training():
  with pytest.raises(InputError, match=r"at least 3 of 10 training records are damaged, more than the 0.2"):
    take(small_loader(records(10, damaged=(1, 4, 5)), max_damaged=0.2), 5)
  with pytest.raises(InputError, match="no readable record"):
    take(small_loader(records(6, damaged=range(6)), max_damaged=1), 1)


def test_transforms_must_leave_one_size():
  source = [record(0, size=(16, 16)), record(1, size=(16, 20))]
  with pytest.raises(InputError, match="different sizes"):
    take(train_loader(Records(source), UniformSegments(2), (), 2, 0), 1)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"batch_size": 11}, "10 training records do not fill a batch of 11"),
    ({"batch_size": 4, "process_count": 3}, "multiple of the 3 processes"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"batch_size": 9, "repeats": 2}, "train.batch_size=9 must be a multiple of data.repeats=2: change one"),
    ({"batch_size": 22, "repeats": 2}, "10 training records 2 times do not fill a batch of 22"),
    ({"seed": -1}, "seed=-1"),
    ({"batch_size": 4, "process_index": 2, "process_count": 2}, "process_index=2"),
  ],
)
def test_refuses_sizes_that_do_not_fit(options, message):
  with pytest.raises(InputError, match=message):
    small_loader(records(10), **options)


def test_evaluation_sees_every_record_once():
  source = records(10)
  crops = TestCrops(8, 10, crops=3)
  loader = eval_loader(Records(source), UniformSegments(4), crops, 4, clips=2)
  batches = list(loader.batches())
  assert loader.num_batches == len(batches) == 3
  assert batches[0]["video"].shape == (4, 6, 4, 8, 8, 3)
  mask = np.concatenate([batch["mask"] for batch in batches])
  assert mask.tolist() == [True] * 10 + [False] * 2
  assert np.concatenate([batch["index"] for batch in batches])[mask].tolist() == list(range(10))
  for batch in batches:
    chosen = batch["mask"]
    np.testing.assert_array_equal(batch["label"][chosen], batch["index"][chosen] % LABELS)
    levels = batch["video"].mean((3, 4, 5))
    np.testing.assert_allclose(levels[chosen], 5 * batch["frame_index"][chosen], atol=1)
  expected = np.repeat(UniformSegments(4).test(5, clips=2), 3, 0)  # clip by clip, crop by crop
  np.testing.assert_array_equal(batches[0]["frame_index"][0], expected)
  assert_same(list(loader.batches()), batches)


def test_evaluation_is_shared_by_processes():
  expected = list(eval_loader(Records(records(9)), UniformSegments(2), TestCrops(8), 4).batches())
  shares = [
    list(
      eval_loader(Records(records(9)), UniformSegments(2), TestCrops(8), 4, process_index=p, process_count=4).batches()
    )
    for p in range(4)
  ]
  joined = [{key: np.concatenate([share[key] for share in row]) for key in row[0]} for row in zip(*shares, strict=True)]
  assert_same(joined, expected)


def test_damaged_records_in_evaluation():
  source = records(6, damaged=(2,))
  with pytest.raises(InputError, match=r"cannot be parsed.*--skip_damaged"):
    list(eval_loader(Records(source), UniformSegments(2), TestCrops(8), 4).batches())
  loader = eval_loader(Records(source), UniformSegments(2), TestCrops(8), 4, skip_damaged=True)
  batches = list(loader.batches())
  assert list(loader.damaged) == [2]
  assert np.concatenate([batch["mask"] for batch in batches]).tolist() == [
    True,
    True,
    False,
    True,
    True,
    True,
    False,
    False,
  ]
  assert np.concatenate([batch["damaged"] for batch in batches]).tolist() == [False, False, True] + [False] * 5


def test_refuses_an_empty_split_and_no_clips():
  with pytest.raises(InputError, match="no records"):
    eval_loader(Records([]), UniformSegments(2), TestCrops(8), 4)
  with pytest.raises(InputError, match="clips=0"):
    eval_loader(Records(records(1)), UniformSegments(2), TestCrops(8), 4, clips=0)


def test_closing_stops_the_threads():
  batches = small_loader(records(10)).batches()
  next(batches)
  assert any(thread.name.startswith("grain-prefetch") for thread in threading.enumerate())
  batches.close()
  deadline = time.monotonic() + 10
  while any(thread.name.startswith("grain-prefetch") for thread in threading.enumerate()):
    assert time.monotonic() < deadline
    time.sleep(0.01)


TRAINER = """
import multiprocessing, sys
from absl import flags
from tests.data.test_loader import records, small_loader

def main(num_batches):
  for number, batch in enumerate(small_loader(records(10), num_processes=2).batches()):
    if number == 3:
      print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    if number == num_batches:
      raise SystemExit(5)

if __name__ == "__main__":
  flags.FLAGS.mark_as_parsed()
  main(int(sys.argv[1]))
"""


def alive(pid: int) -> bool:
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
  except OSError:
    return False
  return state != "Z"


def start_trainer(tmp_path, num_batches):
  script = tmp_path / "trainer.py"
  script.write_text(TRAINER)
  environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
  return subprocess.Popen(
    [sys.executable, str(script), num_batches],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=environment,
    start_new_session=True,
  )


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_die_with_a_killed_trainer(tmp_path):
  with start_trainer(tmp_path, "1000000") as trainer:
    workers = [int(pid) for pid in trainer.stdout.readline().split()]
    assert len(workers) == 2
    assert all(alive(pid) for pid in workers)
    trainer.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in workers):
      assert time.monotonic() < deadline
      time.sleep(0.05)


@pytest.mark.slow
def test_workers_outlast_the_sigterm_of_a_scheduler(tmp_path):
  """It goes to every process of a job, and the trainer wants batches until it has saved."""
  with start_trainer(tmp_path, "3000") as trainer:
    workers = [int(pid) for pid in trainer.stdout.readline().split()]
    for pid in workers:
      os.kill(pid, signal.SIGTERM)
    errors = trainer.communicate(timeout=60)[1]
  assert trainer.returncode == 5, errors
  assert not any(map(alive, workers))


@pytest.mark.slow
def test_a_trainer_that_stops_in_the_middle_leaves_nothing_behind(tmp_path):
  with start_trainer(tmp_path, "4") as trainer:
    output, errors = trainer.communicate(timeout=60)
  assert trainer.returncode == 5, errors
  # Grain frees shared memory in a thread; where the exit is faster, Python's tracker frees it and warns in two lines.
  lines = [line for line in errors.splitlines() if "resource_tracker" not in line]
  assert not [line for line in lines if line.strip() != "warnings.warn("]
  assert not any(alive(int(pid)) for pid in output.split())


def with_frames(number: int) -> bytes:
  """A record of 6 frames whose label changes at frame `number`, a key frame."""
  example = tf_example_pb2.Example.FromString(record(number))
  feature = example.features.feature
  feature["frame_labels"].int64_list.value.extend(int(t >= number) for t in range(6))
  feature["key_frames"].int64_list.value.append(number)
  return example.SerializeToString()


def test_what_is_known_of_frames_reaches_the_batches_that_ask_for_it():
  wanted = ("label", "mask", "key_frames", "frame_labels")
  given = Records([with_frames(i) for i in range(1, 6)], wanted=wanted)
  for batch in (
    take(train_loader(given, UniformSegments(3), (), 5, 0), 1)[0],
    *eval_loader(given, UniformSegments(3), TestCrops(8, crops=3), 4, clips=2).batches(),
  ):
    frames, mask = batch["frame_index"], batch["mask"]
    place = (batch["index"] + 1).reshape(-1, *[1] * (frames.ndim - 1))
    shown = mask.reshape(place.shape)
    np.testing.assert_array_equal(batch["key_frames"], (frames == place) & shown)
    np.testing.assert_array_equal(batch["frame_labels"], (frames >= place) & shown)
  plain = take(train_loader(Records([with_frames(1)] * 2), UniformSegments(3), (), 2, 0), 1)[0]
  assert not {"key_frames", "frame_labels"} & set(plain)
  with pytest.raises(InputError, match="clip_0 holds no key_frames, which the task asks for"):
    take(train_loader(Records([record(0)] * 2, wanted=wanted), UniformSegments(3), (), 2, 0, num_threads=0), 1)
