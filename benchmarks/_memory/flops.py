"""Floating-point operations of the memory rule, counted from its formula (not from any implementation)."""

from __future__ import annotations

from typing import NamedTuple


class Product(NamedTuple):
    """One matrix product per chunk, counted per token.

    Attributes
    ----------
    part : str
    name : str
    dense : int
        FLOP per token if the whole product is formed.
    needed : int
        The same with only the lower triangle of chunk × chunk matrices.
    """

    part: str
    name: str
    dense: int
    needed: int


def products(head_dim: int, hidden: int, chunk_size: int, rule: str = "bounded") -> list[Product]:
    """List the matrix products of one forward chunk of a two-layer memory, per token and head.

    With D = head_dim, E = hidden, b = chunk_size, a product (b × m) @ (m × n) costs 2mn FLOP per token, whichever
    of its sides the chunk is. Elementwise work (gates, SiLU, norms) is left out: it is O(E + b) per token.

    | part | product | FLOP per token | of `titans` too |
    |---|---|---|---|
    | gates | P = F diag(m) M | 2bb (lower: bb/3) | yes |
    | write | K W1 | 2DE | yes |
    | write | K S1, K I1 | 4DE | no |
    | write | K Kᵀ | 2bD (lower: bD) | no |
    | write | A Aᵀ, (g r) gᵀ | 4bE (lower: 2bE) | no |
    | write | (β A + motion) W2 (titans: A W2) | 2DE | yes |
    | write | A I2, A S2 | 4DE | no |
    | write | triangular solve | bD | no |
    | write | E W2ᵀ | 2DE | yes |
    | read | Q W1, Q S1 | 4DE | yes |
    | read | Q I1 | 2DE | no |
    | read | Q Kᵀ, (…) E | 4bD (lower: 2bD) | yes |
    | read | (…) D1, H Aᵀ | 4bE (lower: 2bE) | yes |
    | read | H W2, H S2 | 4DE | yes |
    | read | H I2 | 2DE | no |
    | close | Kᵀ(u D1), Kᵀ(w D1), Aᵀ(u E), Aᵀ(w E) | 8DE | yes |

    Sums: bounded 34DE + 8bE + 7bD + 2bb, titans 22DE + 4bE + 4bD + 2bb.

    Raises
    ------
    ValueError
        For an unknown rule.
    """
    if rule not in ("bounded", "titans"):
        raise ValueError(f"rule must be 'bounded' or 'titans', found {rule!r}")
    de, bd, be, bb = head_dim * hidden, chunk_size * head_dim, chunk_size * hidden, chunk_size**2
    rows = [
        ("gates", "P = F diag(m) M", 2 * bb, bb // 3, True),
        ("write", "K W1", 2 * de, 2 * de, True),
        ("write", "K S1, K I1", 4 * de, 4 * de, False),
        ("write", "K K^T", 2 * bd, bd, False),
        ("write", "A A^T, (g r) g^T", 4 * be, 2 * be, False),
        ("write", "(beta A + motion) W2", 2 * de, 2 * de, True),
        ("write", "A I2, A S2", 4 * de, 4 * de, False),
        ("write", "triangular solve", bd, bd, False),
        ("write", "E W2^T", 2 * de, 2 * de, True),
        ("read", "Q W1, Q S1", 4 * de, 4 * de, True),
        ("read", "Q I1", 2 * de, 2 * de, False),
        ("read", "Q K^T, (...) E", 4 * bd, 2 * bd, True),
        ("read", "(...) D1, H A^T", 4 * be, 2 * be, True),
        ("read", "H W2, H S2", 4 * de, 4 * de, True),
        ("read", "H I2", 2 * de, 2 * de, False),
        ("close", "K^T(u D1), K^T(w D1), A^T(u E), A^T(w E)", 8 * de, 8 * de, True),
    ]
    return [Product(*row[:4]) for row in rows if row[4] or rule == "bounded"]


def flops_per_token(head_dim: int, hidden: int, chunk_size: int, rule: str = "bounded") -> int:
    """Return the forward FLOP of one token in one head, products formed whole; see `products` for the table."""
    return sum(p.dense for p in products(head_dim, hidden, chunk_size, rule))


def needed_per_token(head_dim: int, hidden: int, chunk_size: int, rule: str = "bounded") -> int:
    """Return the same with only the lower triangles of chunk × chunk products."""
    return sum(p.needed for p in products(head_dim, hidden, chunk_size, rule))
