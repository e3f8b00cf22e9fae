"""The flags of `python -m vidjax.prepare`, which differ by what is prepared."""

import os
from collections.abc import Sequence

from absl import flags

from vidjax.data import h264
from vidjax.prepare.source import names


def define(arguments: Sequence[str]) -> None:
  """Defines the flags of what the first argument names; of a name that there is not, those that are likely meant."""
  kinds = {"folder": define_flags, "features": define_feature_flags, "keyframes": define_keyframe_flags}
  kinds |= {"statistics": define_statistics_flags} | dict.fromkeys(names(), define_source_flags)
  likely = define_source_flags if any(word.startswith("--source") for word in arguments) else define_flags
  kinds.get(next((word for word in arguments if word in kinds), ""), likely)()


def define_keyframe_flags() -> None:
  """Defines the flags of `keyframes`."""
  flags.DEFINE_integer("clips", 4, "Test clips of each video that the run looks at, each of other frames.", 1)
  _define_run_flags("folder")


def define_feature_flags() -> None:
  """Defines the flags of `features`."""
  flags.DEFINE_string("config", None, "In place of a run: a config, FILE[:argument], whose network takes --weights.")
  flags.DEFINE_string("model", None, "In place of a run: a released model, see python -m vidjax.predict --models.")
  flags.DEFINE_string("weights", None, "A checkpoint for --config or --model, as vidjax.weights reads them.")
  flags.DEFINE_multi_string("new", [], "Path prefixes that are not in --weights, such as classifier.")
  flags.DEFINE_multi_string("unused", [], "Names of tensors in --weights that may be left over.")
  flags.DEFINE_enum(
    "per", "segment", ["segment", "frame", "window"], "A feature for each segment of the clip, frame or window."
  )
  flags.DEFINE_integer("stride", None, "Frames from one frame or window to the next.", 1)
  _define_run_flags("features")


def _define_run_flags(kind: str) -> None:
  """Defines the flags of what a trained network makes of a data set; `kind` is the new one's."""
  flags.DEFINE_string("workdir", None, "Folder of the training run whose network is used.")
  flags.DEFINE_string("checkpoint", "best", "Of that run: best, last or a step.")
  flags.DEFINE_bool("trust", False, "Let the run's config make things from outside vidjax.")
  flags.DEFINE_string("data", None, "The data set (default: that of the training).")
  flags.DEFINE_integer("fold", None, "Fold of --data, where that has folds; a run keeps the fold of its training.", 1)
  flags.DEFINE_string("name", None, f"Name of the new data set: it opens as {kind}/NAME.")
  flags.DEFINE_integer("batch_size", None, "Clips that go through the network at once.", 1)
  flags.DEFINE_string("data_dir", None, "Where the data sets lie, if not where they lay in training.")
  flags.DEFINE_bool("skip_damaged", False, "Leave damaged records out; the command says how many.")
  flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")


def define_flags() -> None:
  """Defines the flags of `folder`."""
  flags.DEFINE_multi_string(
    "videos", None, "Folder of class folders, or a list of path,label[,split[,group]]; or one list for each split."
  )
  flags.DEFINE_string("name", None, "Name of the data set: it opens as folder/NAME.")
  flags.DEFINE_string("split", None, "Share of every split; train:.8,validation:.2 by default.")
  flags.DEFINE_string(
    "group", None, "Regular expression: files whose names agree in its first capture stay in one split."
  )
  flags.DEFINE_string("classes", None, "File with the class names in their order, one a line.")
  _define_storage()


def define_source_flags() -> None:
  """Defines the flags of a published data set."""
  flags.DEFINE_string("source", None, "Folder of the official files, as they are shipped.")
  flags.DEFINE_string("name", None, "Name of the data set, that of the source by default: it opens as folder/NAME.")
  flags.DEFINE_bool("allow_missing", False, "Prepare what is there although listed videos are missing.")
  _define_storage()


def define_statistics_flags() -> None:
  """Defines the flags of `statistics`."""
  flags.DEFINE_multi_string("data", [], "A prepared data set, such as folder/ucf101.")
  flags.DEFINE_string("data_dir", "data", "Where prepared data sets lie.")


def _define_storage() -> None:
  """Defines the flags of how films are read and stored."""
  flags.DEFINE_integer("short_side", 256, "Shrink frames to this short side.", lower_bound=1)
  flags.DEFINE_enum(
    "encoding",
    "jpeg",
    ["jpeg", "h264", "video"],
    "Store JPEG frames, H.264 with a short distance of key frames, or the files: smaller, slower to sample.",
  )
  flags.DEFINE_integer("gop", h264.GOP, "Of --encoding=h264: frames from one key frame to the next.", lower_bound=1)
  flags.DEFINE_float("crf", h264.CRF, "Of --encoding=h264: x264's rate factor; lower is better, larger.", 0, 51)
  flags.DEFINE_string(
    "shard", None, "I/N: make the part of task I, from 0, of N of a job array; the last one closes the data set."
  )
  flags.DEFINE_string("beam", None, "Flags of Apache Beam, which then makes the parts: '--runner=FlinkRunner ...'.")
  flags.DEFINE_integer("workers", os.cpu_count(), "Number of files decoded at once.", lower_bound=1)
  flags.DEFINE_float("timeout", 60, "Refuse a file that gives no frame for this many seconds.", lower_bound=1)
  flags.DEFINE_integer("max_corrupt", 0, "Refuse a file with more frames that FFmpeg marks as damaged.", lower_bound=0)
  flags.DEFINE_float("clip_seconds", None, "Cut films into clips of this length.", lower_bound=0.01)
  flags.DEFINE_float(
    "fps", None, "Frames a second of folders of frames (default: 25, or the official rate).", lower_bound=0.01
  )
  flags.DEFINE_bool("flow", False, "Store the TV-L1 optical flow of neighbouring frames, too.")
  flags.DEFINE_string("data_dir", "data", "Where prepared data sets lie.")
  flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")
