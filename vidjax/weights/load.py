"""Fits a checkpoint's tensors to a network: by name, in its layout, and nothing left over in silence."""

import dataclasses
import pathlib
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import flax.linen as nn
import jax
import numpy as np
from flax import traverse_util

from vidjax.backbones import videoprism
from vidjax.bounds import Bound
from vidjax.checks import checked
from vidjax.console import say
from vidjax.errors import InputError
from vidjax.plugins.insert import Place
from vidjax.types import Tree
from vidjax.weights import transformer_names
from vidjax.weights.names import FIRST, canonical, namings
from vidjax.weights.read import WRAPPERS, floating, read_tensors, unwrapped
from vidjax.weights.settings import contradictions, differences, twin

Inflation = Literal["mean", "centre"]
Prefixes = Annotated[Sequence[str], Bound("a tuple of prefixes, such as ('classifier',)")]

INSERTED = re.compile(
  rf"(?:^|/)((?:{'|'.join(get_args(Place))})_[^/]+|representation|mbpm|(?<=/)res\d+_block\d+_to_\w+|ett|reversal_head)/"
)
"""The place of a plug-in in a path (vidjax.plugins.insert), of an input, a connection of pathways or a part of TTSN."""
LIGHTNING = "model."
"""What Lightning puts before every name, taken off only where the names fit nothing with it."""
IDLE = {
  r"\.num_batches_tracked$": "PyTorch's count of batches",
  r"\.nl\.penta\.mask$": "the constant mask of RNL's released code",
  r"\.cg\.W_k\.bias$": "a bias before a softmax, which cannot see it",
  r"\.conv1_temp\.": "TDN's copy of the convolution its differences started from",
}
"""Tensors nothing here corresponds to, and why."""
HINTS = {
  r"_res0\.branch1_(bn|norm)\.": "the BN of a shortcut in X3D has its place with shortcut_bn=True",
  r"^layer\d\.\d+\.se\.fc1\.": "timm's SE has its place with Insert(SE(16), 'residual')",
  r"^conv1\.0\.weight$": "a stem of several convolutions is not supported",
  r"\.nl\.": "non-local blocks have their place with Insert(NonLocal(...), 'after', ...) or RNL",
  r"\.\d+\.net\.": "a shift of whole blocks, shift_place='block', is not supported",
  r"^(base_model\.)?layer2\.net\.": "temporal_pool is not supported",
  r"^features\.1\.running_mean$": "VGG has no batch normalisation",
  r"^(base_model\.)?layer1_bak\.": "TDN's names have their place in TDN(ResNet(...))",
  r"\.path_f\.": "Busy-Quiet names have their place in BQN",
  **transformer_names.HINTS,
}
"""What to try, by the names of tensors without a place."""
UNFOLDED = 128
"""Bytes that a compressed file may unfold to for each of the network's numbers: eight float64 copies, twice over."""
FEW = 4
"""As many prefixes a remedy names at most: what needs more is another network."""


class ReleasedSettings(UserWarning):
  """The network differs from what the released code of the checkpoint's family is known to have."""


class _Damaged(InputError):
  """A tensor holds what no training leaves."""


