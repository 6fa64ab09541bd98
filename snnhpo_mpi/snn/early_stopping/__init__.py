"""When a training ends early: silent or saturated layers, and networks that stay at chance. No network in here."""
