"""The mistakes of `test_bad_input.py`: what the user types, and the words of the one line that must come of it."""

import dataclasses
import os
import pathlib
import shutil
import wave
import zlib
from collections.abc import Callable

import av
import cv2
import numpy as np

from tests.conftest import ROOT

QUICKSTART = ROOT / "configs" / "quickstart.py"
TINY = """--config.data.dir={root}/data --config.sampler.num_segments=3 --config.transforms[0].size=16
  --config.test.size=16 --config.test.short_side=16 --config.model.backbone.widths=(8,8,8,8)
  --config.train.batch_size=4 --config.train.epochs=1 --config.train.devices=1"""
TRAIN = "train --config={quickstart} --workdir={tmp}/new --config.data.name=folder/tiny " + TINY
AGAIN = "train --config={quickstart} --workdir={copy} --config.data.name=folder/tiny " + TINY
FILE = "train --config={tmp}/config.py --workdir={tmp}/new --config.data.name=folder/tiny " + TINY
PREPARE = "prepare folder --videos={tmp}/videos --name=mine --data_dir={tmp}/data"
PICTURE = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()


@dataclasses.dataclass(frozen=True)
class Case:
  """A mistake.

  Attributes:
    name: of the mistake.
    command: what the user types after `python -m vidjax.`; {tmp} is an empty folder, {copy} the copy of a trained run,
      {run} the run itself, {root} holds data/ (folder/tiny, folder/damaged, folder/wrong_label) and films/.
    words: parts of the one line.
    setup: prepares {tmp}.
    remarks: further lines on stderr, which do not start with "error: ".
  """

  name: str
  command: str
  words: tuple[str, ...]
  setup: Callable[[pathlib.Path], object] = lambda tmp: None
  remarks: int = 0


# What is set up for a case


def config(*lines: str) -> Callable[[pathlib.Path], object]:
  """A config file: the quickstart with these lines, such as "c.seed = 1"."""
  text = "\n  ".join(("from configs import quickstart\ndef get_config():", "c = quickstart.get_config()", *lines))
  return file("config.py", text + "\n  return c\n")


def file(name: str, content: str | bytes = "") -> Callable[[pathlib.Path], object]:
  def setup(tmp: pathlib.Path) -> None:
    (tmp / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp / name).write_bytes(content.encode() if isinstance(content, str) else content)

  return setup


def files(*names: str) -> Callable[[pathlib.Path], object]:
  """Small good films."""
  return lambda tmp: [write_film(tmp / name) for name in names]


def remove(pattern: str) -> Callable[[pathlib.Path], object]:
  return lambda tmp: [shutil.rmtree(path) if path.is_dir() else path.unlink() for path in tmp.glob(pattern)]


def halve(pattern: str) -> Callable[[pathlib.Path], object]:
  """Cuts the files in half."""

  def setup(tmp: pathlib.Path) -> None:
    found = [path for path in tmp.glob(pattern) if path.is_file()]
    assert found
    for path in found:
      os.truncate(path, path.stat().st_size // 2)

  return setup


def both(*setups: Callable[[pathlib.Path], object]) -> Callable[[pathlib.Path], object]:
  return lambda tmp: [setup(tmp) for setup in setups]


def sound(tmp: pathlib.Path) -> None:
  with wave.open(str(tmp / "sound.wav"), "wb") as out:
    out.setparams((1, 2, 8000, 0, "NONE", ""))
    out.writeframes(bytes(16000))


def no_frame(tmp: pathlib.Path) -> None:
  with av.open(str(tmp / "none.avi"), "w") as container:
    stream = container.add_stream("mpeg4", rate=8)
    stream.width, stream.height = 32, 32
    container.start_encoding()


def other_classes(tmp: pathlib.Path) -> None:
  path = tmp / "run" / "class_names.txt"
  path.write_text(path.read_text() + "stand\n")


def on_data(name: str) -> Callable[[pathlib.Path], object]:
  """Makes the copied run one on another data set."""

  def setup(tmp: pathlib.Path) -> None:
    path = tmp / "run" / "config.json"
    path.write_text(path.read_text().replace("folder/tiny", name))

  return setup


def data_copy(tmp: pathlib.Path) -> None:
  shutil.copytree(next(tmp.parent.glob("*/world")) / "data", tmp / "data")


def write_film(path: pathlib.Path, frames: int = 8, size: tuple[int, int] = (32, 24)) -> None:
  """A film of moving noise of its own, of any size (MPEG-4 takes odd ones)."""
  path.parent.mkdir(parents=True, exist_ok=True)
  seed = zlib.crc32(os.fsencode(pathlib.Path(*path.parts[-2:])))
  image = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mpeg4", rate=8)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    for shift in range(frames):
      container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(image, shift, 1), format="rgb24")))
    container.mux(stream.encode(None))


