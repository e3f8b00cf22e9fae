"""Every shipped config: complete, buildable; and, shrunk, trained for one step through the real command."""

import importlib
import json
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from flax import traverse_util

from configs import _sets, attention, bqn, dan, folder, inputs, tdrl, ttsn
from tests.conftest import ROOT
from vidjax import trust
from vidjax.build import build
from vidjax.errors import InputError
from vidjax.prepare.source import names as sources
from vidjax.recipe import data_of, make_optimizer, settings_of
from vidjax.sections import DEFAULTS, check_sections
from vidjax.train.optimizer import TSN_GROUPS, multipliers
from vidjax.train.start import check_init

VARIANTS = {
  "arch": ("ucf101", "mini"),
  "attention": ("ssv1", "kinetics400,source=code,depth=101,frames=16", "mini"),
  "bqn": ("ssv1", "ucf101,backbone=x3d_m", "mini", "mini_busy", "mini_quiet", "mini_deep", "mini_x3d"),
  "inputs": (*inputs.INPUTS, "mbpm,data=ssv1,backbone=x3d_m", "pwtp,data=kinetics400,backbone=mobilenet_v2"),
  "dan": ("ssv1", "kinetics400", "ucf101", "ssv1,backbone=x3d_xs", "mini", "mini,blend=separate"),
  "deep_residual": ("ucf101", "hmdb51", "kinetics400", "thumos14", "mini", "mini-kmeans", "mini-raw"),
  "mix": (
    "mbpm,backbone=mobilenet,plugins=tsm+cbam,losses=diversity",
    "pwtp,backbone=x3d,plugins=tim+cpa,losses=projection+reversal,blend=mgda",
    "rgb,backbone=tdn,plugins=ett,losses=reversal,blend=uncertainty",
    "pwtp,backbone=vit,plugins=mem+rnl+cpa+gc+ett+st_adapter,losses=projection+reversal",
  ),
  "folder": ("resnet50", "finetune", "mini"),
  "multilabel": ("resnet50", "finetune", "mini"),
  "probe": ("linear", "mlp", "multilabel", "attentive", "lstm", "transformer", "netvlad"),
  "quickstart": ("tsm", "tsn"),
  "tesnet": (
    "rgb",
    "rgb-no3",
    "rgb-no5",
    "flow",
    "stored_flow-64",
    "stored_flow-tsn",
    "mini",
    "mini-no5",
    "mini_flow-24",
  ),
  "two_stream": ("tsm", "mini", "both", "mini_both", "flow", "mini_flow"),
  "rtsae_dscnn": (
    "ucf101",
    "hmdb51",
    "ucf101-p3-depth3-hard",
    "mini",
    "mini-p1-depth1-open",
    "mini-sparse",
    "hmdb51-sparse",
  ),
  "tdrl": ("ssv1", "ssv2,frames=16,tm=tsm,enhance=mem,td=none", "kinetics400,enhance=pem_after,td=before", "mini"),
  "tsm": ("ssv1", "kinetics400,backbone=mobilenet_v2,sampling=dense", "ucf101", "hmdb51,backbone=x3d_xs"),
  "ttsn": ("hmdb51", "ssv1,backbone=tdn,pretrain=kinetics,frames=16", "mini", "mini,tss=off", "mini,ett=off"),
  "vit": (
    "videomae_ssv2",
    "videomae_k400",
    "clip_k400",
    "adapter",
    "adapter,data=kinetics400",
    "probe",
    "probe,head=linear,model=clip",
    "mini",
  ),
  "x3d": ("xs", "s", "m", "l"),
}
"""The arguments of every config file that takes some; a new file without an entry is tested without one."""


def all_configs():
  for path in sorted((ROOT / "configs").glob("[!_]*.py")):
    for arg in VARIANTS.get(path.stem, ("",)):
      yield f"{path.stem}:{arg}" if arg else path.stem


