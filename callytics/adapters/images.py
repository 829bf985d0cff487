"""Makes a small plain JPEG of whatever photo was sent, before a model or a row sees it."""

import io

import structlog
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from callytics.adapters import heic
from callytics.domain.image import PlainImage
from callytics.errors import (
    CallyticsError,
    DamagedImageError,
    EmptyImageError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
    NotImageError,
)
from callytics.settings import DiagnosisSettings

log = structlog.get_logger(__name__)

BOX = (512, 512)
"""Width and height that an image is fitted into, in pixels; never enlarged to it."""

QUALITY = 70

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")

_DOUBLE_JPEG = "MPO"
"""What Pillow calls the JPEGs of telephones that have a second picture behind the first."""

_WIDE_GREY = frozenset({"I", "I;16", "I;16B", "I;16L"})
"""Modes of 16 bit: Pillow cuts off what is above 255 instead of scaling it."""

# Pixels are counted below, against the setting, and before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


def optimise(content: bytes, settings: DiagnosisSettings) -> PlainImage:
    """`content` upright, in sRGB, on white, without metadata, within BOX, as a JPEG; the first frame of
    an animation.

    Raises EmptyImageError, ImageTooLargeError, NotImageError, ImageTooManyPixelsError or
    DamagedImageError.
    """
    if not content:
        raise EmptyImageError
    if len(content) > settings.max_image_bytes:
        raise ImageTooLargeError(max_bytes=settings.max_image_bytes)
    try:
        return _optimised(content, settings.max_pixels)
    except CallyticsError:
        raise
    except UnidentifiedImageError as error:
        raise NotImageError from error
    except Exception as error:
        # Decoders raise whatever the bytes lead them to: OSError, SyntaxError, KeyError, struct.error...
        log.info("image_not_decoded", error=type(error).__name__)
        raise DamagedImageError from error


def _optimised(content: bytes, max_pixels: int) -> PlainImage:
    if heic.is_container(content):
        source, size = heic.read(content, box=BOX, max_pixels=max_pixels)
        kind = "HEIC"
    else:
        source = Image.open(io.BytesIO(content), formats=FORMATS)
        size = source.size
        kind = "JPEG" if source.format == _DOUBLE_JPEG else str(source.format)
    if size[0] * size[1] > max_pixels:
        raise ImageTooManyPixelsError(max_pixels=max_pixels)
    small, file = _small(source), io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, optimize=True)
    return PlainImage(
        jpeg=file.getvalue(),
        width=small.width,
        height=small.height,
        source_format=kind,
        source_bytes=len(content),
        source_width=size[0],
        source_height=size[1],
    )


def _small(source: Image.Image) -> Image.Image:
    """Scaled down first: all that follows is then done to few pixels."""
    source.draft(None, BOX)  # a JPEG is decoded at 1/2, 1/4 or 1/8
    image = _scalable(source)
    image.thumbnail(BOX, reducing_gap=2.0)
    image = _on_white(ImageOps.exif_transpose(image))
    image = _in_srgb(image, source.info.get("icc_profile"))
    image.info.clear()  # what is left there would be written
    return image


def _scalable(source: Image.Image) -> Image.Image:
    """In a mode whose pixels can be mixed; grey and CMYK stay what their colour profile is of."""
    if source.mode in _WIDE_GREY:
        return source.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if source.has_transparency_data:
        return source.convert("RGBA")
    return source if source.mode in {"RGB", "L", "CMYK"} else source.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """By the embedded profile; one that is broken, or of another kind of image, is passed over."""
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            log.info("colour_profile_passed_over", error=type(error).__name__)
        else:
            return converted or image
    return image.convert("RGB")
