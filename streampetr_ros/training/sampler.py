"""Which frame is trained when: a pure function of seed and step, so that a run can be resumed.

Streaming: every stream of the global batch plays pieces of sequences frame by frame; the pieces
come from one infinite run of seeded permutations, dealt round-robin to the streams. Window: every
item is a short clip that ends in the frame drawn from a seeded permutation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Request(NamedTuple):
    """One frame to be loaded.

    Attributes:
        sequence: index of the sequence.
        frame: index within it.
        continues: whether it follows the frame requested before in this stream.
        draw_seed: seed of its augmentation.
    """

    sequence: int
    frame: int
    continues: bool
    draw_seed: tuple[int, ...]


class Piece(NamedTuple):
    """Frames ``start`` to ``stop`` (exclusive) of a sequence."""

    sequence: int
    start: int
    stop: int


def split_sequences(lengths: Sequence[int], parts: int) -> list[Piece]:
    """Cut every sequence into `parts` pieces of equal length; short ones give fewer pieces."""
    pieces = []
    for sequence, length in enumerate(lengths):
        step = max(-(-length // parts), 1)
        for start in range(0, length, step):
            pieces.append(Piece(sequence, start, min(start + step, length)))
    return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which part of the global batch this process trains.

    Attributes:
        batch_size: streams of this process.
        rank: of this process.
        world_size: processes.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1

    @property
    def streams(self) -> int:
        """Streams of all processes."""
        return self.batch_size * self.world_size

    @property
    def own(self) -> range:
        """Streams of this process."""
        return range(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)


def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(size)


def _stream(pieces: Sequence[Piece], seed: int, stream: int, streams: int) -> Iterator[Request]:
    """Yield the frames of one stream for ever: entries stream, stream + streams, ..."""
    entry = stream
    while True:
        order = _permutation(seed, entry // len(pieces), len(pieces))
        piece = pieces[order[entry % len(pieces)]]
        for frame in range(piece.start, piece.stop):
            draw_seed = (seed, entry, frame)
            yield Request(piece.sequence, frame, frame > piece.start, draw_seed)
        entry += streams


def streaming_requests(
    pieces: Sequence[Piece], share: Share, seed: int, first_step: int = 0
) -> Iterator[list[list[Request]]]:
    """Yield for every step the clips of this process; in streaming a clip is a single frame.

    Args:
        pieces: of all sequences.
        share: streams of this process.
        seed: of the permutations and draws.
        first_step: steps to skip.

    Raises:
        ValueError: if there are fewer pieces than streams.
    """
    if len(pieces) < share.streams:
        raise ValueError(
            f"{len(pieces)} pieces of sequences cannot feed {share.streams} streams; "
            "lower batch_size or raise data.pieces_per_sequence"
        )
    streams = [_stream(pieces, seed, index, share.streams) for index in share.own]
    for step, frames in enumerate(zip(*streams, strict=True)):
        if step >= first_step:
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
    sequence: int, frame: int, window: WindowConfig, draw_seed: tuple[int, ...]
) -> list[Request]:
    """Choose the frames of one clip; a clip at the start of a sequence repeats its first frame."""
    rng = np.random.default_rng(draw_seed)
    older = np.arange(frame - window.frames - window.dropped + 1, frame)
    kept = np.sort(rng.choice(older, window.frames - 1, replace=False)).clip(min=0)
    frames = [*(int(index) for index in kept), frame]
    return [
        Request(sequence, index, place > 0, (*draw_seed, place))
        for place, index in enumerate(frames)
    ]


def window_requests(
    lengths: Sequence[int], share: Share, seed: int, window: WindowConfig, first_step: int = 0
) -> Iterator[list[list[Request]]]:
    """Yield for every step one clip per item of this process, over seeded permutations."""
    frames = [(s, f) for s, length in enumerate(lengths) for f in range(length)]
    step = first_step
    while True:
        clips = []
        for item in share.own:
            entry = step * share.streams + item
            order = _permutation(seed, entry // len(frames), len(frames))
            sequence, frame = frames[order[entry % len(frames)]]
            clips.append(window_clip(sequence, frame, window, (seed, entry)))
        yield clips
        step += 1
