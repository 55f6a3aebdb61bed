"""Adjoint of the state with two layers.

It and `state_backward_linear` are the only kernels that walk a segment chunk by chunk, from its end to its start.
They hold no more than the recurrence needs: what a chunk's end state sends to its errors, through the solve and
the steps, to its opening state. Entry n of the state gradients holds on entry what the reads of chunk n ask of
its opening state (entry N: what is asked of the segment's end), and on return the whole gradient of the state
that chunk n opens with, before its confinement.
"""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._state_backward_ends import close_hidden, close_output, open_hidden, open_output, release
from titans_seq.memory.kernels._state_backward_errors import (
    damping_backward,
    hidden_backward,
    hidden_backward_titans,
    right_backward,
    solve_backward,
    system_backward,
    tangent_backward,
)


@triton.jit(do_not_specialize=["G", "H", "N"])
def state_backward_kernel(
    k,
    errors,
    right,
    path,
    inverse,
    beta,
    gamma,
    momentum_row,
    momentum_decay,
    steps,
    damping,
    w1,
    s1,
    i1,
    w2,
    s2,
    i2,
    factors,
    hidden,
    back,
    motion,
    tangent,
    hidden_tangent,
    key_kernel,
    norms,
    errors_grad,
    delta_grad,
    feature_grad,
    steps_grad,
    w1_grad,
    s1_grad,
    w2_grad,
    s2_grad,
    i1_grad,
    right_grad,
    right_back,
    z_grad,
    base_grad,
    close_grad,
    path_before_grad,
    tangent_grad,
    forward,
    damping_grad,
    feature_pairs,
    slope_pairs,
    N,
    G,
    H,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Two layers: one program per group, in sweeps over the hidden width for every chunk.

    Each sweep holds a few blocks and leaves its results in memory to the next: the whole does not fit in
    registers. Besides the state gradients it writes, for the kernels after it: the gradients of R (as such, and
    sent back through the output layer), of z, of the base steps, of the deltas' shares in the chunk's end (2, b),
    of P before each token, and of the hidden part of the tangent kernel. Scratch per group: ``forward`` (b, D),
    ``damping_grad`` (2, b), ``feature_pairs`` and ``slope_pairs`` (b, b).
    """
    group = tl.program_id(0).to(tl.int64)
    i1 += (group % H) * D * E
    i2 += (group % H) * D * E
    forward += group * B * D
    # One phase after the other, as branches of one loop: in a row, the compiler shares their addresses, which then
    # hold registers throughout.
    PHASES: tl.constexpr = 9 if BOUNDED else 4
    for task in tl.range(N * PHASES, disable_licm=True):
        phase = task % PHASES
        cell = (N - 1 - task // PHASES) * G + group
        after = cell + G
        tokens, lane, square = cell * B * D, cell * B, cell * B * B
        wide, state, end = cell * B * E, cell * D * E, after * D * E
        path_end = path + square + (B - 1) * B
        if phase == 0:
            if BOUNDED:
                factor = tl.load(factors + after)
                if factor != 1.0:
                    release(
                        w1 + end, s1 + end, i1, w1_grad + end, s1_grad + end, i1_grad + group * D * E, factor, D * E
                    )
            close_hidden(
                k + tokens,
                path_end,
                momentum_row + lane,
                steps + lane,
                hidden + wide,
                back + wide,
                w2 + state,
                w1_grad + end,
                s1_grad + end,
                delta_grad + wide,
                forward,
                close_grad + lane * 2,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        elif phase == 1:
            close_output(
                errors + tokens,
                path_end,
                momentum_row + lane,
                steps + lane,
                hidden + wide,
                w2_grad + end,
                s2_grad + end,
                feature_grad + wide,
                errors_grad + tokens,
                close_grad + lane * 2,
                steps_grad + lane,
                base_grad + lane,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        elif phase == PHASES - 1:
            open_output(
                beta + lane,
                gamma + lane,
                momentum_decay + cell,
                errors + tokens,
                damping + lane if BOUNDED else None,
                hidden + wide,
                motion + wide if BOUNDED else None,
                delta_grad + wide,
                right_grad + tokens,
                w2_grad + state,
                s2_grad + state,
                w2_grad + end,
                s2_grad + end,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                BOUNDED,
                PRECISION,
            )
            open_hidden(
                k + tokens,
                beta + lane,
                gamma + lane,
                momentum_decay + cell,
                hidden + wide,
                right_back + wide if BOUNDED else None,
                z_grad + wide,
                w1_grad + state,
                s1_grad + state,
                w1_grad + end,
                s1_grad + end,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                BOUNDED,
                PRECISION,
            )
        elif not BOUNDED:
            hidden_backward_titans(
                w2 + state,
                hidden + wide,
                back + wide,
                errors_grad + tokens,
                forward,
                delta_grad + wide,
                feature_grad + wide,
                right_grad + tokens,
                z_grad + wide,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        elif phase == 2:
            solve_backward(
                errors + tokens,
                errors_grad + tokens,
                forward,
                inverse + square,
                damping + lane,
                right_grad + tokens,
                damping_grad + group * 2 * B,
                B,
                D,
                BLOCK_D,
                PRECISION,
            )
        elif phase == 3:
            system_backward(
                errors + tokens,
                path + square,
                steps + lane,
                tangent + square,
                hidden_tangent + square,
                norms + lane * 4,
                right_grad + tokens,
                damping_grad + group * 2 * B,
                base_grad + lane,
                path_before_grad + square,
                tangent_grad + square,
                B,
                D,
                BLOCK_D,
                PRECISION,
            )
        elif phase == 4:
            damping_backward(
                right + tokens,
                damping + lane,
                norms + lane * 4,
                right_grad + tokens,
                damping_grad + group * 2 * B,
                damping_grad + group * 2 * B + B,
                B,
                D,
                BLOCK_D,
            )
        elif phase == 5:
            tangent_backward(
                steps + lane,
                damping + lane,
                base_grad + lane,
                damping_grad + group * 2 * B + B,
                key_kernel + square,
                tangent_grad + square,
                feature_pairs + group * B * B,
                slope_pairs + group * B * B,
                B,
            )
        elif phase == 6:
            right_backward(
                beta + lane,
                gamma + lane,
                w2 + state,
                s2 + state,
                i2,
                right_grad + tokens,
                right_back + wide,
                feature_grad + wide,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        else:
            hidden_backward(
                beta + lane,
                w2 + state,
                hidden + wide,
                back + wide,
                motion + wide,
                right_back + wide,
                delta_grad + wide,
                feature_grad + wide,
                feature_pairs + group * B * B,
                slope_pairs + group * B * B,
                w2_grad + state,
                z_grad + wide,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        tl.debug_barrier()
