"""The enumerator beside these tests is imported by name; test folders are no packages."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

torch.set_num_threads(1)  # tables of eighteen numbers: more threads only wait for one another
