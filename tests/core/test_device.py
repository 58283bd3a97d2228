from __future__ import annotations

import threading

import pytest
import torch

from getnet_bids.core.device import one_thread


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_a_new_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def numbers():
    with one_thread():
        inside = torch.get_num_threads()
    return inside, torch.get_num_threads()


def test_a_block_has_one_thread_and_the_number_is_restored(three_threads):
    with one_thread():
        assert numbers() == (1, 1)
    assert torch.get_num_threads() == 3


def test_a_thread_that_begins_during_a_block_of_another_keeps_the_number_from_before(three_threads):
    with one_thread():
        assert in_a_new_thread(numbers) == (1, 3)
    assert in_a_new_thread(torch.get_num_threads) == 3
