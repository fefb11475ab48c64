"""Windows over a long mel."""

from hifigan.windows import windows


def test_windows_cover_all_once():
    for context in (0, 1, 13):
        for size in range(2 * context + 1, 2 * context + 12):
            for length in range(1, 120):
                found = windows(length, size, context)
                assert [window.start for window in found] == [0, *(window.end for window in found[:-1])]
                assert found[-1].end == length
                assert len({window.last - window.first for window in found}) == 1
                for first, last, start, end in found:
                    assert 0 <= first <= start < end <= last <= length
                    assert last - first <= size
                    assert start - first >= context or first == start == 0
                    assert last - end >= context or last == end == length
                assert sum(last - first for first, last, _, _ in found) <= length + len(found) * (2 * context + 1)
