"""What the launcher gives and refuses; what it survives is in test_parties_faults."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
import torch

from ppml_helpers.errors import ComputationError
from ppml_helpers.secure_computation import Party, load_crypten, run_parties

crypten = load_crypten()
ZERO = torch.zeros(3)
OWN = torch.tensor([63.0, 1.4, -7.25])


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor | None:
    a, b = crypten.cryptensor(left, src=0), crypten.cryptensor(right, src=1)
    return (a * b).get_plain_text(dst=1)


async def total(mpc, own: int) -> int:
    return int(await mpc.output(mpc.sum(mpc.input(mpc.SecInt(32)(own)))))


async def lines(mpc, _: int) -> list[tuple[str, bool]]:
    """Tell of each connection at which address it ends here, and whether it is encrypted."""
    ends = [peer.protocol.transport.get_extra_info for peer in mpc.parties if peer.pid != mpc.pid]
    return [(about("sockname")[0], about("cipher") is not None) for about in ends]


async def squares(mpc, own: int) -> int:
    shared = mpc.input(mpc.SecInt(32)(own))
    return int(await mpc.output(mpc.sum([one * one for one in shared])))


@pytest.mark.parametrize("provider", ["TFP", "TTP"])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_crypten_multiplies_and_opens_to_one_party(provider: str, start: str) -> None:
    parties = run_parties(product, [(2 * torch.ones(3), ZERO), (ZERO, OWN)], provider=provider, start=start)
    assert torch.allclose(parties[1].result, 2 * OWN, atol=1e-3)
    assert parties[0].result is None
    assert parties[1].rounds == 2
    assert parties[1].bytes == 60  # both open 2 x 3 numbers of 8 bytes; one share of the result is sent to the other


def test_mpyc_counts_what_it_sends_and_keeps_a_threshold() -> None:
    assert run_parties(total, [(3,), (4,), (5,)], library="mpyc") == [Party(12, 2, 60)] * 3
    five = run_parties(squares, [(n,) for n in range(5)], library="mpyc", threshold=1)
    assert [party.result for party in five] == [30] * 5
    assert five[0].bytes < run_parties(squares, [(n,) for n in range(5)], library="mpyc")[0].bytes


def test_mpyc_speaks_over_tls_on_the_loopback_alone() -> None:
    for party in run_parties(lines, [(0,)] * 3, library="mpyc"):
        assert party.result == [("127.0.0.1", True)] * 2


def test_the_seeds_of_the_third_party_are_not_those_of_the_notebook() -> None:
    """A fork has its parent's generator: with a seed set there, CrypTen's third party would hand out known masks."""

    def drawn(_: int) -> torch.Tensor:
        return torch.randint(2**62, (3,))

    seen = []
    for _ in range(2):
        torch.manual_seed(0)
        seen += [party.result for party in run_parties(drawn, [(0,), (0,)])]
    assert len({tuple(one.tolist()) for one in seen}) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"party_args": [(1,)]}, "at least 2 tuples"),
        ({"party_args": 3}, "at least 2 tuples"),
        ({"party_args": [(1,), 2]}, "at least 2 tuples"),
        ({"party_args": [(1,), (2,)], "library": "mpyc"}, "at least 3 tuples"),
        ({"function": product, "party_args": [()] * 3, "library": "mpyc"}, "write 'async def product"),
        ({"party_args": [(1,)] * 3, "library": "mpyc", "threshold": 2}, "threshold = 2 must be"),
        ({"library": "tfe"}, "library = 'tfe' is not on offer"),
        ({"provider": "HE"}, "provider = 'HE' is not on offer"),
        ({"function": 3}, "of type int"),
        ({"timeout": 0}, "timeout = 0 must be"),
        ({"start": "thread"}, "start = 'thread' is not on offer"),
        ({"party_args": [(threading.Lock(),)] * 3, "library": "mpyc", "start": "spawn"}, "cannot be handed to another"),
        ({"function": partial(product, threading.Lock()), "start": "spawn"}, "the function cannot be handed"),
    ],
)
def test_what_it_refuses(change: dict, words: str) -> None:
    given = {"function": total, "party_args": [(1,), (2,)]} | change
    with pytest.raises(ValueError, match=words):
        run_parties(**given)


@pytest.mark.parametrize(
    ("of_north", "of_south", "words"),
    [
        (torch.ones(3), torch.ones(4), r"different shapes: \(3,\) at party 0 and \(4,\) at party 1. Link the patients"),
        (torch.ones(3), torch.tensor([1, np.nan, 1]), "holds NaN, or a value beyond 2,147,483,648"),
        (torch.full((3,), 3e9), torch.ones(3), "holds NaN, or a value beyond 2,147,483,648"),
    ],
)
def test_tables_that_would_come_out_wrong_or_be_waited_for_are_refused(
    of_north: torch.Tensor, of_south: torch.Tensor, words: str
) -> None:
    with pytest.raises(ComputationError, match=words):
        run_parties(product, [(of_north, torch.zeros_like(of_north)), (torch.zeros_like(of_south), of_south)])


def test_mpyc_says_why_it_stopped() -> None:
    async def scores(mpc, values: np.ndarray) -> list[float]:
        return list(await mpc.output(mpc.input(mpc.SecFxp(32).array(values, integral=False), senders=1)))

    with pytest.raises(ComputationError, match="cannot reshape array of size 4"):
        run_parties(scores, [(np.zeros(3),), (np.ones(4),), (np.zeros(4),)], library="mpyc")


def test_on_windows_one_sentence_says_what_crypten_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ComputationError, match="open the course in WSL"):
        run_parties(product, [(ZERO, ZERO)] * 2)


def test_large_results_come_back_whole() -> None:
    parties = run_parties(lambda size: np.zeros(size), [(7_000_000,), (1,)])  # 56 MB
    assert [party.result.nbytes for party in parties] == [56_000_000, 8]
