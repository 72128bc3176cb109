from manyexits import study


def test_config_is_valid(plan):
    assert plan.experiments
    assert study.digest(plan.study.model_dump()) == plan.digest
