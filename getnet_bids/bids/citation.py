"""The citations of a dataset as Markdown, HTML and BibTeX: ``logs/CITATION.*``."""

from __future__ import annotations

import re
from html import escape

from getnet_bids import __version__
from getnet_bids.core import ALGORITHM

MARKDOWN = """\
# How to cite

These images were corrected with getnet_bids {version} (algorithm {algorithm}), which builds on the method of this
paper; please cite the paper, and the software with its version:

> Simkó A, Löfstedt T, Garpebring A, Nyholm T, Jonsson J. *A Generalized Network for MRI Intensity Normalization.*
> International Conference on Medical Imaging with Deep Learning (MIDL), Extended Abstract Track, 2019.

For a methods section:

> MR images were corrected for intensity non-uniformity with getnet_bids {version} (algorithm {algorithm}),
> in which a residual network trained on photographs estimates the bias field of image slices (GetNet; Simkó et al.,
> 2019). The slice estimates are fused into one smooth three-dimensional field, which is refined with the tissues of the
> image itself. The image is divided by this field, whose geometric mean over the foreground is 1.

With `--no-refine` leave out the words on the refinement. With `--compare n4` also cite N4 and, for the segmentation,
Atropos:

> Tustison NJ, Avants BB, Cook PA, et al. *N4ITK: Improved N3 Bias Correction.* IEEE Transactions on Medical Imaging
> 29(6):1310-1320, 2010.

> Avants BB, Tustison NJ, Wu J, Cook PA, Gee JC. *An Open Source Multivariate Framework for n-Tissue Segmentation with
> Evaluation on Public Data.* Neuroinformatics 9(4):381-400, 2011.
"""

BIBTEX = """\
@inproceedings{{simko2019,
  title = {{A Generalized Network for {{MRI}} Intensity Normalization}},
  author = {{Simk{{\\'o}}, Attila and L{{\\"o}}fstedt, Tommy and Garpebring, Anders and Nyholm, Tufve and
    Jonsson, Joakim}},
  booktitle = {{International Conference on Medical Imaging with Deep Learning (MIDL), Extended Abstract Track}},
  year = {{2019}},
  url = {{https://arxiv.org/abs/1909.05484}},
}}

@software{{getnet_bids,
  title = {{getnet\\_bids: {{GetNet}} intensity correction of {{MR}} images as a {{BIDS}} App}},
  author = {{{{The getnet\\_bids developers}}}},
  version = {{{version}}},
  note = {{Algorithm {algorithm}}},
}}

@article{{tustison2010,
  title = {{{{N4ITK}}: Improved {{N3}} Bias Correction}},
  author = {{Tustison, Nicholas J. and Avants, Brian B. and Cook, Philip A. and Zheng, Yuanjie and Egan, Alexander and
    Yushkevich, Paul A. and Gee, James C.}},
  journal = {{IEEE Transactions on Medical Imaging}},
  volume = {{29}}, number = {{6}}, pages = {{1310--1320}}, year = {{2010}},
  doi = {{10.1109/TMI.2010.2046908}},
}}

@article{{avants2011,
  title = {{An Open Source Multivariate Framework for n-Tissue Segmentation with Evaluation on Public Data}},
  author = {{Avants, Brian B. and Tustison, Nicholas J. and Wu, Jue and Cook, Philip A. and Gee, James C.}},
  journal = {{Neuroinformatics}},
  volume = {{9}}, number = {{4}}, pages = {{381--400}}, year = {{2011}},
  doi = {{10.1007/s12021-011-9109-y}},
}}
"""

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>How to cite</title></head>
<body>
<h1>How to cite</h1>
{body}
</body>
</html>
"""


def citations() -> dict[str, str]:
    """Return the content of the files by their names.

    Examples
    --------
    >>> sorted(citations())
    ['CITATION.bib', 'CITATION.html', 'CITATION.md']
    """
    known = {"version": __version__, "algorithm": ALGORITHM}
    text = MARKDOWN.format(**known)
    return {
        "CITATION.md": text,
        "CITATION.html": PAGE.format(body=as_html(text)),
        "CITATION.bib": BIBTEX.format(**known),
    }


def as_html(text: str) -> str:
    r"""Convert paragraphs to HTML, with quotations, emphasis and code but without headings.

    Examples
    --------
    >>> as_html("# Title\n\n> *A* & B")
    '<blockquote><p><em>A</em> &amp; B</p></blockquote>'
    """
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("#"):
            continue
        quoted = all(line.startswith(">") for line in block.splitlines())
        plain = " ".join(line.removeprefix(">").strip() for line in block.splitlines())
        marked = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", escape(plain))
        marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", marked)
        blocks.append(f"<blockquote><p>{marked}</p></blockquote>" if quoted else f"<p>{marked}</p>")
    return "\n".join(blocks)
