"""Dates as servers write them."""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.dates import parse_date

moments = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001  # hypothesis wants them naive
    datetime(2069, 12, 31),  # noqa: DTZ001
).map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC))


class DateTests(SynchronousTestCase):
    moment = float(timegm((1994, 11, 6, 8, 49, 37)))

    def test_the_three_forms_of_http_are_one_moment(self) -> None:
        for text in (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ):
            self.assertEqual(parse_date(text), self.moment)

    def test_what_servers_write_instead_is_read(self) -> None:
        for text in (
            "06 Nov 1994 08:49:37",
            "6-nov-1994 8:49:37 UTC",
            "1994 November 6, 08:49:37 -0500",
            "Nov 6 94 08:49:37abc",
            "08:49:37 06 novembre 1994xyz",
            ";;06;;Nov;;1994;;08:49:37;;",
        ):
            self.assertEqual(parse_date(text), self.moment, text)

    def test_years_of_two_digits_are_of_our_time(self) -> None:
        for year, full in ((69, 2069), (70, 1970), (99, 1999), ("00", 2000)):
            self.assertEqual(
                parse_date(f"01 Jan {year} 00:00:00"), timegm((full, 1, 1, 0, 0, 0))
            )

    def test_what_is_no_date_is_none(self) -> None:
        for text in (
            "",
            "never",
            "06 Nov 1994",
            "Nov 1994 08:49:37",
            "06 1994 08:49:37",
            "06 Nov 08:49:37",
            "06 Nov 1600 08:49:37",
            "31 Feb 2020 00:00:00",
            "29 Feb 2021 00:00:00",
            "00 Nov 1994 08:49:37",
            "32 Nov 1994 08:49:37",
            "06 Nov 1994 24:00:00",
            "06 Nov 1994 08:60:37",
            "06 Nov 1994 08:49:60",
            "06 Nov 19945 08:49:37",
            "06 Nov 1994 08:49:371",
            "06 Nov 1994 \uff10\uff18:49:37",
            "06 Nov 1994 08:49:37" + " " * 256,
        ):
            self.assertIsNone(parse_date(text), text)

    @given(moments)
    def test_every_moment_is_read_back(self, moment: datetime) -> None:
        for text in (
            format_datetime(moment, usegmt=True),
            f"{moment:%A, %d-%b-%y %H:%M:%S GMT}",
            f"{moment:%a %b %d %H:%M:%S %Y}",
        ):
            self.assertEqual(parse_date(text), moment.timestamp())

    @given(st.text())
    def test_no_text_is_too_much(self, text: str) -> None:
        parse_date(text)