@dataclasses.dataclass(frozen=True)
class Report:
  """What became of every variable and every tensor.

  Attributes:
    loaded: the tensor's name, by path of the variable it fills.
    adapted: what was done, by path, to those of `loaded` whose shape is another one.
    new: paths of the variables that keep their fresh values.
    unused: why a tensor was not used, by its name.
    settings: how the network differs from the checkpoint's family where names cannot tell.
    licence: of the checkpoint, where the model's card beside it says one, else "".
  """

  loaded: Mapping[str, str]
  adapted: Mapping[str, str]
  new: Sequence[str]
  unused: Mapping[str, str]
  settings: Sequence[str] = ()
  licence: str = ""

  @property
  def warning(self) -> str:
    """What `settings` hold, as one line."""
    return f"its names cannot tell, but the released code differs from this network: {'; '.join(self.settings)}"

  def __str__(self) -> str:
    """A line that sums up, then one for each setting, array that is adapted or new, and reason not to use a tensor."""
    fresh, filled = ([path.partition("/")[2] for path in paths] for paths in (self.new, self.loaded))
    places = _covering(fresh, filled, "/")
    named = f" ({', '.join(places[:4])}{', ...' if len(places) > 4 else ''})" if places else ""
    lines = [
      f"loaded {len(self.loaded)} arrays, {len(self.adapted)} of them adapted; {len(self.new)} start anew{named}; "
      f"{len(self.unused)} of the checkpoint's tensors are unused"
    ]
    lines += [f"  {licence_line(self.licence)}"] if self.licence else []
    lines += [f"  settings: {difference}" for difference in self.settings]
    lines += [f"  adapted {path}: {how}" for path, how in self.adapted.items()]
    lines += [f"  new {path}" for path in self.new]
    for reason in dict.fromkeys(self.unused.values()):
      lines.append(f"  unused, {reason}: {', '.join(name for name, why in self.unused.items() if why == reason)}")
    return "\n".join(lines)


def licence_line(licence: str) -> str:
  """A licence, and whether its name says that it forbids commercial use."""
  forbids = re.search(r"\bnc\b|non-?commercial|research", licence.lower())
  return f"licence {licence}{', which forbids commercial use' if forbids else ''}"


