"""What of a template is known when it is compiled is worked out then: texts in its language, marks with fixed names.

An inline `if` without `else` is an empty text. Jinja's own answer is an object of its own each time, made for nothing.

A language has templates of its own, so `_("Room wall")` is a constant of them, and so is a macro of another template
that is called with constants, since it sees nothing of the page. What has figures in it stays a call.
"""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

SAID = frozenset({"_", "gettext"})


class Folding(NodeTransformer):
    """Replaces calls whose outcome is known in the tree of one template."""

    def __init__(self, env: Environment, template: nodes.Template, gettext: Callable[[str], str]) -> None:
        self._env, self._gettext = env, gettext
        self._macros: dict[str, tuple[str, str]] = {}  # by the name in this template: template and name there
        for found in template.find_all(nodes.FromImport):
            if isinstance(found.template, nodes.Const) and not found.with_context:
                for name in found.names:
                    there, here = name if isinstance(name, tuple) else (name, name)
                    self._macros[here] = str(found.template.value), there

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802  # named by Jinja
        """A call, after what it contains."""
        self.generic_visit(node)
        if not isinstance(node.node, nodes.Name) or node.dyn_args is not None or node.dyn_kwargs is not None:
            return node
        name = node.node.name
        if name in SAID and len(node.args) == 1 and isinstance(node.args[0], nodes.Const):
            return self._text(node, node.args[0].value)
        if name in self._macros and all(isinstance(one, nodes.Const) for one in _given(node)):
            return self._drawn(node, *self._macros[name])
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802  # named by Jinja
        """An inline `if`, after what it contains."""
        self.generic_visit(node)
        if node.expr2 is None:
            node.expr2 = nodes.Const("", lineno=node.lineno)
        return node

    def _text(self, node: nodes.Call, message: str) -> nodes.Node:
        said = Markup(self._gettext(message))  # noqa: S704  # a text of the catalogue, as Jinja's own gettext does
        if not node.kwargs:
            return _const(said % {}, node)
        pairs = [nodes.Pair(nodes.Const(one.key), one.value) for one in node.kwargs]
        return nodes.Mod(_const(said, node), nodes.Dict(pairs), lineno=node.lineno)

    def _drawn(self, node: nodes.Call, template: str, name: str) -> nodes.Node:
        macro: Any = getattr(self._env.get_template(template).module, name)
        arguments = [one.value for one in node.args if isinstance(one, nodes.Const)]
        named = {one.key: one.value.value for one in node.kwargs if isinstance(one.value, nodes.Const)}
        return _const(Markup(macro(*arguments, **named)), node)  # noqa: S704  # as the template drew it


def _given(node: nodes.Call) -> list[nodes.Expr]:
    return [*node.args, *(one.value for one in node.kwargs)]


def _const(value: Markup, node: nodes.Node) -> nodes.Const:
    return nodes.Const(value, lineno=node.lineno)
