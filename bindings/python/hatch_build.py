"""Puts the native library into the wheel, and its sources into the sdist.

The library is the file named by RAVINE_LIBRARY, or is built by `make` from the repository, or from
the folder `native` of an unpacked sdist.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILE_NAME = "libravine.dylib" if platform.system() == "Darwin" else "libravine.so.0"
SOURCES = [
    *["Package.swift", "Makefile", "LICENSE", "README.md", "include"],
    "Tests/RavineTests",  # Package.swift names it, and does not load without
]
MACHINES = {62: "x86_64", 183: "aarch64"}


class NativeLibrary(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        here = Path(self.root)
        unpacked = here / "native"
        root = unpacked if unpacked.exists() else here.parents[1]
        if self.target_name == "sdist":
            if not unpacked.exists():
                build_data["force_include"].update(sources(root))
            return
        library = self.library(root)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(library)}"
        if version != "editable":
            build_data["force_include"][str(library)] = f"ravine/{FILE_NAME}"

    def library(self, root: Path) -> Path:
        given = os.environ.get("RAVINE_LIBRARY")
        built = root / "build" / FILE_NAME
        if given:
            built = Path(given).absolute()
        elif shutil.which("swift") and shutil.which("make"):
            if subprocess.run(["make", "-C", str(root), f"build/{FILE_NAME}"]).returncode:
                self.app.abort(f"ravine: 'make build/{FILE_NAME}' failed in {root}")
        elif not built.exists():
            self.app.abort(
                "ravine: building the native library needs Swift 6.2 or later and make "
                f"(swift.org/install), or RAVINE_LIBRARY=/path/to/{FILE_NAME}"
            )
        if not built.exists():
            self.app.abort(f"ravine: no such file: {built}")
        return built.resolve()


def sources(root: Path) -> dict[str, str]:
    """What an sdist needs to build the library. Linked folders are named one by one, since a
    walk would drop them."""
    found = [root / name for name in SOURCES] + sorted((root / "Sources").iterdir())
    return {str(path): f"native/{path.relative_to(root)}" for path in found if path.exists()}


def platform_tag(library: Path) -> str:
    """The platform tag: on Linux the machine and the newest glibc that the file asks for."""
    data = library.read_bytes()
    if data[:4] != b"\x7fELF":
        return re.sub(r"\W", "_", sysconfig.get_platform())
    machine = MACHINES[int.from_bytes(data[18:20], "little")]
    versions = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", data)]
    if b"\0GLIBC_ABI_DT_RELR\0" in data:
        versions.append(36)
    return f"manylinux_2_{max([17, *versions])}_{machine}" if versions else f"linux_{machine}"