@checked
def load_weights(
  variables: Mapping[str, Tree],
  source: str | pathlib.Path | Mapping[str, np.ndarray],
  *,
  network: nn.Module,
  new: Prefixes = (),
  unused: Prefixes = (),
  inflation: Inflation = "mean",
) -> tuple[dict[str, Tree], Report]:
  """A network's variables with a checkpoint's values, by the names of its library (docs/guide.md, Weights) or vidjax's.

  Layouts are converted; 2D kernels inflate where 3D ones are expected; the first convolution adapts to another number
  of input channels, all of which get the mean over the checkpoint's (TSN's rule for flow and differences). A bias
  before batch normalisation joins the running mean. Plug-ins of a kind the checkpoint has nothing of keep their fresh
  values, so that ImageNet's checkpoints load with any inserts.

  Some settings have no parameters, such as a temporal shift. Those that the names tell must be the network's. Those
  that the family's released code is known to have are compared, with one `ReleasedSettings` warning.

  Args:
    variables: `{"params", "batch_stats"}`, freshly initialised (or only their shapes, where nothing stays new); other
      kinds stay as they are.
    source: as `read_tensors` takes it, or what that returns.
    network: the module these are the variables of.
    new: path prefixes that keep their fresh values, such as "classifier".
    unused: prefixes of the names of tensors that may be left over.
    inflation: of a kernel over time: "mean" repeats it, divided by the length; "centre" puts it on the middle frame.

  Returns:
    The variables, with NumPy arrays where loaded, and a report.

  Raises:
    InputError: a variable has no tensor, a tensor no variable, or shapes differ; names paths, names and both shapes.
      Or the checkpoint is of another network, or nothing is left to load.
  """
  origin = getattr(source, "origin", "the checkpoint") if isinstance(source, Mapping) else str(source)
  numbers = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(dict(variables)))
  most = 2**26 + UNFOLDED * numbers
  tensors = source if isinstance(source, Mapping) else read_tensors(source, most)
  local = not isinstance(source, Mapping) and pathlib.Path(source).exists()  # its folders say nothing of the network
  told = "" if isinstance(source, Mapping) else pathlib.Path(source).name if local else str(source)
  exported, licence = getattr(tensors, "own", False), getattr(tensors, "licence", "")
  if other := twin(f"{told} {getattr(tensors, 'architecture', '')}"):
    raise InputError(f"{origin} is not supported: by its name or metadata it is timm's {other}")
  if strange := [name for name in tensors if not isinstance(name, str)]:
    raise InputError(
      f"the checkpoint holds a tensor under {strange[0]!r}, which is no name: give the model's state_dict"
    )
  own = {kind: variables[kind] for kind in ("params", "batch_stats") if kind in variables}
  keys = {"/".join(key): key for key in traverse_util.flatten_dict(own)}  # a key may hold a slash itself
  ours: dict[str, Any] = traverse_util.flatten_dict(own, sep="/")
  _check_prefixes("new", new, [path.partition("/")[2] for path in ours], "parameter")
  tensors = videoprism.renamed(tensors, ours)
  if transformer := any(path.endswith("stem/patch/kernel") for path in ours):
    tensors = transformer_names.split(tensors)
  wanted, match = _match(ours, tensors)
  if 2 * len(match) < len(ours) and tensors:  # names may be wrapped
    plain = unwrapped(tensors, (*WRAPPERS, LIGHTNING))
    if plain is not tensors and len((found := _match(ours, plain))[1]) > len(match):
      tensors, (wanted, match) = plain, found
  _check_prefixes("unused", unused, tensors, "tensor")
  if transformer:
    if transformer_names.of_texts(tensors) and not any(path.endswith("stem/patch/kernel") for path in match):
      raise InputError(f"{origin} is that of a text tower: take the image tower's checkpoint")
    tensors = transformer_names.folded(tensors, match, ours)
  known = {site[1] for path in match if (site := INSERTED.search(path))}
  arrays, loaded, adapted, fresh, misfits, used = dict(ours), {}, {}, [], {}, set()
  idle = {name: why for name in tensors for pattern, why in IDLE.items() if re.search(pattern, f".{name}")}
  idle |= transformer_names.left_over(tensors, match) if transformer else {}
  idle |= {name: "may be left over" for name in tensors if _starts(name, unused)}
  for path in sorted(ours, key=lambda path: (path.startswith("batch_stats"), not path.endswith("kernel"))):
    name, place, site = match.get(path), path.partition("/")[2], INSERTED.search(path)
    if _starts(place, new):
      fresh.append(path)
      idle |= {name: f"{place} stays new"} if name else {}
    elif name is None and site and site[1] not in known:
      fresh.append(path)
    elif name is None:
      misfits[place] = f"{place} {tuple(ours[path].shape)} finds no {wanted.get(path, path)}"
    else:
      used.add(name)
      try:
        arrays[path], how = _fit(tensors[name], name, path, ours[path], inflation)
        adapted |= {path: how} if how else {}
        loaded[path] = name
      except _Damaged as error:
        raise InputError(f"{origin}: {name}: {error}") from None
      except InputError as error:
        misfits[place] = f"{place}: {name}: {error}"
  for path, name in _biases(loaded, tensors).items():
    if name not in used and np.shape(tensors[name]) == np.shape(arrays[path]):
      used.add(name)
      arrays[path] = arrays[path] - np.asarray(tensors[name], arrays[path].dtype)
      adapted[path] = f"less {name}, a bias before batch normalisation"
  left = [name for name in tensors if name not in used and name not in idle]
  if misfits or left:
    if not match:
      wrong = [*misfits.values(), "and its tensors have no place"][0]
      raise InputError(
        f"{origin} holds nothing named as in this network: {', '.join([*tensors][:3])}; {wrong}. Take a "
        f"checkpoint of this family of networks (docs/guide.md, Weights), or rename its tensors{_hints(left)}"
      )
    raise InputError(f"{origin} {_misfit(misfits, left, tensors, loaded, used, new, unused, len(fresh))}")
  if not loaded:
    raise InputError(f"{origin}: nothing is left to load: leave out init, or name fewer prefixes than new={new}")
  if wrong := contradictions(network, loaded):
    raise InputError(f"{origin} is of another network: {'; '.join(wrong)}")
  settings = () if exported else differences(network, loaded)
  unused_ones = {name: why for name, why in idle.items() if name not in used}
  report = Report(loaded, adapted, fresh, unused_ones, settings, licence)
  if licence and jax.process_index() == 0:
    say(f"{origin}: {licence_line(licence)}", error=True)
  if settings:
    warnings.warn(f"{origin}: {report.warning}", ReleasedSettings, stacklevel=3)
  filled = traverse_util.unflatten_dict({keys[path]: x for path, x in arrays.items()})
  return {"batch_stats": {}, **variables, **filled}, report


