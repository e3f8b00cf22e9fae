"""How released checkpoints name the parameters of the networks here: one function for each way of naming.

Such a function takes a module's path below its network, "res3/block0/conv1", "classifier", and all such paths, and
returns the released name, "layer2.0.conv1", and the number of the released kernel's spatial axes. Nothing depends on
width, depth or the number of classes.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from vidjax.weights import transformer_names

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
"""Parameters and statistics of Flax's layers, as PyTorch calls them."""

CONV_BN = {f"{kind}{i}": f"{kind}{i}" for kind in ("conv", "bn") for i in (1, 2, 3)}
RESNET = {
  **CONV_BN,
  "shortcut_conv": "downsample.0",
  "shortcut_bn": "downsample.1",
  "residual_SE/reduce": "se.fc1",
  "residual_SE/expand": "se.fc2",
}
"""torchvision's; timm's where it squeezes and excites, `Insert(SE(16), "residual")`."""
PYTORCHVIDEO = {
  **{f"conv{i}": f"branch2.conv_{letter}" for i, letter in enumerate("abc", start=1)},
  **{f"bn{i}": f"branch2.norm_{name}" for i, name in enumerate(("a", "b.0", "c"), start=1)},
  "squeeze": "branch2.norm_b.1.block.0",
  "excite": "branch2.norm_b.1.block.2",
  "shortcut_conv": "branch1_conv",
  "shortcut_bn": "branch1_norm",
}
SLOWFAST = {
  **{f"conv{i}": f"branch2.{letter}" for i, letter in enumerate("abc", start=1)},
  **{f"bn{i}": f"branch2.{letter}_bn" for i, letter in enumerate("abc", start=1)},
  "squeeze": "branch2.se.fc1",
  "excite": "branch2.se.fc2",
  "shortcut_conv": "branch1",
  "shortcut_bn": "branch1_bn",
}
NON_LOCAL = {
  "NonLocal": {"g": "nl.g", "theta": "nl.theta", "phi": "nl.phi", "w_z": "nl.W.0", "bn": "nl.W.1"},
  "RNL": {"w_g": "nl.theta", "theta": "nl.penta", "w_z": "nl.W.0", "bn": "nl.W.1"},
  "SpaceTimeSE": {"score": "cg.W_k", "reduce": "cg.W_v1", "bn": "cg.bn1", "expand": "cg.W_v2"},
}
"""The plug-ins that the released TSM and RNL put after blocks of a ResNet; RNL's theta embeds (thesis: W_g)."""

BLOCK = re.compile(r"res(\d+)/block(\d+)/(.+)")
VGG_BLOCK = re.compile(r"stage(\d+)/block\d+/conv")
AFTER = re.compile(r"after_(?:Chain/)?(\w+)/(\w+)")


class Released(NamedTuple):
  """The released name of a module or a variable.

  Attributes:
    name: of a module as in "layer2.0.conv1", of a variable as in "layer2.0.conv1.weight".
    axes: spatial axes of the released kernel, time among them; 0 for a fully connected layer.
  """

  name: str
  axes: int = 2


Naming = Callable[[str, Collection[str]], Released | None]


def resnet(module: str, modules: Collection[str], classifier: str = "fc") -> Released | None:
  """torchvision's and timm's ResNet, and what the released TSM and RNL insert.

  Args:
    module: path below the network.
    modules: all such paths.
    classifier: released name of the last layer.
  """
  if module == "classifier":
    return Released(classifier, 0)
  block = BLOCK.fullmatch(module)
  if block is None:
    return {"stem/conv": Released("conv1"), "stem/bn": Released("bn1")}.get(module)
  place = f"layer{int(block[1]) - 1}.{block[2]}"
  if inserted := AFTER.fullmatch(block[3]):
    name = NON_LOCAL.get(inserted[1], {}).get(inserted[2])
    if name == "nl.W.0" and f"{module.rpartition('/')[0]}/bn" not in modules:
      name = "nl.W"
    return Released(f"{place}.{name}", 0 if inserted[2] in ("reduce", "expand") else 3) if name else None
  name = RESNET.get(block[3])
  return Released(f"{place}.{name}") if name else None


