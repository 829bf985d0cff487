"""What it takes to make a photo small: `python -m bench.images`.

The photo is made up: 4032 by 3024 pixels of skin with pores, hair, a lesion and a sensor's noise, turned
as phones do it. HEIC needs an encoder, which the product does not have: `pip install pillow-heif` first,
or that line is left out.
"""

import io
import statistics
from collections.abc import Callable, Iterator
from importlib import import_module, util
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from callytics.adapters.images import optimise
from callytics.settings import DiagnosisSettings

WIDTH, HEIGHT = 4032, 3024
RUNS = 9
TURNED = 6
"""EXIF orientation of a photo taken upright with a sensor that lies."""


def photo() -> Image.Image:
    chance = np.random.default_rng(4)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = 1 - 0.35 * ((x / WIDTH - 0.4) ** 2 + (y / HEIGHT - 0.5) ** 2)
    patches = _noise(chance, cells=24) * 0.05 + _noise(chance, cells=160) * 0.04
    pores = _noise(chance, cells=900) * 0.05
    skin = np.array([214, 168, 146], np.float32)
    picture = skin * (light + patches + pores)[..., None]
    edge = np.hypot(x - 2300, (y - 1500) * 1.2) + _noise(chance, cells=40) * 140
    lesion = np.clip((620 - edge) / 160, 0, 1)[..., None]
    spots = 1 + _noise(chance, cells=300)[..., None] * 0.3
    picture += (np.array([110, 62, 52], np.float32) * spots - picture) * lesion * 0.85
    hair = np.abs(np.sin(x / 310 + np.sin(y / 700) * 2)) < 0.004
    picture[hair] *= 0.45
    picture += chance.normal(0, 4, picture.shape).astype(np.float32)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _noise(chance: np.random.Generator, *, cells: int) -> Any:
    """Smooth noise of so many cells across, mean 0."""
    small = chance.normal(0, 1, (cells * 3 // 4, cells)).astype(np.float32)
    image = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(image)


def files() -> Iterator[tuple[str, bytes]]:
    picture = photo()
    exif = Image.Exif()
    exif[0x0112] = TURNED
    yield "JPEG", _saved(picture, "JPEG", quality=92, exif=exif, subsampling="4:2:0")
    yield "JPEG, progressive", _saved(picture, "JPEG", quality=92, exif=exif, progressive=True)
    if util.find_spec("pillow_heif"):
        import_module("pillow_heif").register_heif_opener()
        yield "HEIC", _saved(picture, "HEIF", quality=60)
    yield "WebP", _saved(picture, "WEBP", quality=85, method=2)
    # A screenshot of a photo: PNGs of a sensor's noise would be 30 MB.
    yield "PNG", _saved(picture.filter(ImageFilter.GaussianBlur(3)), "PNG", compress_level=6)


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _median_ms(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        started = perf_counter()
        work()
        seconds.append(perf_counter() - started)
    return statistics.median(seconds) * 1000


def main() -> None:
    settings = DiagnosisSettings(max_image_bytes=100 * 2**20)
    print(f"{WIDTH} x {HEIGHT}, median of {RUNS}")
    print(f"{'sent as':<18} {'MB':>6} {'ms':>6} {'leaves':>9}  kB")
    for kind, content in files():
        small = optimise(content, settings)
        took = _median_ms(lambda content=content: optimise(content, settings))  # type: ignore[misc]
        size = f"{small.width}x{small.height}"
        print(
            f"{kind:<18} {len(content) / 1e6:>6.1f} {took:>6.0f} {size:>9}  {len(small.jpeg) / 1e3:.1f}"
        )


if __name__ == "__main__":
    main()