def _misfit(
  misfits: Mapping[str, str],
  left: Sequence[str],
  tensors: Mapping[str, np.ndarray],
  loaded: Mapping[str, str],
  used: Collection[str],
  new: Sequence[str],
  unused: Sequence[str],
  fresh: int,
) -> str:
  """What does not fit, and how to accept that where it is little and leaves the rest whole; `fresh` arrays stay new."""
  wrong = [*misfits.values(), *(f"{name} {tensors[name].shape} has no place in the network" for name in left)]
  hint = _hints(left)
  if len(wrong) > len(loaded) + fresh:
    return (
      f"is not supported by this network: {len(loaded)} arrays fit and {len(wrong)} do not, as {wrong[0]} and "
      f"{wrong[-1]}. Take a checkpoint of this network (docs/guide.md, Weights){hint}"
    )
  good = [place for path in loaded if (place := path.partition("/")[2]) not in misfits]
  anew = (*new, *_covering(misfits, good, "/"))
  dotted, paths = ([name for name in left if ("/" in name) == by_path] for by_path in (False, True))
  over = (*unused, *_covering(dotted, used, "."), *_covering(paths, used, "/"))
  more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
  text = f"does not fit this network: {'; '.join(wrong[:5])}{more}. Take the network it was made for{hint}"
  if not new and not any(np.ndim(tensors[name]) > 1 for name in loaded.values()):
    return f"{text}: no kernel of it fits"
  torn = [name for name in left if INSERTED.search(name)]
  torn += [path for path in anew if re.search(r"(^|/)(stem|last)(/|$)", path)]  # every feature needs them
  torn += [name for name in over if re.search(r"\.\d+\.[a-z]", name)]  # a part of a block whose other parts are used
  if torn or max(len(anew) - len(new), len(over) - len(unused)) > FEW:
    return text
  remedy = f"new={anew}, unused={over}" if left else f"new={anew}"
  return f"{text}, or accept that, in a config under init or as arguments of load_model, with {remedy}"


def _hints(left: Sequence[str]) -> str:
  """What to try, by the names of tensors without a place: two hints at most, in brackets."""
  hints = [hint for pattern, hint in HINTS.items() if any(re.search(pattern, name) for name in left)]
  return "".join(f" ({hint})" for hint in hints[:2])


def _biases(loaded: Mapping[str, str], tensors: Collection[str]) -> dict[str, str]:
  """Biases of convolutions that have none here, by the path of the running mean that follows."""
  found = {}
  for path, name in loaded.items():
    mean = re.sub(r"^params/(.*)conv(\d?)/kernel$", r"batch_stats/\1bn\2/mean", path)
    bias = f"{name.removesuffix('weight')}bias"
    if mean in loaded and mean != path and bias in tensors:
      found[mean] = bias
  return found


