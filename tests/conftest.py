"""Shared set-up: eight faked CPU devices, strict ranks, one compilation cache, and where the shared material lies."""

import os
import pathlib

from tests.xla import xla_flags

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = xla_flags(devices=8)
ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "vidjax" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import pytest
from absl import flags

pytest_plugins = ("tests.commands",)
jax.config.update("jax_numpy_rank_promotion", "raise")
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="module", autouse=True)
def _memory():
  """Compiled functions of one file are of no use to the next: without this a worker grows to gigabytes."""
  yield
  jax.clear_caches()


SHARED = ROOT.parent / "shared"


def _shared(name: str) -> pathlib.Path:
  folder = SHARED / name
  if not folder.is_dir():
    pytest.skip(f"needs ../shared/{name}, which only the maintainers' machines have")
  return folder


@pytest.fixture
def shared_videos() -> pathlib.Path:
  return _shared("videos")


@pytest.fixture
def shared_golden() -> pathlib.Path:
  return _shared("golden")
