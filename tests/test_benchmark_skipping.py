"""What a skipping network saves: the numbers of `python -m vidjax.benchmark skipping`, against counts by hand."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from configs import rtsae_dscnn
from tests.tiny_run import make_run, write_data
from vidjax.analyse.cost import count_macs
from vidjax.apply.sharding import make_mesh
from vidjax.benchmark.skipping import measure_skipping
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import Options, evaluate
from vidjax.predict.predictor import make_predictor
from vidjax.run.opened import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tmp_path_factory.mktemp("skipping")
  config = rtsae_dscnn.get_config("mini")
  config.phases = ()
  config.task.key_frames = False
  config.model.measured.stream.width, config.model.measured.stream.features = 2, 4
  config.model.units, config.model.top, config.model.fused_features = 4, 4, 4
  return make_run(root / "run", write_data(root / "data"), config=config)


def test_the_numbers_are_those_of_the_network(run):
  found = measure_skipping(run.workdir, steps=1, warmup=1, runs=1)
  clip = jax.ShapeDtypeStruct((1, *run.clip_shape), jnp.float32)
  dense = run.network.clone(skip=False)
  whole = count_macs(lambda v, x: dense.apply(v, x, False).logits, run.variables, clip) / 1e9
  assert found["GMAC per clip, dense"] == pytest.approx(whole)
  assert found["steps of a clip"] == 4
  assert 0.25 <= found["steps kept"] <= 1
  bound, share = found["bound: share if no step is kept"], found["share of the dense work"]
  assert bound + found["steps kept"] * (1 - bound) == pytest.approx(share)
  assert found["GMAC per clip, kept steps alone"] <= found["GMAC per clip, in the static size"] * (1 + 1e-9)
  assert found["dense / skipping, time"].median > 0


def test_a_network_that_skips_nothing_is_named(tmp_path):
  plain = make_run(tmp_path / "run", write_data(tmp_path / "data"))
  with pytest.raises(InputError, match="Recognizer, skips nothing"):
    measure_skipping(plain.workdir, 1, 1, 1)


def test_an_evaluation_states_the_work_that_is_left(run):
  report = evaluate([open_run(run.workdir)], Options(), make_mesh(2), "test", progress=False)
  work = report["work"]
  assert work["bound: share if no step is kept"] < work["share of the dense work"] <= 1
  assert f"{work['share of the dense work']:.0%} of the dense network's work" in report["line"]
  assert report["kept"] >= 0.25


def test_a_prediction_names_the_frames_it_keeps(run):
  film = pathlib.Path(run.data.dir) / "films" / "7.mp4"
  prediction = make_predictor(run)(film)
  steps = prediction.frames.reshape(4, 3)[:, 0]
  assert set(prediction.kept) <= set(steps)
  clips = run.normalise(jnp.asarray(prediction.clip[None]))
  chosen = run.network.apply(run.variables, clips, False).aux["chosen"][0]
  assert prediction.kept.tolist() == steps[chosen].tolist()