BETWEEN_SEGMENTS = {
  "middle_TIM": Released("shift.conv", 1),
  **{f"middle_LTDM/{name}": Released(f"mse.{name}") for name in ("conv1", "bn1", "conv2", "conv3", "bn3")},
  **{f"middle_LTDM/{kind}_full": Released(f"mse.{kind}3_smallscale4") for kind in ("conv", "bn")},
  **{f"middle_LTDM/{kind}_half": Released(f"mse.{kind}3_smallscale2") for kind in ("conv", "bn")},
}


def tdn(module: str, modules: Collection[str], differences: bool) -> Released | None:
  """The released TDN: its frames' ResNet, or the stem and res2 that see the differences.

  Args:
    module: path below the part's backbone.
    modules: all such paths.
    differences: whether the part sees the differences.
  """
  block = BLOCK.fullmatch(module)
  if differences and module in ("stem/conv", "stem/bn"):
    return Released(f"conv1_5.{0 if module == 'stem/conv' else 1}")
  if block and (released := BETWEEN_SEGMENTS.get(block[3])):
    return released._replace(name=f"layer{int(block[1]) - 1}_bak.{block[2]}.{released.name}")
  if released := resnet(module, modules):
    name = re.sub(r"^layer(\d)", "resnext_layer1" if differences else r"layer\1_bak", released.name)
    return released._replace(name=name)
  return None


def vgg(module: str, modules: Collection[str]) -> Released | None:
  """torchvision's VGG-16, a row of convolutions, ReLUs and pools; its fully connected layers have no place here.

  Args:
    module: path below the network.
    modules: all such paths.
  """
  order = sorted(name for name in modules if VGG_BLOCK.fullmatch(name))
  if module not in order:
    return None
  number = order.index(module)
  pools = int(VGG_BLOCK.sub(r"\1", module)) - 1
  return Released(f"features.{2 * number + pools}")


def pytorchvideo(module: str, modules: Collection[str]) -> Released | None:
  """PyTorchVideo's X3D, which calls the stem's convolution over space conv_t, and the one over time conv_xy.

  Args:
    module: path below the network.
    modules: all such paths.
  """
  if block := BLOCK.fullmatch(module):
    name = PYTORCHVIDEO.get(block[3])
    return Released(f"blocks.{int(block[1]) - 1}.res_blocks.{block[2]}.{name}", 3) if name else None
  head = f"blocks.{max(int(found[1]) for name in modules if (found := BLOCK.fullmatch(name)))}"
  names = {
    "stem/conv": Released("blocks.0.conv.conv_t", 3),
    "stem/conv_t": Released("blocks.0.conv.conv_xy", 3),
    "stem/bn": Released("blocks.0.norm", 3),
    "last/conv": Released(f"{head}.pool.pre_conv", 3),
    "last/bn": Released(f"{head}.pool.pre_norm", 3),
    "hidden": Released(f"{head}.pool.post_conv", 3),
    "classifier": Released(f"{head}.proj", 0),
  }
  return names.get(module)


def slowfast(module: str, modules: Collection[str]) -> Released | None:
  """SlowFast's X3D.

  Args:
    module: path below the network.
    modules: all such paths.
  """
  if block := BLOCK.fullmatch(module):
    name = SLOWFAST.get(block[3])
    return Released(f"s{block[1]}.pathway0_res{block[2]}.{name}", 3) if name else None
  names = {
    "stem/conv": Released("s1.pathway0_stem.conv_xy", 3),
    "stem/conv_t": Released("s1.pathway0_stem.conv", 3),
    "stem/bn": Released("s1.pathway0_stem.bn", 3),
    "last/conv": Released("head.conv_5", 3),
    "last/bn": Released("head.conv_5_bn", 3),
    "hidden": Released("head.lin_5", 3),
    "classifier": Released("head.projection", 0),
  }
  return names.get(module)


