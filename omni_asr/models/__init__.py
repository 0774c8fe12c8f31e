"""The encoder: positions, attention, routers, experts, CTC."""
