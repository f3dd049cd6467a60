"""An anchor in a training loop of your own: a fresh network learns by policy gradients, drawn to a finished agent.

The weight runs from 1 to 0, so that it is led at first and ends on its own.
"""

from pathlib import Path

import gymnasium
import numpy as np
import torch
from torch.distributions import Categorical

import understudy

COPIES, STEPS, ROUNDS = 8, 64, 60

lead = understudy.open_teacher(Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip")
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2))
optimiser = torch.optim.Adam(network.parameters(), 3e-2)
same_step = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
envs = gymnasium.make_vec("CartPole-v1", COPIES, vectorization_mode="sync", vector_kwargs=same_step)
envs.action_space.seed(0)
seen, _ = envs.reset(seed=0)
lengths, ended = np.zeros(COPIES), []

for k in range(ROUNDS):
    observations, actions, going = [], [], []
    for _ in range(STEPS):
        observations.append(torch.as_tensor(seen))
        with torch.no_grad():
            actions.append(Categorical(logits=network(observations[-1])).sample())
        seen, _, terminated, truncated, _ = envs.step(actions[-1].numpy())
        going.append(torch.as_tensor(~terminated))
        lengths += 1
        ended += lengths[terminated | truncated].tolist()
        lengths[terminated | truncated] = 0
    to_go = torch.zeros(STEPS + 1, COPIES)
    for t in reversed(range(STEPS)):
        to_go[t] = going[t] * (1 + 0.98 * to_go[t + 1])
    advantages = (to_go[:-1] - to_go[:-1].mean()) / to_go[:-1].std()

    # here is the anchor: a loss on two distributions over the same states
    states = torch.stack(observations)
    student, anchor = Categorical(logits=network(states)), lead(states)[0].policy
    loss = -(student.log_prob(torch.stack(actions)) * advantages).mean()
    kl = understudy.anchor_loss(student, anchor, direction="forward")
    loss = loss + (1 - k / ROUNDS) * kl
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if k % 10 == 9:
        print(f"round {k + 1}: the last episodes took {np.mean(ended[-16:]):.0f} steps, KL(anchor‖student) {kl:.3f}")
