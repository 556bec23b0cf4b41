"""Which frame is trained when: a pure function of seed and step, so that a run can be resumed.

Streaming: every stream of the global batch plays pieces of sequences frame by frame; the pieces
come from one infinite run of seeded permutations, dealt round-robin to the streams. Several streams
may share a place in the batch and take turns, so that steps that follow each other are not alike.
Window: every item is a short clip that ends in the frame drawn from a seeded permutation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Request(NamedTuple):
    """One frame to be loaded.

    Attributes:
        sequence: index of the sequence.
        frame: index within it.
        continues: whether it follows the frame requested before in this stream.
        draw_seed: seed of its augmentation.
        stream: of this process; the place in the batch where every place has one.
    """

    sequence: int
    frame: int
    continues: bool
    draw_seed: tuple[int, ...]
    stream: int


class SequencePart(NamedTuple):
    """Frames ``start`` to ``stop`` (exclusive) of a sequence."""

    sequence: int
    start: int
    stop: int


def split_sequences(lengths: Sequence[int], parts: int) -> list[SequencePart]:
    """Cut every sequence into `parts` pieces of equal length; short ones give fewer pieces."""
    pieces = []
    for sequence, length in enumerate(lengths):
        step = max(-(-length // parts), 1)
        for start in range(0, length, step):
            pieces.append(SequencePart(sequence, start, min(start + step, length)))
    return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which part of the global batch this process trains.

    Attributes:
        batch_size: places in the batch of this process.
        rank: of this process.
        world_size: processes.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1

    @property
    def places(self) -> int:
        """Places in the batch of all processes."""
        return self.batch_size * self.world_size

    @property
    def own(self) -> range:
        """Places of this process."""
        return range(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)


def _permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(size)


def _stream(
    pieces: Sequence[SequencePart],
    seed: int,
    entries: Iterator[int],
    stream: int,
    head_start: float,
) -> Iterator[Request]:
    """Yield the frames of one stream for ever.

    Args:
        pieces: of all sequences.
        seed: of the permutations.
        entries: of the endless run of pieces, those of this stream.
        stream: of this process.
        head_start: share of the first piece that is left out.
    """
    for turn, entry in enumerate(entries):
        order = _permutation(seed, entry // len(pieces), len(pieces))
        piece = pieces[order[entry % len(pieces)]]
        start = piece.start + (0 if turn else int(head_start * (piece.stop - piece.start)))
        for frame in range(start, piece.stop):
            draw_seed = (seed, entry, frame)
            yield Request(piece.sequence, frame, frame > start, draw_seed, stream)


def _place(streams: list[Iterator[Request]], seed: int, place: int) -> Iterator[Request]:
    """Yield a frame of every stream in an order drawn anew each time round."""
    for turn in itertools.count():
        for index in np.random.default_rng((seed, place, turn)).permutation(len(streams)):
            yield next(streams[index])


def streaming_requests(
    pieces: Sequence[SequencePart],
    share: Share,
    seed: int,
    first_step: int = 0,
    streams_per_place: int = 1,
) -> Iterator[list[list[Request]]]:
    """Yield for every step the clips of this process; in streaming a clip is a single frame.

    Args:
        pieces: of all sequences.
        share: places of this process.
        seed: of the permutations and draws.
        first_step: steps to skip.
        streams_per_place: streams that take turns at every place of the batch. They start at
            different frames of their first pieces, so that they do not end together.

    Raises:
        ValueError: if there are fewer pieces than streams.
    """
    total = share.places * streams_per_place
    if len(pieces) < total:
        raise ValueError(
            f"{len(pieces)} pieces of sequences cannot feed {total} streams; lower batch_size "
            "or streams_per_place, or raise data.pieces_per_sequence"
        )
    places = []
    for index, place in enumerate(share.own):
        streams = []
        for turn in range(streams_per_place):
            entries = itertools.count(place * streams_per_place + turn, total)
            own, head_start = index * streams_per_place + turn, turn / streams_per_place
            streams.append(_stream(pieces, seed, entries, own, head_start))
        places.append(_place(streams, seed, place))
    for frames in itertools.islice(zip(*places, strict=True), first_step, None):
        yield [[frame] for frame in frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """Shape of a clip in window mode.

    Attributes:
        frames: frames of a clip, the last one included.
        dropped: older frames left out at random.
        gradient_frames: frames at the end that are trained.
    """

    frames: int = 8
    dropped: int = 1
    gradient_frames: int = 2


def window_clip(
    frames: Sequence[tuple[int, int]],
    last: int,
    window: WindowConfig,
    draw_seed: tuple[int, ...],
    place: int = 0,
) -> list[Request]:
    """Choose the frames of one clip (docs/model.md 11.6).

    A clip that ends at the start of a sequence begins in the sequence before, and the memory starts
    anew where that changes; so starts are trained as well. Before the very first frame of all,
    that frame is repeated.

    Args:
        frames: sequence and frame of all frames, in order.
        last: index of the last frame of the clip.
        window: shape of the clip.
        draw_seed: of the choice and of augmentation.
        place: in the batch.
    """
    rng = np.random.default_rng(draw_seed)
    older = np.arange(last - window.frames - window.dropped + 1, last)
    kept = np.sort(rng.choice(older, window.frames - 1, replace=False)).clip(min=0)
    chosen = [frames[index] for index in (*kept, last)]
    before = [None, *(sequence for sequence, _ in chosen)]
    return [
        Request(sequence, frame, sequence == before[number], (*draw_seed, number), place)
        for number, (sequence, frame) in enumerate(chosen)
    ]


def window_requests(
    lengths: Sequence[int], share: Share, seed: int, window: WindowConfig, first_step: int = 0
) -> Iterator[list[list[Request]]]:
    """Yield for every step one clip per item of this process, over seeded permutations."""
    frames = [(s, f) for s, length in enumerate(lengths) for f in range(length)]
    step = first_step
    while True:
        clips = []
        for place, item in enumerate(share.own):
            entry = step * share.places + item
            order = _permutation(seed, entry // len(frames), len(frames))
            last = int(order[entry % len(frames)])
            clips.append(window_clip(frames, last, window, (seed, entry), place))
        yield clips
        step += 1
