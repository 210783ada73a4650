"""Several threads decode images; order, values and errors are those of one thread."""

import threading

import pytest
import torch

from rdrepro.data import reading


class Images:
    """Twenty images of one pixel, whose value is their number, each decoded by some thread."""

    def __init__(self, broken=None):
        self.broken, self.threads = broken, set()

    def __len__(self):
        return 20

    def __getitem__(self, index):
        if index == self.broken:
            raise ValueError(f"image {index} cannot be decoded")
        self.threads.add(threading.get_ident())
        return {"image": torch.full((3, 1, 1), index / 255), "path": str(index)}


@pytest.mark.parametrize("threads", [1, 3])
def test_lists_keep_the_order_of_the_data(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    data = Images()
    found = list(reading.batches(data, 8))
    assert [len(items) for items in found] == [8, 8, 4]
    assert [item["path"] for items in found for item in items] == [str(i) for i in range(20)]
    assert len(data.threads) <= threads and threading.get_ident() not in data.threads


def test_images_are_stacked_as_bytes(monkeypatch):
    monkeypatch.setattr(reading, "DECODED_AT_ONCE", 8)
    stacked = reading.stack_images(Images())
    assert stacked.dtype == torch.uint8 and stacked.shape == (20, 3, 1, 1)
    assert stacked[:, 0, 0, 0].tolist() == list(range(20))


def test_a_list_is_whole_before_it_is_handed_out_and_the_next_one_is_not_begun():
    seen = []

    class Noting(Images):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    next(iter(reading.batches(Noting(), 8)))
    assert sorted(seen) == list(range(8))


def test_an_image_that_cannot_be_decoded_stops_the_reading():
    with pytest.raises(ValueError, match="image 13 cannot be decoded"):
        reading.stack_images(Images(broken=13))
