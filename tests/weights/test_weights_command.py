import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.weights.released import fresh
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.ttsn import TTSN
from vidjax.run.checkpoint import Checkpoints
from vidjax.types import State
from vidjax.weights import __main__ as weights
from vidjax.weights.export import export
from vidjax.weights.load import load_weights
from vidjax.weights.read import read_tensors

NETWORK = Recognizer(MiniResNet((4, 4, 4, 4)), 3)


@pytest.fixture
def run(monkeypatch):
  """`run("export", workdir=..., out=...)`: the command in this process."""

  def run(*words: str, **given: str | None) -> None:
    values = types.SimpleNamespace(**{"workdir": None, "out": None, "checkpoint": "best", "without": [], **given})
    monkeypatch.setattr(weights.flags, "FLAGS", values)
    weights.main(["weights", *words])

  return run


def test_export_of_a_run(run, tmp_path, capsys):
  trained = fresh(NETWORK)
  checkpoints = Checkpoints(tmp_path / "run")
  state = State(np.int32(3), trained["params"], trained["batch_stats"], {"count": np.int32(3)})
  checkpoints.save(state, 3, {}, {"top1": 0.5})
  checkpoints.close()
  out = tmp_path / "new/out.safetensors"
  run("export", workdir=str(tmp_path / "run"), out=str(out))
  count = len(flatten_dict(trained))
  assert f"{count} tensors of step 3, 0 of them under vidjax's own paths" in capsys.readouterr().out
  variables, _ = load_weights(trained, out, network=NETWORK)
  jax.tree.map(np.testing.assert_array_equal, variables, trained)
  assert [path.name for path in out.parent.iterdir()] == ["out.safetensors"]
  with pytest.raises(InputError, match=r"out.safetensors exists: choose another"):
    run("export", workdir=str(tmp_path / "run"), out=str(out))


def test_export_without_what_only_training_needs(run, tmp_path):
  network = TTSN(MiniResNet((4, 4, 4, 4)), 3, tss_width=4)
  trained = fresh(network)
  checkpoints = Checkpoints(tmp_path / "run")
  checkpoints.save(State(np.int32(3), trained["params"], trained["batch_stats"], {}), 3, {}, {"top1": 0.5})
  checkpoints.close()
  kept = {name: tree for name, tree in trained["params"].items() if name != "reversal_head"}
  out = tmp_path / "out.safetensors"
  run("export", workdir=str(tmp_path / "run"), out=str(out), without=["reversal_head"])
  assert len(read_tensors(str(out))) == len(flatten_dict({"params": kept, "batch_stats": trained["batch_stats"]}))
  variables, _ = load_weights({**trained, "params": kept}, out, network=network)
  clips = np.zeros((1, 2, 32, 32, 3), np.float32)
  jax.eval_shape(lambda: network.apply(variables, clips, False))  # runs without
  with pytest.raises(InputError, match=r"--without=tss: no parameter starts so; they start with backbone, classifier"):
    run("export", workdir=str(tmp_path / "run"), out=str(tmp_path / "b.safetensors"), without=["tss"])


def test_bad_input(run, tmp_path):
  with pytest.raises(InputError, match=r"say 'show FILE' or 'export .*: got nothing"):
    run()
  with pytest.raises(InputError, match="got show"):
    run("show")
  with pytest.raises(InputError, match="needs --workdir=RUN and --out"):
    run("export", workdir=str(tmp_path))
  with pytest.raises(InputError, match=r"must end in .safetensors"):
    run("export", workdir=str(tmp_path), out="a.pth")
  with pytest.raises(InputError, match="no complete checkpoint"):
    run("export", workdir=str(tmp_path), out="a.safetensors")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
  import safetensors

  def full(tensors, path, metadata):
    path.write_bytes(b"half")
    raise safetensors.SafetensorError("No space left on device")

  monkeypatch.setattr("safetensors.numpy.save_file", full)
  with pytest.raises(InputError, match=r"a.safetensors cannot be written \(No space left"):
    export(fresh(NETWORK), tmp_path / "a.safetensors")
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_show_as_a_process_of_its_own(tmp_path):
  export(fresh(NETWORK), tmp_path / "a.safetensors")
  line = [sys.executable, "-m", "vidjax.weights", "show"]
  shown = subprocess.run([*line, str(tmp_path / "a.safetensors")], capture_output=True, text=True, check=True)
  lines = [entry.split(maxsplit=2) for entry in shown.stdout.splitlines()]
  tensors = read_tensors(tmp_path / "a.safetensors")
  assert lines[:-1] == [[name, "float32", str(list(x.shape))] for name, x in tensors.items()]
  assert shown.stdout.endswith(f"{len(tensors)} tensors, {sum(x.size for x in tensors.values()):,} numbers\n")
  refused = subprocess.run([*line, str(tmp_path / "b.pth")], capture_output=True, text=True, check=False)
  assert refused.returncode == 2
  assert (
    refused.stderr
    == f"error: {tmp_path}/b.pth: no such file (a model on the hub is named owner/name or owner/name:file)\n"
  )
