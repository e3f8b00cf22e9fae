"""Opening data sets by name: order of records, pickling, threads, and real damage on disk."""

import concurrent.futures
import json
import pathlib
import pickle
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from vidjax.data import schema, write
from vidjax.data.dataset import open_dataset
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import InputError

NUMBER = 300  # more than one file


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> pathlib.Path:
  root = tmp_path_factory.mktemp("data")
  noise = np.random.default_rng(0).integers(0, 255, (NUMBER, 1, 32, 32, 3), np.uint8)

  def examples():
    for number, video in enumerate(noise):
      split = "train" if number else "validation"
      yield split, schema.example(number % 2, f"{number}", 25.0, 1, video=schema.encode_frames(video))

  def fill(partial):
    (partial / write.VERSION).mkdir()
    write.write_records(partial / write.VERSION, "folder/mine", ["train", "validation"], examples(), ["walk", "run"])

  write.fill_folder(root / "folder" / "mine", fill)
  return root


@pytest.fixture
def copy(data_dir, tmp_path) -> pathlib.Path:
  """A copy that a test may damage."""
  subprocess.run(["cp", "-r", str(data_dir / "folder"), str(tmp_path)], check=True)
  return tmp_path / "folder" / "mine" / write.VERSION


def ids(source) -> list[str]:
  return [Record.parse(source[i]).video_id for i in range(len(source))]


def test_a_data_set_says_what_it_has(data_dir):
  dataset = open_dataset("folder/mine", str(data_dir))
  assert (dataset.name, dataset.class_names) == ("folder/mine", ["walk", "run"])
  assert dataset.splits == {"train": NUMBER - 1, "validation": 1}
  assert ids(dataset.source("train")) == [f"{number}" for number in range(1, NUMBER)]
  assert open_dataset(f"folder/mine/{write.VERSION}", str(data_dir)).splits == dataset.splits


def test_tfds_reads_it_too(data_dir):
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(data_dir / "folder" / "mine" / write.VERSION)
  example = builder.as_data_source("train")[0]
  assert example["label"] == 0 or example["label"] == 1
  assert np.asarray(example["video"]).shape == (1, 32, 32, 3)


@pytest.mark.parametrize("form", ["array_record", "tfrecord"])
def test_videos_of_tfds_are_read(tmp_path, form):
  """As TFDS's ucf101 has them: PNG frames and a label."""
  frames = np.random.default_rng(0).integers(0, 255, (3, 4, 8, 10, 3), np.uint8)
  folder = tmp_path / "ucf101" / "ucf101_1" / "2.0.0"
  folder.mkdir(parents=True)
  write_tfds(folder, frames, form)
  if form == "tfrecord":
    with pytest.raises(InputError, match="stored as tfrecord, not array_record"):
      open_dataset("ucf101/ucf101_1", str(tmp_path))
    return
  source = open_dataset("ucf101/ucf101_1", str(tmp_path)).source("train")
  for number, video in enumerate(frames):
    record = Record.parse(pickle.loads(pickle.dumps(source))[number])
    assert (record.label, record.num_frames, record.fps) == (1, 4, 25.0)
    np.testing.assert_array_equal(record.decode([2, 0]), video[[2, 0]])
  assert len(set(ids(source))) == 3


def write_tfds(folder, videos, form):
  """A split "train" as TFDS's own builders store it; its class Video requires TensorFlow, so a description names it."""
  import tensorflow_datasets as tfds
  from array_record.python.array_record_module import ArrayRecordWriter
  from tensorflow_datasets.core.dataset_info import DatasetIdentity
  from tensorflow_datasets.core.splits import SplitDict

  images = tfds.features.Sequence(tfds.features.Image(shape=(None, None, 3), encoding_format="png"))
  features = tfds.features.FeaturesDict({"video": images, "label": tfds.features.ClassLabel(names=["walk", "run"])})
  identity = DatasetIdentity(
    "ucf101", tfds.core.Version("2.0.0"), str(folder), module_name=__name__, config_name="ucf101_1"
  )
  info = tfds.core.DatasetInfo(builder=identity, features=features)
  info.set_file_format(form)
  path = folder / f"ucf101-train.{form}-00000-of-00001"
  writer = ArrayRecordWriter(str(path), "group_size:1")
  serialize = write.serializer(features)
  for video in videos:
    frames = [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in video]
    writer.write(serialize({"video": frames, "label": 1}))
  writer.close()
  template = tfds.core.ShardedFileTemplate(data_dir=folder, dataset_name="ucf101", split="train", filetype_suffix=form)
  info.set_splits(SplitDict([tfds.core.SplitInfo("train", [len(videos)], path.stat().st_size, template)]))
  info.write_to_directory(folder)
  described = json.loads((folder / "features.json").read_text())
  video = {"shape": {"dimensions": ["-1", "8", "10", "3"]}, "dtype": "uint8", "encodingFormat": "png"}
  name = "tensorflow_datasets.core.features.video_feature.Video"
  described["featuresDict"]["features"]["video"] = {"pythonClassName": name, "video": video}
  (folder / "features.json").write_text(json.dumps(described))


