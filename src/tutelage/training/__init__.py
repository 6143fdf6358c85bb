"""The stages of the paper: pretrain, sft (the PPO initialisation too), reward, ppo. A file each, and what all share."""
