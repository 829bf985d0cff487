"""HEIC photos are read by a process of their own: its library dies of files that were tampered with."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import structlog
from PIL import Image

from callytics.adapters.heic_child import NOT_HEIC, TOO_MANY_PIXELS
from callytics.errors import DamagedImageError, ImageTooManyPixelsError, NotImageError

log = structlog.get_logger(__name__)

CHILD = Path(__file__).with_name("heic_child.py")
TIMEOUT_S = 20.0
_SIZE = struct.Struct(">II")


def is_container(content: bytes) -> bool:
    """Whether it is a file of boxes (ISO 14496-12), as HEIC is; the reader judges which kind."""
    return content[4:8] == b"ftyp"


def read(
    content: bytes, *, box: tuple[int, int], max_pixels: int
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture upright and within `box`, its metadata dropped but for the colour profile, and its own
    width and height.

    Raises NotImageError, ImageTooManyPixelsError or DamagedImageError.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", str(CHILD), str(max_pixels), *map(str, box)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DamagedImageError from error
    if done.returncode == NOT_HEIC:
        raise NotImageError
    if done.returncode == TOO_MANY_PIXELS:
        raise ImageTooManyPixelsError(max_pixels=max_pixels)
    if done.returncode:
        log.info("heic_not_read", status=done.returncode)
        raise DamagedImageError
    size: tuple[int, int] = _SIZE.unpack_from(done.stdout)
    return Image.open(io.BytesIO(done.stdout[_SIZE.size :]), formats=["PNG"]), size
