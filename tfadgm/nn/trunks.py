"""Trunks: the hidden layers of a conditional distribution and the head on top of them.

A trunk takes its inputs separately. It is a Keras layer made by

    Trunk(output_units, *, input_units, hidden_units, batch_norm, output)
          output                                         units of the variable whose parameters it puts out

with

    call(*inputs, bn_mode) -> [*leading, output_units]   the leading axes are those of the inputs, broadcast
    hidden(*inputs, bn_mode), head(hidden)               its two halves
    hidden_width                                         units of what `hidden` gives

Examples come flat, [..., D], and D is an `Example`, which remembers their shape. A new trunk is one file, and its name
here.
"""

from __future__ import annotations

import keras

from tfadgm.nn.conv import Conv
from tfadgm.nn.mlp import MLP

TRUNKS: dict[str, type[keras.layers.Layer]] = {"mlp": MLP, "conv": Conv}
