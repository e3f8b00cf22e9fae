"""Tables at the scale "full": what rows start from, how they are tested, and what is said where something is absent."""

import dataclasses
import json
import pathlib

import pytest

from experiments.tables import command
from experiments.tables.estimate import check_full
from experiments.tables.found import tables
from experiments.tables.measures import top1
from experiments.tables.row import Row, Table, Training
from experiments.tables.sweep import Sweep, Unit, wanted
from vidjax.command import config_with
from vidjax.errors import InputError
from vidjax.evaluate.evaluation import parse_views
from vidjax.train.phases import expand
from vidjax.train.start import check_init

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
TABLES = tables()
HERE, DATA = pathlib.Path("runs"), pathlib.Path("data")


def commands(sweep: Sweep) -> list[tuple[Unit, list[list[str]]]]:
  return [(unit, sweep._commands(unit)) for unit in (*sweep.units(), *sweep.ensembles())]


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if any(row.full for row in table.rows)])
def test_the_commands_of_all_rows_can_start(name):
  """Nothing starts from other weights than its paper's in silence, and all views are ones that evaluate knows."""
  table = TABLES[name]
  needed = {wanted(training): "none" for _, _, training in table.trained("full")}
  sweep = Sweep(table, "full", HERE, DATA, [0], pretrained=needed)
  for _, lines in commands(sweep):
    for line in lines:
      for flag in line:
        if flag.startswith("--views="):
          parse_views(flag.partition("=")[2])
      if line[0] == "vidjax.train":
        own = [flag for flag in line if flag.startswith("--config.")]
        config = config_with(line[1].partition("=")[2], own)
        for phase in expand(config).values() if config.get("phases") else [config]:
          check_init(phase["init"])


NET = "configs/tsm.py:ucf101"
TABLE = Table(
  "a table",
  (
    Row("from Kinetics", full={"UCF101": Training(NET, folds=(1, 2)), "HMDB51": Training(NET, start="UCF101")}),
    Row("with flow", full={"UCF101": Training("configs/inputs.py:stored_flow,data=ucf101")}),
  ),
)


def test_a_row_starts_from_what_its_recipe_names(tmp_path):
  (tmp_path / "run").mkdir()
  (tmp_path / "file.pth").touch()
  given = {"kinetics400/tsm-resnet50": str(tmp_path / "run"), "imagenet/resnet50": str(tmp_path / "file.pth")}
  sweep = Sweep(TABLE, "full", HERE, DATA, [0], pretrained=given)
  starts = {
    unit.name: [[flag for flag in line if "init" in flag] for line in lines if line[0] == "vidjax.train"]
    for unit, lines in commands(sweep)
  }
  assert starts == {
    "from_Kinetics_UCF101_0": [[f"--config.init.workdir={tmp_path}/run"]] * 2,
    "with_flow_UCF101_0": [[f"--config.init.weights={tmp_path}/file.pth"]],
    "from_Kinetics_HMDB51_0": [["--config.init.workdir=runs/from_Kinetics_UCF101_0_fold1"]],
  }
  assert [unit.name for unit in sweep.units()][-1] == "from_Kinetics_HMDB51_0"  # what it starts from comes first
  parts = [dataclasses.replace(sweep, shard=(i, 2)).units() for i in range(2)]
  assert sorted([unit.column for unit in part if unit.row.name == "from Kinetics"] for part in parts) == [
    [],
    ["UCF101", "HMDB51"],
  ]
  nothing = dataclasses.replace(sweep, pretrained={"kinetics400/tsm-resnet50": "none"})
  assert "--config.init.pretrained=none" in commands(nothing)[0][1][0]


def test_all_that_is_absent_is_named_at_once(tmp_path):
  sweep = Sweep(TABLE, "full", tmp_path, tmp_path, [0])
  with pytest.raises(InputError) as caught:
    check_full(sweep, None)
  text = str(caught.value)
  assert f"python -m vidjax.prepare ucf101 --source=DIR --data_dir={tmp_path} --flow." in text
  assert f"python -m vidjax.prepare hmdb51 --source=DIR --data_dir={tmp_path};" in text
  assert "kinetics400/tsm-resnet50 (from Kinetics); imagenet/resnet50 (with flow)" in text
  assert text.endswith("--pretrained=kinetics400/tsm-resnet50=FILE,imagenet/resnet50=FILE")


@pytest.mark.parametrize(
  ("part", "message"),
  [
    ("resnet50.pth", "must be DATA/NETWORK=FILE"),
    ("imagenet/resnet50", "must be DATA/NETWORK=FILE"),
    ("imagenet/resnet50=lost.pth", "lost.pth is not there"),
  ],
)
def test_what_is_given_to_start_from_is_checked(part, message):
  with pytest.raises(InputError, match=message):
    command._pretrained([part])


def test_the_accuracy_is_that_of_the_split_a_run_is_validated_on(tmp_path):
  (tmp_path / "evaluation").mkdir()
  (tmp_path / "config.json").write_text(json.dumps({"data": {"validation_split": "test"}}))
  report = {"top1": 0.5, "top5": 0.75, "classes": 101}
  (tmp_path / "evaluation" / "test.json").write_text(json.dumps(report))
  assert top1(tmp_path) == {"top-1 %": 50, "top-5 %": 75}
  (tmp_path / "evaluation" / "test.json").write_text(json.dumps(report | {"classes": 8}))
  assert top1(tmp_path) == {"top-1 %": 50}


def test_a_run_without_the_report_that_is_read_of_it_is_a_failed_row(tmp_path, monkeypatch):
  """The sweep goes on past it."""

  def finish(self, unit, slots, stop):
    top1(self.out / unit.name)

  monkeypatch.setattr(Sweep, "_finish", finish)
  table = Table("a table", (Row("one", mini={"": Training("configs/quickstart.py")}),))
  (failed,) = Sweep(table, "mini", tmp_path, tmp_path, [0]).run()
  assert failed.startswith("one_0: FileNotFoundError: ")
