"""An image as a model is given it, and what it was before."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainImage:
    """A JPEG without metadata, upright and in sRGB, of `width` by `height` pixels.

    `source_format` is what was sent: JPEG, PNG, WEBP, BMP or HEIC; `source_bytes` is how large that was.
    """

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    source_format: str
    source_bytes: int
    source_width: int
    source_height: int
