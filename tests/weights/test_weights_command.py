import subprocess
import sys

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.weights.released import fresh
from vidjax.backbones.resnet import MiniResNet
from vidjax.errors import InputError
from vidjax.export.__main__ import without
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.ttsn import TTSN
from vidjax.weights import __main__ as weights
from vidjax.weights.export import export
from vidjax.weights.load import load_weights
from vidjax.weights.read import read_tensors

NETWORK = Recognizer(MiniResNet((4, 4, 4, 4)), 3)


def test_an_export_without_what_only_training_needs(tmp_path):
  network = TTSN(MiniResNet((4, 4, 4, 4)), 3, tss_width=4)
  trained = fresh(network)
  kept = {**trained, "params": {name: tree for name, tree in trained["params"].items() if name != "reversal_head"}}
  out = tmp_path / "out.safetensors"
  export(without(trained, ["reversal_head"]), out)
  assert len(read_tensors(str(out))) == len(flatten_dict(kept))
  (tmp_path / "other").touch()
  assert out.stat().st_mode == (tmp_path / "other").stat().st_mode, "others may read it as any file"
  variables, _ = load_weights(kept, out, network=network)
  clips = np.zeros((1, 2, 32, 32, 3), np.float32)
  jax.eval_shape(lambda: network.apply(variables, clips, False))  # runs without


def test_bad_input():
  for words, message in (([], "say 'show FILE': got nothing"), (["show"], "got show"), (["export"], "vidjax.export")):
    with pytest.raises(InputError, match=message):
      weights.main(["weights", *words])


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