def test_records_are_stored_as_they_are_and_compressed_ones_read_the_same(data_dir, tmp_path):
  import tensorflow_datasets as tfds
  from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

  stored = data_dir / "folder" / "mine" / write.VERSION
  files = sorted(stored.glob("*.array_record-*"))
  assert len(files) == 3
  assert all("uncompressed" in ArrayRecordReader(str(file)).writer_options_string() for file in files)
  compressed = tmp_path / "folder" / "mine" / write.VERSION
  shutil.copytree(stored, compressed)
  for file in files:  # as TFDS's writer stores them
    writer = ArrayRecordWriter(str(compressed / file.name), "group_size:1")
    for record in ArrayRecordReader(str(file)).read_all():
      writer.write(record)
    writer.close()
  old, new = (open_dataset("folder/mine", str(root)).source("train") for root in (tmp_path, data_dir))
  assert [old[i] for i in range(len(old))] == [new[i] for i in range(len(new))]
  info = tfds.builder_from_directory(stored).info.splits["train"]
  assert info.num_bytes == sum(len(new[i]) for i in range(len(new)))
  assert list(info.shard_lengths) == [256, NUMBER - 1 - 256]


def test_sources_pickle_small_and_serve_threads(data_dir):
  source = open_dataset("folder/mine", str(data_dir)).source("train")
  assert source[0]
  copy = pickle.loads(pickle.dumps(source))
  assert len(pickle.dumps(source)) < 1000
  with concurrent.futures.ThreadPoolExecutor(8) as threads:
    assert list(threads.map(copy.__getitem__, range(len(copy)))) == [source[i] for i in range(len(source))]
  for index in (-1, NUMBER):
    with pytest.raises(IndexError):
      source[index]


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("folder/other", r"no data set 'folder/other' .* there is folder/mine, .*--videos=DIR --name=other"),
    ("ucf101", r"no data set 'ucf101' .* there is folder/mine, synthetic_actions/\{order,"),
    ("", "no data set ''"),
    ("../x", r"no data set '\.\./x'"),
    ("synthetic_actions/nothing", "no synthetic_actions/nothing"),
  ],
)
def test_unknown_names_say_what_there_is(data_dir, name, message):
  with pytest.raises(InputError, match=message):
    open_dataset(name, str(data_dir))


def test_unknown_splits_and_folders(data_dir, tmp_path):
  with pytest.raises(InputError, match="no split 'test'; it has train, validation"):
    open_dataset("folder/mine", str(data_dir)).source("test")
  with pytest.raises(InputError, match="no data set 'folder/mine'"):
    open_dataset("folder/mine", str(tmp_path / "nowhere"))


