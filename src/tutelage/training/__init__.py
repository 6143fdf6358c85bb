"""The stages of the paper: pretrain, sft (the PPO initialization too), reward, ppo. One file each, plus shared code."""
