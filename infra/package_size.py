"""What `sam build` made, in megabytes: each function and the layer, unpacked and zipped (the budget C3 is zipped)."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

MEGABYTE = 1_000_000


def sizes(folder: Path) -> tuple[int, int]:
    """Bytes of ``folder``: unpacked, and as the zip that Lambda gets."""
    packed = io.BytesIO()
    unpacked = 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
                unpacked += path.stat().st_size
    return unpacked, packed.tell()


def main(build: Path) -> int:
    """Print one line for each artifact under ``build``."""
    for folder in sorted(path for path in build.iterdir() if path.is_dir()):
        unpacked, packed = sizes(folder)
        bytecode = sum(1 for _ in folder.rglob("*.pyc"))
        size = f"{packed / MEGABYTE:7.2f} MB zipped {unpacked / MEGABYTE:8.2f} MB unpacked"
        print(f"{folder.name:24} {size}, {bytecode} .pyc")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
