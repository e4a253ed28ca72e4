# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The Kusto query language, as far as questions about a table of heartbeats need it: where, extend, project, summarize, distinct, order,
top, take and count. What it does not know is refused in Azure's words, never answered."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Row = dict[str, Any]
TIME = "TimeGenerated"
UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<timespan>\d+(?:\.\d+)?(?:ms|[dhms])\b)
      | (?P<number>\d+(?:\.\d+)?\b)
      | (?P<string>@?"(?:[^"\\]|\\.)*"|@?'(?:[^'\\]|\\.)*')
      | (?P<date>datetime\(\s*[^)"']*\))
      | (?P<name>!?[A-Za-z_]\w*~?)
      | (?P<sign>==|!=|=~|!~|>=|<=|[|()=<>,+\-*])""",
    re.VERBOSE,
)


class Refused(Exception):
    """A query that cannot be run; `error` is the innererror that the service tells (its form and its codes: public issue threads)."""

    def __init__(self, error: Row) -> None:
        super().__init__(error)
        self.error = error


def _semantic(message: str) -> Refused:
    return Refused(
        {"code": "SemanticError", "message": "A semantic error occurred.", "innererror": {"code": "SEM0100", "message": message}}
    )


class Token(NamedTuple):
    kind: str
    text: str
    at: int


class Expression(NamedTuple):
    """A value of each row: its type, how it is had, and the name that it gets where none is given.

    constant: it is the same for all rows. after: no row from before this time meets it.
    """

    type: str
    of: Callable[[Row], Any]
    name: str = ""
    constant: bool = False
    after: datetime | None = None


class Aggregate(NamedTuple):
    """A value of a group of rows; columns: the name and type of each that it gives (arg_max gives many)."""

    columns: dict[str, str]
    of: Callable[[list[Row]], Row]


@dataclass
class Table:
    """columns: name to type (string, datetime, int, long, real, bool, timespan). Those that begin with _ show only where they are asked
    for by name (Microsoft Learn, standard columns in Azure Monitor Logs). since: gives the rows from a time on, where that is less work."""

    columns: dict[str, str]
    rows: Iterable[Row]
    picked: bool = field(default=False)
    since: Callable[[datetime], Iterable[Row]] | None = None

    def shown(self) -> tuple[list[Row], list[list[Any]]]:
        """Columns and rows as the service answers them."""
        names = [name for name in self.columns if self.picked or not name.startswith("_")]
        columns = [{"name": name, "type": self.columns[name]} for name in names]
        return columns, [[_wire(row.get(name)) for name in names] for row in self.rows]


def run(query: str, tables: Mapping[str, Table], now: datetime) -> Table:
    """The table that a query gives. Raises Refused."""
    return _Parser(query, tables, now).table()


def _wire(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(value.total_seconds(), 60)
        return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{seconds:010.7f}"
    return value


def stamp(moment: datetime) -> str:
    """As Log Analytics writes times: up to seven digits and Z (Microsoft Learn, examples of the query API)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "=~": operator.eq,
    "!~": operator.ne,
    "has": lambda text, word: re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text) is not None,
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_IN = {"in": (False, False), "!in": (True, False), "in~": (False, True), "!in~": (True, True)}  # negated, in any letter case
_NUMBERS = {"int", "long", "real"}


class _Parser:
    def __init__(self, query: str, tables: Mapping[str, Table], now: datetime) -> None:
        self._query, self._tables, self._now = query, tables, now
        self._tokens = list(self._split())
        self._next = 0
        self._operator = "where"
        self._columns: dict[str, str] = {}

    def _split(self) -> Iterable[Token]:
        at = 0
        while at < len(self._query):
            found = _TOKEN.match(self._query, at)
            if found is None:
                raise self._unparsed(Token("", self._query[at], at))
            if found.lastgroup != "space":
                yield Token(str(found.lastgroup), found[0], at)
            at = found.end()
        yield Token("end", "", at)

    def _unparsed(self, token: Token) -> Refused:
        before = self._query[: token.at]
        line, position = before.count("\n") + 1, token.at - (before.rfind("\n") + 1)
        told = {"message": f"Query could not be parsed at '{token.text}' on line [{line},{position}]"}
        inner = {"code": "SYN0002", **told, "line": line, "pos": position, "token": token.text}
        return Refused({"code": "SyntaxError", "message": "A recognition error occurred in the query.", "innererror": inner})

    # Tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> str | None:
        """The next token when it is one of these."""
        if self._token.kind in ("name", "sign") and self._token.text in texts:
            self._next += 1
            return self._tokens[self._next - 1].text
        return None

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unparsed(self._token)

    def _of_kind(self, kind: str) -> str:
        if self._token.kind != kind:
            raise self._unparsed(self._token)
        self._next += 1
        return self._tokens[self._next - 1].text

    def _listed(self, one: Callable[[], Any]) -> list[Any]:
        found = [one()]
        while self._take(","):
            found.append(one())
        return found

    # The operators

    def table(self) -> Table:
        name = self._of_kind("name")
        if name not in self._tables:
            raise _semantic(f"'where' operator: Failed to resolve table or column expression named '{name}'")
        found = self._tables[name]
        while self._take("|"):
            self._operator, self._columns = self._of_kind("name"), found.columns
            step = getattr(self, f"_{self._operator}_rows", None)
            if step is None:
                self._next -= 1
                raise self._unparsed(self._token)
            found = step(found)
        if self._token.kind != "end":
            raise self._unparsed(self._token)
        return found

    def _where_rows(self, table: Table) -> Table:
        test = self._expression()
        if test.type != "bool":
            raise _semantic("'where' operator: Expected a boolean expression")
        rows = table.since(test.after) if table.since and test.after else table.rows
        return Table(table.columns, (row for row in rows if test.of(row)), table.picked)

    def _extend_rows(self, table: Table) -> Table:
        made = self._named_list()
        columns = table.columns | {name: one.type for name, one in made.items()}
        return Table(columns, ({**row, **{name: one.of(row) for name, one in made.items()}} for row in table.rows), table.picked)

    def _project_rows(self, table: Table) -> Table:
        made = self._named_list()
        rows = ({name: one.of(row) for name, one in made.items()} for row in table.rows)
        return Table({name: one.type for name, one in made.items()}, rows, True)

    def _distinct_rows(self, table: Table) -> Table:
        return _grouped(table, self._named_list(), [])

    def _summarize_rows(self, table: Table) -> Table:
        aggregates = [] if self._token.text == "by" else self._listed(self._aggregate)
        return _grouped(table, self._named_list() if self._take("by") else {}, aggregates)

    def _take_rows(self, table: Table) -> Table:
        return Table(table.columns, list(table.rows)[: int(self._of_kind("number"))], table.picked)

    _limit_rows = _take_rows

    def _order_rows(self, table: Table) -> Table:
        self._expect("by")
        return self._sorted(table)

    _sort_rows = _order_rows

    def _top_rows(self, table: Table) -> Table:
        count = int(self._of_kind("number"))
        self._expect("by")
        ordered = self._sorted(table)
        return Table(ordered.columns, list(ordered.rows)[:count], ordered.picked)

    def _sorted(self, table: Table) -> Table:
        """Descending unless told otherwise, nulls last."""
        keys = self._listed(lambda: (self._expression(), self._take("asc", "desc") != "asc"))
        rows = list(table.rows)
        for key, descending in reversed(keys):
            known = sorted((row for row in rows if key.of(row) is not None), key=key.of, reverse=descending)
            rows = known + [row for row in rows if key.of(row) is None]
        return Table(table.columns, rows, table.picked)

    def _count_rows(self, table: Table) -> Table:
        return Table({"Count": "long"}, [{"Count": sum(1 for _row in table.rows)}], True)

    def _named_list(self) -> dict[str, Expression]:
        return {one.name: one for one in self._listed(self._named)}

    def _named(self) -> Expression:
        """expression, or name = expression."""
        if self._token.kind == "name" and self._tokens[self._next + 1].text == "=":
            name = self._of_kind("name")
            self._expect("=")
            return self._expression()._replace(name=name)
        return self._expression()

    def _aggregate(self) -> Aggregate:
        alias = ""
        if self._tokens[self._next + 1].text == "=":
            alias = self._of_kind("name")
            self._expect("=")
        token = self._token
        function = self._of_kind("name")
        self._expect("(")
        if function == "count":
            self._expect(")")
            return Aggregate({alias or "count_": "long"}, lambda rows: {alias or "count_": len(rows)})
        if function in ("arg_max", "arg_min"):
            return self._extreme_row(max if function == "arg_max" else min, alias)
        if function not in ("max", "min", "dcount"):
            raise _semantic(f"'summarize' operator: Unknown function: '{token.text}'.")
        value = self._expression()
        self._expect(")")
        name = alias or f"{function}_{value.name}"
        if function == "dcount":
            return Aggregate({name: "long"}, lambda rows: {name: len({value.of(row) for row in rows})})
        choose = max if function == "max" else min
        return Aggregate(
            {name: value.type}, lambda rows: {name: choose((v for row in rows if (v := value.of(row)) is not None), default=None)}
        )

    def _extreme_row(self, choose: Callable[..., Any], alias: str) -> Aggregate:
        """arg_max(value, columns): the columns of the row that has the greatest value; * for all."""
        value = self._expression()
        name = alias or value.name
        self._expect(",")
        others = list(self._columns) if self._take("*") else [one.name for one in self._listed(self._column)]
        self._expect(")")
        columns = {name: value.type, **{other: self._columns[other] for other in others if other != value.name}}

        def of(rows: list[Row]) -> Row:
            if not rows:
                return {}
            chosen = choose(rows, key=value.of)
            return {**{other: chosen.get(other) for other in others}, name: value.of(chosen)}

        return Aggregate(columns, of)

    # Expressions, the loosest binding first

    def _expression(self) -> Expression:
        left = self._both()
        while self._take("or"):
            right, first = self._both(), left
            left = Expression("bool", lambda row, a=first, b=right: bool(a.of(row) or b.of(row)))  # type: ignore[misc]
        return left

    def _both(self) -> Expression:
        left = self._comparison()
        while self._take("and"):
            right, first = self._comparison(), left
            after = max(filter(None, (first.after, right.after)), default=None)
            left = Expression("bool", lambda row, a=first, b=right: bool(a.of(row) and b.of(row)), after=after)  # type: ignore[misc]
        return left

    def _comparison(self) -> Expression:
        left = self._sum()
        word = self._take(*_COMPARE, *_TEXT, *_IN)
        if word is None:
            return left
        if word in _IN:
            return self._membership(left, *_IN[word])
        right = self._sum()
        if word in _COMPARE:
            self._comparable(left, right)
            compare, later = _COMPARE[word], word in (">", ">=") and left.name == TIME and right.constant
            after = right.of({}) if later else None
            return Expression("bool", lambda row: None not in (a := left.of(row), b := right.of(row)) and compare(a, b), after=after)
        test = _TEXT[word]
        return Expression("bool", lambda row: test(str(left.of(row) or "").lower(), str(right.of(row) or "").lower()))

    def _comparable(self, left: Expression, right: Expression) -> None:
        if left.type != right.type and not {left.type, right.type} <= _NUMBERS:
            raise _semantic(
                f"'{self._operator}' operator: Cannot compare values of types {left.type} and {right.type}. Try adding explicit casts"
            )

    def _membership(self, left: Expression, negated: bool, any_case: bool) -> Expression:
        self._expect("(")
        values = self._listed(self._sum)
        self._expect(")")
        for value in values:
            self._comparable(left, value)

        def folded(value: Any) -> Any:
            return value.lower() if any_case and isinstance(value, str) else value

        members = {folded(value.of({})) for value in values}
        return Expression("bool", lambda row: (folded(left.of(row)) in members) is not negated)

    def _sum(self) -> Expression:
        left = self._atom()
        while sign := self._take("+", "-"):
            right, first = self._atom(), left
            both = (left.type, right.type)
            kind = {("datetime", "datetime"): "timespan", ("datetime", "timespan"): "datetime", ("timespan", "timespan"): "timespan"}.get(
                both
            )
            if kind is None and not set(both) <= _NUMBERS:
                raise _semantic(f"'{self._operator}' operator: Arithmetic expression cannot be carried-out between {both[0]} and {both[1]}")
            work = operator.add if sign == "+" else operator.sub
            left = Expression(kind or left.type, lambda row, a=first, b=right, do=work: do(a.of(row), b.of(row)))  # type: ignore[misc]
        return left

    def _atom(self) -> Expression:
        token = self._token
        if self._take("("):
            inside = self._expression()
            self._expect(")")
            return inside
        if token.kind in ("string", "number", "timespan", "date"):
            self._next += 1
            return _literal(token.kind, token.text, self._unparsed(token))
        if token.kind == "name" and self._tokens[self._next + 1].text == "(":
            return self._function()
        return self._column()

    def _column(self) -> Expression:
        name = self._of_kind("name")
        if name in ("true", "false"):
            return Expression("bool", lambda row: name == "true")
        if name not in self._columns:
            raise _semantic(f"'{self._operator}' operator: Failed to resolve column or scalar expression named '{name}'")
        return Expression(self._columns[name], lambda row: row.get(name), name)

    def _function(self) -> Expression:
        name = self._of_kind("name")
        self._expect("(")
        given = [] if self._token.text == ")" else self._listed(self._expression)
        self._expect(")")
        kinds, now = [one.type for one in given], self._now
        if (name, kinds) == ("now", []):
            return Expression("datetime", lambda row: now, constant=True)
        if (name, kinds) == ("ago", ["timespan"]):
            return Expression("datetime", lambda row: now - given[0].of(row), constant=given[0].constant)
        if (name, kinds) == ("not", ["bool"]):
            return Expression("bool", lambda row: not given[0].of(row))
        if name in ("tolower", "toupper") and kinds == ["string"]:
            return Expression("string", lambda row: getattr(str(given[0].of(row) or ""), name[2:])(), given[0].name)
        if name in ("isempty", "isnotempty") and kinds == ["string"]:
            return Expression("bool", lambda row: bool(given[0].of(row)) is (name == "isnotempty"))
        raise _semantic(f"'{self._operator}' operator: Unknown function: '{name}'.")


def _literal(kind: str, text: str, problem: Refused) -> Expression:
    value: Any
    if kind == "string":
        value = text[2:-1] if text[0] == "@" else re.sub(r"\\(.)", r"\1", text[1:-1])
        return Expression("string", lambda row: value)
    if kind == "timespan":
        number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr]
        value = timedelta(seconds=float(number) * UNITS[unit])
        return Expression("timespan", lambda row: value, constant=True)
    if kind == "date":
        try:
            value = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text[9:-1].strip()))
        except ValueError:
            raise problem from None
        value = value.replace(tzinfo=value.tzinfo or UTC)
        return Expression("datetime", lambda row: value, constant=True)
    value = float(text) if "." in text else int(text)
    return Expression("real" if "." in text else "long", lambda row: value)


def _grouped(table: Table, by: Mapping[str, Expression], aggregates: list[Aggregate]) -> Table:
    """One row for each group of rows that have the same values; without groups, one row for all."""
    groups: dict[tuple[Any, ...], list[Row]] = {} if by else {(): []}
    for row in table.rows:
        groups.setdefault(tuple(one.of(row) for one in by.values()), []).append(row)
    columns = {name: one.type for name, one in by.items()}
    for aggregate in aggregates:
        columns = {**columns, **{name: kind for name, kind in aggregate.columns.items() if name not in by}}
    rows = []
    for key, members in groups.items():
        made: Row = {}
        for aggregate in aggregates:
            made |= aggregate.of(members)
        rows.append(made | dict(zip(by, key, strict=True)))
    return Table(columns, rows, True)
