"""Each page of documentation exists in English and in Chinese, and both say the same.

What can be compared without reading: the levels of the headings, the code blocks but for their comments, the rows of
the tables, and the names in backticks, which are those of settings, commands, options, routes and metrics. Names are
compared section by section, so that one that is missing is named with the heading under which it belongs.
"""

import re
from itertools import pairwise

import pytest

from tests.house.sources import ROOT, name, tracked

FOR_DEVELOPERS = ("CHANGELOG.md", "CONTRIBUTING.md", "bench/", "tests/")
GUIDES = [
    "docs/archive",
    "docs/deploy",
    "docs/how-it-works",
    "docs/reference",
    "docs/simulator",
    "examples/your_head_end/README",
]
BLOCK = re.compile(r"^```.*?^```$", re.M | re.S)
HEADING = re.compile(r"^(#+) (.+)$", re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(page):
    return (ROOT / page).read_text("utf-8")


def blocks(text):
    """The code blocks without comments, for those are translated."""
    return [re.sub(r"[ \t]*(?:^|(?<=\s))#.*$", "", block, flags=re.M) for block in BLOCK.findall(text)]


def prose(text):
    return BLOCK.sub("", text)


def levels(text):
    return [len(marks) for marks, _ in HEADING.findall(prose(text))]


def sections(text):
    """The text from each heading to the next one, the first with what is above it."""
    text = prose(text)
    starts = [0, *(found.start() for found in HEADING.finditer(text))][1:]
    return [text[a:b] for a, b in pairwise([*starts, len(text)])]


def names(section):
    return set(re.findall(r"`([^`]+)`", section))


def rows(section):
    """How many columns each row of each table has."""
    return [
        len(re.split(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))) for line in section.splitlines() if line[:1] == "|"
    ]


def targets(section):
    """Where the links go, whatever the language, without places on the page and pages' own links to the twin."""
    found = (target.partition("#")[0].replace(".zh-CN.", ".") for target in LINK.findall(section))
    return sorted(one for one in found if one)


def anchors(text):
    """The places on a page that its headings make, as GitHub names them."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for _, title in HEADING.findall(prose(text))}


def both(guide):
    return read(f"{guide}.md"), read(f"{guide}.zh-CN.md")


def test_no_page_has_only_one_language():
    pages = {name(page) for page in tracked(".md") if not name(page).startswith(FOR_DEVELOPERS)}
    english = {page for page in pages if not page.endswith(".zh-CN.md")}
    assert pages - english == {page.replace(".md", ".zh-CN.md") for page in english}
    assert {f"{guide}.md" for guide in GUIDES} <= english


@pytest.mark.parametrize("guide", GUIDES)
def test_both_languages_have_the_same_headings(guide):
    english, chinese = both(guide)
    assert levels(chinese) == levels(english)


@pytest.mark.parametrize("guide", GUIDES)
def test_both_languages_show_the_same_code(guide):
    english, chinese = both(guide)
    assert blocks(chinese) == blocks(english)


@pytest.mark.parametrize("guide", GUIDES)
def test_both_languages_name_the_same_things_and_link_to_them(guide):
    english, chinese = (sections(text) for text in both(guide))
    for here, there in zip(english, chinese, strict=True):
        title = here.splitlines()[0]
        assert (title, names(here) ^ names(there)) == (title, set())
        assert (title, rows(there)) == (title, rows(here))
        assert (title, targets(there)) == (title, targets(here))


@pytest.mark.parametrize("guide", [*GUIDES, "README"])
def test_the_top_of_each_language_leads_to_the_other(guide):
    english, chinese = (text.splitlines()[2] for text in both(guide))
    page = guide.rpartition("/")[2]
    assert (english, chinese) == (f"[简体中文]({page}.zh-CN.md)", f"[English]({page}.md)")


@pytest.mark.parametrize("page", [f"{guide}{end}" for guide in [*GUIDES, "README"] for end in (".md", ".zh-CN.md")])
def test_links_to_a_place_on_a_page_find_it(page):
    lost = []
    for link in LINK.findall(prose(read(page))):
        path, _, place = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if place and not link.startswith("http") and place not in anchors(target.read_text("utf-8")):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", ["README.zh-CN.md", *(f"{guide}.zh-CN.md" for guide in GUIDES)])
def test_chinese_pages_lead_to_chinese_pages(page):
    english = {f"{guide.rpartition('/')[2]}.md" for guide in GUIDES[:-1]}
    links = [link.partition("#")[0].rpartition("/")[2] for link in LINK.findall("\n".join(read(page).splitlines()[3:]))]
    assert [link for link in links if link in english] == []
