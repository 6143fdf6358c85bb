"""The stages of the paper: pretrain, sft (the PPO initialization too), reward, ppo. A file each, and what all share."""
