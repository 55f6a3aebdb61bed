"""Layers and the backbone: attention and neural memory, with all state carried as values."""

from titans_seq.nn.backbone import Backbone
from titans_seq.nn.full_attention import FullAttention
from titans_seq.nn.memory_layer import NeuralMemory
from titans_seq.nn.sessions import Sessions
from titans_seq.nn.state import BackboneState, LayerState
from titans_seq.nn.variants import VARIANTS
from titans_seq.nn.window_attention import SlidingWindowAttention

__all__ = [
    "VARIANTS",
    "Backbone",
    "BackboneState",
    "FullAttention",
    "LayerState",
    "NeuralMemory",
    "Sessions",
    "SlidingWindowAttention",
]
