"""What every model shares: its networks, the compiled step, seeds, scaling, and how it is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.hyperparameters import Above, AtLeast, OneOf, Units, arguments
from tfadgm.inference import elbo
from tfadgm.inference.sampling import GENERATOR
from tfadgm.nn.conditionals import Bernoulli, Categorical, Conditional, Gaussian, Mixed
from tfadgm.nn.preprocessing import Scaling, byte_range
from tfadgm.nn.tables import TableEncoding
from tfadgm.nn.trunks import TRUNKS

LIKELIHOODS = "bernoulli", "gaussian", "mixed"
# Names of version 0.1, in files of models and runs and as flags.
OLD_NAMES = {
    "draws": "total_count",
    "clip_norm": "global_clipnorm",
    "weight_average": "ema_momentum",
    "adversarial_radius": "vat_epsilon",
    "adversarial_weight": "vat_weight",
    "prior_matching": "distribution_alignment_weight",
    "prior_tolerance": "distribution_alignment_tolerance",
}


class BaseModel(keras.Model):
    """A Keras model trained by `fit` with one optimizer step a batch.

    A subclass declares its networks, calls `build` last and implements `training_terms`.

    Args:
        feature_shape: shape of one example.
        likelihood: "bernoulli" (features in [0, 1] after scaling), "gaussian" (mean 0 and variance 1) or "mixed" (the
            columns of a table).
        weight_prior: weight of log N(W; 0, 1); 1 / N for N training points.
        warm_up: steps in which the weight of the KL divergences of latent variables grows from 0 to 1.
        seed: of the noise. The noise of a step depends on this and the step alone.
        feature_dtype: "float64" for features that float32 would round too much, see `Scaling`.
        byte_range: the features that the bytes 0 and 255 of an image stand for; empty where bytes stand for none.
            `adapt` finds it.
        resizes: whether images of any size are brought to that of the model, where they come as files.
        columns: of a table, as `Schema.to_json` has them; examples are then codes, or raw columns by name.
        hidden_units, trunk, batch_norm, total_count, binarize, dequantize, global_clipnorm, xla: as annotated.

    Raises:
        ValueError: if the likelihood is unknown.

    Examples:
        >>> model = VAE((4,), hidden_units=(8,), latent_units=2)
        >>> model.adapt(np.array([[0, 5, 9, 1], [2, 10, 3, 1]]))
        >>> float(model.scaling.scale[0])
        10.0
        >>> model.get_config()["hidden_units"]
        (8,)
    """

    task: str  # what it is for, a name in `tfadgm.evaluation.TASKS`
    built: bool
    narrowing = 1  # of hidden layers from one layer of the model to the next

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        hidden_units: Annotated[Units, AtLeast(1), "units of each hidden layer, of every network"] = (500, 500),
        trunk: Annotated[str, OneOf(TRUNKS), "hidden layers of every network: mlp, or conv for images"] = "mlp",
        batch_norm: Annotated[bool, "normalize every hidden layer over the batch"] = True,
        likelihood: str = "bernoulli",
        total_count: Annotated[
            int, AtLeast(1), "binary draws that a bernoulli feature stands for; each counts in the likelihood"
        ] = 1,
        binarize: Annotated[bool, "draw them afresh every step; otherwise a feature enters as their mean"] = True,
        dequantize: Annotated[
            bool, "spread integer features over their unit, afresh every step (gaussian)"  # Theis et al. 2016
        ] = False,
        weight_prior: float = 0.0,
        warm_up: int = 0,
        global_clipnorm: Annotated[float, Above(0), "largest norm of the gradient of all weights together"] = 5.0,
        seed: int = 0,
        feature_dtype: str = "float32",
        byte_range: Sequence[float] | None = None,
        columns: Sequence[dict[str, Any]] | None = None,
        resizes: bool = False,
        xla: Annotated[bool, "compile the training step with XLA: seconds at the start, faster steps"] = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.feature_shape, self.feature_dtype = tuple(feature_shape), feature_dtype
        self.resizes = resizes
        self.byte_range = None if byte_range is None else tuple(byte_range)
        self.hidden_units, self.trunk, self.batch_norm = tuple(hidden_units), trunk, batch_norm
        if likelihood not in LIKELIHOODS or (likelihood == "mixed") != bool(columns):
            raise ValueError(
                f"Expected likelihood to be bernoulli or gaussian, or mixed with columns. Received: {likelihood!r}"
            )
        self.likelihood, self.total_count = likelihood, total_count if likelihood == "bernoulli" else 1
        self.binarize = binarize and likelihood == "bernoulli"
        self.dequantize = dequantize and likelihood == "gaussian"
        self.weight_prior, self.warm_up = weight_prior, warm_up
        self.global_clipnorm, self.seed, self.xla = global_clipnorm, seed, xla
        self.supports_jit = False  # of prediction, where XLA would take a second for each new size of a batch
        self.columns = None if columns is None else [dict(column) for column in columns]
        self.scaling = TableEncoding(self.columns) if self.columns else Scaling(feature_shape, feature_dtype)
        self.feature_dtype = self.scaling.feature_dtype
        self.train_metrics: dict[str, keras.metrics.Mean] = {}

    # Training.

    def training_terms(self, data: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The loss of a batch, scalar, and values whose means are reported; `seeds` is int32 [5, 2]."""
        raise NotImplementedError

    def reports(self, *names: str) -> None:
        """Declares what training reports the means of, beside its loss."""
        self.train_metrics = {name: keras.metrics.Mean(name) for name in names}

    def make_train_function(self, force: bool = False) -> None:
        """As Keras's, after building the optimizer: else the first step, which would, is traced twice."""
        self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        return self.traced(self._update, jit_compile=True)(data) if self.xla else self._update(data)

    def _update(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch; the running means of what it met."""
        seeds = tf.random.split(tf.stack([tf.constant(self.seed), self.step]), 5)
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, values = self.training_terms(data, seeds)
            kernels = [weight.value for weight in weights if weight.path.endswith("kernel")]
            loss -= self.weight_prior * elbo.weight_log_prior(*kernels)
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        used = [pair for pair in zip(gradients, weights, strict=True) if pair[0] is not None]
        gradients, weights = zip(*used, strict=True)
        self.optimizer.apply(elbo.clip_by_global_norm(gradients, self.global_clipnorm), weights)
        self._loss_tracker.update_state(loss)
        for name, metric in self.train_metrics.items():
            metric.update_state(values[name])
        return {metric.name: metric.result() for metric in (self._loss_tracker, *self.train_metrics.values())}

    @property
    def step(self) -> tf.Tensor:
        """How many steps training has taken, int32."""
        return tf.cast(self.optimizer.iterations, tf.int32)

    @property
    def kl_weight(self) -> tf.Tensor | float:
        """The weight of divergences at this step of training."""
        return tf.minimum(1.0, tf.cast(self.step, tf.float32) / self.warm_up) if self.warm_up else 1.0

    def prepare_inputs(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Scaled features [B, D] as the likelihood takes them: binary draws of intensities, integers spread out."""
        x = self.scaling(x)
        if self.dequantize:
            x += tf.random.stateless_uniform(tf.shape(x), seed, -0.5, 0.5, alg=GENERATOR) / self.scaling.scale
        if self.binarize:
            level = tf.random.stateless_uniform(tf.concat([[self.total_count], tf.shape(x)], 0), seed, alg=GENERATOR)
            x = tf.reduce_mean(tf.cast(level < x, tf.float32), 0)
        return x

    def adapt(self, x: np.ndarray) -> None:
        """Fits the scaling to training points x [N, *features] before training."""
        self.scaling.adapt(x, self.likelihood, self.dequantize)
        self.byte_range = () if self.columns else byte_range(x)

    def predict(self, x: Any, batch_size: int | None = None, **options: Any) -> Any:
        """As Keras's, which alone would round float64 to float32, and not take columns of text."""
        if self.feature_dtype == "float64" and not isinstance(x, tf.data.Dataset):
            x, batch_size = tf.data.Dataset.from_tensor_slices(x).batch(batch_size or 32), None
        return super().predict(x, batch_size=batch_size, **options)

    # Compiled functions. They keep the values that they were traced with, so a changed argument drops them.

    def traced(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """`function` as a tf.function that is traced once a model, not once a call."""
        traces = self.__dict__.setdefault("_traces", {})
        if function.__qualname__ not in traces:
            # No Python branch depends on a tensor, and to look for one takes longer than the trace.
            traces[function.__qualname__] = tf.function(function, autograph=False, **options)
        return traces[function.__qualname__]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if (name == "optimizer" or name in arguments(type(self))) and self.__dict__.get("built"):
            self.__dict__["_traces"] = {}
            self.train_function = self.test_function = self.predict_function = None

    # Construction.

    def gaussian(self, units: int, *input_units: int, layer: int = 0, hidden_units: Units | None = None) -> Gaussian:
        """A network for a Gaussian variable of `units` given inputs of `input_units`, in a layer of the model.

        `hidden_units` replace those of the model.
        """
        return Gaussian(units, **self.network(input_units, layer, hidden_units))

    def categorical(self, units: int, *input_units: int) -> Conditional:
        """A network for one of `units` classes given inputs of `input_units`."""
        return Categorical(units, **self.network(input_units))

    def observation(self, units: int, *input_units: int) -> Conditional:
        """The network p(x|.) of the model's likelihood."""
        if isinstance(self.scaling, TableEncoding):
            table = self.scaling
            return Mixed(len(table.numeric), len(table.binary), table.sizes, **self.network(input_units))
        return {"bernoulli": Bernoulli, "gaussian": Gaussian}[self.likelihood](units, **self.network(input_units))

    def network(self, input_units: Sequence[int], layer: int = 0, hidden_units: Units | None = None) -> dict[str, Any]:
        """The arguments of a `Conditional` of this model."""
        widths = self.hidden_units if hidden_units is None else hidden_units
        hidden = [max(1, units // self.narrowing**layer) for units in widths]
        return {
            "input_units": input_units, "hidden_units": hidden, "batch_norm": self.batch_norm, "trunk": self.trunk,
        }  # fmt: skip

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights. Every subclass calls it last; Keras calls it again when a file is loaded."""
        for layer in self.layers:
            layer.build()
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Every argument, from the attribute of its name."""
        choices = {name: getattr(self, name) for name in arguments(type(self)) if hasattr(self, name)}
        return {**super().get_config(), "feature_shape": self.feature_shape, **choices}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> BaseModel:
        """Also of files of version 0.1."""
        return cls(**renamed(config))


def renamed(choices: dict[str, Any]) -> dict[str, Any]:
    """Arguments by their names of today."""
    return {OLD_NAMES.get(name, name): value for name, value in choices.items()}
