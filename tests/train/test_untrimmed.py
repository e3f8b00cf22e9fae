"""THUMOS14 from its published layout to mAP over untrimmed films: features, five phases, several labels a video."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.data import official_files
from tests.test_bad_input import command
from tests.tiny_run import make_run, write_data
from vidjax.predict.predictor import make_predictor
from vidjax.run.folder import read_phases
from vidjax.run.opened import open_run

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
FLAGS = (
  "--config.train.epochs=1. --config.train.batch_size=2 --config.train.devices=1 --config.sampler.num_segments=8 "
  "--config.stream.width=8 --config.model.widths=(4,2) --config.model.window=4 --config.model.clusters=2 "
  + " ".join(
    f"--config.phases[{n}].model.widths={'(4,)' if n == 0 else '(4,2)'} --config.phases[{n}].model.window=4 "
    f"--config.phases[{n}].train.epochs=1. --config.phases[{n}].train.evaluate_every=1."
    for n in range(4)
  )
  + " --config.phases[3].model.clusters=2"
)


@pytest.mark.slow
def test_thumos14_from_its_layout_to_map(tmp_path, capfd):
  data, backbone, workdir = (tmp_path / name for name in ("data", "backbone", "dte"))
  official_files.thumos14(tmp_path / "source")
  write_data(data)
  make_run(backbone, data)
  assert command(f"prepare thumos14 --source={tmp_path}/source --data_dir={data} --workers=1") == 0
  line = f"prepare features --workdir={backbone} --data=folder/thumos14 --name=thumos14 --per=frame --batch_size=4"
  assert command(f"{line} --data_dir={data}") == 0
  capfd.readouterr()
  line = f"train --config={ROOT}/configs/deep_residual.py:thumos14 --workdir={workdir} --config.data.dir={data}"
  assert command(f"{line} {FLAGS}") == 0
  assert "phase 5 of 5" in capfd.readouterr().out
  assert read_phases(workdir) == ["1_layer1", "2_layer2", "3_whole", "4_clusters", "5_classifier"]
  report = json.loads((workdir / "5_classifier" / "evaluation" / "test.json").read_text())
  assert 0 <= report["map"] <= 1
  assert (report["videos"], report["classes"]) == (2, 2)
  run = open_run(workdir)
  assert run.dataset.holds["labels"]
  scores = make_predictor(run)(np.random.default_rng(0).random((30, 8))).scores
  assert scores.shape == (2,)
  assert not np.isclose(scores.sum(), 1)  # a sigmoid each
