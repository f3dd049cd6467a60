"""Every distillation method as a row of data, and Eq. 1, written once.

>>> from understudy.methods import METHODS
>>> METHODS["n-distill"].reward
"""

from understudy.methods.catalogue import METHODS, Row, from_toml, lookup, parse_control
from understudy.methods.method import (
    ATOMS,
    CONTROLS,
    Control,
    Method,
    Need,
    Part,
    corrected,
    mixture,
    plus_task_reward,
    term_text,
    with_control,
    with_credit,
    with_divergence,
    with_entropy_bonus,
    with_expected_reward,
    with_weights,
)
from understudy.methods.q_method import Q_METHODS, Behaviour, QMethod, with_behaviour, with_q_weights
from understudy.methods.schedule import Schedule

__all__ = [
    "ATOMS",
    "CONTROLS",
    "METHODS",
    "Q_METHODS",
    "Behaviour",
    "Control",
    "Method",
    "Need",
    "Part",
    "QMethod",
    "Row",
    "Schedule",
    "corrected",
    "from_toml",
    "lookup",
    "mixture",
    "parse_control",
    "plus_task_reward",
    "term_text",
    "with_behaviour",
    "with_control",
    "with_credit",
    "with_divergence",
    "with_entropy_bonus",
    "with_expected_reward",
    "with_q_weights",
    "with_weights",
]
