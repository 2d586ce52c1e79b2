"""Bodies that are small on the wire and huge when they are read, made by hand."""

import gzip
import zlib
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import brotli

MEGABYTE = 1 << 20


def deflated_zeros(megabytes: int, fill: bytes = b"\0") -> bytes:
    """Raw deflate of a repeated byte: one block, as often as it is needed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(fill * MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + packer.flush()


def gzip_bomb(megabytes: int, fill: bytes = b"\0") -> bytes:
    """One gzip member; its check sum is never reached."""
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + deflated_zeros(megabytes, fill) + bytes(8)


def zlib_bomb(megabytes: int, fill: bytes = b"\0") -> bytes:
    """The same as HTTP's `deflate`, which is zlib."""
    return b"\x78\xda" + deflated_zeros(megabytes, fill) + bytes(4)


def gzip_twice(megabytes: int) -> bytes:
    """A bomb in a bomb: some thousand bytes."""
    return gzip.compress(gzip_bomb(megabytes))


def gzip_members(count: int) -> bytes:
    """Very many members, each of which is nearly nothing."""
    return gzip.compress(b"") * count


def zstd_bomb(megabytes: int) -> bytes:
    """A frame of blocks that each say: this byte, 128 KiB times (RFC 8878, 3.1.1.2)."""
    frame = b"\x28\xb5\x2f\xfd" + b"\x00\x58"
    block = ((128 * 1024) << 3 | 1 << 1).to_bytes(3, "little") + b"a"
    return frame + block * (megabytes * 8)


def brotli_bomb(megabytes: int) -> bytes:
    """A stream of some hundred bytes."""
    packer = brotli.Compressor(quality=5)
    block = bytes(MEGABYTE)
    return b"".join(packer.process(block) for _ in range(megabytes)) + packer.finish()


def office_bomb(part: str, megabytes: int, around: tuple[str, str] = ("", "")) -> bytes:
    """A zip container with one part that is mostly a run of one byte."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=1) as container:
        container.writestr("[Content_Types].xml", "<Types/>")
        with container.open(part, "w", force_zip64=True) as opened:
            opened.write(around[0].encode())
            for _ in range(megabytes):
                opened.write(b" " * MEGABYTE)
            opened.write(around[1].encode())
    return out.getvalue()


def pdf(*objects: bytes, root: int = 1) -> bytes:
    """A PDF of numbered objects, the first of which is number 1, with a right table."""
    out = b"%PDF-1.7\n"
    places: list[int] = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    at = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    size = len(objects) + 1
    return out + b"trailer\n<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, root, at)


def pdf_page(content: bytes, filters: bytes = b"/FlateDecode", *more: bytes) -> bytes:
    """A PDF of one page, whose content is as given."""
    stream = b"<</Length %d/Filter %s>>\nstream\n%s\nendstream" % (len(content), filters, content)
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>>>>>",
        stream,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *more,
    )
