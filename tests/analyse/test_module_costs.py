"""What each module costs: sums by hand, and the measured table of facts.md."""

import csv
import functools
import importlib
import subprocess
import sys

import pytest

from vidjax.analyse.module_costs import module_costs
from vidjax.backbones.resnet import MiniResNet, ResNet
from vidjax.build import build
from vidjax.inputs.mbpm import MBPM
from vidjax.networks.bqn import BQN
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.ttsn import TTSN
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM

CLIP = (8, 224, 224, 3)


@functools.cache
def tsm_resnet50(classes: int, convention: str):
  network = Recognizer(ResNet(50, inserts=(Insert(TSM(), "before"),)), classes)
  return {row.path: row for row in module_costs(network, CLIP, convention)}


def test_modules_of_a_small_network_by_hand():
  network = Recognizer(MiniResNet(widths=(4, 4, 8, 8)), num_classes=3)
  rows = {row.path: row for row in module_costs(network, (2, 16, 16, 3))}
  stem = rows["backbone/stem/conv"]
  assert (stem.kind, stem.params, stem.macs, stem.activations) == ("Conv", 5 * 5 * 3 * 4, 2 * 64 * 4 * 75, 2 * 64 * 4)
  shortcut = rows["backbone/res3/block0/shortcut_conv"]
  assert (shortcut.params, shortcut.macs) == (4 * 8, 2 * 16 * 4 * 8)
  assert (rows["classifier"].params, rows["classifier"].macs) == (8 * 3 + 3, 2 * 8 * 3)
  assert rows["backbone/res2"].macs == 2 * 2 * 64 * 9 * 4 * 4
  parts = [rows[f"backbone/{name}"] for name in ("stem", "res2", "res3", "res4")]
  assert rows["backbone"].macs == sum(row.macs for row in parts)
  assert rows["backbone"].params == sum(row.params for row in parts)
  assert rows[""].macs == rows["backbone"].macs + rows["classifier"].macs
  assert next(iter(rows)) == ""


def test_biases_and_normalisation_count_in_the_papers_convention_only():
  network = Recognizer(MiniResNet(widths=(4, 4, 4, 4)), num_classes=3)
  real, thop = ({row.path: row.macs for row in module_costs(network, (2, 16, 16, 3), c)} for c in ("real", "thop"))
  assert real["backbone/stem/bn"] == 0
  assert thop["backbone/stem/bn"] == 2 * 2 * 64 * 4
  assert thop["backbone/stem/conv"] == real["backbone/stem/conv"]
  assert thop[""] == real[""] + sum(macs for path, macs in thop.items() if "bn" in path)


@pytest.mark.parametrize(("classes", "params"), [(174, 23_864_558), (400, 24_327_632)])
def test_tsm_resnet50_costs_what_facts_say(classes, params):
  assert tsm_resnet50(classes, "real")[""].params == params
  assert tsm_resnet50(classes, "real")[""].macs / 1e9 == pytest.approx(32.70, rel=5e-3)
  assert tsm_resnet50(classes, "thop")[""].macs / 1e9 == pytest.approx(32.88, rel=1e-3)


def test_pathways_whose_parts_are_called_one_by_one_have_rows():
  rows = module_costs(BQN(MiniResNet(widths=(4, 4, 8, 8)), 3), (6, 32, 32, 3))
  named = {row.path: row for row in rows}
  for number in ("params", "macs"):
    parts = [getattr(named[f"busy/{part}"], number) for part in ("stem", "res2", "res3", "res4")]
    assert getattr(named["busy"], number) == sum(parts)
  assert sum(row.params for row in rows if row.path and "/" not in row.path) == rows[0].params
  assert named["busy"].kind == "MiniResNet"
  assert named["busy"].activations == named["busy/res4"].activations == 2 * 4 * 4 * 8
  order = [row.path for row in rows]
  for path in ("busy", "quiet"):
    below = [name.startswith(path) for name in order]
    assert below == sorted(below[: order.index(path)]) + sorted(below[order.index(path) :], reverse=True)


@pytest.mark.parametrize(
  ("config", "remat"),
  [("bqn", False), ("bqn", True), ("ttsn", False), ("tdrl", False), ("dan", False), ("tesnet", True)],
)
def test_each_layer_of_every_kind_of_network_has_its_own_macs(config, remat):
  model = importlib.import_module(f"configs.{config}").get_config("mini").to_dict()["model"]
  model["backbone"]["remat"] = remat
  network = build(model, num_classes=3)
  frames = {"bqn": 6, "dan": 16, "tesnet": 12}.get(config, 8)
  real, thop = (module_costs(network, (frames, 32, 32, 3), convention) for convention in ("real", "thop"))
  layers = [(one, other) for one, other in zip(real, thop, strict=True) if one.kind in ("Conv", "Dense")]
  layers = [pair for pair in layers if pair[0].path != "classifier"]  # BQN calls it twice, thop counts it once
  assert len(layers) > 10
  for one, other in layers:  # the papers' convention counts one for each bias
    assert one.macs in (other.macs, other.macs - one.activations), one.path
    assert one.macs > 0 or one.activations == 0, one.path
  top = [row for row in real if row.path and "/" not in row.path]
  assert sum(row.params for row in top) == real[0].params


