"""Pictures that tests make, and the one that they cannot make."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

HEIC = Path(__file__).parents[1] / "data" / "images" / "turned.heic"

RED, BLUE, WHITE = (254, 0, 0), (0, 0, 254), (255, 255, 255)
"""As JPEG gives them back."""


def halves(width: int = 96, height: int = 64) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), "blue")
    picture.paste("red", (0, 0, width // 2, height))
    return picture


def saved(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))
