from __future__ import annotations

import re

from getnet_bids import __version__
from getnet_bids.bids.citation import citations
from getnet_bids.core import ALGORITHM


def test_each_form_tells_version_and_algorithm():
    made = citations()
    for text in made.values():
        assert __version__ in text
        assert re.search(rf"algorithm {ALGORITHM}\b", text, re.IGNORECASE)
        assert "1909.05484" in text or "MIDL" in text
    assert made["CITATION.html"].count("<blockquote>") == 4  # the paper, the text, N4, Atropos


def test_braces_of_bibtex_are_in_pairs():
    bibtex = citations()["CITATION.bib"]
    depth = [bibtex[:i].count("{") - bibtex[:i].count("}") for i in range(len(bibtex) + 1)]
    assert min(depth) == depth[-1] == 0
    kinds = [match[1] for match in re.finditer(r"^@(\w+)\{", bibtex, re.MULTILINE)]
    assert kinds == ["inproceedings", "software", "article", "article"]
    assert bibtex.isascii()
