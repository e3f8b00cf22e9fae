"""Weights & Biases. Its own variables choose where to: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE, WANDB_BASE_URL."""

import importlib
import os
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.errors import InputError
from vidjax.track.writer import About


class Writer:
  """A run of Weights & Biases; see `vidjax.track.writer.Writer`.

  `late`, as its own process sends what it was given. Lines that are sent again are those it already has.
  """

  late = True

  def __init__(self):
    self._wandb: Any = importlib.import_module("wandb")
    self._run: Any = None

  def check(self) -> None:
    """Raises InputError where nobody is logged in and WANDB_MODE does not say that nobody needs to be."""
    away = os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun")
    if not away and not self._wandb.login(prompt=False, verify=False):
      raise InputError("not logged in: run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline")

  def begin(self, about: About, run: str) -> str:
    """Begins or resumes a run.

    Args:
      about: what it is.
      run: its id, or "".
    """
    run = run or secrets.token_hex(4)
    self._run = self._wandb.init(
      project=os.environ.get("WANDB_PROJECT", "vidjax"),
      id=run,
      name=about.name,
      group=about.group,
      dir=str(about.folder),
      config={**about.config, "workdir": about.workdir, "commit": about.commit},
      resume="allow",
      settings=self._wandb.Settings(console="off", silent=True, init_timeout=30),
    )
    return run

  def numbers(self, lines: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Adds lines."""
    for step, numbers in lines:
      self._run.log(dict(numbers), step=step)

  def picture(self, step: int, name: str, path: pathlib.Path) -> None:
    """Adds a picture.

    Args:
      step: optimizer updates done.
      name: of the picture.
      path: of the PNG.
    """
    self._run.log({name: self._wandb.Image(str(path))}, step=step)

  def finish(self, end: str, final: Mapping[str, float]) -> None:
    """Ends the run.

    Args:
      end: how.
      final: numbers of its evaluations.
    """
    self._run.summary.update(dict(final))
    self._run.finish(exit_code=0 if end == "finished" else 1)
