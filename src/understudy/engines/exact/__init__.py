"""Finite MDPs without sampling: the expected update of any row, in float64.

    from understudy.engines import exact

    g = exact.update(METHODS["n-distill"], mdp, teacher, logits, gamma=0.9)     # [S, A], what a descent subtracts
    exact.asymmetry(METHODS["on-policy-distill"], mdp, teacher, logits)         # 0 exactly for gradient fields

A teacher is a table of probabilities ``[S, A]``, or :class:`Costs` for a loss that belongs to no teacher, such as the
cycle of C19's Fig. 2::

    ring, reverse = cycle(), replace(METHODS["on-policy-distill+r"], loss=(Part(1, "reverse-cross-entropy"),))
    student = exact.SharedSigmoids(ring.shared)
    exact.flow(reverse, ring.mdp, exact.Costs(ring.cost), np.zeros(2), times, student=student).parameters
    exact.flow(corrected(reverse), ...)    # Theorem 2

Keywords are those of :class:`Options`. NumPy arrays and tensors are taken, float64 tensors are returned.
"""

from __future__ import annotations

from understudy.engines.exact.field import asymmetry, jacobian, objective, update
from understudy.engines.exact.flow import Flow, flow
from understudy.engines.exact.problem import Costs, Options, Teacher
from understudy.engines.exact.students import LinearFeatures, Numbers, Parametrisation, SharedSigmoids, Table
from understudy.engines.exact.tables import values, visits

__all__ = [
    "Costs",
    "Flow",
    "LinearFeatures",
    "Numbers",
    "Options",
    "Parametrisation",
    "SharedSigmoids",
    "Table",
    "Teacher",
    "asymmetry",
    "flow",
    "jacobian",
    "objective",
    "update",
    "values",
    "visits",
]
