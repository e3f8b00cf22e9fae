"""What starts and refreshes clusters, on a tiny set of stored features: against NumPy, and by the real command."""

import contextlib
import itertools
import json
import types

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import deep_residual
from experiments.dte import figures, motions
from tests import bad_input_features
from tests.train.test_processes import together
from tests.train.test_resume import assert_bit_equal, kill_after, last_state
from vidjax.command import config_with
from vidjax.data import schema, write
from vidjax.errors import ConfigError, InputError
from vidjax.losses.clustering import ClusterKL
from vidjax.networks.windows import window_places
from vidjax.ops.clusters import student_q, target_p
from vidjax.run.folder import write_folder
from vidjax.run.opened import Run, open_run
from vidjax.train.chain import check_phases
from vidjax.train.clusters import InputCentres, KMeans, Refresh, k_means, reseeded
from vidjax.train.launch import launch
from vidjax.train.phases import expand
from vidjax.train.stop import Below
from vidjax.train.windows import InOrder, Scaling, check_same_clips, windows

TRAIN, STEPS, WIDTH = 18, 12, 4
SMALL = (
  "--config.data.name=features/tiny",
  "--config.stream.width=4",
  f"--config.sampler.num_segments={STEPS}",
  "--config.model.widths=(6,3)",
  "--config.model.window=4",
  "--config.model.clusters=3",
  *(f"--config.phases[{n}].model.window=4" for n in range(4)),
  *(f"--config.phases[{n}].model.widths={'(6,)' if n == 0 else '(6,3)'}" for n in range(4)),
  *(f"--config.phases[{n}].train.epochs=1." for n in range(3)),
  "--config.phases[3].model.clusters=3",
  f"--config.phases[3].model.records={TRAIN}",
  "--config.phases[3].train.epochs=2.",
)
"""What shrinks `configs/deep_residual.py:mini`."""
OTHERS = "num_segments|transforms|test|backbone"


@pytest.fixture(scope="session")
def features(tiny_data):
  """The folder of all data sets, with features/tiny: two motions one after the other, in either order.

  features/plain is the same without `frame_labels`.
  """

  def examples(*optional):
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("validation", 5)):
      for i in range(count):
        labels = [i % 2] * 6 + [1 - i % 2] * 6
        x = np.sin(np.arange(STEPS)[:, None] * (1 + np.array(labels)[:, None]) + np.arange(WIDTH)) + rng.normal(size=4)
        rest = {"features": x.astype(np.float32), **dict.fromkeys(optional, labels)}
        yield split, schema.example(i % 2, f"{split}_{i}", 10.0, STEPS, **rest)

  for name, optional in (("features/tiny", ("frame_labels",)), ("features/plain", ())):

    def fill(folder, name=name, optional=optional):
      splits, classes = ("train", "validation"), ("one", "other")
      write.write_records(folder, name, splits, examples(*optional), classes, optional, "features", WIDTH)

    write.fill_folder(tiny_data / name / write.VERSION, fill)
  return tiny_data


@pytest.fixture
def run(features):
  """`run(phase, **model) -> (run, variables)` of a phase of the config, shrunk, with fresh variables."""

  def make(phase: str = "4_clusters", sampler: int = STEPS, fraction: float = 1.0, **model):
    config = deep_residual.get_config("mini")
    config.data.fraction = fraction
    config.data.name, config.data.dir, config.stream["width"] = "features/tiny", str(features), WIDTH
    config.sampler["num_segments"], config.train.batch_size = sampler, 4
    config = expand(json.loads(config.to_json()))[phase]
    small = {"widths": (6,) if phase == "1_layer1" else (6, 3), "window": 4, "stride": 2}
    if phase == "4_clusters":
      small |= {"clusters": 3, "records": TRAIN}
    config["model"] = {**config["model"], **small, **model}
    made = Run(config)
    variables = made.network.init(jax.random.key(0), jnp.zeros((1, *made.clip_shape)), False)
    return made, {"params": variables["params"], "batch_stats": variables["batch_stats"]}

  return make


def stored(run: Run) -> np.ndarray:
  source = run.dataset.source("train")
  return np.stack([schema.Record.parse(source[i]).features for i in range(TRAIN)])


