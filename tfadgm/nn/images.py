"""Bytes of image files to pixels, by TensorFlow's own operations: the same in training and on a server."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

MOST_PIXELS = 2**26  # of an image that is decoded; a small file can claim far more
PNG, GIF, BMP, JPEG = b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"\xff\xd8\xff"
HEAD = 32  # bytes in which all but JPEG tell their size


def is_readable(data: tf.Tensor) -> tf.Tensor:
    """Whether a string begins like a PNG, GIF, BMP or JPEG file of at most MOST_PIXELS; bool."""
    head = tf.strings.substr(tf.strings.join([data, b"\0" * HEAD]), 0, HEAD)
    bytes_ = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)

    def number(places: Sequence[int]) -> tf.Tensor:
        return tf.add_n([bytes_[place] * 256**power for power, place in enumerate(places)])

    def begins(magic: bytes) -> tf.Tensor:
        return tf.strings.substr(head, 0, len(magic)) == magic

    sizes = {
        PNG: (number((19, 18, 17, 16)), number((23, 22, 21, 20))),
        GIF: (number((6, 7)), number((8, 9))),
        BMP: (number((18, 19, 20, 21)), number((22, 23, 24, 25)) % 2**31),
    }
    found = tf.constant(False)
    for magic, (width, height) in sizes.items():
        found |= begins(magic) & (width > 0) & (height > 0) & (width * height <= MOST_PIXELS)
    return found | begins(JPEG)  # whose sides have two bytes each, and whose decoder checks them


def decode(data: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """The image in a string, resized to `shape` [height, width] or [height, width, channels]; float32, whole levels."""
    height, width, channels = (*shape, 1)[:3]
    image = tf.io.decode_image(data, channels=channels, expand_animations=False)
    image.set_shape([None, None, channels])
    resized = tf.image.resize(image, [height, width], antialias=True)
    return tf.reshape(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), shape)
