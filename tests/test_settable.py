"""Every attribute of every part has a flag, read by the real parser; what no flag changes leaves no trace."""

import json
import sys

import pytest
from absl import flags

from tests.test_configs import all_configs
from vidjax.build import build, defaults_of, locate
from vidjax.command import define_config, read_config
from vidjax.run.folder import flatten
from vidjax.train.phases import expand

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
BQN, PWTP = "configs/bqn.py:mini", "configs/dan.py:mini"
QUICKSTART, TESNET = "configs/quickstart.py", "configs/tesnet.py:mini"
INPUT, TSP = "model.representation", "vidjax.inputs.tsp.TSP"
MAKE_TSP = f"model.representation.make={TSP}"
INSERT, SE = "vidjax.plugins.insert.Insert", "vidjax.plugins.se.SE"


@pytest.fixture
def read(monkeypatch):
  """`read(config, *flags)`: what a command reads of its config."""

  def run(config: str, *changes: str) -> dict:
    values = flags.FlagValues()
    holder = define_config(values)
    monkeypatch.setattr(sys, "argv", ["command", f"--config={config}", *(f"--config.{change}" for change in changes)])
    values(sys.argv)
    return read_config(holder.value)

  return run


def at(config, path: str):
  """The value at a path as flags write it."""
  for part in path.replace("[", ".[").split("."):
    config = config[int(part[1:-1]) if part.startswith("[") else part]
  return config


@pytest.mark.parametrize(
  ("config", "change", "value"),
  [
    (BQN, "model.fusion=concatenate", "concatenate"),
    (BQN, "model.lateral_stages=(1,2)", [1, 2]),
    (BQN, "model.lateral_blocks=(0,)", [0]),
    (BQN, "model.lateral_sigma=0.5", 0.5),
    (BQN, "model.quiet_frames=4", 4),
    (BQN, "model.to_busy=conv", "conv"),
    (BQN, "model.zero_init=False", False),
    (BQN, "model.hidden=32", 32),
    (BQN, "model.quiet_size=None", None),
    (BQN, "model.mbpm.trainable=False", False),
    (BQN, "model.mbpm.normalise=l1", "l1"),
    (BQN, "model.mbpm.sigma=2", 2.0),
    ("configs/bqn.py:mini_quiet", "model.representation.busy.sigma=.7", 0.7),
    (PWTP, "model.representation.expansion=4", 4),
    (PWTP, "model.representation.num_blocks=2", 2),
    (PWTP, "model.representation.bottleneck=1", 1.0),
    (PWTP, "model.representation.result=residual", "residual"),
    (TESNET, "model.representation.activations=('relu','tanh')", ["relu", "tanh"]),
    (QUICKSTART, "model.consensus=features", "features"),
    (QUICKSTART, "model.backbone.frozen_bn=all", "all"),
    (QUICKSTART, "model.backbone.inserts[0].stages=(2,3)", [2, 3]),
    (QUICKSTART, "model.backbone.inserts[0].module.bidirectional=False", False),
    ("configs/tsm.py:ssv1,backbone=mobilenet_v2", "model.backbone.inserts[0].blocks=all", "all"),
    ("configs/ttsn.py:mini,tss=off", "model.tss=AA", "AA"),
    ("configs/ttsn.py:mini", "model.ett.position_sets=1", 1),
    ("configs/ttsn.py:ssv1,backbone=tdn", "model.backbone.reduction=8", 8),
    (QUICKSTART, "optimizer.nesterov=True", True),
    (QUICKSTART, "optimizer.epsilon=1e-3", 1e-3),
    (QUICKSTART, "optimizer.groups[0].rate=2", 2.0),
    ("configs/probe.py", "optimizer.b1=.8", 0.8),
    ("configs/probe.py", "optimizer.clip_norm=3", 3.0),
    ("configs/probe.py", "optimizer.groups[0].match=bias", "bias"),
    (QUICKSTART, "sampler.rule=released", "released"),
    (QUICKSTART, "losses[0].of=spatial_logits", "spatial_logits"),
    (QUICKSTART, "schedule.warmup_from=.5", 0.5),
    (QUICKSTART, "train.ema_decay=.99", 0.99),
    (QUICKSTART, "train.ema_decay=None", None),
    (QUICKSTART, "init.weights=None", None),
    (QUICKSTART, "init.weights=file.pth", "file.pth"),
    (TESNET, "model.representation=None", None),
    (QUICKSTART, f"model.representation={{'make': '{TSP}', 'rank': 1}}", {"make": TSP, "rank": 1}),
  ],
)
def test_attributes_that_no_file_sets_and_none(config, change, value, read):
  path = change.partition("=")[0]
  changed, plain = read(config, change), read(config)
  assert at(changed, path) == value
  build(changed["model"], num_classes=5)
  old, new = flatten(plain), flatten(changed)
  parts = path.replace("[", ".[").split(".")
  places = ["".join(f".{part}" for part in parts[:end]).replace(".[", "[")[1:] for end in range(1, len(parts) + 1)]
  place = next((place for place in places if not any(key.startswith(place) for key in old)), path)
  assert all(key.startswith(place) for key in {**old, **new} if key not in old or old[key] != new.get(key))


