"""The acquisitions of means and variances, by the name that the setting ``acquisition`` takes."""

from __future__ import annotations

from snnhpo_mpi.optim.acquisition.log_cei import log_cei, log_cei_slopes
from snnhpo_mpi.optim.acquisition.of_moments import Formula

# A formula of tensors, ``def mine(means, variances, best)``, becomes a row by ``by_autograd(mine)``.
ACQUISITIONS = {
    "log_cei": Formula(log_cei, log_cei_slopes),
}
