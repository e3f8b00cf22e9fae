"""Speed of whole networks against PyTorch's, training and inference of one float32 clip, in turn.

torchvision's ResNet-50 and MobileNetV2 with TSM's shift, PyTorchVideo's X3D-M; eager, in PyTorch's own layout. PyTorch
runs in two processes of its own: as it comes, and with the freed memory kept as `import vidjax` keeps it, without which
large maps come from the system again in every layer. The latter compares the code, the former what a user has.
"""

import contextlib
import dataclasses
import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from vidjax.apply.once import jit_once
from vidjax.backbones.mobilenet import TSM_BLOCKS, MobileNetV2
from vidjax.backbones.resnet import ResNet
from vidjax.backbones.x3d import X3D
from vidjax.benchmark.measure import Spread, say
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.plugins.insert import Insert
from vidjax.plugins.tsm import TSM

NUM_CLASSES = 174
NEEDED = "pip install torch torchvision pytorchvideo timm transformers"

Run = Callable[[], Any]
Timed = Callable[[str], float]
"""Runs one direction, "inference" or "training", once: milliseconds."""


@dataclasses.dataclass(frozen=True)
class Case:
  """One network.

  Attributes:
    ours: takes clips `[1, T, H, W, 3]`.
    clip: (T, H, W).
    theirs: makes PyTorch's module of as many parameters, which takes frames `[T, 3, H, W]` or clips `[1, 3, T, H, W]`;
      a function of a module, for other processes to find.
    frames: it takes frames, whose scores are averaged.
    only_theirs: parameters that have no place here.
    runs: makes our side: the number of parameters, and what runs once by direction; None for a forward pass and a step
      of SGD.
  """

  ours: nn.Module
  clip: tuple[int, int, int]
  theirs: Callable[[], Any]
  frames: bool = True
  only_theirs: int = 0
  runs: "Callable[[Case], tuple[int, dict[str, Run]]] | None" = None


def _resnet() -> Any:
  net = importlib.import_module("torchvision").models.resnet50(num_classes=NUM_CLASSES)
  for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
    for block in stage:
      block.conv1 = _shifted(block.conv1, 8)
  return net


def _mobilenet() -> Any:
  net = importlib.import_module("torchvision").models.mobilenet_v2(num_classes=NUM_CLASSES)
  for block in net.modules():
    if getattr(block, "use_res_connect", False):
      block.conv[0] = _shifted(block.conv[0], 8)
  return net


def _x3d() -> Any:
  create = importlib.import_module("pytorchvideo.models.x3d").create_x3d
  net = create(input_clip_length=16, input_crop_size=224, model_num_class=NUM_CLASSES, depth_factor=2.2)
  net.blocks[-1].activation = None  # scores, not probabilities
  return net


