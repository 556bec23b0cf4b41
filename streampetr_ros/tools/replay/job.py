"""One source through the pipeline into a folder, continued where an earlier run was ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.core.timing import StageClock
from streampetr_ros.core.types import FrameSet
from streampetr_ros.parameters.bag import BagOptions
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.sources import Source, SourceError, is_bag, open_bag, open_source
from streampetr_ros.sources.bag.source import BagSource
from streampetr_ros.tools.replay.bag import (
    RESULT_BAG,
    is_result_bag,
    remove_result_bag,
    write_result_bag,
)
from streampetr_ros.tools.replay.output import (
    ReplayWriter,
    foreign_picture,
    remove_pictures,
)
from streampetr_ros.tools.replay.records import (
    NUSCENES,
    RESULTS,
    SUMMARY,
    read_records,
    read_summary,
    summary_of,
    write_nuscenes,
    write_summary,
)
from streampetr_ros.tools.replay.state import (
    ReplayState,
    file_facts,
    finish_state,
    finished_key,
    load_replay_state,
    run_key,
    save_state,
)
from streampetr_ros.tools.replay.video import VIDEO, write_video
from streampetr_ros.track import TrackingConfig
from streampetr_ros.viz.frame_picture import PictureOptions

#: Told about what is read and what goes wrong, in sentences.
Tell = Callable[[str], None]
#: Told how many frame sets are done and how many there are.
ReplayProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReplayJob:
    """What to run and where results go; crosses processes and machines.

    Attributes:
        source: what a user types; see `open_source`.
        out: folder of the results.
        model: configuration name.
        weights: see `open_backend`.
        choice: what runs the network.
        limit: sets to process at most; 0 for all.
        policy: life of the object memory.
        tracking: settings of the tracker; None follows no objects.
        bag: how a bag is read.
        drawing: what pictures show.
        pictures: whether pictures are kept.
        video: whether a video is written.
        bag_out: whether a bag with boxes is written.
    """

    source: str
    out: Path
    model: str
    weights: str
    choice: Choice
    limit: int = 0
    policy: MemoryPolicyConfig
    tracking: TrackingConfig | None
    bag: BagOptions
    drawing: PictureOptions
    pictures: bool = False
    video: bool = False
    bag_out: bool = False

    @property
    def draws(self) -> bool:
        """Whether pictures are made."""
        return self.pictures or self.video

    def key(self) -> str:
        """Return a text that changes with anything that the results depend on."""
        choice = replace(self.choice, threads=0)
        files = map(Path, (self.source, self.weights, self.model))
        return run_key(
            *(file_facts(file) for file in files if file.exists()),
            (self.source, self.model, self.weights, self.limit, choice),
            (self.policy, self.tracking, self.bag.inputs, self.drawing, self.pictures, self.video),
        )


def open_job_source(job: ReplayJob, tell: Tell) -> Source:
    """Open the source of a job; the topics of a bag are told."""
    if not is_bag(Path(job.source)):
        return open_source(job.source)
    source = open_bag(Path(job.source), job.bag, tell)
    for line in source.topics.lines():
        tell(line)
    return source


def run_job(job: ReplayJob, tell: Tell, progress: ReplayProgress) -> Mapping[str, Any]:
    """Run a job, or what is left of it.

    Args:
        job: what to do.
        tell: hears what is read and what goes wrong.
        progress: hears how far it is.

    Returns:
        Summary, as in summary.json.

    Raises:
        SourceError: if the source cannot be read, or results would take the place of what is not
            of a replay.
    """
    source = open_job_source(job, tell)
    _check_bag_place(job)
    key = job.key()
    if finished_key(job.out) == key:
        tell(f"'{job.out}' holds the results of this run already; they are kept")
    else:
        _detect(job, key, source, tell, progress)
    _write_others(job, source)
    return read_summary(job.out)


def _write_others(job: ReplayJob, source: Source) -> None:
    """Write what is made of the results, unless an earlier run did; each whole or not at all."""
    records = read_records(job.out)
    if any(record["token"] for record in records):
        write_nuscenes(records, job.out)
    if job.bag_out and not (job.out / RESULT_BAG).exists():
        tracked = job.tracking is not None
        write_result_bag(source, records, job.out, job.drawing, tracked=tracked)
    if job.video and not (job.out / VIDEO).exists():
        write_video(job.out, [record["stamp_ns"] for record in records])
    if job.video and not job.pictures:
        remove_pictures(job.out)


def _check_bag_place(job: ReplayJob) -> None:
    """Refuse to read from, or to write to, a folder that the bag of results must not replace."""
    bag, source = job.out / RESULT_BAG, Path(job.source)
    if source.exists() and source.resolve().is_relative_to(bag.resolve()):
        raise SourceError(
            f"source '{job.source}' lies where a replay to '{job.out}' keeps its own bag; choose "
            "another folder with --out"
        )
    if job.bag_out and (bag.exists() or bag.is_symlink()) and not is_result_bag(bag):
        raise SourceError(
            f"'{bag}' is not a bag that a replay wrote, so --mcap does not replace it; move it "
            "away or choose another folder with --out"
        )


def _check_pictures_place(job: ReplayJob) -> None:
    """Refuse to draw over pictures of something else."""
    foreign = foreign_picture(job.out) if job.draws else None
    if foreign is not None:
        raise SourceError(
            f"'{foreign}' is not a picture that this version of replay drew, so it is not "
            "replaced; move it away or choose another folder with --out"
        )


def _forget_earlier(job: ReplayJob, kept: int) -> None:
    """Remove what is left of other runs, so that nothing of it passes for this one's.

    Args:
        job: what begins, or goes on.
        kept: results of this run that are there already.
    """
    if kept == 0:
        finish_state(job.out)
    earlier = bool(finished_key(job.out))
    if earlier:
        (job.out / SUMMARY).unlink()
    if earlier or (job.out / RESULTS).is_file():
        (job.out / NUSCENES).unlink(missing_ok=True)
    # One that is in the way of a new video goes in any case.
    if earlier or job.video or (job.out / RESULTS).is_file():
        (job.out / VIDEO).unlink(missing_ok=True)
    remove_result_bag(job.out)
    remove_pictures(job.out, kept)


def replay_source(
    source: Iterable[FrameSet],
    pipeline: StreamingPipeline,
    writer: ReplayWriter,
    count: int,
    done: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """Run frame sets through a pipeline and write every result.

    Args:
        source: frame sets.
        pipeline: detector with memory.
        writer: where results go.
        count: sets to process at most.
        done: called after every set, when its results are written.

    Returns:
        Summary of all that the writer holds, see `summary_of`.
    """
    frames = islice(iter(source), count)
    while True:
        clock = StageClock(pipeline.backend.image_device)
        with clock.stage("load"):
            frame_set = next(frames, None)
        if frame_set is None:
            break
        result = pipeline.step(frame_set)
        writer.write(frame_set, result, clock.timings_ms["load"])
        done()
    backend = pipeline.backend
    return {
        "model": backend.config.name,
        "backend": backend.name,
        **summary_of(read_records(writer.folder)),
    }


def _detect(job: ReplayJob, key: str, source: Source, tell: Tell, progress: ReplayProgress) -> None:
    """Process the frame sets that are not done and write the summary; needs the network."""
    state = load_replay_state(job.out, key)
    if not state.count:
        _check_pictures_place(job)
    backend = open_backend(job.weights, job.model, job.choice, tell)
    config = PipelineConfig(policy=job.policy, tracking=job.tracking)
    pipeline = StreamingPipeline(backend, config)
    if state.snapshot is not None:
        pipeline.restore(state.snapshot)
        tell(f"going on after {state.count} frame sets of the run that was ended")
    total = min(job.limit or len(source), len(source))
    progress(state.count, total)
    _forget_earlier(job, state.count)
    writer = ReplayWriter(job.out, job.drawing if job.draws else None, state.count)

    def problems() -> dict[str, int]:
        """Count what was wrong in the bag, before and after an interruption."""
        return dict(Counter(state.problems) + Counter(getattr(source, "problems", {})))

    def done() -> None:
        position = source.position if isinstance(source, BagSource) else writer.count
        now = ReplayState(
            key=key,
            count=writer.count,
            position=position,
            problems=problems(),
            snapshot=pipeline.snapshot(),
        )
        save_state(job.out, now)
        progress(writer.count, total)

    left = _frames_after(source, state.position)
    summary = replay_source(left, pipeline, writer, total - state.count, done)
    pipeline.close()
    about = {"source": job.source, "weights": job.weights, **summary}
    write_summary(job.out, {**about, "problems": problems(), "key": key})
    finish_state(job.out)


def _frames_after(source: Source, position: int) -> Iterator[FrameSet]:
    if isinstance(source, BagSource):
        return source.frame_sets(position)
    return islice(iter(source), position, None)
