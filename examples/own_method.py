"""A method of your own is a row of data. This one comes from TOML, and can be run by its file's name."""

import tempfile
from pathlib import Path

import understudy
from understudy.methods import from_toml, term_text

TEACHER = Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip"

ROWS = """
[kickstart]
control = "student"
loss = [{weight = "linear:1:0.1", atom = "forward-kl"}]
reward = [{weight = 0.01, atom = "task-reward"}]
source = "Schmitt et al. 2018"
"""

with tempfile.TemporaryDirectory() as folder:
    rows = Path(folder) / "rows.toml"
    rows.write_text(ROWS, encoding="utf-8")
    row = from_toml(rows)["kickstart"]
    print(f"{row.name}: loss {term_text(row.loss)}, reward {term_text(row.reward)}")
    print("needs", ", ".join(need.value for need in row.needs))
    result = understudy.distill(TEACHER, "CartPole-v1", student="mlp:16,16", method=f"{rows}:kickstart", steps=30_000)
print(result.summary())
