from manyexits.files import digests


def test_config_is_valid(plan):
    assert plan.runs.experiments
    assert digests.digest(plan.study.model_dump()) == plan.digest
