# A small DDPM++ on drawn shapes at 16x16, trained from nothing with the ECT loss: the blocks and programs of unet_ect.dsl, with other defaults.

import unet_ect

config res = 16, batch = 64, channels = 32, mult = [1, 2], blocks = 1, attn = [8], dropout = 0.0

runtime lr: real = 1e-3, ema_beta: real = 0.999
runtime stage_images: real = 64e3, stage: int = min(5, floor(seen / stage_images))   # stages 0 to 5, 1000 steps each
