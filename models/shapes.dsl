# A small DDPM++ on drawn shapes at 16x16, trained from nothing with the ECT loss: the blocks and programs of unet_ect.dsl, with other defaults.

import unet_ect

config res = 16, batch = 32, channels = 32, mult = [1, 2], blocks = 1, attn = [8], dropout = 0.0, labels = 3

# Stages 0 to 5 over `total` images, the learning rate falling to almost nothing at the end.
runtime total: real = 32e3, stage_images: real = total / 6, stage: int = min(5, floor(seen / stage_images))
runtime lr: real = 1.2e-3 * max(0.02, 1 - seen / total), ema_beta: real = 0.995