def test_a_flipped_byte_damages_one_record_and_is_named(copy):
  file = copy / "folder-train.array_record-00000"
  content = bytearray(file.read_bytes())
  content[len(content) // 3] ^= 0xFF
  file.write_bytes(content)
  source = open_dataset("folder/mine", str(copy.parents[2])).source("train")
  damaged = []
  for index in range(len(source)):
    try:
      Record.parse(source[index]).decode([0])
    except DamagedRecord as error:
      damaged.append(str(error))
  assert len(damaged) == 1
  assert "folder-train.array_record-00000" in damaged[0]


def test_a_truncated_file_damages_its_own_records_only(copy):
  file = copy / "folder-train.array_record-00000"
  file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
  source = open_dataset("folder/mine", str(copy.parents[2])).source("train")
  with pytest.raises(DamagedRecord, match=r"record 0 cannot be read from .*array_record-00000"):
    source[0]
  assert Record.parse(source[len(source) - 1]).video_id == f"{NUMBER - 1}"


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (lambda folder: (folder / "folder-train.array_record-00001").unlink(), "array_record-00001 is missing"),
    (lambda folder: (folder / "dataset_info.json").write_text("{"), "is no readable TFDS data set"),
    (lambda folder: (folder / "features.json").unlink(), "is no readable TFDS data set"),
  ],
)
def test_a_damaged_description_is_an_error_at_once(copy, damage, message):
  damage(copy)
  with pytest.raises(InputError, match=message):
    open_dataset("folder/mine", str(copy.parents[2]))


def test_another_schema_is_refused(tmp_path):
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.dataset_info import DatasetIdentity

  folder = tmp_path / "numbers" / "1.0.0"
  folder.mkdir(parents=True)
  identity = DatasetIdentity("numbers", tfds.core.Version("1.0.0"), str(folder), module_name="none")
  info = tfds.core.DatasetInfo(builder=identity, features=tfds.features.FeaturesDict({"x": np.int64}))
  writer = tfds.core.SequentialWriter(info, 10, file_format="array_record")
  writer.initialize_splits(["train"])
  writer.add_examples({"train": [{"x": 1}]})
  writer.close_all()
  with pytest.raises(InputError, match="does not follow the vidjax record schema"):
    open_dataset("numbers", str(tmp_path))


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path):
  target = tmp_path / "deep" / "target"

  def half(partial):
    (partial / "file").touch()
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    write.fill_folder(target, half)
  assert not target.exists()
  (target.parent / ".target.partial").mkdir()  # what a killed process leaves
  (target.parent / ".target.partial" / "old").touch()
  assert write.fill_folder(target, lambda partial: (partial / "file").touch())
  assert [path.name for path in target.iterdir()] == ["file"]
  assert not write.fill_folder(target, half)
  with pytest.raises(KeyboardInterrupt):
    write.fill_folder(target, half, overwrite=True)
  assert [path.name for path in target.iterdir()] == ["file"]
  assert write.fill_folder(target, lambda partial: (partial / "new").touch(), overwrite=True)
  assert [path.name for path in target.iterdir()] == ["new"]
  assert sorted(path.name for path in target.parent.iterdir()) == ["target"]


def test_only_one_fills_a_folder_at_a_time(tmp_path):
  """Whoever waits for a lock whose file is removed meanwhile does not run beside one who makes it anew."""
  busy, most, filled = [], [], []

  def fill(partial):
    busy.append(partial)
    most.append(len(busy))
    time.sleep(0.01)
    busy.pop()

  def work(_):
    filled.append(write.fill_folder(tmp_path / "target", fill, overwrite=True))

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(work, range(24)))
  assert filled == [True] * 24
  assert set(most) == {1}
  assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize(
  ("name", "message"),
  [
    (
      "vidjax/x",
      r"name=vidjax/x: .* has no folder vidjax, and a module .* in my_package.vidjax/VARIANT, and has a",
    ),
    (
      "vidjax.data/x",
      r"name=vidjax.data/x: vidjax.data has no 'prepare'.*; .* prepare\(variant, data_dir\) -> fol",
    ),
    ("vidjax.dta/x", r"data.name=vidjax.dta/x: cannot import 'vidjax.dta' .* has a function prepare"),
  ],
)
def test_a_module_that_makes_no_data_set_is_told_what_is_missing(name, message, tmp_path):
  with pytest.raises(InputError, match=message):
    open_dataset(name, str(tmp_path))


def test_a_config_called_folder_is_no_data_set(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "configs")
  with pytest.raises(InputError, match=r"there is no data set 'folder/x' .*Prepare it with"):
    open_dataset("folder/x", str(tmp_path))


def test_opening_imports_neither_video_decoders_nor_tensorflow():
  code = "import vidjax.data.dataset, sys; print({'av', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
  output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
  assert output.strip() == "set()"
