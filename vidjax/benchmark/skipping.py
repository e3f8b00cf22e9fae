"""What a network saves that skips steps: multiply-accumulates and time, beside its dense form."""

import functools
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.analyse.skipping import work
from vidjax.apply.forward import forward
from vidjax.benchmark.measure import Spread, say
from vidjax.errors import InputError


def measure_skipping(
  workdir: pathlib.Path, steps: int, warmup: int, runs: int, trusted: bool = False
) -> dict[str, Any]:
  """Times a trained network on one batch of its validation clips, in turn with its dense form.

  Args:
    workdir: of a run whose network has `skip`, such as `networks.rtsae_dscnn.RTSAEDSCNN`.
    steps: forward passes of a run.
    warmup: forward passes before the first run, not counted.
    runs: how often the time is taken.
    trusted: let the run's config make things from outside vidjax.

  Returns:
    Name -> number or Spread. The bound is the share of the work that stays if no step is kept.

  Raises:
    InputError: the network skips nothing.
  """
  from vidjax.run.opened import open_run

  run = open_run(workdir, trusted=trusted)
  network: Any = run.network
  if not getattr(network, "skip", False):
    raise InputError(
      f"{workdir}: its network, {type(network).__name__}, skips nothing: name a run of configs/rtsae_dscnn.py"
    )
  batch = next(iter(run.eval_loader(batch_size=run.recipe.settings.batch_size).batches()))
  clips = jax.jit(run.normalise)(jnp.asarray(batch["video"][np.asarray(batch["mask"]), 0]))
  forms = {"skipping": network, "dense": network.clone(skip=False)}
  compiled = {name: jax.jit(functools.partial(_output, form, dtype=run.recipe.dtype)) for name, form in forms.items()}
  kept = np.asarray(compiled["skipping"](run.variables, clips).aux["chosen"])
  times: dict[str, list[float]] = {name: [] for name in forms}
  say(f"{warmup} + {runs} x {steps} forward passes of {len(clips)} validation clips, in turn with the dense form")
  for number in range(-1, runs):
    count = warmup if number < 0 else steps
    for name, apply in compiled.items():
      start = time.perf_counter()
      jax.block_until_ready([apply(run.variables, clips).logits for _ in range(count)])
      times[name] += [1e3 * (time.perf_counter() - start) / count / len(clips)] if number >= 0 else []
  return {
    "clips": len(clips),
    "steps of a clip": kept.shape[1],
    "steps kept": float(kept.mean()),
    **work(network, run.variables, clips.shape[1:], float(kept.mean())),
    **{f"{name} ms per clip": Spread.of(values) for name, values in times.items()},
    "dense / skipping, time": Spread.of([b / a for a, b in zip(*times.values(), strict=True)]),
  }


def _output(network: Any, variables: Any, clips: jax.Array, dtype: Any) -> Any:
  return forward(network, variables, clips, False, dtype=dtype)[0]
