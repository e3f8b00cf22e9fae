import os
import pathlib

import pytest

from vidjax.run.slots import make_slots


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are divided where the system can")
def test_two_trainings_have_other_cores_and_devices_and_one_store_of_what_is_compiled(monkeypatch, tmp_path):
  monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
  before, slots = os.sched_getaffinity(0), make_slots(2, tmp_path / ".compiled")
  with slots.one() as (first, cores):
    own = os.sched_getaffinity(0)
    with slots.one() as (second, _):
      assert len(before) == 1 or not own & os.sched_getaffinity(0)
    assert cores == len(own)
  assert {first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]} == {"3", "5"}
  assert first["JAX_COMPILATION_CACHE_DIR"] == second["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / ".compiled")
  assert float(first["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) < 1  # by default a second, more than many take
  assert os.sched_getaffinity(0) == before
  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
  with make_slots(1, pathlib.Path("x")).one() as (environment, _):
    assert environment["JAX_COMPILATION_CACHE_DIR"] == "/elsewhere"
