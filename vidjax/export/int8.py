"""8-bit weights for CPUs, by ONNX Runtime's own quantiser."""

import importlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from vidjax.errors import InputError
from vidjax.export.network import INPUT
from vidjax.export.onnx_file import MISSING
from vidjax.files import whole
from vidjax.run.opened import Run

Form = Literal["dynamic", "static"]
"""Whether the ranges of activations are found for each clip, or once, on clips of the training split."""

CLIPS = 64
"""Clips of the training split on which static ranges are found."""


def quantise(path: str | os.PathLike, out: str | os.PathLike, form: Form, clips: np.ndarray | None = None) -> None:
  """Writes a model with 8-bit weights; the static form has a scale for each output channel of a kernel.

  Args:
    path: of the ONNX model in float32.
    out: of the new one.
    form: "dynamic" or "static". The static one puts QuantizeLinear and DequantizeLinear around convolutions and
      products.
    clips: `[N, ...]` for "static", as the model takes them.

  Raises:
    InputError: ONNX Runtime is not installed.
  """
  try:
    quantization: Any = importlib.import_module("onnxruntime.quantization")
    preparation: Any = importlib.import_module("onnxruntime.quantization.shape_inference")
  except ImportError as error:
    raise InputError(MISSING) from error

  class Reader(quantization.CalibrationDataReader):
    """The clips, eight at a time."""

    def __init__(self, clips: np.ndarray):
      self.batches: Iterator[np.ndarray] = iter(np.array_split(clips, max(len(clips) // 8, 1)))

    def get_next(self) -> dict[str, np.ndarray] | None:
      """The next ones, None behind the last."""
      batch = next(self.batches, None)
      return None if batch is None else {INPUT: batch}

  before = logging.root.manager.disable
  logging.disable(logging.WARNING)
  try:
    with tempfile.TemporaryDirectory() as folder, whole(out) as partial:
      prepared = pathlib.Path(folder) / "prepared.onnx"
      preparation.quant_pre_process(os.fspath(path), prepared, skip_symbolic_shape=True)
      kinds = quantization.QuantType
      if form == "dynamic":  # of convolutions, ONNX Runtime has unsigned weights alone
        quantization.quantize_dynamic(prepared, partial, weight_type=kinds.QUInt8)
      else:
        reader = Reader(np.asarray(clips))
        options = {"activation_type": kinds.QUInt8, "weight_type": kinds.QInt8, "per_channel": True}
        quantization.quantize_static(prepared, partial, reader, **options)
  finally:
    logging.disable(before)


def training_clips(run: Run, count: int = CLIPS) -> np.ndarray:
  """Clips of the training split as evaluation cuts them, `[N, ...]`.

  Args:
    run: whose data set is there.
    count: N at most.
  """
  found: list[np.ndarray] = []
  for batch in run.eval_loader(run.data.train_split, 8, labelled=False).batches():
    found.append(np.asarray(batch["video"])[np.asarray(batch["mask"]), 0])
    if sum(map(len, found)) >= count:
      break
  return np.concatenate(found)[:count]
