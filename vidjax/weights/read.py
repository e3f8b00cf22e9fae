"""Tensors by name from a file or from a model on the Hugging Face hub."""

import json
import pathlib
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes  # its import tells NumPy of bfloat16, which safetensors asks for
import numpy as np

from vidjax.errors import InputError
from vidjax.weights.fetch import NotFetched, fetched
from vidjax.weights.torch_file import TorchTensor, read_torch

CONTAINERS = ("state_dict", "model_state", "model_state_dict", "model")
"""Keys under which training code keeps the tensors: TSM and timm, SlowFast, others."""
WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name, or most: what was added later may lack it."""
OWN = "vidjax"
"""The key by which an export of vidjax is known among a file's metadata."""
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""What says which of several files holds a tensor."""
HUB_FILES = ("model.safetensors", "pytorch_model.bin", *INDICES)
SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".tar", ".pyth", ".bin", ".ckpt", ".pkl", ".json")


MOST = 2**32
"""Bytes of numbers that a compressed file may unfold to."""


class Tensors(dict[str, np.ndarray]):
  """Tensors by name.

  Attributes:
    origin: the file's name, or the model's.
    architecture: the network's name, where the file or a config.json beside it holds one.
    licence: what the model's card, the README.md beside the file, says of it, as "mit" or "cc-by-nc-4.0".
    own: whether vidjax wrote them, as those of any network, so that the names tell of no released code.
  """

  origin: str = "the checkpoint"
  architecture: str = ""
  licence: str = ""
  own: bool = False


def read_tensors(source: str | pathlib.Path, most: int = MOST) -> Tensors:
  """Reads a checkpoint's tensors, whatever its format: safetensors, npz, or PyTorch's (both formats, read safely).

  Args:
    source: a path, a model on the hub, "owner/name" or "owner/name:file", or an https address. A folder is read as a
      model on the hub is; an index, `model.safetensors.index.json`, with the files it names beside it.
    most: bytes of numbers that a compressed file may unfold to; others cannot hold more than their size.

  Returns:
    Arrays by the checkpoint's own names, without the prefix "module." where most have it.

  Raises:
    InputError: no such file or model; damaged or cut short; holds something else than tensors.
  """
  if not str(source):
    raise InputError("the checkpoint's name is empty: name a file or a model on the hub")
  path, hub = _local(source)
  if hub:
    path = hub.file()
  if path.is_dir():
    inside = [path / name for name in HUB_FILES if (path / name).is_file()]
    if not inside:
      raise InputError(f"{path} is a folder without {' or '.join(HUB_FILES)}: name the checkpoint's file in it")
    path = inside[0]
  if not path.is_file():
    raise InputError(f"{path} is no plain file: save the checkpoint to one")
  try:
    tensors = _read_index(path, hub, most) if path.name.endswith(".index.json") else _read(path, most)
    strange = [name for name, x in tensors.items() if not (floating(x.dtype) or x.dtype.kind in "biu")]
    if strange:
      raise InputError(f"{strange[0]!r} holds {tensors[strange[0]].dtype}, not numbers")
    if not tensors:
      raise InputError("there is no tensor in it")
  except InputError as error:
    raise InputError(f"{path}: {error}") from error
  found = Tensors(unwrapped(tensors))
  found.origin = str(source)
  found.architecture = f"{getattr(tensors, 'architecture', '')} {_architecture(path, hub)}".strip()
  found.licence = _licence(path, hub)
  found.own = getattr(tensors, "own", False)
  return found


def _local(source: str | pathlib.Path) -> "tuple[pathlib.Path, _Hub | None]":
  """The path of a source, and the model on the hub that it is where there is no such file."""
  if str(source).startswith("https://"):
    return fetched(str(source)), None
  path = pathlib.Path(source)
  return path, None if path.exists() else _Hub(str(source))


def read_class_names(source: str | pathlib.Path) -> list[str] | None:
  """The class names in the config.json beside a checkpoint, as Hugging Face writes it; None where there is none.

  Names such as LABEL_0, which are no one's choice, count as none.

  Args:
    source: as `read_tensors` takes it; of an address only the checkpoint itself is fetched.

  Raises:
    NotFetched: the hub cannot be reached, or does not give the model away.
  """
  if str(source).startswith("https://"):
    return None
  path, hub = _local(source)
  config = hub.beside("config.json") if hub else (path if path.is_dir() else path.parent) / "config.json"
  try:
    names = json.loads(config.read_text(encoding="utf-8"))["id2label"] if config else {}
    found = [str(names[str(number)]) for number in range(len(names))]
  except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no such file, or that of something else
    return None
  return None if not found or found[0] == "LABEL_0" else found


def unwrapped(tensors: Mapping[str, np.ndarray], prefixes: Sequence[str] = WRAPPERS) -> Mapping[str, np.ndarray]:
  """Tensors without those prefixes, in any order, that most of their names have; InputError where two become one.

  Args:
    tensors: by name.
    prefixes: what training code puts before names, such as "module.".
  """

  def most(prefix: str) -> bool:
    return sum(name.startswith(prefix) for name in tensors) * 2 > len(tensors)

  while found := [prefix for prefix in prefixes if most(prefix)]:
    plain: dict[str, np.ndarray] = {}
    for name, x in tensors.items():
      if (short := name.removeprefix(found[0])) in plain:
        raise InputError(f"the checkpoint holds both {short} and {found[0]}{short}: keep one of them")
      plain[short] = x
    tensors = plain
  return tensors


def _architecture(path: pathlib.Path, hub: "_Hub | None") -> str:
  """The network's name in timm's config.json beside a checkpoint, or "" where there is none."""
  try:
    config = hub.beside("config.json") if hub else path.with_name("config.json")
    return str(json.loads(config.read_text(encoding="utf-8"))["architecture"]) if config else ""
  except (InputError, OSError, ValueError, KeyError, TypeError):  # no such file, or that of something else
    return ""


def _licence(path: pathlib.Path, hub: "_Hub | None") -> str:
  """The licence in the head of a model's card: what its authors say, where there is a card."""
  try:
    card = hub.card() if hub else path.with_name("README.md")
    head = card.read_text(encoding="utf-8").split("---\n") if card else []
  except (InputError, OSError, ValueError):
    return ""
  lines = (
    dict(re.findall(r"""^(license(?:_name)?): *["']?([\w .+-]+)""", head[1], re.MULTILINE)) if len(head) > 2 else {}
  )
  licence = lines.get("license", "").strip()
  return lines.get("license_name", licence).strip() if licence == "other" else licence