def _match(paths: Collection[str], tensors: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
  """The names looked for, in the way of naming that finds most, and the tensors found, both by path."""
  names: dict[str, str] = {}
  for name in tensors:
    if (plain := canonical(name)) in names:
      raise InputError(f"the checkpoint holds both {names[plain]} and {name}, which mean the same: keep one of them")
    names[plain] = name
  ways = [{path: name.name for path, name in way.items()} for way in namings(paths)]
  wanted = max(ways, key=lambda way: sum(name in names for name in way.values()), default={})
  match = {path: names[name] for path, name in wanted.items() if name in names}
  return wanted, match | {path: path for path in paths if path in tensors}


def _fit(x: np.ndarray, name: str, path: str, target: Any, inflation: Inflation) -> tuple[np.ndarray, str]:
  """A tensor as the variable requires it, and what changed but its layout; InputError with both shapes if that fails.

  PyTorch's kernels are [out, in, *space], those here [*space, in, out]; axes of length 1 in front come and go.
  """
  shape, found, how = tuple(target.shape), x.shape, []
  if x.dtype != target.dtype and not floating(x.dtype):
    raise InputError(f"holds {x.dtype}, wanted {target.dtype}: convert it to floats first")
  x = np.asarray(x, target.dtype)
  if not np.isfinite(x).all():
    raise _Damaged("holds numbers that are not finite: the checkpoint is of a training that diverged, or damaged")
  if path.startswith("batch_stats") and path.endswith("/var") and (x < 0).any():
    raise _Damaged("holds variances below 0: the checkpoint is damaged")
  if name != path and transformer_names.VARIABLE.fullmatch(path):
    x = transformer_names.fitted(x, path, shape)
  if name != path and path.endswith("/kernel") and x.ndim > 1:
    flat = x.ndim == 4
    x = np.transpose(x, (*range(2, x.ndim), 1, 0))
    while x.ndim > len(shape) and x.shape[0] == 1:
      x = x[0]
    if len(found) == 3 and len(shape) == 5:  # over time alone
      x = x[:, None, None]
    x = x.reshape((1,) * (len(shape) - x.ndim) + x.shape)
    if flat and len(shape) == 5 and shape[0] > 1:
      weights = np.full(shape[0], 1 / shape[0]) if inflation == "mean" else np.arange(shape[0]) == shape[0] // 2
      x = x * weights.astype(x.dtype).reshape(-1, 1, 1, 1, 1)
      how.append(f"2D to {shape[0]} frames ({inflation})")
    if re.search(r"\.penta\.", name) and shape[-2] == 1 < x.shape[-2]:
      how.append(f"groups of {x.shape[-2]} channels to their diagonal")
      channels = np.arange(x.shape[-1])
      x = x[..., channels % x.shape[-2], channels][..., None, :]
    if FIRST.fullmatch(path.removesuffix("/kernel")) and 0 < x.shape[-2] != shape[-2]:
      how.append(f"{x.shape[-2]} to {shape[-2]} input channels (each the mean)")
      x = np.broadcast_to(x.mean(-2, keepdims=True), (*x.shape[:-2], shape[-2], x.shape[-1]))
  if x.shape != shape:
    raise InputError(f"wanted {shape}, found {found}{' (PyTorch layout)' if name != path and len(found) > 1 else ''}")
  return np.asarray(x, order="C"), ", ".join(how)


def _check_prefixes(key: str, prefixes: Sequence[str], names: Collection[str], kind: str) -> None:
  idle = [prefix for prefix in prefixes if not any(_starts(name, [prefix]) for name in names)]
  if idle:
    starts = sorted({re.split("[/.]", name)[0] for name in names})
    more = f" and {len(starts) - 9} more" if len(starts) > 9 else ""
    raise InputError(
      f"`{key}` names {', '.join(idle)}, but no {kind} starts so; they start with {', '.join(starts[:9])}{more}"
    )


def _covering(bad: Iterable[str], good: Iterable[str], separator: str) -> list[str]:
  """The shortest prefixes that cover all bad names and none of the good ones."""
  taken = {
    separator.join(parts[:i]) for name in good for parts in [name.split(separator)] for i in range(1, len(parts))
  }
  found = {}
  for name in bad:
    parts = name.split(separator)
    prefixes = (separator.join(parts[:i]) for i in range(1, len(parts) + 1))
    found[next((prefix for prefix in prefixes if prefix not in taken), name)] = None
  return [*found]


def _starts(name: str, prefixes: Iterable[str]) -> bool:
  """Whether a path or a dotted name is one of the prefixes or lies below it, or is a part of that tensor."""
  name = name.partition(" (")[0]
  return any(
    name == prefix or name.startswith((f"{prefix.rstrip('/.')}/", f"{prefix.rstrip('/.')}.")) for prefix in prefixes
  )