@pytest.mark.parametrize("name", list(all_configs()))
def test_builds_and_forms_an_output(name):
  stem, _, arg = name.partition(":")
  config = importlib.import_module(f"configs.{stem}").get_config(*([arg] if arg else []))
  config = json.loads(config.to_json())
  check_sections(config)
  trust.check(config, ROOT)  # a run of it opens elsewhere
  settings = settings_of(config)
  data_of(config)
  schedule = build(config["schedule"], epochs=settings.epochs)(10)
  make_optimizer(config["optimizer"], schedule)
  for part in ("sampler", "transforms", "test", "normalise", "device_transforms", "losses", "blend"):
    build(config[part])
  network = build(config["model"], num_classes=5)
  stream = build({"make": DEFAULTS["stream"], **config.get("stream", {})})
  clips = jnp.zeros((1, *stream.clip_shape(build(config["sampler"]).clip_length, config["test"].get("size"))))
  output, made = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), clips, False))
  paths = list(traverse_util.flatten_dict(made["params"], sep="/"))
  assert all(any(f"{path}/".startswith(f"{new}/") for path in paths) for new in config["init"]["new"])
  if stem != "rtsae":  # it has no classes
    assert output.logits.shape == (1, 5)


def test_a_set_is_named_as_it_is_prepared():
  assert {one.name.removeprefix("folder/") for one in _sets.SETS.values()} <= set(sources())
  assert {name for name, one in _sets.SETS.items() if one.fold} == set(_sets.SMALL)


@pytest.mark.parametrize(
  ("arg", "params"),
  [
    ("attention=none", 24_327_632),
    ("attention=se", 24_791_248),
    ("attention=cbam", 24_791_236),
    ("attention=gc", 24_795_344),
    ("attention=nl", 31_686_096),
    ("attention=cpa", 24_329_722),
    ("attention=se+cpa", 24_793_338),
    ("attention=rnl", 28_128_720),
    ("attention=se+rnl", 28_592_336),
  ],
)
def test_the_parameters_of_table_4_6(arg, params):
  """Printed: 24.33, 24.79, 24.80, 24.79, 31.69 M; 35.48 and 35.95 M count the mask of RNL's released code."""
  config = json.loads(attention.get_config(f"kinetics400,source=table,{arg}").to_json())
  network = build(config["model"], num_classes=400)
  clip = jnp.zeros((1, 2, 32, 32, 3))
  made = jax.eval_shape(lambda: network.init(jax.random.key(0), clip, False))
  assert sum(x.size for x in jax.tree.leaves(made["params"])) == params


