"""The page man/twocan-protocol.7 as data: its worked example and its list of words."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "man" / "twocan-protocol.7"


def section(title):
    text = PAGE.read_text()
    found = re.search(rf"^\.SH {title}$(.*?)(?=^\.SH )", text, re.M | re.S)
    if not found:
        raise ValueError(f"{PAGE} has no section {title}")
    return re.search(r"^\.EX$\n(.*?)^\.EE$", found[1], re.M | re.S)[1]


def example():
    """Name to value; values that are hexadecimal stay text."""
    values, name = {}, None
    for line in section("EXAMPLE").splitlines():
        if line.startswith("  "):
            values[name] += line.strip()
        else:
            name, value = re.fullmatch(r"(.+?) =(?: (.*))?", line).groups()
            values[name] = value or ""
    return values


def words():
    """For each byte the word at an even place and that at an odd one."""
    cells = section("WORD LIST").split()
    lists = {int(cells[at], 16): cells[at + 1 : at + 3] for at in range(0, len(cells), 3)}
    if sorted(lists) != list(range(256)):
        raise ValueError("the list of words is not whole")
    return [lists[byte] for byte in range(256)]


def sas_words(four):
    table = words()
    return [table[byte][place % 2] for place, byte in enumerate(four)]