@pytest.mark.parametrize("remove_mean", [True, False])
def test_features_are_scaled_by_all_of_the_training_split(run, remove_mean):
  made, variables = run("1_layer1", remove_mean=remove_mean)
  found = Scaling()(made, variables, None)["batch_stats"]["embedding"]
  x = stored(made)
  x = x - x.mean(1, keepdims=True) if remove_mean else x
  np.testing.assert_allclose(found["low"], x.min((0, 1)), atol=1e-6)
  np.testing.assert_allclose(found["high"], x.max((0, 1)), atol=1e-6)


@pytest.mark.parametrize("remove_mean", [True, False])
def test_constant_features_are_told_and_count_as_nothing(run, monkeypatch, capsys, remove_mean):
  made, variables = run("1_layer1", remove_mean=remove_mean)
  x = np.random.default_rng(0).normal(size=(3, STEPS, WIDTH)).astype(np.float32)
  x[..., 1] = 1.1 if not remove_mean else np.array([1.1, 7.3, 300.7])[:, None]
  films = [types.SimpleNamespace(num_frames=STEPS, decode=one.__getitem__) for one in x]
  monkeypatch.setattr("vidjax.train.windows.films", lambda run: [(None, film) for film in films])
  found = Scaling()(made, variables, None)["batch_stats"]["embedding"]
  assert float(found["low"][1]) == float(found["high"][1])
  assert "1 of 4 features are constant in the training split" in capsys.readouterr().out
  x[:] = x[..., 1:2]
  with pytest.raises(InputError, match="all features of features/tiny are constant"):
    Scaling()(made, variables, None)


def test_centres_are_those_of_k_means_and_a_refresh_is_of_the_whole_split(run):
  made, variables = run(table=True)
  started = KMeans(starts=3)(made, variables, None)
  assert started["params"]["embedding"] is not None
  z = np.asarray(made.network.apply(variables, jnp.asarray(stored(made)), False).aux["embedding"])
  found = windows(made, variables)
  np.testing.assert_array_equal(found.index, np.arange(TRAIN))
  np.testing.assert_allclose(found.z, z, atol=1e-6)
  centres = np.asarray(started["params"]["clusters"]["centres"])
  np.testing.assert_allclose(centres, k_means(z.reshape(-1, 3), 3, 3), atol=1e-6)
  distance = np.linalg.norm(z.reshape(-1, 1, 3) - centres, axis=-1)
  scale = np.asarray(started["batch_stats"]["clusters"]["scale"])
  np.testing.assert_allclose(scale, np.sqrt((distance.min(-1) ** 2).mean()), rtol=1e-4)

  fresh = Refresh()(made, started, None)
  own = fresh["batch_stats"]["clusters"]
  q = np.asarray(student_q(jnp.asarray(z / scale), jnp.asarray(centres / scale)))
  np.testing.assert_allclose(own["frequency"], q.sum((0, 1)), rtol=1e-4)
  np.testing.assert_array_equal(own["assigned"], q.argmax(-1))
  np.testing.assert_allclose(own["table"], target_p(jnp.asarray(q), jnp.asarray(q.sum((0, 1)))), rtol=1e-3)
  assert float(own["changed"]) == 1
  assert fresh["params"]["clusters"]["centres"] is started["params"]["clusters"]["centres"]
  assert float(Refresh()(made, fresh, None)["batch_stats"]["clusters"]["changed"]) == 0


def test_both_targets_are_equal_at_the_refresh(run):
  made, variables = run(table=True)
  variables = Refresh()(made, KMeans(starts=2)(made, variables, None), None)
  index = np.array([5, 2, 11, 0])
  batch = {"mask": np.array([True, True, False, True]), "index": index}

  def loss(params, target):
    x = jnp.asarray(stored(made)[index])
    output = made.network.apply({**variables, "params": params}, x, target == "table")  # held in training alone
    return ClusterKL()(output, batch)["clustering"]

  found = [jax.value_and_grad(loss)(variables["params"], target) for target in ("frequency", "table")]
  np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found[0][1], found[1][1])
  moved = jax.tree.map(lambda x: x + 0.01, variables["params"])
  assert abs(loss(moved, "frequency") - loss(moved, "table")) > 1e-6  # the table holds


