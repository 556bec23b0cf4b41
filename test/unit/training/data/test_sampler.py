"""Order of training frames."""

from itertools import islice, pairwise

import numpy as np
import pytest

from streampetr_ros.training.data.sampler import (
    SequencePart,
    Share,
    WindowConfig,
    split_sequences,
    streaming_requests,
    window_clip,
    window_requests,
)


def test_split():
    assert split_sequences([5, 1], 2) == [
        SequencePart(0, 0, 3),
        SequencePart(0, 3, 5),
        SequencePart(1, 0, 1),
    ]


def test_streams_play_pieces_in_order_and_cover_everything():
    pieces = split_sequences([6, 5, 4, 7], 2)
    share = Share(batch_size=2)
    steps = list(islice(streaming_requests(pieces, share, seed=3), 40))
    for stream in range(2):
        frames = [clips[stream][0] for clips in steps]
        for before, now in pairwise(frames):
            if now.continues:
                assert (now.sequence, now.frame) == (before.sequence, before.frame + 1)
            else:
                assert now.frame in {piece.start for piece in pieces}
    seen = {(r.sequence, r.frame) for clips in steps for (r,) in clips}
    assert len(seen) == 22


def test_ranks_share_one_deal():
    pieces = split_sequences([6, 5, 4, 7], 2)
    for turns in (1, 2):

        def dealt(share, turns=turns):
            steps = islice(streaming_requests(pieces, share, 1, 0, turns), 20)
            return [[clip[0]._replace(stream=0) for clip in clips] for clips in steps]

        parts = [dealt(Share(batch_size=2, rank=rank, world_size=2)) for rank in range(2)]
        together = dealt(Share(batch_size=4))
        assert [a + b for a, b in zip(*parts, strict=True)] == together


def test_streams_that_share_a_place_take_turns():
    pieces = split_sequences([8] * 8, 1)
    share = Share(batch_size=2)
    steps = list(islice(streaming_requests(pieces, share, seed=3, streams_per_place=4), 48))
    for place in range(2):
        played = [clips[place][0] for clips in steps]
        for turn in range(0, 48, 4):
            turns = played[turn : turn + 4]
            assert {r.stream for r in turns} == set(range(place * 4, place * 4 + 4))
        assert len({tuple(r.stream for r in played[t : t + 4]) for t in range(0, 48, 4)}) > 3
        for stream in range(place * 4, place * 4 + 4):
            own = [r for r in played if r.stream == stream]
            for before, now in pairwise(own):
                same = (now.sequence, now.frame) == (before.sequence, before.frame + 1)
                assert now.continues == same
                assert same or now.frame == 0
    first = [clips[place][0] for clips in steps[:4] for place in range(2)]
    assert sorted(r.frame for r in first) == [0, 0, 2, 2, 4, 4, 6, 6]
    assert not any(r.continues for r in first)
    with pytest.raises(ValueError, match="8 pieces of sequences cannot feed 10 streams"):
        next(streaming_requests(pieces, share, 0, streams_per_place=5))


def test_resume_continues():
    pieces = split_sequences([6, 5, 4, 7], 2)
    share = Share(batch_size=2)
    full = list(islice(streaming_requests(pieces, share, 1), 20))
    assert list(islice(streaming_requests(pieces, share, 1, first_step=7), 13)) == full[7:]
    shared = list(islice(streaming_requests(pieces, share, 1, 0, 3), 20))
    assert list(islice(streaming_requests(pieces, share, 1, 7, 3), 13)) == shared[7:]
    window = WindowConfig()
    full = list(islice(window_requests([6, 5], share, 1, window), 20))
    assert list(islice(window_requests([6, 5], share, 1, window, first_step=7), 13)) == full[7:]


def test_too_few_pieces():
    with pytest.raises(ValueError, match="cannot feed 8 streams"):
        next(streaming_requests([SequencePart(0, 0, 4)], Share(batch_size=8), 0))


def test_window_clip():
    drives = [(sequence, frame) for sequence in range(3) for frame in range(30)]
    clip = window_clip(drives, 80, WindowConfig(), (0,))
    assert {request.sequence for request in clip} == {2}
    frames = [request.frame for request in clip]
    assert len(frames) == 8
    assert frames[-1] == 20
    assert frames[0] >= 12
    assert (np.diff(frames) > 0).all()
    assert [request.continues for request in clip] == [False] + [True] * 7
    assert window_clip(drives, 0, WindowConfig(), (0,))[0][:2] == (0, 0)


@pytest.mark.parametrize("frame", range(8))
def test_window_clip_at_the_start_of_a_sequence(frame):
    drives = [(sequence, frame) for sequence in range(3) for frame in range(30)]
    clip = window_clip(drives, 60 + frame, WindowConfig(), (frame,))
    assert clip[-1][:2] == (2, frame)
    assert len({request[:2] for request in clip}) == 8
    for before, now in pairwise(clip):
        assert now.continues == (now.sequence == before.sequence)
        assert now[:2] > before[:2]
    assert {request.sequence for request in clip if not request.continues} - {1} <= {2}
    assert sum(not request.continues for request in clip[1:]) == (frame < 7)
