"""Training in phases: real runs of the real command, each from the one before it; what is held stays."""

import json
import shutil
import signal

import jax
import numpy as np
import pytest

from configs import dan
from tests.train.test_resume import assert_bit_equal, kill_after, last_state
from vidjax import digests
from vidjax.errors import ConfigError, InputError
from vidjax.run.checkpoint import load_variables
from vidjax.run.folder import PHASES, run_folder, write_folder
from vidjax.run.opened import open_run
from vidjax.train.phases import expand, override
from vidjax.train.start import check_init
from vidjax.train.stop import NoGain

CONFIG = """
from configs import dan

def get_config():
  c = dan.get_config("mini,blend=separate")
  c.model.representation.stride = 8
  c.sampler.num_segments, c.sampler.frames_per_segment, c.model.representation.frames = 2, 3, 3
  c.phases[1]["train"]["ema_decay"] = .9
  return c
"""


@pytest.fixture
def config(tmp_path):
  (tmp_path / "two.py").write_text(CONFIG)
  return {"config": str(tmp_path / "two.py"), "without": "num_segments"}


def same(one, other, name):
  jax.tree.map(np.testing.assert_array_equal, one[name], other[name])


@pytest.mark.slow
def test_two_phases_are_two_runs_and_what_is_frozen_stays(train, command, environment, config, tmp_path):
  workdir, whole = tmp_path / "run", tmp_path / "whole"
  output = train(whole, **config)
  assert "phase 1 of 2" in output
  assert "phase 2 of 2" in output
  (first, _), (second, _) = (load_variables(whole / name, "last") for name in ("1_projection", "2_network"))
  for kind in ("params", "batch_stats"):
    same(first[kind], second[kind], "representation")
  assert not np.array_equal(first["params"]["classifier"]["kernel"], second["params"]["classifier"]["kernel"])
  logs = [(whole / name / "metrics.jsonl").read_text() for name in ("1_projection", "2_network")]
  assert ["loss/projection" in log for log in logs] == [True, False]
  assert ["loss/classification" in log for log in logs] == [False, True]
  assert "arrays of" in (whole / "2_network" / "weights_report.txt").read_text()
  assert open_run(whole).workdir == whole / "2_network"

  # Killed in the second phase, and started again: equal bit for bit.
  code, output = kill_after(command(workdir, **config), environment, workdir / "2_network", 3)
  assert code == -signal.SIGKILL, output
  output = train(workdir, **config)
  assert f"{workdir / '1_projection'} is finished" in output
  for name in ("1_projection", "2_network"):
    assert_bit_equal(last_state(workdir / name)[1], last_state(whole / name)[1])

  last = train(workdir, "--config.phases[0].task.metric=top1", code=2, **config).splitlines()[-1]
  assert "1_projection was trained with another config (task.metric: -loss/projection there, top1 here)" in last
  longer = ("--config.phases[0].train.epochs=9", "--extend")
  last = train(workdir, *longer, code=2, **config).splitlines()[-1]
  assert "2_network started from 1_projection, which was trained with train.epochs=" in last
  last = train(workdir, code=2).splitlines()[-1]
  assert "was trained in the phases 1_projection, 2_network, and this config has none" in last
  last = train(whole / "2_network", code=2, **config).splitlines()[-1]
  assert "2_network holds a run without phases, and this config has 1_projection, 2_network" in last
  last = train(workdir, "--config.phases[1].name=other", code=2, **config).splitlines()[-1]
  assert "was trained in the phases 1_projection, 2_network, and these are 1_projection, 2_other" in last
  shutil.rmtree(workdir / "1_projection")
  last = train(workdir, code=2, **config).splitlines()[-1]
  assert "1_projection has no checkpoint, but" in last


def base():
  return {
    "train": {"epochs": 1},
    "losses": [1],
    "init": {"workdir": "", "weights": "a.pth"},
    "blend": {"make": "a", "x": 1},
  }


def test_what_is_new_in_the_first_phase_is_not_new_in_the_next():
  """A classifier that a phase has trained would begin anew, and be frozen so, where only others are trained."""
  init = {"workdir": "", "weights": "a.pth", "new": ("classifier",), "unused": ("fc",)}
  own = {"name": "three", "init": {"new": ("head",)}}
  again = {"name": "four", "init": {"phase": ""}}
  phases = {"name": "one"}, {"name": "two"}, own, again
  found = [one["init"] for one in expand({**base(), "init": init, "phases": phases}).values()]
  assert [(one["phase"], one["weights"], one["new"], one["unused"]) for one in found] == [
    ("", "a.pth", ("classifier",), ("fc",)),
    ("1_one", None, (), ()),
    ("2_two", None, ("head",), ()),
    ("", "a.pth", ("classifier",), ("fc",)),
  ]
  separate = expand(dan.get_config("ssv1,backbone=x3d_xs,blend=separate").to_dict())
  assert [one["init"]["new"] for one in separate.values()] == [("classifier", "representation"), ()]


def test_a_phase_may_start_from_weights_of_its_own():
  """Two streams: the second one's weights were dropped in silence, and it started from the first."""
  phases = {"name": "spatial"}, {"name": "temporal", "init": {"weights": "flow.pth", "new": ("classifier",)}}
  phases += {"name": "run", "init": {"workdir": "runs/other"}}, {"name": "next"}
  phases += ({"name": "both", "init": {"phase": "run", "weights": "b.pth"}},)
  found = [one["init"] for one in expand({**base(), "phases": phases}).values()]
  assert [(one["phase"], one["weights"], one["workdir"]) for one in found[:4]] == [
    ("", "a.pth", ""),
    ("", "flow.pth", ""),
    ("", "a.pth", "runs/other"),
    ("3_run", None, ""),
  ]
  assert found[1]["new"] == ("classifier",)
  with pytest.raises(InputError, match="starts from one of them"):
    check_init(found[4])