def test_what_has_its_default_leaves_no_trace(read):
  plain = read(BQN)
  given = ("model.fusion=average", "model.mbpm.sigma=1.1", "model.mbpm.stride=3", "model.lateral_stages=all")
  assert read(BQN, *given, "optimizer.nesterov=False", "train.ema_decay=None") == plain
  assert read("configs/bqn.py:mini_quiet", "model.representation.busy.kernel=9") == read("configs/bqn.py:mini_quiet")
  assert json.dumps(plain)  # as before: tuples are lists, and nothing else


def attributes(value, path=""):
  """Every attribute that a config leaves at a plain default, as the flag that sets it to that."""
  if isinstance(value, dict):
    made = locate(value["make"]) if "make" in value else None
    for name, default in (defaults_of(made) if made else {}).items():
      if name not in value and type(default) in (type(None), bool, int, float, str, tuple):
        yield f"{path}.{name}={default}"
  for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
    yield from attributes(inner, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".lstrip("."))


@pytest.mark.parametrize("name", list(all_configs()))
def test_every_attribute_of_every_part_has_a_flag_of_its_type(name, read):
  stem, _, arg = name.partition(":")
  config = f"configs/{stem}.py:{arg}" if arg else f"configs/{stem}.py"
  plain = read(config)
  defaults = [*attributes({key: part for key, part in plain.items() if key != "phases"})]
  assert len(defaults) > 10
  assert read(config, *defaults) == plain


def test_a_default_that_the_file_sets_stays(read):
  assert read("configs/inputs.py:mbpm", "model.representation.sigma=1.1")["model"]["representation"]["sigma"] == 1.1


def test_another_make_drops_the_keys_of_the_old_one(read):
  config = read(
    QUICKSTART, MAKE_TSP, "model.representation.rank=2", "transforms[0].make=vidjax.data.augment.CenterCrop"
  )
  assert config["model"]["representation"] == {"make": TSP, "rank": 2}
  assert config["transforms"] == [{"make": "vidjax.data.augment.CenterCrop", "size": 48}]  # which it cannot do without
  config = read("configs/inputs.py:flow", "model.representation.rank=2", MAKE_TSP)  # in whatever order
  assert config["model"]["representation"] == {"make": TSP, "rank": 2}
  assert read(TESNET, MAKE_TSP) == read(TESNET)  # the same make as before
  backbone = read("configs/x3d.py:m", "model.backbone.make=vidjax.backbones.resnet.ResNet", "model.backbone.depth=18")
  assert backbone["model"]["backbone"] == {"make": "vidjax.backbones.resnet.ResNet", "depth": 18}


def test_what_has_no_signature_takes_no_flags(read):
  assert read(QUICKSTART, "optimizer.make=builtins.dict")["optimizer"] == {"make": "builtins.dict"}
  with pytest.raises(SystemExit):
    read(QUICKSTART, "optimizer.make=builtins.dict", "optimizer.momentums=.9")


def test_another_network_keeps_its_backbone(read):
  made = read(QUICKSTART, "model.make=vidjax.networks.ttsn.TTSN", "model.ett=None", "model.backbone.widths=(8,8,8,8)")
  assert {*made["model"]} == {"make", "backbone", "ett"}
  assert made["model"]["backbone"]["widths"] == [8, 8, 8, 8]


def test_a_rule_in_place_of_none(read):
  config = read(QUICKSTART, "train.stop.make=vidjax.train.stop.NoGain", "train.stop.patience=5")
  assert config["train"]["stop"] == {"make": "vidjax.train.stop.NoGain", "patience": 5}


def test_an_element_more(read):
  config = read(
    QUICKSTART,
    f"model.backbone.inserts[1].make={INSERT}",
    f"model.backbone.inserts[1].module.make={SE}",
    "model.backbone.inserts[1].module.reduction=4",
    "model.backbone.inserts[1].at=after",
  )
  first, second = config["model"]["backbone"]["inserts"]
  assert first == read(QUICKSTART)["model"]["backbone"]["inserts"][0]
  assert second == {"make": INSERT, "module": {"make": SE, "reduction": 4}, "at": "after"}


def test_a_series_of_inputs_from_nothing(read):
  series = "vidjax.inputs.series.Series"
  config = read(QUICKSTART, f"{INPUT}.make={series}", f"{INPUT}.modules[0].make={TSP}", f"{INPUT}.modules[0].rank=1")
  assert config["model"]["representation"] == {"make": series, "modules": [{"make": TSP, "rank": 1}]}


def test_both_streams_of_a_network(read):
  config = read("configs/two_stream.py:mini", "model.streams[1].representation.stack=False", "model.fusion=logits")
  assert config["model"]["streams"][1]["representation"]["stack"] is False
  assert config["model"]["fusion"] == "logits"


def test_a_phase_takes_what_the_config_has(read):
  config = read(
    "configs/dan.py:mini,blend=separate",
    "phases[1].optimizer.momentum=.9",  # the default: here a change, once the config has another
    "phases[1].train.ema_decay=.5",
    "phases[0].losses[0].error=projection_mae",
    "phases[1].seed=3",
    "optimizer.momentum=.8",
  )
  assert config["phases"][1]["optimizer"] == {"momentum": 0.9}
  first, second = expand(config).values()
  assert (first["optimizer"]["momentum"], second["optimizer"]["momentum"]) == (0.8, 0.9)
  assert (first["train"]["ema_decay"], second["train"]["ema_decay"]) == (None, 0.5)
  assert first["losses"][0]["error"] == "projection_mae"
  assert (first["seed"], second["seed"]) == (0, 3)


def test_a_phase_names_what_the_config_has(read, capsys):
  with pytest.raises(SystemExit):
    read("configs/dan.py:mini,blend=separate", "phases[1].train.ema_decy=.5")
  text = capsys.readouterr().err
  assert "config.phases[1].train has no key 'ema_decy' (it has " in text
  assert "did you mean 'ema_decay'?" in text


@pytest.mark.parametrize("change", ["train.ema_decay=many", "model.lateral_sigma=wide", "model.quiet_frames=2.5"])
def test_a_value_of_a_wrong_type(change, read):
  with pytest.raises(flags.IllegalFlagValueError, match=change.partition("=")[0]):
    read(BQN, change)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (("model.representation.rank=2",), "model.representation is None: say what to make with --config.model.repr"),
    (("model.representation.make=vidjax.inputs.tsp.TPS",), "did you mean 'TSP'"),
    (("model.representation=None", MAKE_TSP), "leave one of them out"),
    (
      ("model.droput=.5",),
      "--config.model.droput: config.model has no key 'droput' (it has backbone, consensus, dropout,",
    ),
    (("model.droput=.5",), "): did you mean 'dropout'?"),
    (
      ("model.backbone.inserts[0].module.bidirectionl=True",),
      "inserts[0].module has no key 'bidirectionl' (it has bid",
    ),
    (("train.ema_decy=.9",), "did you mean 'ema_decay'?"),
    (("sampling.by=time",), "config has no key 'sampling' (it has blend,"),
    (("blend.weights.projection=1",), "config.blend.weights has no key 'projection' (it has none)"),
    (
      ("transforms[9].x=1",),
      "transforms[9].x: config.transforms has the length 1: --config.transforms[1].make=PATH adds",
    ),
    (("model.backbone.widths[4]=8",), "config.model.backbone.widths has the length 4\n"),
    (("seed.x=1",), "--config.seed.x: config.seed is 0, which has no parts"),
    (("stream.make=None",), "--config.stream.make='None': must be a dotted path"),
  ],
)
def test_what_cannot_be_is_one_line(changes, message, read, capsys):
  with pytest.raises(SystemExit) as end:
    read(QUICKSTART, *changes)
  assert end.value.code == 2
  assert message in capsys.readouterr().err


