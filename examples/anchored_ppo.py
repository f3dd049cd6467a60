"""A finished agent goes on learning another task with Stable-Baselines3's PPO, held near what it could do before."""

from pathlib import Path

import gymnasium

import understudy

BEFORE = Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip"


class Rightwards(gymnasium.RewardWrapper):
    """Pays for a cart that stands to the right; falling over costs nothing."""

    def reward(self, reward: float) -> float:
        return float(self.unwrapped.state[0] > 0.5)


states = understudy.stored_states(BEFORE, "CartPole-v1", count=2000)
anchor = understudy.Anchor(BEFORE, "linear:0.5:0.1", states="both", stored=states, name="balance")
env = Rightwards(gymnasium.make("CartPole-v1"))
model = understudy.AnchoredPPO.load(BEFORE, env=env, anchors=[anchor], n_steps=256, device="cpu")
model.learn(4096)
for name in ("kl", "stored_kl", "weight"):
    print(f"anchor/balance/{name}: {model.logger.name_to_value[f'anchor/balance/{name}']:.3f}")
model.save("rightwards")
print("balances for", understudy.evaluate("rightwards.zip", "CartPole-v1", episodes=20).mean_return, "of 500 steps")
