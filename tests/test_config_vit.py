"""configs/vit.py: published numbers, whole configs, and one step of the smallest through the real command."""

import json
import re

import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

from configs import vit
from vidjax.apply.device_augment import CutMix, Mixup
from vidjax.apply.parts import Part
from vidjax.backbones.released_vits import videomae
from vidjax.build import build
from vidjax.recipe import make_recipe, make_views, settings_of
from vidjax.train.layer_decay import layer_decay


def test_videomae_is_fine_tuned_as_its_scripts_do():
  """finetune.sh with the defaults of run_class_finetuning.py: 6 records on each of 64 GPUs, each twice."""
  for arg, epochs, flip in (("videomae_ssv2", 30, 0.0), ("videomae_k400", 75, 0.5)):
    c = vit.get_config(arg)
    records = c.train.batch_size // c.data.repeats
    assert (records, c.data.repeats, c.train.epochs) == (6 * 64, 2, epochs)
    assert (c.transforms[2]["probability"], c.losses[0]["label_smoothing"]) == (flip, 0.1)
    config = json.loads(c.to_json())
    assert build(config["optimizer"]["groups"]) == layer_decay(12, 0.75)
    rate = build(config["schedule"], epochs=epochs)(10)
    expected = [0, 5e-4 * records / 256, 1e-6 * records / 256]
    assert [float(rate(10 * epoch)) for epoch in (0, 5, epochs)] == pytest.approx(expected)
    erasing, mixing = build(config["device_transforms"])
    assert (erasing.probability, mixing.transforms) == (0.25, (Mixup(0.8), CutMix(1.0)))
    assert build(config["model"], num_classes=5).backbone == videomae("base", drop_path=0.1)


@pytest.mark.parametrize(("data", "adapters", "classes"), [("ssv2", 24, 174), ("kinetics400", 12, 400)])
def test_adapters_and_the_classifier_alone_are_trained(data, adapters, classes):
  """The scripts' 24x384 and 12x384; a checkpoint of CLIP lacks exactly these."""
  config = json.loads(vit.get_config(f"adapter,data={data}").to_json())
  network = build(config["model"], num_classes=classes)
  clips = jnp.zeros((1, 2, 32, 32, 3))
  params = jax.eval_shape(lambda: network.init(jax.random.key(0), clips, False))["params"]
  settings = settings_of(config)
  part = Part(settings.frozen, settings.trained)
  part.check(params)
  changing = traverse_util.flatten_dict(part.of(params), sep="/")
  width, inside = 768, 384
  each = (width + 1) * inside + (3 + 1) * inside + (inside + 1) * width
  assert sum(x.size for x in changing.values()) == adapters * each + (width + 1) * classes
  new = config["init"]["new"]
  assert {path for path in traverse_util.flatten_dict(params, sep="/") if under_any(path, new)} == {*changing}


def under_any(path, prefixes):
  return any(f"{path}/".startswith(f"{prefix}/") for prefix in prefixes)


@pytest.mark.parametrize(
  "arg",
  [
    *(f"probe,head={head},model={model}" for head in ("attentive", "linear") for model in vit.MODELS),
    *(f"mini,input={name},plugins=tsm+rnl,losses=diversity,blend=mgda" for name in ("mbpm", "flow")),
  ],
)
def test_every_option_is_a_whole_config(arg):
  config = json.loads(vit.get_config(arg).to_json())
  recipe = make_recipe(config, ["a", "b"])
  make_views(recipe)
  frames, size = recipe.clip_shape[:2]
  backbone = recipe.network.backbone
  assert frames % backbone.tubelet == size % backbone.patch == 0
  assert ("pooling" in config["model"]) == ("attentive" in arg)


@pytest.mark.parametrize(
  ("arg", "message"),
  [
    ("videomae_k400,head=linear", "head=linear is no option; there are "),
    ("probe,plugins=tsm", r"plugins=tsm is no option; there are head=attentive\|linear; model=vjepa2"),
    ("mini,input=film", r"input=film is no option; there are input=rgb\|"),
  ],
)
def test_an_option_of_another_name_is_an_error(arg, message):
  with pytest.raises(ValueError, match=message):
    vit.get_config(arg)


SMALL = (
  *("--config.train.batch_size=8", "--config.schedule.warmup_epochs=0"),
  *("--config.model.backbone.width=16", "--config.model.backbone.heads=2"),
)
FINE = ("--config.sampler.num_frames=4", "--config.model.backbone.depth=4", "--config.init.pretrained=none")


@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "flags", "without"),
  [
    (
      "videomae_k400",
      (*FINE, "--config.transforms[1].size=16", "--config.optimizer.groups.depth=4", "--config.train.epochs=0.25"),
      r"widths|num_segments|transforms\[0",
    ),
    (
      "mini,plugins=pem,losses=diversity",
      ("--config.train.epochs=0.5", "--config.model.backbone.patch=8"),
      "widths|num_segments",
    ),
  ],
)
def test_trains_one_step_through_the_real_command(config, flags, without, train, tmp_path):
  output = train(tmp_path / "run", *SMALL, *flags, config=f"configs/vit.py:{config}", without=without)
  assert "best checkpoint (step 1)" in output
  assert ("each record of a batch gives 2 clips" in output) == config.startswith("videomae")
  assert re.search(r"a batch is 8 clips", output)
