"""Build of the compiled kernels; everything static about the project is in pyproject.toml.

Two extensions, `core._crc` and `core._deduct`, are translated by Cython and compiled for the
baseline of the target: the same wheel must run on every machine of its platform, so there is no
`-march=native`. NumPy is not needed to build, the kernels take their arrays by the buffer protocol.
"""

import sys

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

if sys.platform == "win32":
    COMPILE_ARGS = ["/O2", "/W3"]
else:
    COMPILE_ARGS = ["-O3", "-fno-math-errno", "-Wall", "-Wsign-compare"]

EXTENSIONS = [
    Extension(f"core.{name}", [f"core/{name}.pyx"], extra_compile_args=COMPILE_ARGS) for name in ("_crc", "_deduct")
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        compiler_directives={"language_level": "3", "freethreading_compatible": True, "autotestdict": False},
    ),
    package_dir={"": "."},
    packages=find_packages(include=["core*", "sim*", "server*"]),
    py_modules=[],
    include_package_data=False,
    package_data={
        "core": ["*.pyi", "*.pyx", "*.pxd", "py.typed"],
        "server": [
            "store/migrations/*.py",
            "store/migrations/*.mako",
            "store/migrations/versions/*.py",
            "web/templates/**/*",
            "web/assets/dist/*",
            "web/locale/**/*",
        ],
        "sim": ["py.typed"],
    },
)
