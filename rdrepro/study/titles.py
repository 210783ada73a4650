"""What was tested, in words: data sets, categories and teachers as tables and figures name them."""

import re
from collections.abc import Sequence

from rdrepro import registry
from rdrepro.study.wording import network

EMBEDDED = "embedded"


def dataset_title(dataset: str) -> str:
    """A data set's title; "embedded" for the drawn categories that come with the package."""
    return EMBEDDED if dataset == "synthetic" else registry.title_of(dataset)


def data_title(dataset: str, categories: Sequence[str]) -> str:
    """What was tested, such as "bottle (MVTec AD)" or "15 embedded categories"."""
    title = dataset_title(dataset)
    if len(categories) == 1:
        return f"{categories[0]} ({title})" if categories[0] else title
    if title == EMBEDDED:
        return f"{len(categories)} embedded categories"
    return f"{len(categories)} categories of {title}"


def readable(text: str) -> str:
    """A text in which the names of data sets and teachers are replaced by their titles."""
    return re.sub(r"\w+", lambda word: network(dataset_title(word[0])), text)
