"""Model and training code runs where the data stack is not installed; nothing ever needs TensorFlow or PyTorch."""

import os
import pkgutil
import subprocess
import sys

import pytest

import vidjax
from tests.xla import xla_flags

FRAMEWORKS = ["tensorflow", "torch"]
DATA_STACK = [
  "array_record",
  "av",
  "cv2",
  "grain",
  "simplejpeg",
  "tensorboardX",
  "tensorflow_datasets",
]  # flax itself needs rich
CONTRACTS = {"vidjax.types", "vidjax.build", "vidjax.errors", "vidjax.recipe"}
READ_DATA = {"vidjax.run.opened", "vidjax.train.training", "vidjax.train.validation"}
READ_DATA |= {"vidjax.evaluate.evaluation", "vidjax.evaluate.folds", "vidjax.evaluate.manifest"}
READ_DATA |= {
  "vidjax.train.chain",
  "vidjax.train.launch",
  "vidjax.train.phases",
  "vidjax.run.training_split",
  "vidjax.run.films",
  "vidjax.analyse.film_representations",
}
"""What opens data sets, outside the rooms of data."""

IMPORT = """
import importlib, importlib.abc, sys

forbidden, modules = (argument.split(",") for argument in sys.argv[1:])

class Blocker(importlib.abc.MetaPathFinder):
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] in forbidden:
      raise ModuleNotFoundError(f"{name} is forbidden here", name=name)

sys.meta_path.insert(0, Blocker())
for name in modules:
  try:
    importlib.import_module(name)
  except ModuleNotFoundError as error:
    sys.exit(f"import {name}: {error}")
loaded = sorted({name.split(".")[0] for name in sys.modules} & set(forbidden))
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


def modules() -> list[str]:
  return [module.name for module in pkgutil.walk_packages(vidjax.__path__, "vidjax.")]


def model_and_training(name: str) -> bool:
  room = name.split(".")[1]
  in_a_room = (
    name.count(".") > 1
    and room not in ("data", "demo", "export", "prepare", "predict", "summarize", "timeline")
    and not name.endswith(".__main__")
  )
  return (in_a_room and name not in READ_DATA) or name in CONTRACTS


def check(forbidden: list[str], names: list[str]) -> None:
  line = [sys.executable, "-W", "ignore", "-c", IMPORT, ",".join(forbidden), ",".join(names)]
  environment = {**os.environ, "XLA_FLAGS": xla_flags()}
  result = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=120, check=False)
  assert result.returncode == 0, result.stderr


def test_models_and_training_import_without_the_data_stack():
  names = [name for name in modules() if model_and_training(name)]
  assert {"vidjax.types", "vidjax.networks.recognizer", "vidjax.train.trainer", "vidjax.train.loop"} <= set(names)
  check(FRAMEWORKS + DATA_STACK, names)


def test_commands_import_without_tensorflow_and_pytorch():
  check(FRAMEWORKS, [name for name in modules() if not model_and_training(name)])


@pytest.mark.parametrize("name", ["av", "tensorflow"])
def test_the_blocker_blocks(name):
  with pytest.raises(AssertionError, match=f"import {name}: {name} is forbidden here"):
    check([name], [name])
