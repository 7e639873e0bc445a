"""Images: their measures and what the camera wrote, never their pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

from lamplighter.families.files.extraction.document import Document, Found, Unreadable

_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")
_MEASURED_BY_US = frozenset({"image/png", "image/jpeg", "image/gif", "image/tiff", "image/webp"})
Image.MAX_IMAGE_PIXELS = None  # nothing is decoded, so a bomb's measures may be told like any other's


def read(document: Document, found: Found) -> None:
    """Width and height, title, author, date, camera, and the place if it is asked for."""
    try:
        with Image.open(document.file, formats=_FORMATS) as image:
            found.details.update(width=image.width, height=image.height, format=str(image.format))
            _read_exif(image.getexif(), found, gps=document.limits.gps)
    except UnidentifiedImageError:
        if document.mime_type in _MEASURED_BY_US:
            raise Unreadable("is an image that breaks off or is damaged") from None


def _read_exif(exif: Image.Exif, found: Found, *, gps: bool) -> None:
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    found.title = _text(exif.get(ExifTags.Base.ImageDescription))
    found.author = _text(exif.get(ExifTags.Base.Artist))
    found.created_at = _text(inner.get(ExifTags.Base.DateTimeOriginal))
    found.modified_at = _text(exif.get(ExifTags.Base.DateTime))
    maker, model = _text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))
    if camera := " ".join(word for word in (maker, model) if word):
        found.details["camera"] = camera
    if gps:
        _read_place(exif.get_ifd(ExifTags.IFD.GPSInfo), found)


def _text(value: object) -> str | None:
    return value[:4000] if isinstance(value, str) else None


def _read_place(place: dict[int, Any], found: Found) -> None:
    for name, key, positive in (
        ("latitude", ExifTags.GPS.GPSLatitude, "N"),
        ("longitude", ExifTags.GPS.GPSLongitude, "E"),
    ):
        try:
            degrees, minutes, seconds = (Fraction(part) for part in place[key])
            value = float(degrees + minutes / 60 + seconds / 3600)
            found.details[name] = round(value if place[key - 1] == positive else -value, 6)
        except (KeyError, ValueError, TypeError, ArithmeticError):
            continue
