"""Tables of the thesis' chapter 3: what they have in common is one training, and what they compare sees the same."""

import numpy as np
import pytest

from configs import inputs, mix
from experiments.tables.found import tables
from vidjax.build import build
from vidjax.command import config_with

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
TABLES = tables()
SCENE = "scene .7"
TSM = {"TSM RGB": "RGB", "TSM flow": "TV-L1 flow", "DAN TSM, S=8, T=4": "dynamic appearance"}


def table_3(number: int):
  return TABLES[f"thesis.table_3_{number}"]


@pytest.mark.parametrize(
  ("scale", "column", "places"),
  [
    *(
      (scale, column, ((9, "MGDA"), (10, "T=8, D=1"), (11, "stride 8, k=9, C'=24")))
      for scale, column in (("mini", ""), ("full", "SSv1"))
    ),
    *(
      (scale, column, ((3, "64 frames"), (4, "TeSNet-64, RGB"))) for scale, column in (("mini", ""), ("full", "UCF101"))
    ),
  ],
)
def test_what_tables_have_in_common_is_one_training(scale, column, places):
  found = {getattr(table_3(number).row(name), scale)[column] for number, name in places}
  assert len(found) == 1
  assert len({table_3(number).epochs for number, _ in places}) == 1


def test_rows_of_tsm_are_those_of_the_inputs():
  """Tables 3.6 and 3.12; 5.1 has those of 3.12 on scenes."""
  assert table_3(6).epochs == table_3(12).epochs == TABLES["thesis.table_5_1"].epochs
  for name, other in TSM.items():
    assert table_3(6).row(name).mini[""] == table_3(12).row(other).mini["order"]
  for row in TABLES["thesis.table_5_1"].rows:
    if row.mini and row.name in {one.name for one in table_3(12).rows}:
      assert row.mini[SCENE] == table_3(12).row(row.name).mini[SCENE]


def test_all_inputs_read_the_same_frames():
  """Thesis 3.6.3: "we guarantee they consume the same number of raw video frames"; RGB sees one of each segment."""
  for row in table_3(12).rows:
    for training in row.mini.values():
      sampler = config_with(training.config, training.flags)["sampler"]
      frames = 1 if row.name == "RGB" else 3
      assert (sampler["num_segments"], sampler["frames_per_segment"]) == (8, frames), row.name


def test_table_3_10_cuts_clips_into_as_many_segments_whatever_t():
  for row in table_3(10).rows:
    config = config_with(row.mini[""].config, row.mini[""].flags)
    sampler = build(config["sampler"])
    assert (sampler.num_segments, sampler.frames_per_segment) == (3, config["model"]["representation"]["frames"])
    runs = sampler.test(48).reshape(3, -1)
    assert (np.diff(runs) == 1).all()  # a shorter clip would repeat its last frame


@pytest.mark.parametrize("name", ["tsp", "pwtp"])
def test_inputs_learn_their_projection_and_mixes_what_they_are_told(name):
  losses = [module.get_config(arg).to_dict()["losses"] for module, arg in ((inputs, name), (mix, name))]
  assert [[loss["make"].rpartition(".")[2] for loss in one] for one in losses] == [
    ["CrossEntropy", "Projection"],
    ["CrossEntropy"],
  ]
  assert "Projection" in str(mix.get_config(f"{name},losses=projection").losses)


def test_rows_of_table_3_4_are_without_tsm():
  for row in table_3(4).rows:
    for training in row.mini.values():
      assert not config_with(training.config, training.flags)["model"]["backbone"].get("inserts")
  assert all(row.mini or row.partners for row in table_3(4).rows)
