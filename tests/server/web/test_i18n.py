"""Every text of the pages goes through gettext, and zh-CN has every message, none fuzzy, none left over."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from server.web import folding, i18n, pages
from tests.house.sources import ROOT

WEB = Path(i18n.__file__).parent
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
PO = WEB / "locale" / "zh_CN" / "LC_MESSAGES" / "messages.po"
KEYWORDS = {"_": None, "gettext": None, "_gettext": None, "mark": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
SAID_ATTRIBUTES = ("aria-label", "title", "placeholder", "alt")
ATTRIBUTE = re.compile(r"[\w-]+=(?:\"[^\"]*\"|'[^']*')")  # of a tag that another template opens
NOT_WORDS = re.compile(  # units, names of formats and products, keys, and what both languages write alike
    r"\b(?:kWh|kW|kV|V|A|ms|s|mm|p50|p95|CSV|SHA-256|estate645|English|Enter|Esc|Ctrl|Backspace|F\d|x|SVG)\b|中文|\d+"
)


def extracted():
    """Message ids of templates and code, (singular, plural) or a text, each with its context or None."""
    found = extract_from_dir(
        str(WEB),
        method_map=[("templates/**.html", "jinja2"), ("**.py", "python")],
        options_map={
            "templates/**.html": {"extensions": "jinja2.ext.i18n", "newstyle_gettext": "true", "silent": "false"}
        },
        keywords=KEYWORDS,
        directory_filter=lambda path: Path(path).name not in ("node_modules", "dist"),
    )
    return {
        (message if isinstance(message, str) else tuple(message[:2]), context) for _, _, message, _, context in found
    }


@pytest.fixture(scope="module")
def catalogue():
    with PO.open("rb") as file:
        return read_po(file, locale="zh_CN", abort_invalid=True)


def test_chinese_has_every_message_and_no_other(catalogue):
    wanted = {(one if isinstance(one, str) else one[0], context or "") for one, context in extracted()}
    have = {(m.id if isinstance(m.id, str) else m.id[0], m.context or "") for m in catalogue if m.id}
    assert sorted(wanted - have) == []
    assert sorted(have - wanted) == []
    assert len(wanted) > 400


def test_no_message_is_empty_fuzzy_or_obsolete(catalogue):
    empty = [m.id for m in catalogue if m.id and not all([m.string] if isinstance(m.string, str) else m.string)]
    assert empty == []
    assert [m.id for m in catalogue if m.id and m.fuzzy] == []
    assert list(catalogue.obsolete) == []


def placeholders(text):
    return set(re.findall(r"%\((\w+)\)[sd]", text))


def test_translations_use_the_same_placeholders(catalogue):
    wrong = []
    for message in catalogue:
        if not message.id:
            continue
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        texts = [message.string] if isinstance(message.string, str) else list(message.string)
        if any(placeholders(text) != placeholders(ids[0]) for text in texts):
            wrong.append(ids[0])
    assert wrong == []


class Texts(HTMLParser):
    """Collects the text and the spoken attributes of a template whose Jinja parts were blanked."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.silent = 0

    def handle_starttag(self, tag, attrs):
        self.silent += tag in ("script", "style")
        self.found += [value for name, value in attrs if name in SAID_ATTRIBUTES and value]

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.silent:
            self.found.append(data)


def plain_words(source):
    """Words of a template that are neither in an expression nor excused."""
    blanked = "".join(
        value if kind == "data" else (" " if kind in ("variable_begin", "block_begin") else "")
        for _, kind, value in Environment(extensions=["jinja2.ext.i18n"]).lex(source)
        if kind in ("data", "variable_begin", "block_begin")
    )
    parser = Texts()
    parser.feed(blanked)
    rest = (NOT_WORDS.sub(" ", ATTRIBUTE.sub(" ", text)) for text in parser.found)
    return [text.strip() for text in rest if re.search(r"[A-Za-z]{2,}|[\u4e00-\u9fff]", text)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(WEB / "templates").as_posix())
def test_templates_have_no_text_outside_gettext(path):
    assert plain_words(path.read_text("utf-8")) == []


def test_the_check_finds_text_outside_gettext():
    assert plain_words('<p title="Bad">{{ _("Good") }} Plain</p>') == ["Bad", "Plain"]


