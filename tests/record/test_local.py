"""A store to which nothing is written after the end of its block."""

import asyncio
import shutil

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from gpusim.record.local import writable


def test_what_goes_on_beside_a_failed_write_makes_no_folder_anew(tmp_path):
    value = default_buffer_prototype().buffer.from_bytes(bytes(2**20))

    async def others():
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    async def write(store):
        await asyncio.gather(store.set("wrong", "no buffer"), *(store.set(f"c/{i}", value) for i in range(32)))

    for attempt in range(10):
        folder = tmp_path / str(attempt)
        with pytest.raises(TypeError, match="Buffer"), writable(folder) as store:
            sync(write(store))
        shutil.rmtree(folder)
        sync(others())
        assert not folder.exists()


def test_a_store_is_whole_after_its_block_and_takes_nothing_more(tmp_path):
    with writable(tmp_path / "store") as store:
        group = zarr.create_group(store=store, zarr_format=3)
        group.create_array("a", data=np.arange(6), chunks=(2,))
    assert zarr.open_group(tmp_path / "store", mode="r")["a"][:].tolist() == list(range(6))
    with pytest.raises(ValueError, match="has ended"):
        group["a"][0] = 1
