"""Reads one HEIC photo, in a process of its own (heic.py): a script that imports nothing of ours.

stdin: the file; arguments: the most pixels taken, width and height of the box that the picture is fitted
into. stdout: the picture's own width and height, 32 bit each, big-endian, then the fitted one as PNG.
"""

import io
import resource
import struct
import sys

import pi_heif
from PIL import Image, UnidentifiedImageError

NOT_HEIC, TOO_MANY_PIXELS = 3, 4
"""Exit statuses; any other but 0 means damaged."""

MEMORY_BYTES = 2 * 2**30
CPU_S = 20


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    max_pixels, width, height = map(int, sys.argv[1:])
    Image.MAX_IMAGE_PIXELS = None
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    try:
        picture = Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=["HEIF"])
    except UnidentifiedImageError:
        return NOT_HEIC
    size = picture.size
    if size[0] * size[1] > max_pixels:
        return TOO_MANY_PIXELS
    picture.thumbnail((width, height), reducing_gap=2.0)
    sys.stdout.buffer.write(struct.pack(">II", *size))
    picture.save(sys.stdout.buffer, "PNG", compress_level=1, exif=b"")
    return 0


if __name__ == "__main__":
    sys.exit(main())