def test_modules_of_training_alone_have_rows():
  network = TTSN(MiniResNet(widths=(4, 4, 8, 8)), 3)
  rows = {row.path: row for row in module_costs(network, (8, 32, 32, 3))}
  head = rows["reversal_head"]
  assert (head.params > 0, head.macs, head.activations) == (True, 0, 0)


def test_the_training_pass_counts_them():
  """TTSN, Table V: TSS 1.62 G, twice the products of 4 clips of 16 frames; 12.59 M parameters."""
  network = TTSN(MiniResNet(widths=(4, 4, 8, 8)), 3, tss_head="frame")
  at_rest, training = (
    {row.path: row for row in module_costs(network, (16, 32, 32, 3), train=train)} for train in (False, True)
  )
  head = training["reversal_head"]
  assert head.macs == 16 * (2048 + 3 * 2048 * 2048 + 2 * 2048)
  assert 2 * 4 * head.macs / 1e9 == pytest.approx(1.62, rel=1e-2)
  assert (head.activations, head.params) == (16 * 2, at_rest["reversal_head"].params)
  assert training[""].macs == at_rest[""].macs + head.macs
  assert training["backbone"] == at_rest["backbone"]
  assert training["classifier"] == at_rest["classifier"]


@pytest.mark.parametrize("config", ["tdrl", "tesnet", "bqn"])
def test_the_training_pass_of_other_networks_can_be_counted(config):
  """What only training computes adds to it: TDRL's similarities, TSP's projection error."""
  network = build(importlib.import_module(f"configs.{config}").get_config("mini").to_dict()["model"], num_classes=3)
  frames = {"bqn": 6, "tesnet": 12}.get(config, 8)
  at_rest, training = (module_costs(network, (frames, 32, 32, 3), train=train) for train in (False, True))
  assert [(row.path, row.params) for row in training] == [(row.path, row.params) for row in at_rest]
  assert training[0].macs >= at_rest[0].macs > 0


@pytest.mark.parametrize(("scale", "resized"), [(1.0, 0), (0.5, 1)])
def test_a_resize_to_the_same_size_is_free(scale, resized):
  """As in thop, whose rule multiplies by what is interpolated; thesis Table 5.8's 65.84 G of equal sizes."""
  network = BQN(MiniResNet(widths=(4, 4, 8, 8)), 3, mbpm=MBPM(kernel=5), lateral_kernels=(3,), quiet_scale=scale)
  rows = {row.path: row for row in module_costs(network, (6, 32, 32, 3), "thop")}
  connections = [row for row in rows.values() if row.kind == "Resize"]
  assert len(connections) == 3
  for row in connections:
    assert row.macs == 11 * row.activations * resized


def test_an_unknown_convention_is_named():
  with pytest.raises(ValueError, match=r"convention='flops'\): must be one of real, thop"):
    module_costs(Recognizer(MiniResNet(), 3), (1, 8, 8, 3), "flops")


def analyse(*arguments: str) -> subprocess.CompletedProcess[str]:
  line = [sys.executable, "-m", "vidjax.analyse", *arguments]
  return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_every_module(tmp_path):
  out = tmp_path / "cost.csv"
  result = analyse(
    "cost", "--config=configs/quickstart.py", "--classes=8", "--clip=4,32,32", "--depth=1", f"--out={out}"
  )
  assert result.returncode == 0, result.stderr
  assert "4x32x32x3" in result.stdout
  assert "backbone" in result.stdout
  assert "res2" not in result.stdout
  rows = {row["module"]: row for row in csv.DictReader(out.read_text().splitlines())}
  assert int(rows["backbone/res2/block0/conv1"]["macs"]) == 4 * 16 * 16 * 9 * 24 * 24


@pytest.mark.slow
@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("price", "--config=configs/quickstart.py"), "or representations or schedule; got price"),
    (("cost", "--config=configs/folder.py:resnet"), "configs/folder.py:resnet: choose resnet50, finetune or mini"),
    (("cost", "--config=configs/quickstart.py", "--classes=8", "--clip=4x32x32"), "--clip=4x32x32: must be FRAMES"),
  ],
)
def test_the_command_names_what_is_wrong(arguments, message):
  result = analyse(*arguments)
  assert result.returncode == 2
  assert message in result.stderr
  assert "Traceback" not in result.stderr