def test_flags_from_a_file_and_with_a_space(read, tmp_path, monkeypatch):
  (tmp_path / "flags").write_text(f"--config={BQN}\n--config.model.fusion=max\n")
  values = flags.FlagValues()
  flags.DEFINE_string("flagfile", "", "", flag_values=values)
  holder = define_config(values)
  line = [f"--flagfile={tmp_path / 'flags'}", "--config.model.lateral_stages", "(1,)", "--noconfig.model.zero_init"]
  monkeypatch.setattr(sys, "argv", ["command", *line])
  values(sys.argv)
  model = read_config(holder.value)["model"]
  assert (model["fusion"], model["lateral_stages"], model["zero_init"]) == ("max", [1], False)


@pytest.mark.slow
def test_an_input_from_flags_trains_and_resumes(train, tmp_path):
  workdir = tmp_path / "run"
  line = (f"--config.{MAKE_TSP}", "--config.model.representation.frames=2", "--config.model.representation.rank=1")
  line += ("--config.sampler.frames_per_segment=2", "--config.train.epochs=0.25", "--config.train.ema_decay=None")
  assert "best checkpoint (step 1)" in train(workdir, *line)
  config = json.loads((workdir / "config.json").read_text())
  assert config["model"]["representation"] == {"make": TSP, "frames": 2, "rank": 1}
  given = "--config.model.representation.activations=('sigmoid','leaky_relu')"  # the default
  assert "is finished" in train(workdir, *line, given)
  again = train(workdir, *line, given.replace("sigmoid", "tanh"), code=2)
  assert "model.representation.activations[0]: not set there, tanh here" in again
