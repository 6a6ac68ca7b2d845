"""The training loop and its parts; settings and schedules import no torch."""