def test_templates_carry_no_style_and_no_inline_script():
    for path in TEMPLATES:
        source = path.read_text("utf-8")
        assert not re.search(r"\sstyle\s*=", source), path
        assert not re.search(r"\son[a-z]+\s*=\s*[\"']", source), path
        for kind in re.findall(r"<script\b([^>]*)>", source):
            assert "src=" in kind or 'type="application/json"' in kind, path


KNOWN = """{% from "marks.html" import icon, tag, swatch as sample %}
{{ _("Room wall") }}|
{{ _("%(percent)s %% of each top-up goes to debts of %(owed)s until they are paid:", percent=who, owed="<") }}|
{{ icon("home", tone="warn") }}|{{ sample("cut") }}|{{ tag("cut") }}|{{ {"a": _("Today")}[key] }}|{{ icon(key) }}|
{{ "x" if who }}{{ "y" if nothing }}|"""


@pytest.mark.parametrize("language", i18n.TAGS)
def test_what_is_known_when_a_template_is_compiled_is_what_the_page_would_say(language, monkeypatch):
    env, given = pages.environment(language), {"who": "<b>", "key": "a", "nothing": ""}
    parsed = env._parse(KNOWN, None, None)
    calls = list(parsed.find_all(nodes.Call))
    assert [call.node.name for call in calls] == ["icon"], "only what the page alone knows is left to it"
    assert [choice.expr2 for choice in parsed.find_all(nodes.CondExpr)] == [nodes.Const("")] * 2
    folded = env.from_string(KNOWN).render(given)
    monkeypatch.setattr(folding.Folding, "visit", lambda self, tree: tree)
    assert env.from_string(KNOWN).render(given) == folded
    assert i18n.translations(language).gettext("Room wall") in folded
    assert ("&lt;b&gt;" in folded, "%%" in folded) == (True, False)
    assert all(mark in folded for mark in ("#i-home", "#g-cut", "#i-a", "\nx|"))


def test_a_choice_wins_over_the_own_language_and_the_servers():
    assert i18n.choose("en", "zh_CN", "zh_CN") == "en"
    assert i18n.choose(None, "en", "zh_CN") == "en"
    assert i18n.choose("klingon", None, "zh_CN") == "zh_CN"
    assert i18n.choose(None, None, "xx") == "en"


OTHER_NAMES = {  # what a thing is called, and names that Chinese has for it, too
    "表底": ("示数", "表码", "止码", "起码"),
    "待判": ("待核", "待定"),
    "异常": ("案件", "立案", "结案"),
    "批准": ("核准", "复核", "审批"),
    "凭条": ("收据",),
    "断路器": ("熔断",),
    "供电规则": ("停送电规则",),
}


def misnamed(text):
    return [other for names in OTHER_NAMES.values() for other in names if other in text]


def test_a_thing_has_one_name(catalogue):
    texts = [text for m in catalogue if m.id for text in ([m.string] if isinstance(m.string, str) else m.string)]
    assert [(text, misnamed(text)) for text in texts if misnamed(text)] == []
    assert set(OTHER_NAMES) - {name for name in OTHER_NAMES for text in texts if name in text} == set()
    assert misnamed("案件待核") == ["待核", "案件"]


def test_the_guides_call_a_thing_by_the_same_name():
    guides = [*ROOT.glob("docs/*.zh-CN.md"), *ROOT.glob("examples/*/*.zh-CN.md"), ROOT / "README.zh-CN.md"]
    assert {guide.name: misnamed(guide.read_text("utf-8")) for guide in guides} == {guide.name: [] for guide in guides}


PEOPLE = re.compile(r"(?<!by\()(?<![\w.])[\w.]+\.(?:actor|approved_by|requested_by)\b(?! [=!]= )")


def test_people_are_named_and_not_by_their_logins():
    shown = [
        (path.name, expression)
        for path in TEMPLATES
        for expression in re.findall(r"\{\{.*?\}\}", path.read_text("utf-8"))
    ]
    assert [one for one in shown if PEOPLE.search(one[1])] == []
    assert PEOPLE.search("{{ native(one.actor) }}")
