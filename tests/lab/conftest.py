"""What tests here share lies beside them and is imported by name; test folders are no packages."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

torch.set_num_threads(1)  # small arrays: more threads only wait for one another