def test_recipes_of_the_thesis():
  """3.6.1 and 5.5.1: rate, batch, epochs, weight decay and dropout; partial BN and a new classifier on small sets."""

  def numbers(module, arg):
    c = module.get_config(arg)
    return (
      c.schedule.learning_rate, c.train.batch_size, c.train.epochs, c.optimizer.weight_decay, c.model.dropout,
      c.model.backbone.frozen_bn, tuple(c.init.new),
    )  # fmt: skip

  fine = (0.001, 64, 10, 1e-4, 0.8, "all_but_first", ("classifier",))
  assert numbers(dan, "hmdb51") == numbers(bqn, "ucf101") == numbers(bqn, "hmdb51,backbone=resnet101") == fine
  assert numbers(dan, "ssv1") == numbers(bqn, "ssv1") == (0.12, 256, 50, 8e-4, 0.8, "none", ("classifier",))
  assert numbers(dan, "kinetics400") == (0.08, 512, 100, 2e-4, 0.5, "none", ("classifier",))
  assert numbers(dan, "kinetics400,backbone=x3d_m") == (0.4, 256, 256, 5e-5, 0.5, "none", ())
  assert numbers(dan, "ssv1,backbone=x3d_xs") == (0.12, 256, 50, 4e-4, 0.8, "none", ("classifier", "representation"))
  heads = ("classifier_busy", "classifier_quiet")
  assert numbers(bqn, "ssv1,backbone=x3d_m") == (0.12, 256, 60, 4e-4, 0.8, "none", heads)
  scratch = (0.2, 256, 100, 5e-5, 0.5, "none", ())
  assert numbers(bqn, "ssv1,backbone=x3d_m,start=scratch") == numbers(inputs, "rgb,data=ssv1,backbone=x3d_m") == scratch
  assert numbers(inputs, "mbpm,data=ucf101") == (0.01, 64, 80, 1e-4, 0.5, "none", ("classifier",))
  assert numbers(attention, "ssv1") == (0.02, 64, 50, 8e-4, 0.8, "none", ("classifier",))
  assert numbers(attention, "kinetics400,source=code") == (0.02, 64, 100, 2e-4, 0.5, "none", ("classifier",))


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("tdrl:ssv1", "imagenet/resnet50"),
    ("tsm:kinetics400,backbone=mobilenet_v2", "imagenet/mobilenet_v2"),
    ("tsm:ucf101", "kinetics400/tsm-resnet50"),
    ("attention:ssv1,depth=101", "imagenet/resnet101"),
    ("bqn:ssv1,backbone=x3d_m", "kinetics400/bqn-x3d_m"),
    ("bqn:ssv1,backbone=x3d_m,start=scratch", ""),
    ("dan:kinetics400,backbone=x3d_xs", ""),
    ("dan:hmdb51", "kinetics400/dan-resnet50"),
    ("inputs:mbpm,data=ucf101", "imagenet/resnet50"),
    ("inputs:mbpm,data=ssv1,backbone=x3d_m", ""),
    ("tesnet:flow", "imagenet/inception_resnet_v2"),
    ("ttsn:hmdb51,backbone=tdn,pretrain=kinetics", "kinetics400/tdn-resnet50"),
    ("rtsae_dscnn:ucf101", "imagenet/vgg16"),
    ("rtsae_dscnn:hmdb51", "ucf101/rtsae_dscnn"),
    ("vit:probe,model=dinov2", "dinov2/base"),
    ("dan:mini", ""),
    ("folder", ""),
  ],
)
def test_a_config_says_what_its_paper_starts_from(name, expected):
  """Else it would start from nothing in silence, and its numbers would be lower than those in print."""
  stem, _, arg = name.partition(":")
  config = importlib.import_module(f"configs.{stem}").get_config(*([arg] if arg else []))
  assert config.init.pretrained == expected
  init = json.loads(config.to_json())["init"]
  if not expected:
    check_init(init)
    return
  with pytest.raises(InputError, match=rf"starts from {expected} .*--config.init.weights=FILE.*pretrained=none"):
    check_init(init)
  check_init(init | {"pretrained": "none"})
  check_init(init | {"workdir": "runs/other"})


def test_a_wrong_argument_names_the_right_ones():
  for stem, args in VARIANTS.items():
    with pytest.raises(ValueError, match=re.escape(args[0].partition(",")[0])):
      importlib.import_module(f"configs.{stem}").get_config("nonsense")


def test_folder_fine_tunes_as_tsms_code_does():
  """scripts/finetune_tsm_ucf101_rgb_8f.sh, with the defaults of opts.py and the groups of get_optim_policies."""
  c = folder.get_config("finetune")
  assert (c.train.batch_size, c.train.epochs, c.model.dropout, c.sampler.num_segments) == (64, 25, 0.8, 8)
  assert (c.optimizer.momentum, c.optimizer.weight_decay, c.optimizer.clip_norm) == (0.9, 5e-4, 20)
  assert (c.model.backbone.frozen_bn, tuple(c.init.new)) == ("all_but_first", ("classifier",))
  assert build(json.loads(c.to_json())["optimizer"]["groups"]) == TSN_GROUPS
  rate = build(c.schedule.to_dict(), epochs=c.train.epochs)(100)
  assert [float(rate(100 * epoch)) for epoch in (0, 9, 11, 19, 21)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ("", ["PEM", "TIM", "TDLoss"]),
    ("enhance=mem,tm=tsm", ["MEM", "TSM", "TDLoss"]),
    ("enhance=pem_after", ["TIM", "TDLoss", "PEM"]),
    ("td=before", ["PEM", "TDLoss", "TIM"]),
    ("tm=none,enhance=none,td=none", []),
  ],
)
def test_the_orders_of_tdrl(options, expected):
  config = tdrl.get_config(f"mini,{options}" if options else "mini")
  assert [insert["module"]["make"].split(".")[-1] for insert in config.model.backbone.inserts] == expected
  assert ("temporal_diversity" in config.blend.weights) == ("TDLoss" in expected) == (len(config.losses) == 2)


