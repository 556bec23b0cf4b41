"""The same weights on the same scenes, deprived of one thing at a time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.files import replacing, sha256
from streampetr_ros.core.types import FrameSet
from streampetr_ros.evaluation.metrics import Metrics, Scope, run_devkit, summarise
from streampetr_ros.evaluation.scenes import Protocol, SceneJob, SceneRecords, run_jobs
from streampetr_ros.evaluation.streams import open_stream
from streampetr_ros.model.config import ImageConfig, detector_config
from streampetr_ros.synth.scene import WORLD_VERSION
from streampetr_ros.training.config import DataConfig
from streampetr_ros.training.data.synthetic_data import SyntheticSource

#: Frame sets per second of the scenes that every row picks from.
RATE = 10
#: Yaw rate of the vehicle from which on it counts as turning, rad/s.
TURNING = 0.1

_MODEL = "tiny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        title: what the line says.
        ablation: name in `ABLATIONS`.
        every: one frame set of so many is fed.
        memory_interval: seconds between memory writes; negative: as trained.
    """

    title: str
    ablation: str = "none"
    every: int = 5
    memory_interval: float = -1.0


#: Without memory, frame sets that are not judged have no effect and are left out.
ROWS: dict[str, Row] = {
    "all": Row(title="2 Hz, everything on"),
    "no-memory": Row(title="memory reset at every frame", ablation="no-memory", every=RATE),
    "no-ego-motion": Row(title="no ego-motion compensation", ablation="no-ego-motion"),
    "no-camera-motion": Row(title="no per-camera compensation", ablation="no-camera-motion"),
    "five-cameras": Row(title="5 cameras of 6 (front missing)", ablation="no-front-camera"),
    "5-hz": Row(title="5 Hz, memory written as at 2 Hz", every=2),
    "10-hz": Row(title="10 Hz, memory written as at 2 Hz", every=1),
    "10-hz-stored": Row(title="10 Hz, memory written at every frame", every=1, memory_interval=0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the rows have in common.

    Attributes:
        weights: safetensors file of the small model.
        folder: of finished rows and rendered scenes; the same folder continues the table.
        seeds: first and last seed of the scenes.
        seconds: of every scene; one frame set per second is judged, from the first second on.
        farthest: boxes beyond do not count, metres.
        min_visibility: truth below this visible share does not count.
        workers: scenes at a time.
    """

    weights: Path
    folder: Path
    seeds: tuple[int, int] = (0, 39)
    seconds: int = 6
    farthest: float = 40.0
    min_visibility: float = 0.0
    workers: int = 1

    @property
    def scenes(self) -> Scenes:
        """The scenes of all rows."""
        data = DataConfig(
            cache=str(self.folder / "scenes"),
            sequences=self.seeds[1] - self.seeds[0] + 1,
            first_seed=self.seeds[0],
            frames=self.seconds * RATE + 1,
            intervals=(1 / RATE,),
            oversampling=2,
            rig_randomness=0.0,
        )
        return Scenes(data, detector_config(_MODEL).image)

    def fingerprint(self, row: Row) -> str:
        """Name everything that the numbers of a row depend on."""
        content = {
            "weights": sha256(self.weights),
            "row": dataclasses.asdict(row),
            "world": WORLD_VERSION,
            "seeds": self.seeds,
        }
        for name in ("seconds", "farthest", "min_visibility"):
            content[name] = getattr(self, name)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Scenes:
    """Scenes with images as training has them: rendered at twice the network's size and reduced.

    Cameras fire one after the other within 43 ms, as in the 12 Hz capture of nuScenes.

    Attributes:
        data: number, length and cache of the scenes.
        image: network size.
    """

    data: DataConfig
    image: ImageConfig

    def __call__(self, scene: str, every: int) -> Iterator[FrameSet]:
        """Yield one of every so many frame sets of a scene, rendering it when it is not cached."""
        source = SyntheticSource(self.data, self.image)
        for frame in range(0, self.data.frames, every):
            yield source.frame_set(int(scene), frame)

    def names(self) -> list[str]:
        """Return the scenes as `SceneJob` takes them."""
        return [str(index) for index in range(self.data.sequences)]

    def turning_tokens(self) -> set[str]:
        """Return the tokens of frame sets in which the vehicle turns."""
        turning = set()
        for name in self.names():
            members = list(self(name, 1))
            for before, now in zip(members[:-RATE:RATE], members[RATE::RATE], strict=True):
                now_from_before = geometry.inverse(now.fixed_from_base) @ before.fixed_from_base
                turned = abs(np.arctan2(now_from_before[1, 0], now_from_before[0, 0]))
                if turned * 1e9 > TURNING * (now.stamp_ns - before.stamp_ns):
                    turning.add(now.token)
        return turning


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Numbers of a row.

    Attributes:
        frames: judged frame sets.
        overall: metrics of all of them.
        turning_frames: judged frame sets in which the vehicle turns.
        turning: metrics of those; None if there are none.
    """

    frames: int
    overall: Metrics
    turning_frames: int
    turning: Metrics | None


def judge_row(comparison: Comparison, name: str) -> Outcome:
    """Return the numbers of a row, from its file when they are there already.

    Raises:
        UserError: if nuscenes-devkit is missing.
        CheckpointError: if the weights cannot be read.
    """
    row = ROWS[name]
    path = comparison.folder / "rows" / f"{name}.json"
    key = comparison.fingerprint(row)
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if stored.get("key") != key:
        outcome = _run(comparison, row)
        stored = {"key": key, "outcome": dataclasses.asdict(outcome)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(stored, indent=2), encoding="utf-8")
    return _outcome(stored["outcome"])


def _outcome(stored: Mapping[str, Any]) -> Outcome:
    turning = stored["turning"]
    return Outcome(
        frames=stored["frames"],
        overall=Metrics(**stored["overall"]),
        turning_frames=stored["turning_frames"],
        turning=Metrics(**turning) if turning else None,
    )


def _run(comparison: Comparison, row: Row) -> Outcome:
    protocol = Protocol(
        ablation=row.ablation,
        every=row.every,
        judge_every=RATE,
        judge_from=RATE,
        min_visibility=comparison.min_visibility,
    )
    scenes = comparison.scenes
    jobs = [
        SceneJob(
            scene=name,
            protocol=protocol,
            open_scene=scenes,
            open_stream=open_stream,
            weights=str(comparison.weights),
            memory_interval=row.memory_interval,
        )
        for name in scenes.names()
    ]
    records = run_jobs(jobs, comparison.workers)
    turning = scenes.turning_tokens() & set(records.truth)
    scope = Scope(farthest=comparison.farthest)
    return Outcome(
        frames=len(records.truth),
        overall=_judged(records, set(records.truth), scope),
        turning_frames=len(turning),
        turning=_judged(records, turning, scope) if turning else None,
    )


def _judged(records: SceneRecords, tokens: Collection[str], scope: Scope) -> Metrics:
    """Judge the frame sets of some tokens."""
    truth, detections, places = (
        {token: values for token, values in part.items() if token in tokens}
        for part in (records.truth, records.detections, records.places)
    )
    return summarise(run_devkit(truth, detections, places, scope))


_ALL_COLUMNS = ("mAP", "NDS", "mATE m", "mASE", "mAOE rad", "mAVE m/s", "mAAE")
_TURNING_COLUMNS = ("turning: mAP", "NDS", "mAVE")

HEADER = f"| stream | {' | '.join(_ALL_COLUMNS + _TURNING_COLUMNS)} |"


def markdown_line(title: str, outcome: Outcome) -> str:
    """Format a row as Markdown."""
    metrics = outcome.overall
    numbers = [metrics.mean_ap, metrics.score, *metrics.errors.values()]
    if outcome.turning is not None:
        turning = outcome.turning
        numbers += [turning.mean_ap, turning.score, turning.errors["mAVE"]]
    cells = [f"{number:.3f}" for number in numbers]
    cells += ["-"] * (len(_ALL_COLUMNS + _TURNING_COLUMNS) - len(cells))
    return f"| {title} | {' | '.join(cells)} |"