def mobilenet(module: str, modules: Collection[str], classifier: str, nested: bool) -> Released | None:
  """MobileNetV2 as a row of features: torchvision's, whose blocks nest convolution and BN, and the released TSM's.

  Args:
    module: path below the network.
    modules: all such paths.
    classifier: released name of the last layer.
    nested: whether convolution and BN of a block share a module, as in torchvision.
  """
  if module == "classifier":
    return Released(classifier, 0)
  blocks = sorted({(int(found[1]), int(found[2])) for name in modules if (found := BLOCK.fullmatch(name))})
  last = 1 + len(blocks)
  if block := BLOCK.fullmatch(module):
    expands = f"{module.removesuffix(block[3])}conv1" in modules
    layers = [f"{kind}{i}" for i in ((1, 2, 3) if expands else (2, 3)) for kind in ("conv", "bn")]
    if block[3] not in layers:
      return None
    number = layers.index(block[3])
    pair, part = divmod(number, 2)
    name = f"{3 * pair + part}"
    if nested:
      name = f"{pair}.{part}" if number < len(layers) - 2 else f"{pair + part}"
    return Released(f"features.{1 + blocks.index((int(block[1]), int(block[2])))}.conv.{name}")
  ends = {"stem/conv": "0.0", "stem/bn": "0.1", "last/conv": f"{last}.0", "last/bn": f"{last}.1"}
  return Released(f"features.{ends[module]}") if module in ends else None


def timm_mobilenet(module: str, modules: Collection[str]) -> Released | None:
  """timm's MobileNetV2.

  Args:
    module: path below the network.
    modules: all such paths.
  """
  if block := BLOCK.fullmatch(module):
    if f"{module.removesuffix(block[3])}conv1" in modules:
      layers = {"conv1": "conv_pw", "bn1": "bn1", "conv2": "conv_dw", "bn2": "bn2", "conv3": "conv_pwl", "bn3": "bn3"}
    else:
      layers = {"conv2": "conv_dw", "bn2": "bn1", "conv3": "conv_pw", "bn3": "bn2"}
    name = layers.get(block[3])
    return Released(f"blocks.{int(block[1]) - 2}.{block[2]}.{name}") if name else None
  names = {
    "stem/conv": Released("conv_stem"),
    "stem/bn": Released("bn1"),
    "last/conv": Released("conv_head"),
    "last/bn": Released("bn2"),
    "classifier": Released("classifier", 0),
  }
  return names.get(module)


def inception_resnet(module: str, modules: Collection[str], classifier: str) -> Released | None:
  """timm's and Cadene's Inception-ResNet-v2, whose last block of the third row has a name of its own.

  Args:
    module: path below the network.
    modules: all such paths.
    classifier: released name of the last layer.
  """
  if module == "classifier":
    return Released(classifier, 0)
  if found := re.fullmatch(r"(?:stem/)?(conv2d_\w+)/(conv|bn)", module):
    return Released(f"{found[1]}.{found[2]}")
  found = re.fullmatch(r"block_([abc])/(entry|block\d+)/(?:branch(\d+)_(\d+)/(conv|bn)|conv)", module)
  if found is None:
    return None
  row, part, branch, number, layer = found.groups()
  if part == "entry":
    place = {"a": "mixed_5b", "b": "mixed_6a", "c": "mixed_7a"}[row]
  else:
    count = int(part.removeprefix("block"))
    end = row == "c" and not any(name.startswith(f"block_c/block{count + 1}/") for name in modules)
    place = "block8" if end else f"{dict(a='repeat', b='repeat_1', c='repeat_2')[row]}.{count}"
  if branch is None:
    return Released(f"{place}.conv2d")
  if f"block_{row}/{part}/branch{branch}_1/conv" in modules:
    return Released(f"{place}.branch{branch}.{number}.{layer}")
  pooled = place == "mixed_5b" and branch == "3"  # a pool comes first there
  return Released(f"{place}.branch{branch}{'.1' if pooled else ''}.{layer}")


