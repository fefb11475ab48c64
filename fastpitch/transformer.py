"""Feed-forward transformer of encoder and decoder (FastPitch paper section 2.1; FastSpeech, arXiv:1905.09263).

Shapes: B batch, S symbols or frames, C channels (the model's width), H heads, D width of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastpitch.config import TransformerConfig
from fastpitch.layers import zero_padding


class PositionalEmbedding(nn.Module):
    """Sinusoidal positions: sines in the first half of the channels, cosines in the second."""

    inv_freq: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", torch.tensor([10000.0 ** (-i / width) for i in range(0, width, 2)]))

    def forward(self, length: int) -> Tensor:
        """Return [length, C] in fp32, since half precision cannot distinguish positions past 2048."""
        positions = torch.arange(length, device=self.inv_freq.device).float()
        angles = positions.unsqueeze(1) * self.inv_freq.float().unsqueeze(0)
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class SelfAttention(nn.Module):
    """Multi-head self-attention, residual sum, layer norm (post-norm)."""

    def __init__(self, width: int, config: TransformerConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.d_head = config.d_head
        self.attention_dropout = config.attention_dropout
        self.qkv_net = nn.Linear(width, 3 * config.n_heads * config.d_head)
        self.drop = nn.Dropout(config.dropout)
        self.o_net = nn.Linear(config.n_heads * config.d_head, width, bias=False)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [B, S, C], with mask [B, S], to [B, S, C]. The padding may hold any value, including NaN."""
        batch, length, _ = x.shape
        # Query, key and value of all heads follow each other: [B, S, 3, H, D] -> 3 times [B, H, S, D].
        qkv = self.qkv_net(x).view(batch, length, 3, self.n_heads, self.d_head).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(
            qkv[0],
            qkv[1],
            qkv[2],
            attn_mask=mask.view(batch, 1, 1, length),
            dropout_p=self.attention_dropout if self.training else 0.0,
        )
        attended = attended.transpose(1, 2).reshape(batch, length, self.n_heads * self.d_head)
        return self.layer_norm(x + self.drop(self.o_net(attended)))


class ConvFeedForward(nn.Module):
    """Two convolutions with a ReLU between them, residual sum, layer norm (post-norm)."""

    def __init__(self, width: int, config: TransformerConfig) -> None:
        super().__init__()
        padding = config.kernel_size // 2
        self.CoreNet = nn.Sequential(
            nn.Conv1d(width, config.filter_size, config.kernel_size, padding=padding),
            nn.ReLU(),
            nn.Conv1d(config.filter_size, width, config.kernel_size, padding=padding),
            nn.Dropout(config.dropout),
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [B, S, C], zero in the padding, with mask [B, S] to [B, S, C]."""
        hidden = self.CoreNet[1](self.CoreNet[0](x.transpose(1, 2)))
        # Without this mask, the second convolution would carry the bias of the first from the padding into the item.
        hidden = hidden.masked_fill(~mask.unsqueeze(1), 0.0)
        core = self.CoreNet[3](self.CoreNet[2](hidden)).transpose(1, 2)
        return self.layer_norm(x + core)


class TransformerLayer(nn.Module):
    """Self-attention, then the convolutional feed-forward."""

    def __init__(self, width: int, config: TransformerConfig) -> None:
        super().__init__()
        self.dec_attn = SelfAttention(width, config)
        self.pos_ff = ConvFeedForward(width, config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = zero_padding(self.dec_attn(x, mask), mask)
        return zero_padding(self.pos_ff(x, mask), mask)


class FFTransformer(nn.Module):
    """Stack of layers over embeddings with added positions. The encoder also owns the symbol embedding."""

    def __init__(self, width: int, config: TransformerConfig, word_emb: nn.Embedding | None = None) -> None:
        super().__init__()
        if word_emb is not None:
            self.word_emb = word_emb
        self.pos_emb = PositionalEmbedding(width)
        self.drop = nn.Dropout(config.embedding_dropout)
        self.layers = nn.ModuleList(TransformerLayer(width, config) for _ in range(config.n_layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [B, S, C], with mask [B, S], to [B, S, C], zero in the padding."""
        x = self.drop(zero_padding(x + self.pos_emb(x.size(1)), mask))
        for layer in self.layers:
            x = layer(x, mask)
        return x
