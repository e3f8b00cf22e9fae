"""Writes the references of `vidjax.verify`: what released code answers on weights and a clip that anyone can make.

  python -m experiments.parity --name=tsm_resnet50 --code=DIR --python=VENV/bin/python

DIR is a git checkout of the released code, at the commit to be named; PyTorchVideo is taken from VENV. VENV has
PyTorch, torchvision and, for X3D, pytorchvideo, and needs no vidjax. For the tiny transformers DIR holds checkouts
named CLIP, TimeSformer and VideoMAE, and VENV has timm, transformers and einops, too.
"""

import json
import pathlib
import subprocess
import tempfile

from absl import flags

from vidjax.command import run_main
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.files import write_text
from vidjax.verify import made, transformers
from vidjax.verify.parity import FOLDER, NETWORKS, check

SOURCES = {
  "tsm_resnet50": "mit-han-lab/temporal-shift-module",
  "tsm_mobilenet_v2": "mit-han-lab/temporal-shift-module",
  "rnl_resnet50": "guoxih/region-based-non-local-network",
  "bqn_resnet50": "guoxih/busy-quiet-net",
  "tdn_resnet50": "MCG-NJU/TDN",
}
SCRIPT = pathlib.Path(__file__).with_name("released.py")
TRANSFORMERS = pathlib.Path(__file__).with_name("released_transformers.py")


def main(argv: list[str]) -> None:
  """The command."""
  values = flags.FLAGS
  path = FOLDER / f"{values.name}.json"
  with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / path.name
    line = [values.python, str(SCRIPT), values.name, values.code or folder, str(made.__file__), str(out)]
    if tiny := values.name in transformers.NETWORKS:
      line = [values.python, str(TRANSFORMERS), str(made.__file__), folder, values.code or folder, values.name]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
      raise InputError(f"the released code failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    found = json.loads(out.read_text())
  found = found if tiny else {"source": source(), **found}
  write_text(path, json.dumps(found) + "\n")
  result = check(values.name)
  say(f"wrote {path}: logits differ by {result.error:.1e} of the largest, noise {result.noise:.1e}")


def source() -> str:
  """Repository, commit and library of the released code."""
  values = flags.FLAGS
  if values.name not in SOURCES:
    line = [values.python, "-c", "import importlib.metadata as m; print(m.version('pytorchvideo'))"]
    return f"pytorchvideo {subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()}"
  if not values.code:
    raise InputError(f"--code=DIR is needed: a checkout of github.com/{SOURCES[values.name]}")
  line = ["git", "-C", values.code, "rev-parse", "HEAD"]
  commit = subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
  return f"github.com/{SOURCES[values.name]} at {commit}"


if __name__ == "__main__":
  flags.DEFINE_enum("name", None, list(NETWORKS), "The network.", required=True)
  flags.DEFINE_string("code", None, "Checkout of the released code.")
  flags.DEFINE_string("python", "python", "Python that has PyTorch.")
  run_main(main)