def _shifted(layer: Any, frames: int) -> Any:
  """The layer after TSM's shift of an eighth of the channels each way over `frames` frames."""
  torch = importlib.import_module("torch")

  def shift(_: Any, args: tuple[Any]) -> tuple[Any]:
    (x,) = args
    clips, fold = x.view(-1, frames, *x.shape[1:]), x.shape[1] // 8
    y = torch.zeros_like(clips)
    y[:, :-1, :fold] = clips[:, 1:, :fold]
    y[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
    y[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
    return (y.view(x.shape),)

  layer.register_forward_pre_hook(shift)
  return layer


def _ours(backbone: nn.Module, **options: Any) -> Recognizer:
  return Recognizer(backbone=backbone, num_classes=NUM_CLASSES, **options)


CASES: dict[str, Case] = {
  "TSM, ResNet-50": Case(_ours(ResNet(50, inserts=(Insert(TSM(), "before"),))), (8, 224, 224), _resnet),
  "TSM, MobileNetV2": Case(
    _ours(MobileNetV2(inserts=(Insert(TSM(), "before", blocks=TSM_BLOCKS),))), (8, 224, 224), _mobilenet
  ),
  "X3D-M": Case(_ours(X3D(), consensus="features", hidden=2048), (16, 224, 224), _x3d, frames=False),
}


def measure_pytorch(
  runs: int, cases: dict[str, Case] | None = None, directions: Sequence[str] = ("inference", "training")
) -> dict[str, dict[str, Spread]]:
  """Times every network; all candidates take their turn in every run.

  Args:
    runs: timings of each candidate, each after a run that is not counted.
    cases: by name; those of this module by default.
    directions: which of both.

  Returns:
    For each network and direction, the milliseconds of "vidjax", "torch" and "torch, memory kept".

  Raises:
    InputError: PyTorch, torchvision or PyTorchVideo is not installed, or the parameters are not as many.
  """
  results = {}
  for name, case in (CASES if cases is None else cases).items():
    with _torch_process(case, False) as (theirs, torch), _torch_process(case, True) as (_, kept):
      ours, vidjax = (case.runs or _jax)(case)
      if ours != theirs - case.only_theirs:
        raise InputError(f"benchmark pytorch: {name} has {ours} parameters, PyTorch's {theirs}")
      for direction in directions:
        say(f"{name}, {direction}")
        candidates = {"vidjax": _timed(vidjax), "torch": torch, "torch, memory kept": kept}
        results[f"{name}, {direction}"] = _race(candidates, direction, runs)
  return results


def _race(candidates: dict[str, Timed], direction: str, runs: int) -> dict[str, Spread]:
  times: dict[str, list[float]] = {name: [] for name in candidates}
  for number in range(-1, runs):
    for name, timed in candidates.items():
      timed(direction)  # until the threads of the last candidate, which spin for milliseconds, sleep
      milliseconds = timed(direction)
      if number >= 0:  # the first turn compiles
        times[name].append(milliseconds)
  return {name: Spread.of(values) for name, values in times.items()}


def _timed(runs: dict[str, Run]) -> Timed:
  def timed(direction: str) -> float:
    start = time.perf_counter()
    runs[direction]()
    return 1e3 * (time.perf_counter() - start)

  return timed


@contextlib.contextmanager
def _torch_process(case: Case, keep_memory: bool) -> Iterator[tuple[int, Timed]]:
  """PyTorch's side in a process of its own: the number of parameters, and what times it there."""
  before = os.environ.get("VIDJAX_KEEP_MEMORY")
  os.environ["VIDJAX_KEEP_MEMORY"] = str(int(keep_memory))
  context = multiprocessing.get_context("spawn")
  here, there = context.Pipe()
  process = context.Process(target=_serve, args=(there, case.theirs, case.clip, case.frames), daemon=True)
  try:
    process.start()
  finally:
    os.environ.pop("VIDJAX_KEEP_MEMORY")
    os.environ.update({} if before is None else {"VIDJAX_KEEP_MEMORY": before})
  there.close()

  def ask(direction: str | None) -> Any:
    try:
      if direction:
        here.send(direction)
      received = here.recv()
    except (EOFError, ConnectionError):
      raise InputError("benchmark pytorch: PyTorch's process ended; is there memory for it?") from None
    if isinstance(received, InputError):
      raise received
    return received

  try:
    yield ask(None), ask
  finally:
    here.close()
    process.join(10)
    process.kill()
    process.join()


def _serve(connection: Connection, theirs: Callable[[], Any], clip: tuple[int, int, int], frames: bool) -> None:
  """Sends the number of parameters, then the milliseconds of every direction it receives, until nobody listens."""
  try:
    parameters, runs = _torch(theirs, clip, frames)
  except InputError as error:
    connection.send(error)
    return
  timed = _timed(runs)
  connection.send(parameters)
  with contextlib.suppress(EOFError):
    while True:
      connection.send(timed(connection.recv()))


def _jax(case: Case) -> tuple[int, dict[str, Run]]:
  """The number of parameters, inference, and a step of SGD with momentum as training."""
  network, optimizer = case.ours, optax.sgd(1e-3, momentum=0.9)
  clip = jnp.asarray(np.random.default_rng(0).standard_normal((1, *case.clip, 3), np.float32))
  variables = jit_once(lambda key: network.init(key, clip, train=False))(jax.random.key(0))
  variables = {name: variables.get(name, {}) for name in ("params", "batch_stats")}

  @jax.jit
  def infer(variables: Any) -> jax.Array:
    output: Any = network.apply(variables, clip, train=False)
    return output.logits

  def loss(params: Any, stats: Any) -> tuple[jax.Array, Any]:
    both, rngs = {"params": params, "batch_stats": stats}, {"dropout": jax.random.key(1)}
    output, changed = network.apply(both, clip, train=True, mutable=["batch_stats"], rngs=rngs)
    return optax.softmax_cross_entropy_with_integer_labels(output.logits, jnp.zeros(1, int)).mean(), changed

  def step(variables: Any, momentum: Any) -> tuple[Any, Any]:
    gradient, changed = jax.grad(loss, has_aux=True)(variables["params"], variables["batch_stats"])
    updates, momentum = optimizer.update(gradient, momentum, variables["params"])
    return {"params": optax.apply_updates(variables["params"], updates), "batch_stats": {}, **changed}, momentum

  jitted = jax.jit(step, donate_argnums=(0, 1))
  state = jax.tree.map(jnp.copy, variables), optimizer.init(variables["params"])

  def train() -> Any:
    nonlocal state
    state = jax.block_until_ready(jitted(*state))
    return state[0]["params"]

  parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
  return parameters, {"inference": lambda: jax.block_until_ready(infer(variables)), "training": train}


def _torch(theirs: Callable[[], Any], size: tuple[int, int, int], by_frames: bool) -> tuple[int, dict[str, Run]]:
  """The same of PyTorch, on the cores this process may use."""
  try:
    torch = importlib.import_module("torch")
    evaluated, trained = theirs().eval(), theirs().train()
  except ImportError as error:
    raise InputError(f"benchmark pytorch compares with PyTorch: {NEEDED} ({error})") from None
  torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
  frames, height, width = size
  clip = torch.randn(frames, 3, height, width) if by_frames else torch.randn(1, 3, frames, height, width)
  optimizer = torch.optim.SGD(trained.parameters(), lr=1e-3, momentum=0.9)

  def infer() -> None:
    with torch.no_grad():
      evaluated(clip)

  def train() -> None:
    optimizer.zero_grad()
    scores = trained(clip).view(1, -1, NUM_CLASSES).mean(1)
    torch.nn.functional.cross_entropy(scores, torch.zeros(1, dtype=torch.long)).backward()
    optimizer.step()

  return sum(parameter.numel() for parameter in trained.parameters()), {"inference": infer, "training": train}
