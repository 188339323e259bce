"""Numbers and how they read, in Python and in the browser alike.

Each has a form, a number as Python has it, and its text. The browser has what the JSON writer
wrote.
"""

from __future__ import annotations

from saereport.site.jsonwriter import Exact

CASES: tuple[tuple[str, float, str], ...] = (
    ("value", 0, "0"),
    ("value", 0.0, "0"),
    ("value", 1, "1"),
    ("value", -3.0, "−3"),
    ("value", 14.249, "14.2"),  # not 14.25 in the data
    ("value", 14.244, "14.2"),
    ("value", 0.01234, "0.0123"),
    ("value", 0.00012345, "0.000123"),
    ("value", 0.0001, "0.0001"),
    ("value", 0.00009999, "1.00×10⁻⁴"),
    ("value", -0.05, "−0.05"),
    ("value", 2.125, "2.13"),  # a half goes up
    ("value", -2.125, "−2.13"),
    ("value", 2.1246, "2.12"),  # not 2.125 in the data
    ("value", 2.1244, "2.12"),
    ("value", 1.005, "1"),
    ("value", 999.4, "999"),
    ("value", 999.6, "1,000"),
    ("value", 1234.6, "1,235"),
    ("value", 1234.5, "1,234"),  # 1234 in the data
    ("value", Exact(1234.5), "1,235"),
    ("value", Exact(-1234.5), "−1,235"),
    ("value", 12345.6, "12,350"),
    ("value", Exact(1310720.0), "1,310,720"),
    ("value", 12_345, "12,345"),
    ("value", 999_999_999, "999,999,999"),
    ("value", 1_000_000_000, "1.00×10⁹"),
    ("value", 1.234e-6, "1.23×10⁻⁶"),
    ("value", 1.25e-6, "1.25×10⁻⁶"),
    ("value", Exact(2.0**-21), "4.77×10⁻⁷"),
    ("value", 1.2e12, "1.20×10¹²"),
    ("value", -9.999e11, "−1.00×10¹²"),
    ("shown", 0, "0"),
    ("shown", 999_999_999, "999,999,999"),
    ("shown", 1_000_000_000, "1,000,000,000"),
    ("shown", -1_234_567_890, "−1,234,567,890"),
    ("shown", 3e9, "3,000,000,000"),
    ("shown", 1.2344e9, "1,234,000,000"),
    ("shown", 999_999_999_999_999, "999,999,999,999,999"),
    ("shown", 10**15, "1.00×10¹⁵"),
    ("shown", 1.5, "1.5"),
    ("shown", 4.0, "4"),
    ("shown", 0.12349, "0.123"),
    ("shown", 1e300, "1.00×10³⁰⁰"),
    ("count", 0, "0"),
    ("count", 1_234_567_890, "1,234,567,890"),
    ("count", -1234, "−1,234"),
    ("percent", 0, "0 %"),
    ("percent", 1e-7, "< 0.001 %"),
    ("percent", 1e-5, "0.001 %"),
    ("percent", 0.00123, "0.12 %"),
    ("percent", 0.00125, "0.13 %"),
    ("percent", 0.009951, "1 %"),
    ("percent", 0.0996, "10 %"),
    ("percent", 0.05, "5 %"),
    ("percent", 0.1, "10 %"),
    ("percent", 0.123, "12.3 %"),
    ("percent", 0.1225, "12.3 %"),
    ("percent", 0.12346, "12.3 %"),  # not 0.1235 in the data
    ("percent", 0.012496, "1.2 %"),  # not 0.0125 in the data
    ("percent", 0.9994, "99.9 %"),
    ("percent", 0.9999, "> 99.9 %"),
    ("percent", 0.99997, "> 99.9 %"),
    ("percent", 1 - 1e-12, "100 %"),
    ("percent", 1, "100 %"),
)
