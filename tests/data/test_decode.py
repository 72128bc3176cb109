"""Reading ahead: in order, no further than it says, and over as soon as nobody asks."""

import threading

import pytest

from manyexits.data.decode import AHEAD, ahead


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("n", [0, 1, 20])
def test_answers_come_in_the_order_asked_for(workers, n):
    assert list(ahead(lambda number: number**2, range(n), workers)) == [number**2 for number in range(n)]


@pytest.mark.parametrize("workers", [1, 3])
def test_it_asks_for_so_many_ahead_and_ends_with_its_reader(workers):
    asked, before = [], threading.active_count()

    def requests():
        for number in range(1000):
            asked.append(number)
            yield number

    reading = ahead(lambda number: number, requests(), workers)
    assert not asked
    assert [next(reading) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(asked) == 5 + AHEAD * workers
    reading.close()
    assert threading.active_count() == before


def test_an_error_is_raised_where_its_answer_is_due():
    reading = ahead(lambda number: 6 // number, [3, 2, 0, 1], 2)
    assert [next(reading), next(reading)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(reading)