def test_empty_clusters_are_told_and_reseeded(run, capsys):
  made, variables = run()
  variables = KMeans(starts=2)(made, variables, None)
  variables["params"]["clusters"]["centres"] = variables["params"]["clusters"]["centres"].at[1].set(9.0)
  left = Refresh()(made, variables, None)
  assert "clusters: 2 of 3 in use" in capsys.readouterr().out
  np.testing.assert_array_equal(left["params"]["clusters"]["centres"][1], 9)
  back = Refresh(reseed=True)(made, variables, None)
  assert "moved: 1" in capsys.readouterr().out
  assert len(np.unique(back["batch_stats"]["clusters"]["assigned"])) == 3
  z = windows(made, variables).z.reshape(-1, 3)
  centre = np.asarray(back["params"]["clusters"]["centres"][1])
  assert np.abs(z - centre).sum(-1).min() < 1e-5
  np.testing.assert_allclose(reseeded(np.array([[0.0], [5.0]]), np.array([[0.0], [99.0]]), np.eye(2)[[0, 0]])[1], 5)


def test_centres_of_the_input_space_are_means_of_windows(run):
  made, variables = run("5_classifier", space="input", clusters=3)
  found = InputCentres()(made, variables, None)["params"]["input_centres"]
  output = made.network.apply(variables, jnp.asarray(stored(made)), False)
  assigned = np.asarray(output.aux["assignment"]).argmax(-1)
  x = stored(made) - stored(made).mean(1, keepdims=True)
  mean = np.clip(x, 0, 1)[:, window_places(STEPS, 4, 2)].mean(2)
  for k in range(3):
    expected = mean[assigned == k].mean(0) if (assigned == k).any() else np.zeros(WIDTH)
    np.testing.assert_allclose(found[k], expected, atol=1e-6)


def test_a_part_of_the_split_is_all_that_counts(run):
  """With data.fraction, starts and refreshes number the records as the training does."""
  made, variables = run(fraction=0.5, records=10, table=True)
  numbers = made.training_split.source.numbers
  assert len(numbers) == 10
  assert numbers != tuple(range(10))
  x = stored(made)[list(numbers)]
  x = x - x.mean(1, keepdims=True)
  np.testing.assert_allclose(
    Scaling()(made, variables, None)["batch_stats"]["embedding"]["low"], x.min((0, 1)), atol=1e-6
  )
  Refresh().check(made)
  new = Refresh()(made, variables, None)
  batch = next(iter(made.train_loader(4).batches()))
  output, _ = made.network.apply(new, batch["video"], False, mutable=["aux"])
  drawn = np.asarray(output.aux["assignment"]).argmax(-1)
  np.testing.assert_array_equal(drawn, new["batch_stats"]["clusters"]["assigned"][batch["index"]])


def test_starts_follow_each_other(run):
  made, variables = run("5_classifier", widths=(), clusters=3)
  one = Scaling()(made, variables, None)
  found, expected = InOrder((Scaling(), KMeans(2)))(made, variables, None), KMeans(2)(made, one, None)
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  assert found["params"]["clusters"]["centres"].shape == (3, WIDTH)


