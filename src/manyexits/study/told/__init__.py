"""What the verbs of the pipeline are told: settings as canonical JSON, checked before any work begins.

The workflow's own are right by construction; what a person types may not be.
"""

from typing import Any

from pydantic import ValidationError

from manyexits.study.refusals import StudyError, explain
from manyexits.study.told.card import CardSettings
from manyexits.study.told.parts import StageSettings
from manyexits.study.told.stages import (
    AnalyseSettings,
    CalibrateSettings,
    CompareSettings,
    EvaluateSettings,
    FigureSettings,
    GuaranteeSettings,
    OfNetworkSettings,
    PrepareSettings,
    RepresentSettings,
    TableSettings,
    TrainingSettings,
    WeightsSettings,
)

TOLD: dict[str, type[StageSettings]] = {
    "prepare": PrepareSettings,
    "weights": WeightsSettings,
    "pretrain": TrainingSettings,
    "train": TrainingSettings,
    "predict": OfNetworkSettings,
    "represent": RepresentSettings,
    "count_backbone": OfNetworkSettings,
    "count_flops": OfNetworkSettings,
    "calibrate": CalibrateSettings,
    "evaluate": EvaluateSettings,
    "guarantee": GuaranteeSettings,
    "compare": CompareSettings,
    "analyse": AnalyseSettings,
    "table": TableSettings,
    "figure": FigureSettings,
    "card": CardSettings,
}
"""Stage -> its settings."""


def check(stage: str, settings: Any) -> None:
    """Refuse settings that a stage cannot work with.

    Raises:
        StudyError: names the key.
    """
    try:
        TOLD[stage].model_validate(settings)
    except ValidationError as error:
        raise StudyError(explain(error, None, "settings")) from error
