"""MLflow. Its own variables choose where to: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_TRACKING_TOKEN."""

import importlib
import math
import os
import pathlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from vidjax.errors import InputError
from vidjax.track.writer import About

STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
PARAMETERS = 100
"""MLflow takes that many parameters at once."""
METRICS = 1000
"""MLflow takes that many numbers at once."""
LONGEST = 500
"""Letters of a parameter; servers before MLflow 2.8 take no more."""


class Writer:
  """A run of MLflow; see `vidjax.track.writer.Writer`."""

  late = False

  def __init__(self):
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # `follow` tries again
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    self._mlflow: Any = importlib.import_module("mlflow")
    self._client: Any = None
    self._run = ""

  def check(self) -> None:
    """Raises InputError for an address that MLflow does not take."""
    address = self._mlflow.get_tracking_uri()
    try:
      client = self._mlflow.MlflowClient()
      if not address.startswith(("http", "sqlite", "postgresql", "mysql", "mssql", "databricks")):
        client.search_experiments(max_results=1)
    except Exception as error:  # of any kind, as its stores raise
      raise InputError(f"MLFLOW_TRACKING_URI={address}: {_line(error)}") from error

  def begin(self, about: About, run: str) -> str:
    """Begins or resumes a run.

    Args:
      about: what it is.
      run: its id, or "".
    """
    self._client = self._mlflow.MlflowClient()
    if run:
      self._run = run
      self._client.update_run(run, "RUNNING")
      return run
    if not self._run:  # this may be the second attempt
      name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "vidjax")
      found = self._client.get_experiment_by_name(name)
      experiment = found.experiment_id if found else self._client.create_experiment(name)
      tags = {"workdir": about.workdir, "group": about.group, "mlflow.source.git.commit": about.commit}
      self._run = self._client.create_run(experiment, run_name=about.name, tags=tags).info.run_id
    entities = self._mlflow.entities
    parameters = [entities.Param(_name(key), str(value)[:LONGEST]) for key, value in about.config.items()]
    for i in range(0, len(parameters), PARAMETERS):
      self._client.log_batch(self._run, params=parameters[i : i + PARAMETERS])
    return self._run

  def numbers(self, lines: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Adds lines, many in one call: each call takes MLflow a quarter of a second on a file of SQLite."""
    now = int(1000 * time.time())
    all_numbers = [(_name(key), value, now, step) for step, one in lines for key, value in one.items()]
    metrics = [self._mlflow.entities.Metric(*one) for one in all_numbers if not math.isnan(one[1])]
    for i in range(0, len(metrics), METRICS):
      self._client.log_batch(self._run, metrics=metrics[i : i + METRICS])

  def picture(self, step: int, name: str, path: pathlib.Path) -> None:
    """Adds a picture.

    Args:
      step: optimizer updates done.
      name: of the picture.
      path: of the PNG.
    """
    self._client.log_artifact(self._run, str(path))

  def finish(self, end: str, final: Mapping[str, float]) -> None:
    """Ends the run.

    Args:
      end: how.
      final: numbers of its evaluations.
    """
    self.numbers([(0, final)])
    self._client.set_terminated(self._run, STATUS[end])


def _name(key: str) -> str:
  """A name of letters that MLflow takes: losses[0].make is losses.0.make."""
  return re.sub(r"[^\w\-. :/]+", "_", re.sub(r"\[(\d+)\]", r".\1", key))


def _line(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0]