def test_phases_change_a_config_key_by_key():
  phases = ({"name": "one", "losses": [2]}, {"name": "two", "train": {"epochs": 3}, "blend": {"make": "b"}})
  first, second = expand({**base(), "phases": phases}).values()
  assert (first["losses"], first["train"], first["init"]["weights"], first["init"]["phase"]) == (
    [2],
    {"epochs": 1},
    "a.pth",
    "",
  )
  assert (second["losses"], second["train"], second["blend"]) == ([1], {"epochs": 3}, {"make": "b"})
  assert second["init"] == {"workdir": "", "weights": None, "phase": "1_one"}
  third = {"name": "three", "init": {"phase": {"s_net": "one", "t_net": "two"}}}
  assert expand({**base(), "phases": (*phases, third)})["3_three"]["init"]["phase"] == {
    "s_net": "1_one",
    "t_net": "2_two",
  }
  assert override({"a": {"make": "x", "b": 1}}, {"a": {"b": None}}) == {"a": {"make": "x", "b": None}}


@pytest.mark.parametrize(
  ("phases", "message"),
  [
    (({"losses": []},), r"phases\[0\]: name=None must be letters"),
    (({"name": "a"}, {"name": "a"}), r"phases\[1\]: name='a' must be letters, .* used once"),
    (({"name": "a", "loss": []},), "changes 'loss', which is no section"),
    (
      ({"name": "a", "init": {"phase": "b"}}, {"name": "b"}),
      "phase 'a': init.phase='b' is no earlier phase; there is none",
    ),
  ],
)
def test_bad_phases_are_named(phases, message):
  with pytest.raises(ConfigError, match=message):
    expand({**base(), "phases": phases})


def test_a_training_whose_last_phase_has_not_begun_is_no_run_yet(tmp_path):
  (tmp_path / PHASES).write_text('["1_first", "2_second"]')
  with pytest.raises(InputError, match=r"phase 2 of 2 \(second\) is not trained yet: run the training .* to its end$"):
    open_run(tmp_path)
  write_folder(tmp_path / "1_first", base(), ["a"])
  with pytest.raises(InputError, match=r"to its end, or name the folder of a phase, such as .*/1_first$"):
    open_run(tmp_path)
  write_folder(tmp_path / "2_second", base(), ["a"])
  assert run_folder(tmp_path) == tmp_path / "2_second"


def test_frozen_prefixes_that_match_nothing_are_named(train, tmp_path):
  last = train(tmp_path / "run", "--config.train.frozen=('backbon',)", code=2).splitlines()[-1]
  assert "train.frozen names backbon, but no parameter starts so; they start with backbone, classifier" in last


def test_a_subtree_starts_from_the_phase_that_it_names(train, config, tmp_path):
  (tmp_path / "two.py").write_text(
    CONFIG.replace("  return c", "  c.phases[1]['init'] = {'phase': {'representation': 'projection'}}\n  return c")
  )
  train(tmp_path / "run", "--config.train.epochs=1", "--config.phases[0].train.epochs=1.", **config)
  report = (tmp_path / "run" / "2_network" / "weights_report.txt").read_text().splitlines()
  assert report[0] == "representation of 1_projection; the rest is new"
  first, second = (
    load_variables(tmp_path / "run" / name, "last")[0]["params"] for name in ("1_projection", "2_network")
  )
  same(first, second, "representation")


def test_a_rule_ends_the_training_and_a_finished_run_stays_finished(train, tmp_path):
  (tmp_path / "stop.py").write_text(
    "from configs import quickstart\n"
    "def get_config():\n"
    "  c = quickstart.get_config()\n"
    "  c.train.stop = {'make': 'vidjax.train.stop.NoGain', 'patience': 1, 'least': 1.}\n"
    "  return c\n"
  )
  flags, config = ("--config.train.epochs=6", "--config.train.evaluate_every=1"), {"config": str(tmp_path / "stop.py")}
  output = train(tmp_path / "run", *flags, **config)
  assert "ends the training after step 8 of 24" in output
  assert last_state(tmp_path / "run")[0] == 8
  assert "is finished" in train(tmp_path / "run", *flags, **config)
  lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
  assert sum("validation/top1" in line for line in lines) == 2

  # Stopped before that validation: it is made up for, and ends the training as it did.
  shutil.rmtree(tmp_path / "run" / "checkpoints" / "8" / "metrics")
  (tmp_path / "run" / "checkpoints" / "8" / digests.FILE).unlink()
  assert "ends the training after step 8 of 24" in train(tmp_path / "run", *flags, **config)
  assert last_state(tmp_path / "run")[0] == 8
  lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
  assert sum("validation/top1" in line for line in lines) == 2


def test_no_gain():
  rule = NoGain(patience=2)
  history = [{"top1": x} for x in (0.1, 0.5, 0.5, 0.4)]
  assert [rule(history[:n]) for n in range(5)] == [False, False, False, False, True]
  assert not NoGain("loss", 1, lower=True)([{"loss": 2.0}, {"loss": 1.0}])
  with pytest.raises(ConfigError, match="a validation has top1"):
    NoGain("map")(history)