def _read_index(path: pathlib.Path, hub: "_Hub | None", most: int) -> dict[str, np.ndarray]:
  """The tensors of all files an index names; each must hold those it is said to."""
  try:
    places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    names = sorted({*places.values()})
    if not names or any(pathlib.PurePath(name).name != name for name in names):
      raise ValueError("names no files beside it")
  except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
    raise InputError(f"is no index of files ({error}): fetch it again, or name one of the files") from error
  tensors: dict[str, np.ndarray] = {}
  for name in names:
    part = hub.beside(name) if hub else path.with_name(name)
    if part is None or not part.is_file():
      raise InputError(f"names {name}, which is not beside it: fetch all {len(names)} files of the model")
    try:
      tensors |= _read(part, most)
    except InputError as error:
      raise InputError(f"{name}: {error}") from error
  if lost := [name for name in places if name not in tensors]:
    raise InputError(f"says that {places[lost[0]]} holds {lost[0]!r}, and it does not: fetch the files again")
  return tensors


def _read(path: pathlib.Path, most: int) -> dict[str, np.ndarray]:
  with path.open("rb") as file:
    start = file.read(9)
  if len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < 2**32:
    return _read_safetensors(path)
  if start[:2] == b"PK" and _is_npz(path):
    try:
      with zipfile.ZipFile(path) as archive:
        unfolded = sum(member.file_size for member in archive.infolist())
      if unfolded > most:
        raise InputError(
          f"unfolds to {unfolded / 1e6:.0f} MB of numbers, and at most {most / 1e6:.0f} MB are read here: save the"
          " network's own arrays alone"
        )
      with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
    except InputError:
      raise
    except Exception as error:  # zipfile and NumPy raise a dozen kinds for damaged files
      if "Object arrays" in str(error):
        raise InputError("holds Python objects, not numbers: save plain arrays") from error
      raise InputError(f"a damaged npz file ({error}): fetch or save it again") from error
  if start[:2] == b"PK" or start[:1] == b"\x80":  # a zip file, or a pickle of any protocol
    saved: list[Any] = []
    found = Tensors(read_torch(path, lambda whole: _unwrap(saved.append(whole) or whole)))
    arch = saved[0].get("arch") if isinstance(saved[0], Mapping) else ""
    found.architecture = arch if isinstance(arch, str) else ""
    return found
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
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import load_file
  except ImportError as error:
    raise InputError("reading safetensors needs a package: pip install -e '.[weights]'") from error
  try:
    tensors = Tensors(load_file(path))
    with safe_open(path, "np") as file:
      metadata = file.metadata() or {}
    tensors.own, tensors.architecture = OWN in metadata, metadata.get("architecture", "")
    return tensors
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


class _Hub:
  """A model on the hub, "owner/name" or "owner/name:file"."""

  def __init__(self, source: str):
    match = re.fullmatch(r"([\w-][\w.-]*/[\w-][\w.-]*)(?::(.+))?", source)
    if match is None or (match[2] is None and source.endswith(SUFFIXES)):
      raise InputError(f"{source}: no such file (a model on the hub is named owner/name or owner/name:file)")
    self.source, self.model, self.name = source, match[1], match[2]

  def file(self) -> pathlib.Path:
    """The local copy of its file, or of the first of `HUB_FILES` it has."""
    names = (self.name,) if self.name else HUB_FILES
    for name in names:
      if path := self._copy(name):
        return path
    raise InputError(f"{self.source}: the hub's {self.model} has no {' nor '.join(names)}: name one of its files")

  def beside(self, name: str) -> pathlib.Path | None:
    """The local copy of a file in the same folder, or None where there is no such file."""
    return self._copy(str(pathlib.PurePosixPath(self.name).with_name(name)) if self.name else name)

  def card(self) -> pathlib.Path | None:
    """The local copy of its card, README.md, or None where there is none."""
    return self._copy("README.md")

  def _copy(self, name: str) -> pathlib.Path | None:
    try:
      import huggingface_hub
      from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError
    except ImportError as error:
      raise NotFetched(f"{self.source}: no such file; a model on the hub needs: pip install -e '.[weights]'") from error
    huggingface_hub.logging.set_verbosity_error()  # it announces every retry
    try:
      return pathlib.Path(huggingface_hub.hf_hub_download(self.model, name))
    except LocalEntryNotFoundError as error:
      reason = "and the hub cannot be reached: name a local file"
      raise NotFetched(f"{self.source}: no such file here, {reason}") from error
    except EntryNotFoundError:
      return None
    except GatedRepoError as error:
      raise NotFetched(
        f"{self.source}: the hub gives it to people who accepted its terms: do so at"
        f" https://huggingface.co/{self.model}, then log in here with hf auth login"
      ) from error
    except Exception as error:  # no such model, no permission: the hub's library knows dozens of reasons
      reason = (str(error).strip() or type(error).__name__).splitlines()[0]
      raise NotFetched(f"{self.source}: no such file here, and the hub answers: {reason}") from error
