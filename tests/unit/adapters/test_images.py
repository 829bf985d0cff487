import struct
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from callytics.adapters.images import optimise
from callytics.domain.image import PlainImage
from callytics.errors import (
    DamagedImageError,
    EmptyImageError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
    NotImageError,
    UnusableImageError,
)
from callytics.settings import DiagnosisSettings
from tests.support.photos import BLUE, HEIC, RED, WHITE, halves, opened, saved

SETTINGS = DiagnosisSettings(max_pixels=1_000_000)
ORIENTATION, MAKE = 0x0112, 0x010F
TURN_RIGHT = 6

KINDS: Mapping[str, bytes] = {
    "JPEG": saved(halves(), quality=95),
    "PNG": saved(halves(), "PNG"),
    "WEBP": saved(halves(), "WEBP", quality=95),
    "BMP": saved(halves(), "BMP"),
    "HEIC": HEIC.read_bytes(),
}
QUICK_KINDS = [kind for kind in KINDS if kind != "HEIC"]
"""A process for each HEIC file: these tests read many."""


def small(content: bytes) -> PlainImage:
    found = optimise(content, SETTINGS)
    picture = opened(found.jpeg)
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    assert picture.size == (found.width, found.height)
    assert found.source_bytes == len(content)
    return found


def is_near(content: bytes, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = opened(content).convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(one - other) <= 12 for one, other in zip(found, colour, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_taken(kind: str) -> None:
    found = small(KINDS[kind])

    assert found.source_format == kind
    assert sorted((found.width, found.height)) == [64, 96]


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((800, 600), (512, 384)),
        ((600, 800), (384, 512)),
        ((1000, 1000), (512, 512)),
        ((1000, 3), (512, 2)),
        ((1000, 1), (512, 1)),
        ((512, 512), (512, 512)),
        ((200, 100), (200, 100)),
        ((1, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_it_fits_into_the_box_and_is_never_enlarged(
    kind: str, size: tuple[int, int], fitted: tuple[int, int]
) -> None:
    found = small(saved(halves(*size), kind))

    assert (found.width, found.height) == fitted
    assert (found.source_width, found.source_height) == size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_is_turned_upright_and_loses_its_metadata(kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = TURN_RIGHT, "Callytics phone"
    found = small(saved(halves(), kind, exif=exif))

    assert (found.width, found.height) == (64, 96)
    assert is_near(found.jpeg, (32, 10), RED)
    assert is_near(found.jpeg, (32, 86), BLUE)
    assert not opened(found.jpeg).getexif()
    assert b"Callytics" not in found.jpeg


def test_a_heic_photo_is_turned_once() -> None:
    found = small(KINDS["HEIC"])

    assert (found.width, found.height) == (64, 96)
    assert is_near(found.jpeg, (32, 10), RED)
    assert is_near(found.jpeg, (32, 86), BLUE)
    assert b"Callytics" not in found.jpeg


def test_comments_and_texts_are_dropped() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "Callytics phone")
    for content in (
        saved(halves(), comment=b"Callytics phone"),
        saved(halves(), "PNG", pnginfo=texts),
    ):
        assert b"Callytics" in content
        assert b"Callytics" not in small(content).jpeg


def test_colours_are_brought_to_srgb_by_the_embedded_profile() -> None:
    """In this profile red and blue have changed places, so a picture of it is told apart at once."""
    plain = small(saved(halves()))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmpp").replace(b"bXYZ", b"rXYZ").replace(b"tmpp", b"bXYZ")

    found = small(saved(halves(), icc_profile=swapped))

    assert is_near(found.jpeg, (10, 10), BLUE)
    assert is_near(found.jpeg, (86, 10), RED)
    assert "icc_profile" not in opened(found.jpeg).info
    for useless in (b"broken", lab, srgb):
        assert small(saved(halves(), icc_profile=useless)).jpeg == plain.jpeg


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_white(kind: str) -> None:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 32, 64))
    found = small(saved(picture, kind, lossless=True))

    assert is_near(found.jpeg, (10, 32), RED)
    assert is_near(found.jpeg, (54, 32), WHITE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_of_any_mode_is_taken(mode: str) -> None:
    middle = {"1": 255, "I;16": 0x8000}
    picture = (
        Image.new(mode, (40, 40), middle[mode])
        if mode in middle
        else Image.new("RGB", (40, 40), (128, 128, 128)).convert(mode)
    )
    expected = WHITE if mode == "1" else (128, 128, 128)

    assert is_near(small(saved(picture, "PNG")).jpeg, (20, 20), expected)


def test_a_palette_with_a_transparent_colour_is_white_there() -> None:
    picture = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    red = picture.getpixel((0, 0))
    found = small(saved(picture, "PNG", transparency=red))

    assert is_near(found.jpeg, (10, 32), WHITE)
    assert is_near(found.jpeg, (86, 32), BLUE)


def test_a_print_shops_jpeg_is_taken() -> None:
    found = small(saved(halves().convert("CMYK")))

    assert is_near(found.jpeg, (10, 10), RED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_taken(kind: str) -> None:
    later = [Image.new("RGB", (96, 64), "green")] * 3
    found = small(saved(halves(), kind, save_all=True, append_images=later))

    assert is_near(found.jpeg, (10, 32), RED)


def test_of_a_telephones_double_picture_the_first_is_taken() -> None:
    both = saved(halves(), "MPO", save_all=True, append_images=[Image.new("RGB", (20, 20))])

    assert small(both).source_format == "JPEG"


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"\0", b"hello", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"<svg/>" * 100, saved(halves(), "GIF")],
)
def test_what_is_no_image_of_these_kinds_is_refused(content: bytes) -> None:
    with pytest.raises(NotImageError):
        optimise(content, SETTINGS)


def test_an_empty_one_and_one_of_too_many_bytes_are_refused() -> None:
    with pytest.raises(EmptyImageError):
        optimise(b"", SETTINGS)
    with pytest.raises(ImageTooLargeError):
        optimise(KINDS["BMP"], DiagnosisSettings(max_image_bytes=len(KINDS["BMP"]) - 1))


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_an_image_is_refused(kind: str) -> None:
    content = KINDS[kind]
    with pytest.raises(UnusableImageError):
        optimise(content[: len(content) // 2], SETTINGS)


def test_a_jpeg_that_ends_in_the_middle_is_damaged() -> None:
    content = KINDS["JPEG"]
    with pytest.raises(DamagedImageError):
        optimise(content[: len(content) * 3 // 4], SETTINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_pixels_are_refused(kind: str) -> None:
    with pytest.raises(ImageTooManyPixelsError):
        optimise(KINDS[kind], DiagnosisSettings(max_pixels=96 * 64 - 1))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header_before_it_is_unpacked() -> None:
    """Two gigapixels in a few bytes; what stands behind the header is not even an image."""
    with pytest.raises(ImageTooManyPixelsError):
        optimise(png(50_000, 40_000, png_chunk(b"IDAT", b"")), SETTINGS)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_bomb_in_a_text_or_profile_is_refused(kind: bytes) -> None:
    bomb = zlib.compress(bytes(200 * 2**20))
    name = b"bomb\0\1\0\0\0" if kind == b"iTXt" else b"bomb\0\0"
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(4 * 13)))
    content = png(4, 4, png_chunk(kind, name + bomb), pixels)

    with pytest.raises(UnusableImageError):
        optimise(content, SETTINGS)


# --- whatever comes ----------------------------------------------------------------------------


def gives_an_image_or_our_error(content: bytes) -> None:
    try:
        found = optimise(content, SETTINGS)
    except UnusableImageError:
        return
    assert opened(found.jpeg).size == (found.width, found.height)


@given(st.binary(max_size=300))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_bytes_give_an_image_or_an_error_of_ours(content: bytes) -> None:
    gives_an_image_or_our_error(content)


@pytest.mark.parametrize("kind", QUICK_KINDS)
@given(data=st.data())
@hypothesis_settings(max_examples=100, deadline=None)
def test_a_cut_or_damaged_file_gives_an_image_or_an_error_of_ours(
    kind: str, data: st.DataObject
) -> None:
    tamper(KINDS[kind], data)


@given(data=st.data())
@hypothesis_settings(max_examples=10, deadline=None)
def test_a_tampered_heic_file_harms_nobody_but_its_reader(data: st.DataObject) -> None:
    tamper(KINDS["HEIC"], data)


def tamper(whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole)
    places = st.integers(min_value=0, max_value=len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        content[at] = value
    gives_an_image_or_our_error(bytes(content[: data.draw(places)]))
    gives_an_image_or_our_error(bytes(content))
