"""Parity with released code on weights that anyone can make, and published numbers derived again."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM
from vidjax.verify import made, parity, published


def test_every_network_has_a_reference_of_a_commit():
  assert {path.stem for path in parity.FOLDER.glob("*.json")} == set(parity.NETWORKS)
  for name in parity.NETWORKS:
    reference = json.loads((parity.FOLDER / f"{name}.json").read_text())
    assert re.search(r" at [0-9a-f]{40}$|^(pytorchvideo|timm|torchvision|transformers) \d", reference["source"])
    assert reference["noise"] < parity.TOLERANCE / 4
    assert np.std(reference["logits"]) > 0.05


def test_what_is_made_depends_on_the_name_and_never_changes():
  weight = made.tensor("conv1.weight", (64, 3, 7, 7))
  assert weight.std() == pytest.approx(np.sqrt(2 / 147), rel=0.02)
  np.testing.assert_allclose(weight[0, 0, 0, :3], [0.022335, -0.339877, -0.046244], atol=1e-6)
  assert not np.array_equal(made.tensor("bn1.bias", (4,)), made.tensor("bn2.bias", (4,)))
  assert 0.5 <= made.tensor("bn1.running_var", (99,)).min() < made.tensor("bn1.running_var", (99,)).max() <= 1.5
  assert made.clip(2, 16).shape == (2, 16, 16, 3)


@pytest.mark.slow
def test_a_network_agrees_with_released_code_and_a_wrong_one_does_not(monkeypatch):
  assert parity.check("tsm_mobilenet_v2").agrees
  wrong = MobileNetV2(inserts=(Insert(TSM(4), "before", blocks=TSM_BLOCKS),))
  monkeypatch.setitem(parity.NETWORKS, "tsm_mobilenet_v2", Recognizer(wrong, 174))
  monkeypatch.setattr("vidjax.weights.load.warnings.warn", lambda *_, **__: None)
  assert parity.check("tsm_mobilenet_v2").error > 50 * parity.TOLERANCE


def write_results(path: pathlib.Path) -> None:
  path.write_text(
    "table,row,kind,status,column,seed,number,commit,machine,date,manifest,command\n"
    "one,first,own,printed,top,,90,,,,,\n"
    'one,first,own,trained mini,"scene .5, top-1 %",0,40,a,m,d,,python -m vidjax.train --workdir=x\n'
    'one,first,own,trained mini,"scene .5, top-1 %",1,43,a,m,d,,python -m vidjax.train --workdir=y\n'
    "one,first,own,trained mini,ENoPR,0,.3,a,m,d,,python -m vidjax.train --workdir=x\n"
    "two,second,own,not run,,,,,,,,\n"
    "two,both,own,trained mini,top-1 %,0,50,a,m,d,,python -m vidjax.evaluate --workdir=x --workdir=y\n"
  )


def test_accuracies_of_trainings_are_what_can_be_derived(tmp_path):
  write_results(tmp_path / "results.csv")
  found = published.read(tmp_path / "results.csv")
  assert [(one.name, one.seed, one.number) for one in found] == [
    ("one: first: scene .5", "0", 40.0),
    ("one: first: scene .5", "1", 43.0),
  ]
  assert published.spread(found, "one: first: scene .5") == 3.0
  assert published.spread(found[:1], "one: first: scene .5") is None
  with pytest.raises(InputError, match="name a file of results by --results=FILE"):
    published.read(tmp_path / "none.csv")
  (tmp_path / "other.csv").write_text("a,b\n1,2\n")
  with pytest.raises(InputError, match="is no file of results"):
    published.read(tmp_path / "other.csv")


def test_a_line_of_commands_is_for_a_shell():
  parts = [["vidjax.train", "--config.phases[3].train.frozen=('a b',)"], ["vidjax.evaluate", "--workdir=x; y"]]
  line = published.command_line(parts)
  assert published.commands(line) == parts
  said = subprocess.run(
    ["bash", "-c", f"python() {{ printf '%s\\n' \"$@\"; }}; {line}"], capture_output=True, text=True
  )
  assert said.stdout.splitlines() == ["-m", *parts[0], "-m", *parts[1]]


def test_every_published_command_is_one_that_a_shell_reads():
  """As a table's own run has it: no part is cut at a quote or a bracket."""
  found = published.read(pathlib.Path(__file__).parents[1] / published.RESULTS)
  assert len(found) > 400
  for one in found:
    for module, *given in one.commands:
      assert module in ("vidjax.train", "vidjax.evaluate")
      assert all(flag.startswith("--") for flag in given)
  [frozen] = {flag for one in found for line in one.commands for flag in line if ".train.frozen=" in flag}
  assert frozen == "--config.phases[3].train.frozen=('streams',)"


def test_manifests_are_compared_but_for_the_parameters(tmp_path):
  path = tmp_path / "manifests.json"
  path.write_text(json.dumps({"d": {"frames": "a", "views": 1, "parameters": 1}}))
  assert published.differences(path, "d", {"frames": "b", "views": 1, "parameters": 2}) == ["frames"]
  assert published.differences(path, "", {}) == []


def test_the_command_lists_and_refuses(tmp_path):
  write_results(tmp_path / "results.csv")

  def run(*arguments):
    line = [sys.executable, "-m", "vidjax.verify", f"--results={tmp_path / 'results.csv'}", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)

  assert run().stdout.splitlines()[1:-1] == ["one: first: scene .5"]
  for arguments, message in (
    (("one: third",), "there is no 'one: third': python -m vidjax.verify lists the names"),
    (("one: first: scene .5", "--seed=7"), "--seed=7: one: first: scene .5 was trained with 0, 1"),
    (("one: first: scene .5",), "--out=DIR is needed"),
    (("one:", "first"), "one name at a time"),
    (("tsm",), "there is no network 'tsm': choose parity, tsm_resnet50"),
    (("parity", "x3d"), "parity: there is no x3d: choose tsm_resnet50"),
  ):
    wrong = run(*arguments)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1), wrong.stderr
    assert message in wrong.stderr