def test_the_documented_flags_of_tdrl_vary_what_their_tables_do():
  """Tables 5 and 7 are without PEM: their best row is the TD row of Table 4."""
  assert tdrl.__doc__
  flags = dict(re.findall(r"- (Table 5|Table 7|Section 4\.2): `--config=configs/tdrl\.py:(\S+ --\S+)=", tdrl.__doc__))
  seen = {}
  for place, line in flags.items():
    name, path = line.split(" --config.")
    value = tdrl.get_config(name).to_dict()
    for key in re.findall(r"\w+", path):
      value = value[int(key)] if key.isdigit() else value[key]
      if isinstance(value, dict) and "module" in value:
        seen[place, "module"] = value["module"]["make"].rpartition(".")[2]
    seen[place] = value
    seen[place, "PEM"] = "plugins.pem.PEM" in str(tdrl.get_config(name))
  assert (seen["Table 5"], seen["Table 5", "module"], seen["Table 5", "PEM"]) == (0.5, "TDLoss", False)
  assert (seen["Table 7"], seen["Table 7", "PEM"]) == (2e-4, False)
  assert (seen["Section 4.2"], seen["Section 4.2", "module"]) == ("last", "PEM")


@pytest.mark.parametrize(
  ("config", "probability"),
  [
    (bqn.get_config("ssv1"), 0),
    (tdrl.get_config("ssv2"), 0),
    (ttsn.get_config("ssv1"), 0),
    (bqn.get_config("kinetics400,backbone=x3d_m"), 0.5),
  ],
)
def test_something_something_is_not_flipped(config, probability):
  """One flag does as TDN's code: the labels that change places are given."""
  flip = config.transforms[1]
  assert flip["probability"] == probability
  assert flip["swap"] == (() if probability else ((86, 87), (93, 94), (166, 167)))


@pytest.mark.parametrize(("arg", "decay", "bias"), [("ssv1", 5, 5), ("kinetics400,backbone=x3d_m,decay=code", 0, 10)])
def test_the_decay_of_bqns_classifier_is_the_texts_or_the_codes(arg, decay, bias):
  groups = build(json.loads(bqn.get_config(arg).to_json())["optimizer"]["groups"])
  params = {"classifier": {"kernel": 0, "bias": 0}, "busy": {"res2": {"conv1": {"kernel": 0}}}}
  found = multipliers(params, groups)
  assert (found["classifier"]["kernel"].rate, found["classifier"]["kernel"].decay) == (5, decay)
  assert (found["classifier"]["bias"].rate, found["classifier"]["bias"].decay) == (bias, 0)
  assert found["busy"]["res2"]["conv1"]["kernel"].decay == 1


def test_bqn_samples_kinetics_densely():
  for arg in ("kinetics400", "kinetics400,backbone=x3d_m"):
    frames = build(json.loads(bqn.get_config(arg).to_json())["sampler"]).test(300)[0]
    assert len(frames) == 48
    assert frames[-1] - frames[0] == 62


OWN_NAMES = ("--config.data.fold=None", "--config.data.validation_split=validation")
"""The flags that a config of a set with folds takes for `tiny`, which has none."""


def of_phases(*values: str) -> list[str]:
  """The flags that shrink RTSAE-DSCNN: of its last phase, and of those before it that have such a part."""
  parts = {"train": "", "task": "", "backbone": "model.", "stream": "model.measured."}
  having = {"train": ("phases[0].", "phases[1].", "phases[2].", ""), "backbone": ("phases[0].", "phases[1].")}
  flags = [f"--config.phases[{i}].train.batch_size=2" for i in range(3)]
  for value in values:
    part = value.partition(".")[0]
    places = having.get(part, ("phases[2].", ""))
    flags += [f"--config.{place}{parts[part]}{value}" for place in places]
  return flags


