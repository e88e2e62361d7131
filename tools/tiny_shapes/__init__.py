"""The embedded model: a small latent diffusion model of the SD1.5 family, trained from scratch on drawn shapes."""