def test_what_does_not_fit_is_named(run):
  made, variables = run()
  with pytest.raises(InputError, match=r"clusters=9: the training split has 5 windows"):
    k_means(np.zeros((5, 2)), 9)
  with pytest.raises(InputError, match="fewer embeddings of the training split differ from each other"):
    k_means(np.zeros((50, 2)), 3)
  short, _ = run(records=7)
  with pytest.raises(InputError, match=r"model.records=7: 18 records are trained on: set it to that"):
    Refresh().check(short)
  with pytest.raises(ConfigError, match=r"KMeans: the network has no clusters: set model\.clusters"):
    InOrder((Scaling(), KMeans())).check(run("1_layer1")[0])
  with pytest.raises(InputError, match=r"the sampler draws others of train_0, which has 12 steps"):
    check_same_clips(run(table=True, sampler=8)[0])
  with pytest.raises(ConfigError, match="Refresh: the network has no clusters"):
    Refresh()(*run("1_layer1"), None)
  with pytest.raises(ConfigError, match=r"set model\.space to input"):
    InputCentres()(made, variables, None)
  with pytest.raises(ConfigError, match="a validation has top1"):
    Below("changed")([{"top1": 1.0}])
  assert [Below("x", 0.1)(history) for history in ([], [{"x": 0.2}], [{"x": 0.2}, {"x": 0.05}])] == [False, False, True]


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # ml_collections
@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ((), ""),
    (("--config.model.assign=soft", "--config.model.space=input", "--config.model.aggregate=mean"), ""),
    (
      ("--config.model.window=6",),
      r"phase 5 of 5 \(classifier\): embedding has window=6, and is trained with window=4 in phase 4 of 5 .*"
      + " ".join(rf"--config\.phases\[{n}\]\.model\.window=6" for n in range(4))
      + r"\), or to 4 here",
    ),
    (("--config.model.remove_mean=False",), r"remove_mean=True in phase 4 .*phases\[0\]\.model\.remove_mean=False"),
    (("--config.phases[2].model.stride=2",), r"phase 3 of 5 .*stride=2, and .*stride=4 in phase 2 of 5 \(layer2\)"),
    (("--config.model.dof=2.",), r"clusters has dof=2\.0.* in all phases \(--config\.phases\[3\]\.model\.dof=2\.0\)"),
    (
      ("--config.model.clusters=4",),
      r"centres: saved \(3, 3\), wanted \(4, 3\): set the models of this phase and of phase 4 of 5 \(clusters\) alike"
      r" \(--config\.phases\[3\]\.model\.clusters=4\)",
    ),
    (
      ("--config.data.name=features/plain",),
      "features/plain holds no frame_labels, which Clustering asks for: .* or compare with no labels: "
      + " ".join(rf"--config\.phases\[{n}\]\.task\.labels=none" for n in range(4)),
    ),
    (("--config.model.bias=True",), r"4_clusters has nothing for .*bias.*phases\[0\]\.model\.bias=True"),
    (
      ("--config.phases[3].model.records=7",),
      r"phase 4 of 5 \(clusters\): model\.records=7: 18 records",
    ),
  ],
)
def test_phases_that_do_not_fit_each_other_are_named_before_the_first(features, tmp_path, flags, message):
  given = [flag for flag in SMALL if flag.partition("=")[0] not in {new.partition("=")[0] for new in flags}]
  config = config_with(
    "configs/deep_residual.py:mini", [f"--config.data.dir={features}", "--config.train.batch_size=8", *given, *flags]
  )
  with pytest.raises(InputError, match=message) if message else contextlib.nullcontext():
    check_phases(config, expand(config), tmp_path)
  assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # ml_collections
