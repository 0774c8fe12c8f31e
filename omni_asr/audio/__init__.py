"""Reading, resampling, perturbing audio; filterbank features."""
