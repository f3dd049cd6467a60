import subprocess
import sys

import pytest

MADE = "print(gymnasium.make('understudy/Pursuit-v0').spec.id, gymnasium.make_vec('understudy/Combat-v0', 3).num_envs)"


def told(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    "order",
    [
        "import understudy, gymnasium",
        "import gymnasium, understudy",
        "import gymnasium.envs.registration as r; import understudy, gymnasium",
        "import understudy; from gymnasium.envs.registration import register; import gymnasium",
        "import gymnasium, understudy, importlib; importlib.reload(understudy)",
        "import understudy, importlib; importlib.reload(understudy); import gymnasium",
        "import gymnasium, understudy; from understudy.envs.flight.registration import register; register()",
    ],
)
def test_the_tasks_are_registered_whoever_is_imported_first(order):
    assert told(f"{order}\n{MADE}") == ["understudy/Pursuit-v0", "3"]


def test_importing_understudy_imports_nothing_heavy_and_leaves_imports_alone_afterwards():
    assert told("import sys, understudy; print('gymnasium' in sys.modules, 'numpy' in sys.modules)") == ["False"] * 2
    assert told("import sys; n = len(sys.meta_path); import understudy, gymnasium; print(len(sys.meta_path) - n)") == [
        "0"
    ]


def test_where_gymnasium_is_missing_its_absence_is_what_is_told():
    lines = ["import understudy, sys", "sys.modules['gymnasium'] = None", "try: import gymnasium"]
    code = "\n".join([*lines, "except ImportError: print('no')"])
    assert told(code) == ["no"]
