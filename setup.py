"""
What pyproject.toml can't say: the compiled twin of the hot path, for those who have a C compiler.
"""

import os

from setuptools import Extension, setup

_SOURCE = "smtpsource/_speedups.pyx"


def speedups():
    """
    The extension, if it can be made and is wanted. Without it everything works, but takes more of the processor.
    """
    if os.environ.get("SMTPSOURCE_PURE_PYTHON") or not os.path.exists(_SOURCE):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    extensions = cythonize([Extension("smtpsource._speedups", [_SOURCE])], quiet=True)
    for extension in extensions:
        extension.optional = True  # cythonize() forgets it
    return extensions


setup(ext_modules=speedups())
