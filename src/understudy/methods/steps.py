"""What a method may look at: a weighted batch of steps, and the three linear operators of Eq. 1."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from torch import Tensor

from understudy.math.heads import Heads


class Beyond(Protocol):
    """Both sides' answers at the states where a batch stops but the episode goes on."""

    @property
    def student(self) -> Heads: ...
    @property
    def teacher(self) -> Heads: ...


class Batch(Beyond, Protocol):
    """Steps taken under the control policy, in any order.

    Tensors per step have one shape, ``[L, N]`` in the deep engine and ``[S, A]`` in an exact one.
    """

    @property
    def action(self) -> Tensor: ...
    @property
    def reward(self) -> Tensor: ...

    def expect(self, x: Tensor) -> Tensor:
        """The engine's mean over steps or episodes of the control policy."""
        ...


@runtime_checkable
class Steps(Batch, Protocol):
    """Steps whose neighbours are known; every engine supplies its own."""

    @property
    def beyond(self) -> Beyond | None:
        """The states after time limits and after a window's last steps; None where every episode is whole."""
        ...

    @property
    def held(self) -> Self:
        """The same steps with every quantity held fixed: returns read these, so that nothing flows into them."""
        ...

    def next(self, x: Tensor, beyond: Tensor | None) -> Tensor:
        """gamma times x one step later: 0 after a terminal, ``beyond`` where the batch stops short of one."""
        ...

    def to_go(self, x: Tensor, credit: float) -> Tensor:
        """Sum of (gamma * credit)^k x from each step to the end of its episode."""
        ...
