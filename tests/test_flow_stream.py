"""A run on stored flow: loaded, mirrored, averaged with a run on frames, and predicted as it was stored."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import folder, two_stream
from tests.tiny_run import write_video
from vidjax.apply.sharding import make_mesh
from vidjax.data.augment import crop_and_resize, flip_frames
from vidjax.data.flow import to_pixels
from vidjax.data.read_film import Storage
from vidjax.data.schema import DamagedRecord, Record
from vidjax.errors import ConfigError, InputError
from vidjax.evaluate.evaluation import Options, evaluate
from vidjax.predict.predictor import make_predictor
from vidjax.prepare.folder import prepare_folder
from vidjax.run.folder import check_same, write_folder
from vidjax.run.opened import Run

FILMS = 6


@pytest.fixture(scope="module", params=["jpeg", "video"])
def data(request, tmp_path_factory) -> pathlib.Path:
  """folder/flow of films/LABEL/K.mp4, noise that drifts down (even K) or across (odd)."""
  root = tmp_path_factory.mktemp("data")
  for i in range(FILMS):
    path = root / "films" / ("down", "across")[i % 2] / f"{i}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, i, frames=7 + i)
  storage = Storage(24, request.param, flow=True)
  prepare_folder(root / "films", "flow", root, fractions={"validation": 1.0}, storage=storage)
  return root


def config_of(config, data: pathlib.Path) -> dict:
  """A mini config, smaller, on `data`, whole frames mirrored with every second draw."""
  config.data.name, config.data.dir, config.data.train_split = "folder/flow", str(data), "validation"
  config.sampler.num_segments = 2
  config.test.size, config.test.short_side = 16, 16
  config.transforms = ({"make": "vidjax.data.augment.Resize", "size": 16}, {"make": "vidjax.data.augment.Flip"})
  config.model.backbone.widths = (8, 8, 8, 8)
  config.train.batch_size = 4
  return config.to_dict()


def flow_config(data: pathlib.Path) -> dict:
  return config_of(two_stream.get_config("mini_flow"), data)


def random_run(config: dict, workdir: pathlib.Path) -> Run:
  """A run with a random network, without its folder."""
  run = Run(config)
  init = jax.jit(lambda clips: run.network.init(jax.random.key(0), clips, False))
  run.variables = init(jnp.zeros((1, *run.clip_shape)))
  head = run.variables["params"]["classifier"]
  head["kernel"] = 4 * jax.random.normal(jax.random.key(1), head["kernel"].shape)
  run.workdir = workdir
  return run


def records(run: Run) -> list[Record]:
  source = run.dataset.source("validation")
  return [Record.parse(source[i]) for i in range(len(source))]


def test_clips_are_of_flow_images_and_mirrored_motion_turns(data):
  run = Run(flow_config(data))
  assert run.clip_shape == (10, 16, 16, 3)
  stored = records(run)
  (batch,) = run.eval_loader(batch_size=FILMS, crops=10).batches()
  for record, video, numbers in zip(stored, batch["video"], batch["frame_index"], strict=True):
    np.testing.assert_array_equal(numbers[0], run.recipe.sampler.test(record.num_frames - 1)[0])
    np.testing.assert_array_equal(video[4], run.test_crops(record.decode_flow(numbers[4]))[0])
  views, mirrored = to_pixels(batch["video"][:, :5]), to_pixels(batch["video"][:, 5:])
  np.testing.assert_allclose(mirrored[..., ::-1, :], views * np.float32([-1, 1]), atol=1e-5)
  across = batch["label"] == run.class_names.index("across")
  assert np.median(np.abs(views[across][..., 0])) > 1

  batches = run.train_loader(4).batches()
  turned = []
  for batch, _ in zip(batches, range(4), strict=False):
    for video, index, numbers in zip(batch["video"], batch["index"], batch["frame_index"], strict=True):
      images = stored[int(index) % FILMS].decode_flow(numbers)
      plain = crop_and_resize(images, (0, 0, *images.shape[1:3]), 16)
      turned.append(not np.array_equal(video, plain))
      np.testing.assert_array_equal(video, flip_frames(plain, (0,)) if turned[-1] else plain)
  batches.close()
  assert 0 < sum(turned) < 16


def test_it_predicts_and_averages_as_any_run(data, tmp_path):
  flow = random_run(flow_config(data), tmp_path / "flow")
  rgb = random_run(config_of(folder.get_config("mini"), data), tmp_path / "rgb")
  options = Options(None, 2, 3)
  scores = []
  for runs in ([flow], [rgb], [rgb, flow]):
    result = evaluate(runs, options, make_mesh(1), "command", progress=False)
    assert result["videos"] == FILMS
    with np.load(result["report"].with_name(result["report"].stem + "_scores.npz")) as saved:
      scores.append(saved["scores"])
  np.testing.assert_allclose(scores[2], (scores[0] + scores[1]) / 2, atol=1e-6)
  assert np.abs(scores[0] - scores[1]).max() > 0.01

  predict = make_predictor(flow, 2, 3)
  for i, record in list(enumerate(records(flow)))[::4]:
    prediction = predict(str(data / "films" / record.video_id))
    np.testing.assert_allclose(prediction.scores, scores[0][i], atol=2e-6)
    np.testing.assert_array_equal(prediction.clip, flow.test_crops(record.decode_flow(prediction.frames))[0])
    colours = flow.test_crops(record.decode(prediction.frames))[0]
    assert np.corrcoef(prediction.shown.ravel(), colours.ravel())[0, 1] > 0.98  # the record's are JPEGs


def test_a_film_of_one_frame_has_no_flow(data, tmp_path):
  film = write_video(tmp_path / "still.mp4", 0, frames=1)
  with pytest.raises(InputError, match=r"still\.mp4 has 1 frame, and flow takes two"):
    make_predictor(random_run(flow_config(data), tmp_path))(str(film))


@pytest.mark.parametrize(
  ("frames", "flow", "words"),
  [
    (1, (), "it has 1 frame, and flow takes two"),
    (3, None, "the record of it holds 0 of 2 flow images"),
    (3, (b"",), "the record of it holds 1 of 2 flow images"),
  ],
)
def test_records_without_flow_are_damaged(frames, flow, words):
  with pytest.raises(DamagedRecord, match=words):
    Record(0, "it", frames, 8.0, [b""] * frames, flow=flow).of_flow()


def test_what_does_not_fit_flow_is_refused_at_once(data, tiny_data):
  config = flow_config(data)
  config["data"] |= {"name": "folder/tiny", "dir": str(tiny_data)}
  with pytest.raises(InputError, match=r"=Flow: folder/tiny holds no flow, which .*prepare folder --flow stores$"):
    Run(config)
  for place, part in (
    ("device_transforms", "apply.device_augment.ColorJitter"),
    ("transforms", "data.rand_augment.RandAugment"),
  ):
    config = flow_config(data)
    config[place] = (*config[place], {"make": f"vidjax.{part}"})
    with pytest.raises(ConfigError, match=rf"stream\.make=Flow gives no colour, which {part.split('.')[-1]} needs"):
      Run(config)


def test_runs_from_before_the_choice_go_on(data, tmp_path):
  config = config_of(folder.get_config("mini"), data)
  flow = config | {"stream": {"make": "vidjax.data.streams.Flow"}}
  older = {key: value for key, value in config.items() if key != "stream"}
  for name, data, now, other in (
    ("oldest", {}, config, flow),
    ("frames", {"stream": "video"}, config, flow),
    ("flow", {"stream": "flow"}, flow, config),
  ):
    write_folder(tmp_path / name, older | {"data": config["data"] | data}, ["a", "b"])
    check_same(tmp_path / name, now, ["a", "b"])
    with pytest.raises(InputError, match=r"stream\.make: vidjax\.data\.streams\.\w+ there"):
      check_same(tmp_path / name, other, ["a", "b"])