PATHWAYS = {"busy/": "path_f", "quiet/": "path_c"}
CONNECTION = re.compile(r"res(\d+)_block(\d+)_to_(quiet|busy)/(.+)")
MBPM = {"spatial": Released("conv_s"), "temporal": Released("conv_t", 1)}


def bqn(module: str, modules: Collection[str], pathway: Released | None) -> Released | None:
  """The released Busy-Quiet Nets.

  Args:
    module: path below the network of both pathways.
    modules: all such paths.
    pathway: the module's name in its pathway's backbone, None where it is in neither.
  """
  blocks = "layer{}.{}" if "busy/stem/conv_t" not in modules else "blocks.{}.res_blocks.{}"
  if pathway is not None:
    part = PATHWAYS[f"{module.partition('/')[0]}/"]
    nested = re.fullmatch(r"(layer\d+\.\d+|blocks\.\d+\.res_blocks\.\d+|blocks\.\d+)\.(.+)", pathway.name)
    name = f"{nested[1]}.{part}.{nested[2]}" if nested else f"{'d_' * (part == 'path_f')}{pathway.name}"
    return Released(name, pathway.axes)
  if module in ("mbpm/spatial", "mbpm/temporal"):
    kernel = MBPM[module.removeprefix("mbpm/")]
    return Released(f"mbpf1.{kernel.name}", kernel.axes)
  if connection := CONNECTION.fullmatch(module):
    place, layer = blocks.format(int(connection[1]) - 1, connection[2]), connection[4]
    if kernel := MBPM.get(layer.removeprefix("mbpm/")):
      return Released(f"{place}.mbpf.{kernel.name}", kernel.axes)
    way = "down" if connection[3] == "quiet" else "up"
    number = 2 if layer == "bn" and f"{module.removesuffix('bn')}conv" in modules else 1
    return Released(f"{place}.{way}.{number}")
  return Released("fc", 0) if module == "classifier" else None


def transformer(module: str, modules: Collection[str], way: transformer_names.Way) -> Released | None:
  """A vision transformer's names, in one of `transformer_names.WAYS`.

  Args:
    module: path below the network, or of a variable that belongs to no layer.
    modules: all such paths.
    way: the table and what stands before its names.
  """
  name = transformer_names.released(module, modules, way)
  return None if name is None else Released(name)


TDN_PARTS = ("backbone/differences/", "backbone/frames/")

FAMILIES: dict[str, tuple[Naming, ...]] = {
  "stem/conv2d_1a/conv": tuple(functools.partial(inception_resnet, classifier=c) for c in ("classif", "last_linear")),
  "stem/conv_t": (pytorchvideo, slowfast),
  "last/conv": (
    functools.partial(mobilenet, classifier="classifier.1", nested=True),
    functools.partial(mobilenet, classifier="classifier", nested=False),
    functools.partial(mobilenet, classifier="new_fc", nested=False),
    timm_mobilenet,
  ),
  "stem/conv": (resnet, functools.partial(resnet, classifier="new_fc")),
  "stage1/block0/conv": (vgg,),
  "stem/patch": (
    lambda module, modules: None,  # exported under own paths
    *(functools.partial(transformer, way=way) for way in transformer_names.WAYS),
  ),
}
"""A module each family has (the first that fits counts), and the ways of naming it; export takes the first."""

FIRST = re.compile(r"(.*/|)(?:stem/conv|stem/conv2d_1a/conv|stage1/block0/conv|stem/patch)")
"""A network's first convolution, which sees the input's channels, and in group 1 the place of the network."""


