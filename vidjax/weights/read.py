"""Tensors by name from a file or from a model on the Hugging Face hub."""

import pathlib
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes  # its import tells NumPy of bfloat16, which safetensors asks for
import numpy as np

from vidjax.errors import InputError
from vidjax.weights.torch_file import TorchTensor, read_torch

CONTAINERS = ("state_dict", "model_state", "model_state_dict", "model")
"""Keys under which training code keeps the tensors: TSM and timm, SlowFast, others."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".tar", ".pyth", ".bin", ".ckpt", ".pkl")


def read_tensors(source: str | pathlib.Path) -> Mapping[str, np.ndarray]:
  """Reads a checkpoint's tensors, whatever its format: safetensors, npz, or PyTorch's (both formats, read safely).

  Args:
    source: a path, or a model on the hub, "owner/name" or "owner/name:file".

  Returns:
    Arrays by the checkpoint's own names, without the prefix "module." where all have it.

  Raises:
    InputError: no such file or model; damaged or cut short; holds something else than tensors.
  """
  if not str(source):
    raise InputError("the checkpoint's name is empty: name a file or a model on the hub")
  path = pathlib.Path(source)
  if not path.exists():
    path = _fetch(str(source))
  if path.is_dir():
    raise InputError(f"{path} is a folder: name the checkpoint's file in it")
  if not path.is_file():
    raise InputError(f"{path} is no plain file: save the checkpoint to one")
  try:
    tensors = _read(path)
    strange = [name for name, x in tensors.items() if not (floating(x.dtype) or x.dtype.kind in "biu")]
    if strange:
      raise InputError(f"{strange[0]!r} holds {tensors[strange[0]].dtype}, not numbers")
    if not tensors:
      raise InputError("there is no tensor in it")
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
  return unwrapped(tensors)


def unwrapped(tensors: Mapping[str, np.ndarray], prefixes: Sequence[str] = WRAPPERS) -> Mapping[str, np.ndarray]:
  """Tensors without those prefixes, in any order, that all their names have."""
  while found := [prefix for prefix in prefixes if all(name.startswith(prefix) for name in tensors)]:
    tensors = {name.removeprefix(found[0]): x for name, x in tensors.items()}
  return tensors


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
  with path.open("rb") as file:
    start = file.read(9)
  if len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < 2**32:
    return _read_safetensors(path)
  if start[:2] == b"PK" and _is_npz(path):
    try:
      with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
    except Exception as error:  # zipfile and NumPy raise a dozen kinds for damaged files
      if "Object arrays" in str(error):
        raise InputError("holds Python objects, not numbers: save plain arrays") from error
      raise InputError(f"a damaged npz file ({error}): fetch or save it again") from error
  if start[:2] == b"PK" or start[:1] == b"\x80":  # a zip file, or a pickle of any protocol
    return read_torch(path, _unwrap)
  raise InputError(
    "is neither safetensors nor npz nor PyTorch's: its first bytes are those of no checkpoint; "
    "fetch it again, or name another file"
  )


def _is_npz(path: pathlib.Path) -> bool:
  try:
    with zipfile.ZipFile(path) as archive:
      return all(name.endswith(".npy") for name in archive.namelist())
  except Exception:  # as above
    return path.suffix == ".npz"


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
  except ImportError as error:
    raise InputError("reading safetensors needs a package: pip install 'vidjax[weights]'") from error
  try:
    return load_file(path)
  except (SafetensorError, TypeError, AttributeError) as error:  # the latter: types of numbers NumPy does not know
    raise InputError(f"a damaged safetensors file ({error}): fetch or save it again") from error


def _unwrap(saved: Any) -> Mapping[str, Any]:
  """The mapping of names to tensors in what was saved, or an InputError that says what there is."""
  if isinstance(saved, TorchTensor):
    raise InputError("holds a single tensor, not tensors by name")
  if not isinstance(saved, Mapping):
    raise InputError(f"holds a {type(saved).__name__}, not tensors by name: save the model's state_dict")
  for name in CONTAINERS:
    if isinstance(saved.get(name), Mapping):
      return saved[name]
  return saved


def floating(dtype: np.dtype) -> bool:
  """Whether these are real numbers with a fraction."""
  return dtype.kind == "f" or dtype == ml_dtypes.bfloat16


def _fetch(source: str) -> pathlib.Path:
  """The local copy of a file on the hub."""
  match = re.fullmatch(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::(.+))?", source)
  if match is None or (match[2] is None and source.endswith(SUFFIXES)):
    raise InputError(f"{source}: no such file (a model on the hub is named owner/name or owner/name:file)")
  try:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
  except ImportError as error:
    raise InputError(f"{source}: no such file; a model on the hub needs: pip install 'vidjax[weights]'") from error
  huggingface_hub.logging.set_verbosity_error()  # it announces every retry
  for name in (match[2],) if match[2] else HUB_FILES:
    try:
      return pathlib.Path(huggingface_hub.hf_hub_download(match[1], name))
    except LocalEntryNotFoundError as error:
      raise InputError(f"{source}: no such file here, and the hub cannot be reached: name a local file") from error
    except EntryNotFoundError:
      continue
    except Exception as error:  # no such model, no permission: the hub's library knows dozens of reasons
      reason = (str(error).strip() or type(error).__name__).splitlines()[0]
      raise InputError(f"{source}: no such file here, and the hub answers: {reason}") from error
  raise InputError(
    f"{source}: the hub's {match[1]} has no {match[2] or ' nor '.join(HUB_FILES)}: name one of its files"
  )
