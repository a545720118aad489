"""How a search goes about it: its sizes and parts, and the training of the weights that follow it.

Defaults are sized for a micro space on two processor cores, a search of about three minutes;
:meth:`SearchSettings.full` and :meth:`AdaptSettings.full` give the sizes of the NAT paper (Lu et al. 2021).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from natdeploy.ground.validation import Real, Settings, Whole


def _without_nul(text: str) -> str:
    """Many a name is a file's, and no system has a file of such a name."""
    if "\0" in text:
        raise ValueError("expected a name without NUL characters")
    return text


Budget = Annotated[Real, Field(gt=0)]
Share = Annotated[Real, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_without_nul)]
#: Also the name of a folder, and what stands after a colon.
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]
#: Of training, whoever trains.
BatchSize = Annotated[Whole, Field(ge=2, le=65_536)]
LearningRate = Annotated[Real, Field(gt=0, le=10)]
Smoothing = Annotated[Real, Field(ge=0, lt=1)]
Clip = Annotated[Real, Field(gt=0)]
Parts = Annotated[Whole, Field(ge=1, le=64)]


class SearchSettings(Settings):
    """Sizes and parts of the evolutionary search.

    Attributes:
        initial: architectures in the initial archive.
        iterations: rounds of surrogate, evolution, evaluation, adaptation.
        candidates: new architectures evaluated each round.
        archive: largest size of the archive; None lets it grow.
        feasible_share: share of the initial archive drawn among architectures that meet the budget.
        prefilter: of so many random architectures of about one latency within the budget the one with the most
            multiply-adds is evaluated first; 1 takes whichever comes.
        sampling: what random architectures are uniform over: ``phenotype`` (each equally likely, so most are deep) or
            ``gene`` (each depth, kernel and expand ratio equally likely).
        surrogate, algorithm: names in the registries of surrogates and algorithms; algorithm ``auto`` takes NSGA-II for
            up to two objectives and NSGA-III for more.
        population: population of the evolution on the surrogate.
        surrogate_evaluations: architectures the surrogate judges each round.
        crossover_probability, mutation_eta: of two-point crossover and polynomial mutation.
        random_baseline: draw as many random architectures at the end and record their hypervolume.
    """

    initial: Annotated[Whole, Field(ge=4, le=10_000)] = 24
    iterations: Annotated[Whole, Field(ge=0, le=1_000)] = 5
    candidates: Annotated[Whole, Field(ge=1, le=1_000)] = 8
    archive: Annotated[Whole, Field(ge=4, le=10_000)] | None = 60
    feasible_share: Share = 0.75
    prefilter: Annotated[Whole, Field(ge=1, le=1_000)] = 1
    sampling: Literal["phenotype", "gene"] = "phenotype"
    surrogate: Name = "gp"
    algorithm: Name = "auto"
    population: Annotated[Whole, Field(ge=4, le=10_000)] = 50
    surrogate_evaluations: Annotated[Whole, Field(ge=4, le=10_000_000)] = 2_000
    crossover_probability: Share = 0.9
    mutation_eta: Annotated[Real, Field(gt=0, le=100)] = 1.0
    random_baseline: bool = True

    @classmethod
    def full(cls) -> SearchSettings:
        """The paper's sizes: 100 initial, 30 rounds, an archive of 300, 10,000 surrogate evaluations a round."""
        return cls(initial=100, iterations=30, archive=300, population=100, surrogate_evaluations=10_000)


class AdaptSettings(Settings):
    """How the supernet's weights follow the search, and how subnets are evaluated.

    Attributes:
        largest_epochs: epochs on the largest subnet alone, before anything else; it teaches the others afterwards.
        warm_up_epochs: epochs on the whole space before the first evaluation.
        epochs_per_iteration: epochs on subnets like those of the archive, each round; 0 leaves the weights alone.
        batch_size: images a step.
        lr: peak learning rate (SGD with momentum, cosine over the whole run).
        weight_decay, label_smoothing, clip: regularisers; ``clip`` bounds the gradient's norm.
        distribution: where a step's subnets are drawn from: ``archive``, gene by gene as often as the archive has it
            (NAT); ``front``, the members of its front themselves; ``fronts``, those of its first three fronts, since
            chance in the validation images may hide a good one behind another (both as ``archive`` while none is
            feasible); or ``uniform`` over the space's genes.
        subnets_per_step: subnets drawn per step beside the largest, whose gradients are added up.
        distillation: weight of the largest subnet's predictions in a drawn subnet's loss.
        augmentation: name of the way training images are varied; ``auto`` is what suits the data set.
        ema: share of the weights' moving average that a step leaves (0.99, say); the average is then what is evaluated
            and built. 0: the weights themselves.
        average_age: instead of ``ema``, how old the averaged weights are in the mean, as a share of the steps so far
            (0.25, say): the longer the training, the further the average looks back. At 0.5 all steps count alike.
        calibration_images: training images for batch-norm statistics of an evaluated subnet.
        calibrate_on: these images ``varied`` as in training, or ``plain``, as they are; what is built is calibrated so,
            too.
        validate_on: validation images ``plain``, as they are, or each ``mirrored`` as well, for the mean of both: of
            few images a top-1 is less by chance then, for twice the time. Only where training mirrors images, too.
        parts: of a batch that are trained side by side, by threads or by processes; the result depends on it.
    """

    largest_epochs: Annotated[Whole, Field(ge=0, le=10_000)] = 0
    warm_up_epochs: Annotated[Whole, Field(ge=0, le=10_000)] = 8
    epochs_per_iteration: Annotated[Whole, Field(ge=0, le=10_000)] = 2
    batch_size: BatchSize = 64
    lr: LearningRate = 0.05
    weight_decay: Share = 1e-4
    label_smoothing: Smoothing = 0.0
    clip: Clip = 5.0
    subnets_per_step: Annotated[Whole, Field(ge=1, le=64)] = 2
    distribution: Literal["archive", "front", "fronts", "uniform"] = "archive"
    distillation: Share = 0.5
    ema: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    average_age: Annotated[Real, Field(gt=0, le=0.5)] | None = None
    augmentation: Name = "auto"
    calibration_images: Annotated[Whole, Field(ge=2, le=1_000_000)] = 256
    calibrate_on: Literal["varied", "plain"] = "varied"
    validate_on: Literal["plain", "mirrored"] = "plain"
    parts: Parts = 2

    @model_validator(mode="after")
    def _one_average(self) -> AdaptSettings:
        if self.ema and self.average_age is not None:
            raise ValueError("one of ema and average_age, not both: either says how the weights are averaged")
        return self

    @property
    def epochs_before_search(self) -> int:
        """Epochs before the first evaluation."""
        return self.largest_epochs + self.warm_up_epochs

    @classmethod
    def full(cls) -> AdaptSettings:
        """The paper's sizes: 5 epochs a round, about 1,000 images for calibration."""
        return cls(epochs_per_iteration=5, batch_size=96, subnets_per_step=4, calibration_images=1_000)