@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "flags", "without"),
  [
    ("configs/quickstart.py:tsn", (), "nothing"),
    ("configs/folder.py:mini", (), "nothing"),
    ("configs/bqn.py:mini", (), "nothing"),
    ("configs/bqn.py:mini_deep", ("--config.model.backbone.depth=18",), "widths"),
    ("configs/bqn.py:mini_x3d", ("--config.model.backbone.stages=((1,8),(1,8))",), "widths"),
    ("configs/tdrl.py:mini", ("--config.model.backbone.inserts[2].module.share=.25",), "nothing"),
    ("configs/dan.py:mini", (), "nothing"),
    ("configs/tesnet.py:mini", (), "num_segments"),
    ("configs/two_stream.py:mini", ("--config.model.streams[0].backbone.widths=(8,8,8,8)",), "widths"),
    ("configs/two_stream.py:mini_flow", ("--config.data.name=folder/tiny_flow",), "nothing"),
    (
      "configs/two_stream.py:mini_both",
      ("--config.data.name=folder/tiny_flow", "--config.model.streams[0].backbone.widths=(8,8,8,8)"),
      "widths",
    ),
    ("configs/rtsae_dscnn.py:mini", of_phases("train.steps=1", "task.key_frames=False"), "widths|num_segments"),
    (
      "configs/rtsae_dscnn.py:ucf101",
      (
        *OWN_NAMES,
        "--config.data.name=folder/tiny_flow",
        "--config.init.pretrained=none",
        "--config.sampler.num_segments=4",
        *of_phases("train.steps=1", "backbone.width=2", "backbone.features=4", "stream.width=2", "stream.features=4"),
      ),
      "widths|num_segments",
    ),
    ("configs/arch.py:mini", ("--config.sampler.num_segments=2", "--config.model.units=8"), "nothing"),
    (
      "configs/ttsn.py:mini",
      ("--config.model.tss_width=8", "--config.data.unlabelled=2", "--config.losses[1].unlabelled=True"),
      "nothing",
    ),
    ("configs/folder.py", ("--config.model.backbone.depth=18",), "widths"),
    (
      "configs/tsm.py:ucf101,backbone=mobilenet_v2",
      (
        *OWN_NAMES,
        "--config.model.backbone.width_multiplier=0.25",
        "--config.init.pretrained=none",
        "--config.schedule.at=()",
      ),
      "widths",
    ),
    ("configs/attention.py:mini", (), "nothing"),
    ("configs/inputs.py:persistent_appearance", (), "nothing"),
    ("configs/mix.py:pwtp,plugins=tim+gc,losses=projection+diversity,blend=mgda", (), "nothing"),
    (
      "configs/x3d.py:xs",
      ("--config.model.backbone.depth_factor=0.2", "--config.schedule.warmup_epochs=0.0"),
      "widths|num_segments",
    ),
  ],
)
def test_trains_one_step_through_the_real_command(config, flags, without, train, tmp_path):
  output = train(tmp_path / "run", *flags, "--config.train.epochs=0.25", config=config, without=without)
  assert "best checkpoint (step 1)" in output
  assert re.search(r"a batch is (\d) clips, \1 on each of 1 device\(s\)", output)


def test_a_config_imports_what_lies_beside_it(tmp_path):
  (tmp_path / "neighbour_of_mine.py").write_text("from configs import quickstart\nget_config = quickstart.get_config\n")
  (tmp_path / "mine.py").write_text("from neighbour_of_mine import get_config\n")
  line = [sys.executable, "-m", "vidjax.analyse", "cost", f"--config={tmp_path / 'mine.py'}:tsn", "--classes=3"]
  done = subprocess.run(line, capture_output=True, text=True, timeout=100, cwd=ROOT)
  assert done.returncode == 0, done.stderr
  assert "Recognizer" in done.stdout
