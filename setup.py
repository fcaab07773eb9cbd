"""
What pyproject.toml can't say: the compiled twin of the hot path, for those who have a C compiler, and the manual pages.
"""

import os
from pathlib import Path

from setuptools import Distribution, Extension, setup

_SOURCE = "smtpsource/_speedups.pyx"

#: What the manual pages are made of. Each is called like its file: smtpsource.1, as smtp-source.1 is Postfix's.
_PAGES = "docs/man/*.rst"

# What setuptools has of distutils in it is known to it alone.
install_data = Distribution().get_command_class("install_data")


class InstallData(install_data):
    """
    Put the files in place that are no modules, manual pages too, which are made before.
    """

    def run(self):
        directory = Path(self.get_finalized_command("build").build_temp, "man")
        self.data_files = [*self.data_files, ("share/man/man1", manualPages(directory))]
        super().run()


class DistributionWithData(Distribution):
    """
    For setuptools: an editable install has such files only if this says so.
    """

    def has_data(self):
        return self.has_data_files()


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


def manualPages(directory):
    """
    Make the manual pages in a directory.

    @return: their paths.
    """
    from docutils.core import publish_file

    directory.mkdir(parents=True, exist_ok=True)
    # No configuration of this machine, and no page with an error in it.
    settings = {"_disable_config": True, "halt_level": 2, "input_encoding": "utf-8", "output_encoding": "utf-8"}
    pages = []
    for source in sorted(Path().glob(_PAGES)):
        page = os.fspath(directory / f"{source.stem}.1")
        publish_file(
            source_path=os.fspath(source), destination_path=page, writer_name="manpage", settings_overrides=settings
        )
        pages.append(page)
    return pages


setup(
    distclass=DistributionWithData,
    cmdclass={"install_data": InstallData},
    ext_modules=speedups(),
    data_files=[
        ("share/bash-completion/completions", ["contrib/completion/smtpsource", "contrib/completion/smtpsink"]),
        ("share/zsh/site-functions", ["contrib/completion/_smtpsource", "contrib/completion/_smtpsink"]),
        ("share/fish/vendor_completions.d", ["contrib/completion/smtpsource.fish", "contrib/completion/smtpsink.fish"]),
    ],
)
