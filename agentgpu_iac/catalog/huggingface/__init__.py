"""The shape of a local model, read from its Hugging Face ``config.json``. Nothing is fetched from anywhere.

Config files differ in spelling from architecture to architecture, and leave out what equals the defaults of a library.
Each module reads one aspect; ``architectures`` says what a model type means by what it leaves out. Every field that is
read is noted, and no field is passed over in silence: what is neither read nor known to carry no weights and no state is
a fault, or is said with the model (``unread``).
"""

from agentgpu_iac.catalog.huggingface.reading import model_from_config

__all__ = ("model_from_config",)
