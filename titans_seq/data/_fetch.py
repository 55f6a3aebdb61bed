"""Bytes of a dataset: embedded, from a mirror folder, or downloaded; always checked against a sha256."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

MIRROR_VARIABLE = "TITANS_SEQ_DATA"


def read_content(path: Path, sha256: str) -> bytes:
    """Return the uncompressed content of a file.

    Raises
    ------
    ValueError
        The file cannot be decompressed, or its content has another checksum.
    """
    content = _uncompressed(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path}: the sha256 of the content is {found[:12]}…, the card says {sha256[:12]}…; "
            "this is not the file the card describes: fetch it again"
        )
    return content


def content_sha256(path: Path) -> str:
    """Return the checksum of a file's uncompressed content; ValueError if it cannot be decompressed."""
    return hashlib.sha256(_uncompressed(path)).hexdigest()


def _uncompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: not a readable gzip file ({error}); fetch it again") from None


def find_or_download(name: str, file: str, sha256: str | None, url: str | None, where: str | None) -> Path:
    """Return the path of a dataset's file in the mirror folder, or of its download.

    Parameters
    ----------
    name : str
        Name of the dataset, for messages.
    file : str
        Path below the folder that the environment variable TITANS_SEQ_DATA names.
    sha256 : str or None
        Of the uncompressed content; without it nothing is downloaded.
    url : str or None
        Where the uncompressed file can be downloaded; None when there is no stable address.
    where : str or None
        Where else a copy can be had, for the message.

    Raises
    ------
    FileNotFoundError
        Neither a mirrored file nor a download; the message names the variable and the address.
    ValueError
        A download whose checksum is wrong.
    """
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror and (path := Path(mirror) / file).is_file():
        return path
    looked = f"{Path(mirror) / file} does not exist" if mirror else f"{MIRROR_VARIABLE} is not set"
    if url is None:
        raise FileNotFoundError(
            f"dataset {name!r}: {looked} and there is no address to download it from; {where}; "
            f"save it as ${MIRROR_VARIABLE}/{file}"
        )
    if sha256 is None:
        raise FileNotFoundError(
            f"dataset {name!r}: {looked} and without a sha256 nothing is downloaded; give that of {url}"
        )
    return _download(name, url, sha256, looked, file)


def _download(name: str, url: str, sha256: str, looked: str, file: str) -> Path:
    import pooch

    try:
        path = pooch.retrieve(
            url, known_hash=f"sha256:{sha256}", path=pooch.os_cache("titans_seq"), fname=Path(url).name
        )
    except ValueError:  # the only ValueError of pooch here
        raise ValueError(f"dataset {name!r}: {url} no longer has the sha256 {sha256[:12]}… of the card") from None
    except OSError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileNotFoundError(
            f"dataset {name!r}: {looked} and {url} could not be downloaded ({reason:.120}); "
            f"save a copy as ${MIRROR_VARIABLE}/{file}"
        ) from None
    return Path(path)