@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ((), ""),
    (
      ("--config.model.window=6",),
      r"embedding has window=6, and is trained with window=4 in \S+/origin: set it to 4 here"
      r" \(--config\.model\.window=4\), or start from another run by --config\.init\.workdir",
    ),
    (("--config.model.stride=2",), r"stride=2, and is trained with stride=4 in .*\(--config\.model\.stride=4\)"),
    (("--config.model.dof=2.",), r"clusters has dof=2\.0, and is trained with dof=1\.0 in .*/origin: set it to 1\.0"),
    (("--config.model.window=6", "--config.init.new=('embedding',)"), ""),
    (("--config.model.window=6", "--config.init.unused=('embedding',)"), ""),
  ],
)
def test_a_run_that_starts_from_another_one_means_the_same_by_its_arrays(features, tmp_path, flags, message):
  def config(*flags):
    here = [f"--config.data.dir={features}", "--config.train.batch_size=8", "--config.phases=()"]
    small = [flag for flag in SMALL if "phases" not in flag and flag.partition("=")[0] not in ",".join(flags)]
    return config_with("configs/deep_residual.py:mini-kmeans", [*here, *small, *flags])

  origin, run = tmp_path / "origin", tmp_path / "run"
  write_folder(origin, config(), ["a", "b"])
  flags = (f"--config.init.workdir={origin}", *flags)
  with pytest.raises(InputError, match=message) if message else contextlib.nullcontext():
    launch(config(*flags), run)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr("vidjax.train.parts.latest_step", lambda workdir: 1)
    launch(config(*flags), run)  # a resumed run takes nothing


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # ml_collections
def test_a_run_of_foreign_code_is_not_made_to_be_compared(features, tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing_remembered"))
  small = [flag for flag in SMALL if "phases" not in flag]
  here = [*small, f"--config.data.dir={features}", "--config.train.batch_size=8", "--config.phases=()"]
  config = config_with("configs/deep_residual.py:mini-kmeans", [*here, f"--config.init.workdir={tmp_path / 'origin'}"])
  monkeypatch.setattr("vidjax.trust.remember", lambda config: None)
  write_folder(tmp_path / "origin", {**config, "model": {"make": "somebody.elses.Network"}}, ["a", "b"])
  launch(config, tmp_path / "run")
  said = capsys.readouterr()
  assert "makes parts from outside vidjax: not compared with this run are embedding, clusters" in said.out + said.err


def check_experiments(whole, report, out):
  """What `experiments.dte` measures and draws of a run."""
  found = motions.measure(whole)
  assert found["top-1 %"] == 100 * report["top1"]
  run = open_run(whole)
  output, labels, records = motions.outputs(run)
  assert (labels.shape, len(records)) == ((5, 3), 5)
  assigned = np.asarray(output.aux["assignment"]).argmax(-1)
  best = max(np.mean(np.array(one)[assigned] == labels) for one in itertools.permutations([0, 1, -1]))
  assert found["matched %"] == pytest.approx(100 * best)
  assert 0 < found["layer1, missed %"] < 500
  clusters = open_run(whole / "4_clusters")
  q = windows(clusters, clusters.variables).q
  p = np.asarray(target_p(jnp.asarray(q), jnp.asarray(q.sum((0, 1)))))
  assert found["after it"] == pytest.approx(np.mean((p * np.log(p / q)).sum(-1)), rel=1e-3)
  figures.draw_embedding(out / "embedding.png", np.asarray(output.aux["embedding"]), labels, assigned, ["one", "other"])
  figures.draw_assignments(out / "assignments.png", run, records, labels, assigned, ["one", "other"], 2)
  for name in ("embedding", "assignments"):
    assert cv2.imread(str(out / f"{name}.png")).std() > 10
  with pytest.raises(InputError, match="features/tiny has no feature of each frame"):
    figures.check(run)
  with pytest.raises(InputError, match="1_layer1 has no clusters: name a run of configs/deep_residual"):
    figures.check(open_run(whole / "1_layer1"))


@pytest.mark.slow
def test_all_phases_by_one_command_and_killed_and_resumed_it_is_equal(features, train, command, environment, tmp_path):
  flags = (*SMALL, "--config.phases[3].train.stop.bound=0.", "--config.train.ema_decay=0.9")
  options = {"config": "configs/deep_residual.py:mini", "without": OTHERS}
  whole, workdir = tmp_path / "whole_0", tmp_path / "run"
  output = train(whole, *flags, **options)
  assert "phase 5 of 5" in output
  assert output.count("clusters: 3 of 3 in use") + output.count("clusters: 2 of 3 in use") == 2
  lines = [json.loads(line) for line in (whole / "4_clusters" / "metrics.jsonl").read_text().splitlines()]
  assert next(line["validation/changed"] for line in lines if "validation/changed" in line) == 1
  assert {"validation/nmi", "validation/accuracy"} <= set(lines[-1])
  assert "top-1" in output.splitlines()[-2]
  check_experiments(whole, json.loads((whole / "5_classifier/evaluation/validation.json").read_text()), tmp_path)
  for step in (4, 6):  # behind the border of an epoch, where nothing is refreshed yet, and within one
    folder = tmp_path / f"{workdir}{step}"
    every = "--config.phases[3].train.checkpoint_every=1"
    code, text = kill_after(command(folder, *flags, every, **options), environment, folder / "4_clusters", step)
    assert code == -9, text
    train(folder, *flags, every, **options)
    assert_bit_equal(last_state(folder / "4_clusters")[1], last_state(whole / "4_clusters")[1])


@pytest.mark.slow
def test_two_processes_find_the_clusters_of_one(features, train, command, environment, tmp_path):
  """Each embeds its share of the windows; k-means, frequencies, the table of p and the rule to stop are of all."""
  bad_input_features.CLUSTERS(tmp_path)
  options = {"config": str(tmp_path / "clusters.py"), "without": OTHERS}
  flags = (*SMALL[:3], f"--config.phases[0].model.records={TRAIN}", "--config.phases[0].train.epochs=2.")
  train(tmp_path / "one", *flags, devices=2, **options)
  outputs, codes = together([command(tmp_path / "two", *flags, **options)] * 2, environment)
  assert codes == [0, 0], outputs
  (_, one), (_, two) = (last_state(tmp_path / name / "1_clusters") for name in ("one", "two"))
  own = one["batch_stats"]["clusters"]
  assert {"assigned", "changed", "frequency", "scale", "table"} == set(own)
  assert own["table"].sum() == pytest.approx(TRAIN * 3, rel=1e-4)  # of 3 windows each, whoever embedded them
  np.testing.assert_array_equal(two["batch_stats"]["clusters"]["assigned"], own["assigned"])
  for name in ("params", "batch_stats", "opt_state"):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), two[name], one[name])