CASES = (
  # The command line and the config
  Case("no config", "train --workdir={tmp}/new", ("--config=FILE is missing", "configs/quickstart.py")),
  Case("no such config", "train --config={tmp}/no.py --workdir={tmp}/new",
    ("/no.py", "No such file", f" in {os.getcwd()}: run from the repository root", "configs/quickstart.py")),
  Case("config of no name", "train --config= --workdir={tmp}/new", ("empty string", "configs/quickstart.py")),
  Case("config with a syntax error", FILE, ("config.py", "invalid syntax"), file("config.py", "epochs = = 3")),
  Case("config that raises", FILE, ("config.py", "ZeroDivisionError"), config("1 / 0")),
  Case("config without get_config", "train --config={tmp}/bare.py --workdir={tmp}/new", ("get_config",),
    file("bare.py", "seed = 1")),
  Case("config of another type", "train --config={tmp}/config.py --workdir={tmp}/new", ("ConfigDict",),
    file("config.py", "def get_config():\n  return [1]")),
  Case("unknown config argument", TRAIN.replace("{quickstart}", "{quickstart}:tms"),
    ("error: configs/quickstart.py:tms: choose tsm or tsn",)),
  Case("config with a TypeError", FILE, ("/config.py: TypeError: ", "unsupported operand"), config("1 + 'a'")),
  Case("no workdir", "train --config={quickstart}", ("--workdir=DIR is missing",)),
  Case("unknown flag", TRAIN + " --wrokdir=x", ("wrokdir", "--help")),
  Case("stray argument", TRAIN + " runs/mine", ("unexpected argument 'runs/mine'", "--")),
  Case("misspelt config key", TRAIN + " --config.train.epoch=1", ("epoch", 'Did you mean "epochs"')),
  Case("misspelt config key in a tuple", TRAIN + " --config.transforms[0].siz=16", ("siz", 'Did you mean "size"')),
  Case("misspelt config key deep in tuples", TRAIN + " --config.model.backbone.inserts[0].module.fold_dv=4",
    ("fold_dv", 'Did you mean "fold_div"')),
  Case("value of a wrong type", TRAIN + " --config.train.epochs=many", ("--config.train.epochs=many",)),
  Case("width of nothing", TRAIN.replace("(8,8,8,8)", "(8,8,0,8)"), ("widths=(8, 8, 0, 8)", "4 from 1 on")),
  Case("plug-in that is no insert", FILE, ("MiniResNet(inserts=(TSM(", "must be tuple[vidjax.plugins.insert.Insert"),
    config("c.model.backbone.inserts = ({'make': 'vidjax.plugins.tsm.TSM'},)")),
  Case("insert of a name", FILE, ("Insert(module='TSM'): must be flax.linen.module.Module",),
    config("c.model.backbone.inserts[0]['module'] = 'TSM'")),
  Case("stages that are one number", FILE, ("Insert(stages=3): must be 'all' or tuple[int, ...]",),
    config("c.model.backbone.inserts[0]['stages'] = 3")),
  Case("make of a module", FILE, ("make='vidjax.plugins.tsm' is a module",),
    config("c.model.backbone.inserts[0]['module']['make'] = 'vidjax.plugins.tsm'")),
  Case("choice that there is not", FILE,
    ("MiniResNet(frozen_bn='al'): must be 'none' or 'all_but_first' or 'all'",),
    config("c.model.backbone.frozen_bn = 'al'")),
  Case("fold_div of zero", TRAIN + " --config.model.backbone.inserts[0].module.fold_div=0",
    ("fold_div=0", "from 2 to")),
  Case("negative momentum", TRAIN + " --config.optimizer.momentum=-1", ("momentum=-1.0", "below 1")),
  Case("negative clip_norm", TRAIN + " --config.optimizer.clip_norm=-1", ("clip_norm=-1.0", "positive")),
  Case("learning rate that is no number", TRAIN + " --config.schedule.learning_rate=nan",
    ("learning_rate=nan", "from 0")),
  Case("label smoothing of everything", TRAIN + " --config.losses[0].label_smoothing=1", ("label_smoothing=1.0",)),
  Case("flip of probability 2", FILE, ("probability=2", "between 0 and 1"),
    config("c.transforms += ({'make': 'vidjax.data.augment.Flip', 'probability': 2},)")),
  Case("transforms that are a word", TRAIN.replace("--config.transforms[0].size=16", "--config.transforms=crop"),
    ("config.transforms=", "must be a tuple of mappings")),
  Case("no normalisation", FILE, ("config.normalise=None: must be a mapping with the key 'make'",),
    config("c.normalise = None")),
  Case("no init section", FILE, ("config.init=None: must be a mapping",), config("c.init = None")),
  Case("test crops of another kind", FILE, ("config.test.make='argparse.Namespace': must be", "TestCrops"),
    config("c.test.make = 'argparse.Namespace'")),
  Case("dropout of everything", TRAIN + " --config.model.dropout=1", ("dropout=1.0", "below 1")),
  Case("deviation of zero", TRAIN + " --config.normalise.std=(0.,1.,1.)", ("std=(0.0, 1.0, 1.0)", "positive")),
  Case("processes without a coordinator", TRAIN + " --num_processes=2", ("--coordinator=None", "all three")),
  Case("coordinator without a port", TRAIN + " --coordinator=here --num_processes=2 --process_id=0",
    ("--coordinator=here", "HOST:1234")),
  Case("number out of range", TRAIN + " --config.train.log_every=0", ("train.log_every=0", "positive")),
  Case("less than a step", TRAIN + " --config.train.epochs=.01", ("train.epochs=0.01 of 3 batches", "1 to 2**31")),
  Case("no devices", TRAIN + " --config.train.devices=0", ("train.devices=0", "positive")),
  Case("checkpoints every no step", TRAIN + " --config.train.checkpoint_every=0", ("checkpoint_every=0", "or None")),
  Case("epochs without end", TRAIN + " --config.train.epochs=inf", ("train.epochs=inf",)),
  Case("negative number of processes", TRAIN + " --config.data.num_processes=-1", ("data.num_processes=-1",)),
  Case("unknown dtype", TRAIN + " --config.train.dtype=float8", ("float8", "'bfloat16'")),
  Case("negative seed", TRAIN + " --config.seed=-1", ("seed=-1", "2**32")),
  Case("misspelt argument of a make", FILE, ("segmnts", "did you mean 'num_segments'"),
    config("c.sampler = dict(c.sampler, num_segmnts=8)")),
  Case("missing argument of a make", FILE, ("schedules.steps needs at",),
    config("c.schedule.make = 'vidjax.train.schedules.steps'")),
  Case("make of no module", TRAIN + " --config.sampler.make=vidjax.data.samplin.Dense",
    ("cannot import", "vidjax.data.samplin")),
  Case("make of no class", TRAIN + " --config.sampler.make=vidjax.data.sampling.Dens", ("did you mean 'Dense'",)),
  Case("make of no path", TRAIN + " --config.sampler.make=Dense", ("make='Dense'",)),
  Case("unknown section", FILE, ("'trian'", "did you mean 'train'"), config("c.trian = c.train")),
  Case("missing section", FILE, ("config lacks blend", "configs/default.py"), config("del c.blend")),
  Case("no segments", TRAIN + " --config.sampler.num_segments=0", ("num_segments=0", "at least 1")),
  Case("fold_div above the channels", FILE, ("TSM(fold_div=64)", "8 channels", "choose fold_div"),
    config("c.model.backbone.inserts[0]['module']['fold_div'] = 64")),
  Case("plug-in without a site", FILE, ("Insert(TSM", "has no site"),
    config("c.model.backbone.inserts[0]['stages'] = (7,)")),
  Case("widths of three stages", TRAIN.replace("(8,8,8,8)", "(8,8,8)"), ("widths=(8, 8, 8)", "must be 4")),
  Case("no such element of a list", TRAIN + " --config.transforms[7].size=16",
    ("--config does not fit", "index out of range")),
  Case("warm-up longer than training", TRAIN + " --config.schedule.warmup_epochs=9", ("warm up for 9",)),
  Case("unknown optimizer", TRAIN + " --config.optimizer.kind=sdg", ("'sdg'", "'sgd' or 'adamw' or 'adadelta'")),
  Case("malformed optimizer group", TRAIN + " --config.optimizer.groups[0].match=(", ("optimizer group '('",)),
  Case("weight of no loss", FILE, ("blend weights name clasification", "classification"),
    config("c.blend.weights = {'clasification': 2.0}")),
  Case("no loss", FILE, ("losses",), config("c.losses = ()")),
  Case("losses of one name", FILE, ("two of config.losses are named classification", "set `name`"),
    config("c.losses += c.losses")),
  Case("negative weight", FILE, ("weights['classification']=-1.0", "from 0 on"),
    config("c.blend.weights = {'classification': -1.0}")),
  Case("blend that is a loss", FILE, ("config.blend makes CrossEntropy(", "Weighted"), config("c.blend = c.losses[0]")),
  Case("plug-in that is an input", FILE, ("Insert(TSP, 'before') makes", "a plug-in keeps both", "representation"),
    config("c.model.backbone.inserts[0]['module'] = {'make': 'vidjax.inputs.tsp.TSP', 'frames': 3, 'rank': 1}")),
  Case("make that is a number", FILE, ("make=3: must be a dotted path",),
    config("c.model.backbone.inserts[0]['module'] = {'make': 3}")),
  Case("rate that climbs", FILE, ("optimizer group '/(bias|scale)$': rate=-1.0", "from 0 on"),
    config("c.optimizer.groups[0]['rate'] = -1.0")),
  Case("hidden layer of nothing", FILE, ("hidden=0 must be 1 or more",), config("c.model.hidden = 0")),
  Case("mixing by no weight", FILE, ("Mixup(alpha=-1.0", "alpha must be positive"),
    config("c.device_transforms = ({'make': 'vidjax.train.device_augment.Mixup', 'alpha': -1.0},)")),
  Case("size of nothing", TRAIN + " --config.test.size=0", ("size=0",)),
  Case("clips of different sizes", FILE.replace("--config.transforms[0].size=16", ""), ("different sizes", "crop"),
    config("c.transforms = ()")),
  # Data sets
  Case("missing data set", TRAIN + " --config.data.name=folder/tinny",
    ("'folder/tinny' in /", "run from the repository root", "--config.data.dir", "folder/tiny", "--name=tinny")),
  Case("unknown synthetic variant", TRAIN + " --config.data.name=synthetic_actions/ordr", ("ordr", "order")),
  Case("missing training split", TRAIN + " --config.data.train_split=trian", ("no split 'trian'", "train, validation")),
  Case("missing validation split", TRAIN + " --config.data.validation_split=val",
    ("no split 'val' to validate on", "train, validation", "--config.data.validation_split", "--split=train:.8")),
  Case("batch larger than the data", TRAIN + " --config.train.batch_size=99", ("batch of 99", "lower train.")),
  Case("batch for no number of devices", TRAIN + " --config.train.devices=8",
    ("batch_size=4", "multiple of 8 devices")),
  Case("more devices than there are", TRAIN + " --config.train.devices=9", ("devices=9", "there are 8")),
  Case("damaged records in training", TRAIN + " --config.data.name=folder/damaged --config.data.max_damaged=.2",
    ("2 of 8 training records are damaged", "max_damaged", "of film ")),
  Case("wrong label in training", TRAIN + " --config.data.name=folder/wrong_label",
    ("film 5 has the label 2", "2 classes", "prepare")),
  Case("damaged description of the data", TRAIN + " --config.data.dir={tmp}/data", ("folder/tiny", "prepare"),
    both(data_copy, halve("data/folder/tiny/*/dataset_info.json"))),
  Case("missing file of the data", TRAIN + " --config.data.dir={tmp}/data", ("is missing", "prepare folder/tiny again"),
    both(data_copy, remove("data/folder/tiny/*/*train*"))),
  Case("truncated file of the data", TRAIN + " --config.data.dir={tmp}/data",
    ("no readable record", "folder/tiny", "prepare"), both(data_copy, halve("data/folder/tiny/*/*train*"))),
  # Workdirs and checkpoints
  Case("workdir of another config", AGAIN + " --config.schedule.learning_rate=.5",
    ("another config", "schedule.learning_rate: 0.1 there, 0.5 here", "another --workdir")),
  Case("workdir of another model", AGAIN.replace("(8,8,8,8)", "(8,8,8,16)"),
    ("another config", "model.backbone.widths[3]")),
  Case("workdir of other classes", AGAIN, ("another config", "class names"), other_classes),
  Case("workdir that is a file", TRAIN, ("/new is a file", "another --workdir"), file("new")),
  Case("workdir that Orbax takes for a pattern", TRAIN + " '--workdir={tmp}/new [1]'",
    ("/new [1]: Orbax cannot read", "'['", "another --workdir")),
  Case("workdir inside a file", TRAIN + " --workdir={tmp}/a/b", ("/a", "not a folder"), file("a")),
  Case("workdir where no folder can be", TRAIN + " --workdir=/proc/no/run", ("/proc/no", "choose another path")),
  Case("damaged config.json", AGAIN, ("/run is damaged", "new --workdir"), halve("run/config.json")),
  Case("lost class names", AGAIN, ("/run is damaged", "class_names.txt", "new --workdir"),
    remove("run/class_names.txt")),
  Case("going on from a truncated checkpoint", AGAIN, ("checkpoints/3 ", "damaged"),
    halve("run/checkpoints/3/state/**/*")),
  Case("fine-tuning from no run", TRAIN + " --config.init.workdir={tmp}/no",
    ("/no/checkpoints holds no complete checkpoint",)),
  Case("fine-tuning without a start", FILE,
    ("init.new=['classifier'] goes with a checkpoint", "set init.workdir or init.weights"),
    config("c.init.new = ('classifier',)")),
  Case("leaving over tensors of a run", FILE + " --config.init.workdir={run}",
    ("init.unused=['fc']", "set init.weights, or leave it out"), config("c.init.unused = ('fc',)")),
  Case("evaluation at no epoch", TRAIN + " --config.train.evaluate_every=inf", ("train.evaluate_every=inf",)),
  Case("a config that is not there, and a value", "train --config=configs/no.py --config.seed=1 --workdir={tmp}",
    ("No such file or directory: 'configs/no.py'", "run from the repository root")),
  Case("fine-tuning with a prefix of nothing", FILE + " --config.init.workdir={run}",
    ("init.new names clasifier", "classifier"), config("c.init.new = ('clasifier',)")),
  Case("fine-tuning another network", TRAIN.replace("(8,8,8,8)", "(8,8,8,16)") + " --config.init.workdir={run}",
    ("does not fit", "res4/block0/conv1/kernel: saved (3, 3, 8, 8), wanted (3, 3, 8, 16)",
      """add --config.init.new="('backbone/res4', 'classifier/kernel')\"""")),
  Case("fine-tuning for other classes", FILE + " --config.init.workdir={run}",
    ("classifier/kernel: saved (8, 2), wanted (8, 3)", """add --config.init.new="('classifier',)\""""),
    config("c.model.num_classes = 3")),
  # Evaluation
  Case("evaluate: no workdir", "evaluate", ("--workdir=DIR is missing",)),
  Case("evaluate: a run twice", "evaluate --workdir={run} --workdir={run}", ("given twice", "name each run once")),
  Case("evaluate: no run", "evaluate --workdir={tmp}", ("not a run's folder",)),
  Case("evaluate: no checkpoint", "evaluate --workdir={copy}", ("no complete checkpoint", "train first"),
    remove("run/checkpoints/*")),
  Case("evaluate: unknown checkpoint", "evaluate --workdir={run} --checkpoint=7", ("no checkpoint '7'", "steps 3")),
  Case("evaluate: truncated checkpoint", "evaluate --workdir={copy}", ("checkpoints/3 ", "damaged"),
    halve("run/checkpoints/3/state/**/*")),
  Case("evaluate: 4 crops", "evaluate --workdir={run} --views=3x4", ("--views=3x4", "1, 3, 5 or 10")),
  Case("evaluate: no clip", "evaluate --workdir={run} --views=0x1", ("--views=0x1", "10x3")),
  Case("evaluate: unknown split", "evaluate --workdir={run} --split=test", ("no split 'test'", "train, validation")),
  Case("evaluate: no views", "evaluate --workdir={run} --views_per_batch=0", ("views_per_batch=0",)),
  Case("evaluate: ensemble of other classes", "evaluate --workdir={run} --workdir={copy}",
    ("with 3 classes", "with 2", "same classes"), other_classes),
  Case("evaluate: lost data set", "evaluate --workdir={copy}", ("no data set 'folder/gone'", "--name=gone"),
    on_data("folder/gone")),
  Case("evaluate: damaged record", "evaluate --workdir={copy}",
    ("frame", "of film 2 cannot be decoded", "--skip_damaged"), on_data("folder/damaged")),
  Case("evaluate: wrong label", "evaluate --workdir={copy}", ("film 5 has the label 2", "2 classes", "--skip_damaged"),
    on_data("folder/wrong_label")),
  # Prediction
  Case("predict: no workdir", "predict {film}", ("--workdir=DIR is missing",)),
  Case("predict: no file", "predict --workdir={run}", ("no video file is named",)),
  Case("predict: no run", "predict --workdir={tmp} {film}", ("not a run's folder",)),
  Case("predict: missing file", "predict --workdir={run} {tmp}/no.mp4 {film}", ("/no.mp4 does not exist",), remarks=1),
  Case("predict: folder", "predict --workdir={run} {tmp} {film}", ("is a folder, not a video",), remarks=1),
  Case("predict: empty file", "predict --workdir={run} {tmp}/a.mp4 {film}", ("/a.mp4 is empty (0 bytes)",),
    file("a.mp4"), 1),
  Case("predict: text file", "predict --workdir={run} {tmp}/a.mp4 {film}", ("/a.mp4 is not a video",),
    file("a.mp4", "text"), 1),
  Case("predict: truncated file", "predict --workdir={run} {tmp}/a.avi {film}", ("/a.avi is truncated",),
    both(lambda tmp: write_film(tmp / "a.avi", 40, (64, 48)), halve("a.avi")), 1),
  Case("predict: no header", "predict --workdir={run} {tmp}/a.mp4 {film}", ("/a.mp4", "header is damaged"),
    both(files("a.mp4"), halve("a.mp4")), 1),
  Case("predict: sound alone", "predict --workdir={run} {tmp}/sound.wav {film}",
    ("/sound.wav holds no video, only audio",), sound, 1),
  Case("predict: no frame", "predict --workdir={run} {tmp}/none.avi {film}", ("/none.avi holds no frame",), no_frame,
    1),
  # Preparation
  Case("prepare: nothing", "prepare --videos={root}/films --name=mine", ("usage", "vidjax.prepare folder")),
  Case("prepare: what", "prepare folders --videos={root}/films --name=mine",
    ("cannot prepare 'folders': did you mean 'folder'?", "vidjax.prepare folder")),
  Case("prepare: videos as an argument", "prepare folder {root}/films --name=mine",
    ("unexpected argument '/", "usage: python -m vidjax.prepare folder --videos=DIR")),
  Case("prepare: no videos", "prepare folder --name=mine", ("--videos is missing",)),
  Case("prepare: no name", "prepare folder --videos={root}/films", ("--name is missing",)),
  Case("prepare: bad name", "prepare folder --videos={root}/films --name=a/b", ("--name=a/b", "letters")),
  Case("prepare: name in use", "prepare folder --videos={root}/films --name=tiny --data_dir={root}/data",
    ("folder/tiny exists", "--overwrite")),
  Case("prepare: missing folder", PREPARE, ("/videos does not exist", "--videos=FOLDER")),
  Case("prepare: empty folder", PREPARE, ("/videos has no class folders",), lambda tmp: (tmp / "videos").mkdir()),
  Case("prepare: empty class", PREPARE, ("walk is empty", "add videos"),
    lambda tmp: (tmp / "videos" / "walk").mkdir(parents=True)),
  Case("prepare: labels by case", PREPARE, ("'Walk' and 'walk'", "case"),
    files("videos/walk/a.avi", "videos/Walk/b.avi")),
  Case("prepare: unknown encoding", PREPARE + " --encoding=gif", ("--encoding=gif",)),
  Case("prepare: malformed split", PREPARE + " --split=train=.8", ("--split=train=.8", "train:.8,validation:.2")),
  Case("prepare: split of 90%", PREPARE + " --split=train:.8,validation:.1", ("sum to 1",)),
  Case("prepare: cut originals", PREPARE + " --encoding=video --clip_seconds=2",
    ("--encoding=video keeps whole files", "--clip_seconds", "leave one"), files("videos/walk/a.avi")),
  Case("prepare: seconds that are no number", PREPARE + " --clip_seconds=nan", ("--clip_seconds=nan", "positive"),
    files("videos/walk/a.avi")),
  Case("prepare: too few films", PREPARE, ("class 'run' has 1 video", "add videos", "--split=train:1"),
    files("videos/run/a.avi", "videos/walk/a.avi", "videos/walk/b.avi")),
  Case("prepare: too few films for --split", PREPARE + " --split=train:.6,validation:.2,test:.2",
    ("class 'run' has 2 different videos", "train, validation, test", "--split=train:1"),
    files(*(f"videos/{name}.avi" for name in ("run/a", "run/b", "walk/a", "walk/b", "walk/c")))),
  Case("prepare: split without a class", PREPARE, ("split 'validation' no video of class 'run'", "add one"),
    files("videos/train/run/a.avi", "videos/train/walk/b.avi", "videos/validation/walk/c.avi")),
  Case("prepare: one file in two classes", PREPARE, ("run/a.avi and walk/b.avi are the same file", "remove"),
    both(files("videos/run/a.avi"),
      lambda tmp: shutil.copytree(tmp / "videos" / "run", tmp / "videos" / "walk"),
      lambda tmp: (tmp / "videos" / "walk" / "a.avi").rename(tmp / "videos" / "walk" / "b.avi"))),
  Case("prepare: only broken files", PREPARE, ("none of the 2 files could be read", "is empty"),
    both(file("videos/walk/a.mp4"), file("videos/walk/b.mp4")), 3),
  Case("prepare: only dangling links", PREPARE, ("none of the 2 files could be read", "link to a file that does not"),
    both(files("videos/walk/a.avi"),
      lambda tmp: [(tmp / "videos" / "walk" / f"{i}.avi").symlink_to("gone.avi") for i in "bc"],
      remove("videos/walk/a.avi")), 3),
  Case("prepare: only pictures", PREPARE, ("none of the 2 files could be read", "is a picture, not a video"),
    both(file("videos/walk/a.png", PICTURE), file("videos/walk/b.png", PICTURE + b" ")), 3),
  Case("prepare: only missing files of a list", PREPARE + " --videos={tmp}/list.csv",
    ("none of the 2 files", "list.csv, line ", "does not exist in ", "paths are relative to the list's folder"),
    file("list.csv", "a.avi;walk\nb.avi;walk\n"), 3),
  Case("prepare: label of two lines", PREPARE, ("has the label 'wa\\nlk'", "one line"), files("videos/wa\nlk/a.avi")),
  Case("prepare: label that is no text", PREPARE, ("has the label 'b\\udcf6se'", "not UTF-8", "another name"),
    files(os.fsdecode(b"videos/b\xf6se/a.avi"))),
  Case("prepare: into the videos", PREPARE + " --data_dir={tmp}/videos/walk", ("among the videos", "--data_dir"),
    files("videos/walk/a.avi")),
  Case("prepare: splits and something else", PREPARE, ("split folders Train, val", "beside them notes", "move"),
    files("videos/Train/run/a.avi", "videos/val/run/b.avi", "videos/notes/c.avi")),
  Case("prepare: into a file", PREPARE + " --data_dir={tmp}/a", ("/a/folder", "not a folder"),
    both(file("a"), files(*(f"videos/walk/{i}.avi" for i in "abc")))),
  Case("prepare: empty label", PREPARE + " --videos={tmp}/list.csv", ("line 2: a.avi has an empty label",),
    both(files("a.avi"), file("list.csv", "path,label\na.avi,\n"))),
  Case("prepare: other columns", PREPARE + " --videos={tmp}/list.csv", ("list.csv, line 2", "path, label"),
    file("list.csv", "path,class\na.avi,walk\n")),
  Case("prepare: one column", PREPARE + " --videos={tmp}/list.csv", ("list.csv, line 1", "path,label"),
    file("list.csv", "a.avi\n")),
  Case("prepare: other separator", PREPARE + " --videos={tmp}/list.csv",
    ("list.csv, line 1: 1 cell", "commas, semicolons or tabs"), file("list.csv", "a.avi|walk\nb.avi|walk")),
  Case("prepare: empty list", PREPARE + " --videos={tmp}/list.csv", ("list.csv names no video",),
    file("list.csv", "path,label\n")),
  Case("prepare: list that is no text", PREPARE + " --videos={tmp}/list.csv", ("list.csv is not UTF-8", "save it as"),
    file("list.csv", b"\xff\xfe\x00")),
  Case("prepare: damaged JSON lines", PREPARE + " --videos={tmp}/list.jsonl", ("list.jsonl, line 1: not JSON",),
    file("list.jsonl", "{path")),
  Case("prepare: film named twice", PREPARE + " --videos={tmp}/list.csv",
    ("list.csv, line 2: ./a.avi is named twice, first as ", "list.csv, line 1: a.avi", "remove one"),
    both(files("a.avi"), file("list.csv", "a.avi,walk\n./a.avi,walk\n"))),
  Case("prepare: name of 300 letters", PREPARE + f" --name={300 * 'a'}", ("up to 100 letters",)),
  # Cost and weights
  Case("analyse: no classes", "analyse cost --config={quickstart} --classes=0", ("--classes=0",)),
  Case("analyse: classes without end", "analyse cost --config={quickstart} --classes=1000000000000", ("--classes=1",)),
  Case("analyse: clip of two numbers", "analyse cost --config={quickstart} --classes=3 --clip=1,2",
    ("--clip=1,2", "--clip=8,224,224")),
  Case("analyse: frames too small", "analyse cost --config={tmp}/config.py --classes=3",
    ("75 x 75 at least", "(48, 48)"),
    config("c.model.backbone = {'make': 'vidjax.backbones.inception_resnet.InceptionResNetV2'}")),
  Case("analyse: out where no file can be", "analyse cost --config={quickstart} --classes=3 --out=/proc/x.csv",
    ("/proc/x.csv", "choose another path")),
  Case("weights: folder", "weights show {tmp}", ("is a folder", "name the checkpoint's file")),
  Case("weights: pipe", "weights show {tmp}/a.pth", ("a.pth is no plain file",), lambda tmp: os.mkfifo(tmp / "a.pth")),
  Case("weights: no checkpoint", "weights show {tmp}/a.pth", ("no checkpoint", "name another file"),
    file("a.pth", "<html>")),
  Case("weights: pickle that runs code", "weights show {tmp}/a.pth", ("asks for posix.system", "save the state_dict"),
    file("a.pth", b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")),
  # Benchmark
  Case("benchmark: what", "benchmark --config={quickstart}", ("train, infer, data",)),
  Case("benchmark: no config", "benchmark infer", ("--config=FILE is missing",)),
  Case("benchmark: missing data set", "benchmark data --config={quickstart} --config.data.name=folder/no",
    ("no data set 'folder/no'",)),
)  # fmt: skip
