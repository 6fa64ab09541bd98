"""The neurons of SLAYER networks: equations, and a file for each way to compute them."""
