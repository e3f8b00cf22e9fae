"""The common keys of a config, with defaults: ResNet-50 on 8 segments of a prepared data set, TSN's augmentation.

All keys of `data` and `train` are in `vidjax.recipe`, such as `data.fold`, `fraction`, `balanced` and `repeats`.

Other configs start from this one and set what differs. `{"make": "dotted.path", ...}` names what is built, and the
other keys are its arguments: their meaning and defaults stand in its docstring. `vidjax.build.described` writes such
mappings for objects: `described(Insert(TSM(4), "before"))`.

Any value can be changed on the command line: `--config.train.batch_size=64`, `--config.transforms[0].size=112`; and any
argument that no file sets: `--config.model.consensus=features`, `--config.train.ema_decay=None`. Another make starts a
fresh section: `--config.model.representation.make=vidjax.inputs.tsp.TSP --config.model.representation.frames=8`.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def get_config() -> ConfigDict:
  """The default config."""
  c = ConfigDict()
  c.seed = 0  # of the initial parameters, the order of the data and every random draw

  c.data = ConfigDict()
  c.data.name = "folder/NAME"  # "synthetic_actions/order", "folder/NAME": see vidjax.data.dataset.open_dataset
  c.data.dir = "data"  # where data sets are stored
  c.data.train_split = "train"
  c.data.validation_split = "validation"
  c.data.unlabelled = 0  # clips added to each batch without their labels, as in configs/ttsn.py
  c.data.unlabelled_split = "train"  # where they come from
  c.data.num_threads = 2  # that decode batches
  c.data.num_processes = 0  # in place of threads, for large frames on many cores
  c.data.max_damaged = 0.01  # share of damaged training records that stops the run
  c.data.skip_damaged = False  # validate without damaged records, in place of an error
  c.data.memory_mb = 1024  # a training split of at most that many MB is held in memory once read

  c.stream = {"make": "vidjax.data.streams.Frames"}  # what clips are made of: frames, stored flow, both, features
  c.sampler = {"make": "vidjax.data.sampling.UniformSegments", "num_segments": 8, "frames_per_segment": 1}
  c.sampler.by = "frame"  # or "time": segments of one length in seconds, where a film's frame rate varies
  c.transforms = (  # on the host, in this order, each clip by itself
    {"make": "vidjax.data.augment.MultiScaleCrop", "size": 224},
    {"make": "vidjax.data.augment.Flip", "probability": 0.5, "swap": ()},
  )
  c.test = {"make": "vidjax.data.augment.TestCrops", "size": 224, "short_side": 256}  # crops of validation and tests
  c.normalise = {"make": "vidjax.apply.device_augment.Normalise", **IMAGENET}
  c.device_transforms = ()  # on the device: colour and mixing, see vidjax.apply.device_augment

  c.task = {"make": "vidjax.tasks.classification.Classification", "metric": "top1"}  # what is learnt, and which is best
  c.model = ConfigDict()
  c.model.make = "vidjax.networks.recognizer.Recognizer"
  c.model.backbone = {"make": "vidjax.backbones.resnet.ResNet", "depth": 50, "inserts": (), "frozen_bn": "none"}
  c.model.dropout = 0.5

  c.init = ConfigDict()
  c.init.workdir = ""  # of the run whose best parameters to start from (fine-tuning)
  c.init.weights = placeholder(str)  # or another library's checkpoint: a file, or "owner/name[:file]" on the hub
  c.init.pretrained = ""  # what the recipe starts from, as "imagenet/resnet50"; "none": from nothing all the same
  c.init.new = ()  # path prefixes that keep their fresh values, such as ("classifier",)
  c.init.start = placeholder(dict)  # {"make": ...}: a function (run, variables, loader) -> variables, such as k-means
  c.init.unused = ()  # names, or prefixes of them, of the tensors in `weights` that may be left over

  c.losses = ({"make": "vidjax.losses.classification.CrossEntropy", "label_smoothing": 0.0},)
  c.blend = {"make": "vidjax.train.multitask.Weighted", "weights": {}}

  c.optimizer = ConfigDict()
  c.optimizer.make = "vidjax.train.optimizer.make_optimizer"
  c.optimizer.kind = "sgd"
  c.optimizer.momentum = 0.9
  c.optimizer.weight_decay = 5e-4
  c.optimizer.clip_norm = placeholder(float)
  c.optimizer.groups = ({"make": "vidjax.train.optimizer.Group", "match": "/(bias|scale)$", "decay": 0.0},)

  c.schedule = ConfigDict()  # in epochs, and as many of them as train.epochs
  c.schedule.make = "vidjax.train.schedules.cosine"
  c.schedule.learning_rate = 0.01
  c.schedule.warmup_epochs = 0.0

  c.train = ConfigDict()  # vidjax.recipe.Settings
  c.train.epochs = 50.0
  c.train.batch_size = 64
  c.train.accumulate = 1
  c.train.dtype = "float32"
  c.train.ema_decay = placeholder(float)
  c.train.devices = placeholder(int)
  c.train.fsdp = False
  c.train.evaluate_every = 1.0
  c.train.checkpoint_every = placeholder(int)
  c.train.keep_best = 1
  c.train.log_every = 10
  c.train.steps = placeholder(int)  # the length in steps, in place of epochs
  c.train.frozen = ()  # path prefixes of what is not trained, such as ("representation",)
  c.train.trained = ()  # or patterns of what alone is, such as ("Adapter", "classifier")
  c.train.stop = placeholder(dict)  # {"make": "vidjax.train.stop.NoGain", "patience": 3}, or any such rule
  c.train.refresh = placeholder(dict)  # {"make": ...}: as init.start, before every epoch

  c.phases = ()  # several trainings, see vidjax.train.phases and configs/dan.py:mini,blend=separate
  return c
