"""The plain loop: the student acts, the teacher labels what it visits, the student is fitted to it all.

A label is the teacher's whole distribution over choices, or the mean of its Gaussian. It needs PyTorch and
Gymnasium; Stable-Baselines3 reads the teacher. It is what a library has to beat.
"""

from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from tasks import Meter, arguments, open_task
from torch import Tensor, nn
from torch.nn import functional

ENVS, BATCH, RATE = 8, 256, 3e-3
FITS = {"halfcheetah": (256, 64)}  # a fit: environment steps, in all of them, before it, and updates in it
FIT = (128, 16)  # of the other tasks


def network(sizes: list[int]) -> nn.Sequential:
    """A perceptron with tanh between its layers."""
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [nn.Linear(width, following), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Categorical:
    """Choices: the head is logits, the label is the teacher's log-probabilities."""

    def __init__(self, space: gymnasium.spaces.Discrete) -> None:
        self.size = int(space.n)

    def label(self, teacher: ActorCriticPolicy, seen: Tensor) -> Tensor:
        chosen: Any = teacher.get_distribution(seen).distribution
        return chosen.logits

    def loss(self, head: Tensor, label: Tensor) -> Tensor:
        """KL(teacher || student)."""
        return functional.kl_div(head.log_softmax(-1), label, reduction="batchmean", log_target=True)

    def sample(self, head: Tensor) -> NDArray[Any]:
        return torch.multinomial(head.softmax(-1), 1).squeeze(-1).numpy()

    def best(self, head: Tensor) -> NDArray[Any]:
        return head.argmax(-1).numpy()


class Gaussian:
    """Amounts: the head and the label are means; the student acts with the teacher's own noise."""

    def __init__(self, space: gymnasium.spaces.Box) -> None:
        self.size, self.low, self.high = space.shape[0], space.low, space.high
        self.noise = torch.zeros(self.size)

    def label(self, teacher: ActorCriticPolicy, seen: Tensor) -> Tensor:
        normal: Any = teacher.get_distribution(seen).distribution
        self.noise = normal.stddev.mean(0)
        return normal.mean

    def loss(self, head: Tensor, label: Tensor) -> Tensor:
        return functional.mse_loss(head, label)

    def sample(self, head: Tensor) -> NDArray[Any]:
        return self.best(head + self.noise * torch.randn_like(head))

    def best(self, head: Tensor) -> NDArray[Any]:
        return np.clip(head.numpy(), self.low, self.high)


def main() -> None:
    """Distil until the meter says stop."""
    args = arguments(__doc__)
    task = open_task(args.task, args.teachers)
    torch.manual_seed(args.seed)  # only now: loading the teacher seeds PyTorch
    envs = SyncVectorEnv([task.make] * ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
    space: Any = envs.single_action_space
    kind = Categorical(space) if isinstance(space, gymnasium.spaces.Discrete) else Gaussian(space)
    (inputs,) = envs.single_observation_space.shape or ()
    meter, (block, updates) = Meter(task, args), FITS.get(args.task, FIT)

    student = network([inputs, *map(int, args.student.split(",")), kind.size])
    adam = torch.optim.Adam(student.parameters(), lr=RATE, fused=True)
    states, labels = torch.empty(0, inputs), torch.empty(0, kind.size)
    with meter.training():
        seen = task.normalise(meter.env(0, envs.reset, seed=args.seed * 1000)[0])

    @torch.no_grad()
    def act(observation: NDArray[np.float32]) -> NDArray[Any]:
        return kind.best(student(torch.from_numpy(observation)))

    while True:
        with meter.training():
            with torch.no_grad():
                visited: list[Tensor] = []
                for _ in range(block // ENVS):
                    visited.append(torch.from_numpy(seen))
                    action = kind.sample(student(visited[-1]))
                    seen = task.normalise(meter.env(ENVS, envs.step, action)[0])
                fresh = torch.cat(visited)
                states = torch.cat([states, fresh])
                labels = torch.cat([labels, kind.label(task.teacher, fresh)])
            for _ in range(updates):
                index = torch.randint(len(states), (BATCH,))
                adam.zero_grad()
                kind.loss(student(states[index]), labels[index]).backward()
                adam.step()
        if meter.finished(act):
            break
    meter.report("plain loop")


if __name__ == "__main__":
    main()
