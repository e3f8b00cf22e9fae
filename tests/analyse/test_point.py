"""A point's row of the attention maps of whole networks, against the full maps, and the command's pictures."""

import functools
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from tests.test_bad_input import command
from tests.tiny_run import make_run, write_data
from vidjax.analyse.point import rows_of_point, sites
from vidjax.apply.forward import forward
from vidjax.backbones.resnet import MiniResNet
from vidjax.build import described
from vidjax.errors import InputError
from vidjax.networks.recognizer import Recognizer
from vidjax.networks.ttsn import TTSN
from vidjax.plugins.cpa import CPA
from vidjax.plugins.ett import ETT
from vidjax.plugins.insert import Insert
from vidjax.plugins.nonlocal_ import NonLocal
from vidjax.plugins.rnl import RNL

CLIP = np.random.default_rng(0).normal(size=(3, 16, 24, 3)).astype("float32")
INSERTS = (
  Insert(NonLocal(sub_sample=True), "after", (2,)),
  Insert(RNL((1, 3, 3), "dot"), "after", (3,)),
  Insert(CPA(((1, 3, 3),)), "after", (4,)),
)
BACKBONE = MiniResNet(widths=(4, 4, 4, 4), inserts=INSERTS)
NL, REGIONS, PYRAMID = (
  f"backbone/res{stage}/block0/after_{name}" for stage, name in ((2, "NonLocal"), (3, "RNL"), (4, "CPA"))
)


@functools.cache
def trained():
  network = TTSN(BACKBONE, 5, tss=None, ett=ETT(2))
  shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), CLIP[None])
  variables = jax.tree.map(lambda x: 0.5 + 0.3 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), shapes)
  output, _ = jax.jit(lambda v: forward(network, v, CLIP[None], False, intermediates=True))(variables)
  sown = output.aux["intermediates"]["backbone"]
  maps = {f"backbone/{stage}/block0/{place}": found["attention"][0]
    for stage, blocks in sown.items() for place, found in blocks["block0"].items()}  # fmt: skip
  return network, variables, {**maps, "ett": output.aux["intermediates"]["ett"]["attention"][0]}


def test_rows_are_those_of_the_full_maps():
  """Cell (3, 4) of res2, whose cells are 2 pixels apart, is centred at pixel (6, 8), in the cells (1.5, 2) of res3."""
  network, variables, maps = trained()
  assert sites(network, CLIP.shape) == tuple(maps) == (NL, REGIONS, PYRAMID, "ett")
  rows = rows_of_point(network, variables, CLIP, (1, 6.5 / 16, 8.5 / 24))
  assert maps[NL].queries == (3, 8, 12)
  keys = np.asarray(maps[NL].full()[0, 1, 3, 4])  # of pairs of cells: the first lies between pixels 0 and 2
  np.testing.assert_allclose(rows[NL].weights[:, 1::4, 1::4], keys, rtol=1e-5)
  row = np.abs(maps[REGIONS].full()[0, 1, 2, 2])
  np.testing.assert_allclose(rows[REGIONS].weights[:, ::4, ::4], row, rtol=1e-5)
  np.testing.assert_allclose(rows[PYRAMID].weights[:, ::8, ::8], maps[PYRAMID][0], rtol=1e-5)
  whole = np.asarray(maps["ett"].full()[0, 1])
  np.testing.assert_allclose(rows["ett"].frames, whole, rtol=1e-5)
  np.testing.assert_allclose(rows["ett"].weights[:, 3, 5], whole, rtol=1e-5)
  assert [row.of_point for row in rows.values()] == [True, True, False, True]
  assert list(rows_of_point(network, variables, CLIP, (0, 0, 1), at="backbone/res3")) == [REGIONS]


@pytest.mark.parametrize("point", [(3, 0.5, 0.5), (-1, 0.5, 0.5), (0, 1.01, 0.5), (0, 0.5, float("nan"))])
def test_a_point_outside_the_clip(point):
  network, variables, _ = trained()
  with pytest.raises(InputError, match="outside the clip: its frames are 0 to 2, and y and x are shares"):
    rows_of_point(network, variables, CLIP, point)


def test_no_attention():
  with pytest.raises(InputError, match=r"TTSN has no attention at --at=res3: it has backbone/res2.*, ett"):
    sites(trained()[0], CLIP.shape, "res3")
  with pytest.raises(InputError, match="Recognizer has no attention: name a run with NL"):
    sites(Recognizer(MiniResNet(widths=(4, 4, 4, 4)), 5), CLIP.shape)


def test_the_command_draws_two_runs_and_says_what_does_not_fit(tmp_path, capsys):
  data = write_data(tmp_path / "data")
  runs = {}
  for name, module in (("nl", NonLocal()), ("rnl", RNL((1, 3, 3)))):
    config: Any = quickstart.get_config()
    config.model.backbone = described(MiniResNet((8, 8, 8, 8), (Insert(module, "after", (3,)),)), "widths", "inserts")
    runs[name] = make_run(tmp_path / name, data, config=config)
  two = f"--workdir={tmp_path / 'nl'} --workdir={tmp_path / 'rnl'}"
  films = f"{data / 'films' / '7.mp4'} {tmp_path / 'none.mp4'}"
  assert command(f"analyse attention {films} {two} --point=2,.5,.25 --out={tmp_path / 'new'}") == 2
  assert cv2.imread(str(tmp_path / "new" / "attention-7.png")) is not None
  out, error = capsys.readouterr()
  assert (out.count("\n"), error.count("\n")) == (1, 1)
  assert "none.mp4 does not exist" in error
  for wrong, message in (
    ("--point=4,.5,.5", "frames are 0 to 3"),
    ("--point=2,.5", "--point=2,.5: must be FRAME,Y,X"),
    ("--point=2,.5,.5 --at=res3", "it has backbone/res3/block0/after_NonLocal"),
  ):
    assert command(f"analyse attention {films} {two} --out={tmp_path / 'new'} {wrong}") == 2
    assert message in capsys.readouterr().err
