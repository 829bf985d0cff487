"""Tells from its first bytes what is certainly no audio; the decoder judges the rest."""

HEAD_BYTES = 512

_SIGNATURES = (
    b"%PDF-",
    b"PK\x03\x04",  # zip, and with it docx, xlsx, jar
    b"\x1f\x8b\x08",  # gzip
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG; an MP3 frame has three more bits set in its second byte
    b"GIF87a",
    b"GIF89a",
    b"\x7fELF",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # older office documents
)
_NEVER_IN_TEXT = frozenset(range(0x20)) - frozenset(b"\t\n\f\r\x1b")


def is_certainly_not_audio(head: bytes) -> bool:
    """Whether a file that begins with `head` (HEAD_BYTES, or the whole file) cannot be audio.

    True for known documents, archives, images and programs, and for text: every container and codec
    that is decoded here has a zero or another control byte, or broken UTF-8, near its start.
    """
    head = head[:HEAD_BYTES]
    if head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    return bool(head) and _is_text(head)


def _is_text(head: bytes) -> bool:
    if not _NEVER_IN_TEXT.isdisjoint(head):
        return False
    try:
        # A character of several bytes may be cut at the end.
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == HEAD_BYTES and error.start > HEAD_BYTES - 4
    return True
