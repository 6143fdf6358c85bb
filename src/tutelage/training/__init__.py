"""The stages of the paper: pretrain, sft (also the PPO initialisation), reward, ppo. One file a loop, and what they share."""
