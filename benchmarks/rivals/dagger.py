"""The rival: DAgger of the `imitation` library, with its behaviour cloning as the fit."""

import tempfile
from typing import Any

import datasets
import numpy as np
import torch
from imitation.algorithms.bc import BC
from imitation.algorithms.dagger import LinearBetaSchedule, SimpleDAggerTrainer
from imitation.util import logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from tasks import Meter, Task, arguments, open_task

ENVS = {"cartpole": 8, "lunarlander": 8, "halfcheetah": 1, "pendulum": 4}  # a round plays whole episodes in each
ROUND, BATCH, RATE = 500, 64, 3e-3
FIT = {"n_epochs": 4}
BETA = LinearBetaSchedule(1)


class Metered(DummyVecEnv):
    """Environments that tell the meter what they cost."""

    def __init__(self, task: Task, count: int, meter: Meter) -> None:
        super().__init__([task.make] * count)
        self.meter = meter

    def step_wait(self) -> Any:
        seen, rewards, dones, infos = self.meter.env(self.num_envs, super().step_wait)
        # imitation writes every info to disk as JSON, dearer than all else: leave it only what it reads again
        kept = [{key: info[key] for key in ("terminal_observation",) if key in info} for info in infos]
        return seen, rewards, dones, kept

    def reset(self) -> Any:
        return self.meter.env(0, super().reset)


def main() -> None:
    """Distil, a round at a time, until the meter says stop."""
    args = arguments(__doc__)
    datasets.disable_progress_bars()
    torch.manual_seed(args.seed)
    task = open_task(args.task, args.teachers)
    meter = Meter(task, args)
    venv: VecEnv = Metered(task, ENVS[args.task], meter)
    venv.seed(args.seed * 1000)
    if task.normaliser:
        task.normaliser.set_venv(venv)
        venv = task.normaliser
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        with meter.training():
            spaces = {"observation_space": venv.observation_space, "action_space": venv.action_space}
            layers = {"pi": [*map(int, args.student.split(","))], "vf": []}
            student = ActorCriticPolicy(**spaces, lr_schedule=lambda _: RATE, net_arch=layers)
            adam = {"lr": RATE, "fused": True}
            silent = logger.configure(scratch, format_strs=[])
            fit = BC(
                **spaces,
                rng=rng,
                policy=student,
                batch_size=BATCH,
                optimizer_kwargs=adam,
                device="cpu",
                custom_logger=silent,
            )
            trainer = SimpleDAggerTrainer(
                venv=venv,
                scratch_dir=scratch,
                expert_policy=task.teacher,
                rng=rng,
                beta_schedule=BETA,  # the teacher acts in the first round only
                bc_trainer=fit,
                custom_logger=silent,
            )
        quiet = {**FIT, "progress_bar": False, "log_rollouts_venv": None}
        while True:
            with meter.training():  # one round
                trainer.train(1, rollout_round_min_episodes=1, rollout_round_min_timesteps=ROUND, bc_train_kwargs=quiet)
            if meter.finished(lambda seen: student.predict(seen, deterministic=True)[0]):
                break
    meter.report("imitation DAgger")


if __name__ == "__main__":
    main()
