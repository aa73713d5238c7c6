"""How much the chunks of HDF5 files and Zarr arrays unpack to: found before a library unpacks them without a limit."""

import bz2
import lzma
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpusim import memory
from gpusim.errors import ScenarioError
from gpusim.tissue import files

_SLACK = 1 << 16
"""Bytes that a chunk may hold beside what it declares: codecs before the packing one may add some."""
_PIECE = 1 << 20
_ZSTD_BLOCK = 1 << 17
_ZSTD = b"\x28\xb5\x2f\xfd"
_LZF_RATIO = 88
"""Of LZF at most: three bytes stand for up to 264."""
_DEFLATE, _SHUFFLE, _FLETCHER32, _LZF = 1, 2, 3, 32000
_AS_LARGE = ("bytes", "endian", "transpose", "crc32c", "shuffle", "bitround", "delta", "fixedscaleoffset", "astype")
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


def hdf5(label: str, dataset: Any) -> None:
    """Raise `ScenarioError` where a chunk of a data set of h5py unpacks to more than it declares."""
    if dataset.chunks is None:
        return
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    packing = [code for code in filters if code not in (_SHUFFLE, _FLETCHER32)]
    if not packing:
        return
    if len(packing) > 1 or packing[0] not in (_DEFLATE, _LZF):
        raise ScenarioError(
            f"{label}: '{dataset.name}' is packed by HDF5 filters {filters}; expected gzip or LZF alone"
        )
    most = math.prod(dataset.chunks) * dataset.dtype.itemsize + _SLACK
    for i in range(dataset.id.get_num_chunks()):
        info = dataset.id.get_chunk_info(i)
        if packing[0] == _LZF:
            files.room(label, f"a chunk of '{dataset.name}'", info.size * _LZF_RATIO)
        else:
            files.room(label, f"a chunk of '{dataset.name}'", info.size)
            _, data = dataset.id.read_direct_chunk(info.chunk_offset)
            _require(label, f"a chunk of '{dataset.name}'", _stream(zlib.decompressobj(), data), most)


def zarr(label: str, folder: Path, array: Any) -> None:
    """Raise `ScenarioError` where a chunk of a Zarr array in a folder unpacks to more than it declares."""
    metadata = array.metadata
    most = math.prod(array.chunks) * array.dtype.itemsize + _SLACK
    codecs = _codecs(metadata)
    sharded = next((codec for codec in codecs if codec.get("name") == "sharding_indexed"), None)
    if sharded is not None:
        codecs = sharded["configuration"]["codecs"]
    packing = [name for name in map(_name, codecs) if name not in _AS_LARGE]
    if not packing:
        return
    if len(packing) > 1 or packing[0] not in _SIZES:
        raise ScenarioError(f"{label}: packed by {', '.join(packing)}; expected one of {', '.join(_SIZES)}")
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in _METADATA:
            files.room(label, f"the chunk {path.name}", path.stat().st_size)
            data = path.read_bytes()
            for chunk in _inner(data, array, sharded) if sharded is not None else (data,):
                _require(label, f"the chunk {path.relative_to(folder)}", _SIZES[packing[0]](chunk), most)


def _require(label: str, what: str, sizes: Iterator[int], most: int) -> None:
    total = 0
    for size in sizes:
        total += size
        if total > most:
            raise ScenarioError(f"{label}: {what} unpacks to more than {memory.size(most)}; expected no more")


def _codecs(metadata: Any) -> Sequence[dict[str, Any]]:
    said = metadata.to_dict()
    if metadata.zarr_format == 3:
        return list(said["codecs"])
    return [codec for codec in (*(said.get("filters") or ()), said.get("compressor")) if codec]


def _name(codec: dict[str, Any]) -> str:
    return str(codec.get("name", codec.get("id"))).removeprefix("numcodecs.")


def _inner(data: bytes, array: Any, sharded: dict[str, Any]) -> Iterator[bytes]:
    """The chunks of a shard, by the index at its end or its beginning: offset and size of each, in 8 bytes."""
    said = sharded["configuration"]
    shape = array.shards or array.chunks
    count = math.prod(-(-n // m) for n, m in zip(shape, said["chunk_shape"], strict=True))
    size = 16 * count
    sum_size = 4 * any(_name(codec) == "crc32c" for codec in said.get("index_codecs", ()))
    index = data[:size] if said.get("index_location") == "start" else data[len(data) - size - sum_size :][:size]
    for at in range(0, len(index) - 15, 16):
        offset, length = (int.from_bytes(index[at + i : at + i + 8], "little") for i in (0, 8))
        if offset != 2**64 - 1:
            yield data[offset : offset + length]


def _stream(decompressor: Any, data: bytes) -> Iterator[int]:
    """Sizes of the pieces that a decompressor of the standard library makes; what is damaged ends them."""
    try:
        if hasattr(decompressor, "unconsumed_tail"):
            while data and not decompressor.eof:
                yield len(decompressor.decompress(data, _PIECE))
                data = decompressor.unconsumed_tail
        else:
            while not decompressor.eof:
                piece = decompressor.decompress(data, _PIECE)
                data = b""
                if not piece and decompressor.needs_input:
                    return
                yield len(piece)
    except (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError):
        return


def _gzip(data: bytes) -> Iterator[int]:
    """Of all members of a gzip file."""
    while data:
        member = zlib.decompressobj(zlib.MAX_WBITS | 32)
        yield from _stream(member, data)
        if not member.eof:
            return
        data = member.unused_data


def _zstd(data: bytes) -> Iterator[int]:
    """Sizes that frames of Zstandard declare; of one that does not, the most that its blocks can hold (RFC 8878)."""
    at = 0
    while data[at : at + 4] == _ZSTD:
        descriptor = data[at + 4]
        single, size_flag = descriptor >> 5 & 1, descriptor >> 6
        head = at + 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
        length = (single, 2, 4, 8)[size_flag]
        size = int.from_bytes(data[head : head + length], "little") + 256 * (length == 2)
        if length:
            yield size
        at = head + length
        last = False
        while not last and at + 3 <= len(data):
            block = int.from_bytes(data[at : at + 3], "little")
            last, kind, content = bool(block & 1), block >> 1 & 3, block >> 3
            at += 3 + (1 if kind == 1 else content)
            if not length:
                yield content if kind < 2 else _ZSTD_BLOCK
        at += 4 * (descriptor >> 2 & 1)


_SIZES = {
    "gzip": _gzip,
    "zlib": _gzip,
    "bz2": lambda data: _stream(bz2.BZ2Decompressor(), data),
    "lzma": lambda data: _stream(lzma.LZMADecompressor(), data),
    "zstd": _zstd,
    "blosc": lambda data: iter([int.from_bytes(data[4:8], "little")]),
    "lz4": lambda data: iter([int.from_bytes(data[:4], "little")]),
}
"""Sizes of what the bytes of a chunk unpack to, piece by piece, by codec."""
