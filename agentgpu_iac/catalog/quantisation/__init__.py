"""How a checkpoint is quantised: read from its files, and laid over the parts of the model."""

from agentgpu_iac.catalog.quantisation.modules import Quantised, quantised
from agentgpu_iac.catalog.quantisation.reading import scheme_of
from agentgpu_iac.catalog.quantisation.scheme import Scheme

__all__ = ("Quantised", "Scheme", "quantised", "scheme_of")
