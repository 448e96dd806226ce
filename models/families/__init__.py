"""The architectures, one file each; EXPLORER_FAMILIES lists more folders of such files, as PATH lists programs."""

import os

__path__ += [folder for folder in os.environ.get("EXPLORER_FAMILIES", "").split(os.pathsep) if folder]
