"""Build of the compiled kernels; everything static about the project is in pyproject.toml.

The extensions of `core`, the loads of `sim` and the journal's rows of `server` are translated by Cython and compiled
for the baseline of the target: the same wheel must run on every machine of its platform, so there is no
`-march=native`. Single C functions carry wider instruction sets as attributes and are chosen at run time
(`core/_isa.h`). NumPy is not needed to build, the kernels take their arrays by the buffer protocol.
"""

import sys

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

if sys.platform == "win32":
    COMPILE_ARGS = ["/O2", "/W3"]
else:
    COMPILE_ARGS = ["-O3", "-fno-math-errno", "-Wall", "-Wsign-compare"]

HEADERS = {
    "_roofline": ["_isa.h", "_roofline.h"],
    "_isa": ["_isa.h"],
    "_scan": ["_isa.h", "_scan.h", "_scan512.h"],
    "_frame": ["_scan.h"],
    "_crc": ["_isa.h", "_crc.h"],
    "_deduct": ["_isa.h", "_deduct.h", "_deduct256.h", "_deduct512.h"],
}
EXTENSIONS = [
    Extension(
        f"core.{name}",
        [f"core/{name}.pyx"],
        depends=[f"core/{header}" for header in headers],
        include_dirs=["core"],
        extra_compile_args=COMPILE_ARGS,
    )
    for name, headers in HEADERS.items()
]
EXTENSIONS.append(Extension("sim._load", ["sim/_load.pyx"], depends=["sim/_day.pxd"], extra_compile_args=COMPILE_ARGS))
EXTENSIONS += [
    Extension(
        f"server.store.{name}",
        [f"server/store/{name}.pyx"],
        depends=["server/store/_rows.pxd", "server/store/_sha256.h"],
        include_dirs=["server/store"],
        extra_compile_args=COMPILE_ARGS,
    )
    for name in ("_rows", "_copy", "_sqlite", "_links")
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        compiler_directives={"language_level": "3", "freethreading_compatible": True, "autotestdict": False},
    ),
    package_dir={"": "."},
    packages=find_packages(include=["core*", "sim*", "server*"]),
    py_modules=["pytest_estate645"],
    include_package_data=False,
    package_data={
        "core": ["*.pyi", "*.pyx", "*.pxd", "*.h", "py.typed"],
        "server": [
            "locale/**/*",
            "price_lists/*.toml",
            "store/*.h",
            "store/*.pxd",
            "store/*.pyi",
            "store/*.pyx",
            "store/migrations/*.py",
            "store/migrations/*.mako",
            "store/migrations/versions/*.py",
            "web/templates/**/*",
            "web/assets/dist/*",
            "web/locale/**/*",
        ],
        "sim": ["*.pyi", "*.pyx", "*.pxd", "py.typed"],
    },
)
