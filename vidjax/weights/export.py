"""Writes a network's variables as safetensors, by the names and in the layout of PyTorch where there are any."""

import pathlib
from collections.abc import Mapping

import numpy as np
from flax import traverse_util

from vidjax.errors import InputError
from vidjax.files import whole
from vidjax.types import Tree
from vidjax.weights.names import namings
from vidjax.weights.read import OWN


def torch_tensors(variables: Mapping[str, Tree]) -> dict[str, np.ndarray]:
  """`{"params", "batch_stats"}` as torchvision, PyTorchVideo, timm and the released plug-ins name and lay them out.

  What none of them has keeps its path here, "params/...", and its layout. `load_weights` takes both back unchanged.
  Other kinds, such as "aux", are no weights and stay behind.
  """
  weights = {kind: variables[kind] for kind in ("params", "batch_stats") if kind in variables}
  flat = {path: np.asarray(x) for path, x in traverse_util.flatten_dict(weights, sep="/").items()}
  naming = namings(flat)[0]
  tensors = {}
  for path, x in flat.items():
    if path not in naming:
      tensors[path] = x
      continue
    name, axes = naming[path]
    if path.endswith("/kernel"):
      x = x.reshape((1,) * (axes + 2 - x.ndim) + x.shape[:-2][:axes] + x.shape[-2:])  # TIM: PyTorch has one axis
      x = np.transpose(x, (x.ndim - 1, x.ndim - 2, *range(x.ndim - 2)))
    tensors[name] = np.ascontiguousarray(x)
  return tensors


def export(variables: Mapping[str, Tree], path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """Writes `torch_tensors(variables)` to a safetensors file, whole or not at all, and returns them.

  Args:
    variables: "params" and "batch_stats" of a network.
    path: of the file.
  """
  try:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file
  except ImportError as error:
    raise InputError("writing safetensors needs a package: pip install -e '.[weights]'") from error
  path, tensors = pathlib.Path(path), torch_tensors(variables)
  path.parent.mkdir(parents=True, exist_ok=True)
  try:
    with whole(path) as partial:
      partial.touch()
      mode = partial.stat().st_mode  # as of any new file; theirs may be read by its owner alone
      save_file(tensors, partial, metadata={"format": "pt", OWN: "export"})
      partial.chmod(mode)
  except SafetensorError as error:  # its way to say that the disk is full
    raise InputError(f"{path} cannot be written ({error}): free some space or choose another folder") from error
  return tensors