def namings(paths: Iterable[str]) -> list[dict[str, Released]]:
  """Every way in which checkpoints may name the variables of a network.

  Args:
    paths: of all variables, as in "params/backbone/stem/conv/kernel".

  Returns:
    Dicts from path to released name, as in "conv1.weight", without the paths that have none. Where a network has parts
    with backbones of their own, names start with the part's, or are those of the released Busy-Quiet Net or TDN; then
    follow the namings without that, by which a single checkpoint fills all parts.
  """
  split = {path: transformer_names.module(path) for path in paths}
  places = {module: re.sub(r"^(classifier|hidden)_(busy|quiet)$", r"\2/\1", module) for module, _ in split.values()}
  modules = {place: module for module, place in places.items()}
  owners = sorted({match[1].removesuffix("backbone/") for module in modules if (match := FIRST.fullmatch(module))})
  released = {tuple(sorted(PATHWAYS)): "bqn", TDN_PARTS: "tdn"}.get(tuple(owners))
  ends = {marker for marker in FAMILIES for module in modules if f"/{module}".endswith(f"/{marker}")}
  styles = ("prefixed", "plain") if released is None else (released, "prefixed", "plain")
  found = []
  for style in styles if any(owners) else ("plain",):
    for way in range(max((len(ways) for marker, ways in FAMILIES.items() if marker in ends), default=1)):
      names: dict[str, Released | None] = {}
      for owner in owners:
        local = {m.removeprefix(owner).removeprefix("backbone/"): m for m in modules if m.startswith(owner)}
        ways = next(ways for marker, ways in FAMILIES.items() if marker in local)
        named = {m: ways[min(way, len(ways) - 1)](short, local) for short, m in local.items()}
        if style == "prefixed":
          prefix = owner.replace("/", ".")
          named = {m: name and Released(f"{prefix}{name.name}", name.axes) for m, name in named.items()}
        if style == "tdn":
          named = {m: tdn(short, local, owner == TDN_PARTS[0]) for short, m in local.items()}
        names |= named
      if style == "bqn":
        names = {m: bqn(m, modules, names.get(m)) for m in modules}
      elif "classifier" in modules and (way or "stem/patch" not in ends):  # of all parts together
        names["classifier"] = names.get("classifier") or Released("new_fc" if style == "tdn" and way == 0 else "fc", 0)
      ours = {modules[m]: name for m, name in names.items()}
      naming, taken = {}, set()
      for path, (module, leaf) in sorted(split.items()):
        name = ours.get(module) if leaf in LEAVES or not leaf else None
        part = next(filter(places[module].startswith, owners), "") if style == "plain" else ""
        if name and (part, name, leaf) not in taken:  # of two plug-ins released under one the second keeps its path
          taken.add((part, name, leaf))
          naming[path] = Released(_variable(name.name, leaf), name.axes)
      if naming not in found:
        found.append(naming)
  return found


def _variable(module: str, leaf: str) -> str:
  """A variable's released name; what stands in brackets, as a part of the tensor, comes last."""
  name, _, part = module.partition(" ")
  return " ".join(filter(None, (f"{name}.{LEAVES[leaf]}" if leaf else name, part)))


def canonical(name: str) -> str:
  """A checkpoint's name without what TSM's and RNL's released code wraps around modules.

  A wrapper of a whole block or stage (`shift_place="block"`, `temporal_pool`) stays: that is another network.
  """
  name = re.sub(r"(\.conv1|\.conv\.0)\.net\.", r"\1.", name.removeprefix("base_model."))
  name = re.sub(r"(layer\d+\.\d+)\.block\.", r"\1.", name)
  name = transformer_names.plain(name)
  name = re.sub(r"\.nl\.(g|phi)\.0\.", r".nl.\1.", name)
  return name.replace(".penta.depthwise_weight", ".penta.weight")
