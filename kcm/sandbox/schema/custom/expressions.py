"""The regular expressions of CRD patterns, read into a tree: the syntax that the server's engine takes.

`parse` reads literals, classes (`[a-z]`, `[[:alpha:]]`, `\\d \\w \\s`), `.`, groups, flags `(?i)`,
alternation, repetition (greedy or not: only whether a text matches is asked) and the assertions
`^ $ \\A \\z \\b \\B`. What the server's engine refuses (look-around, back references) raises
`PatternError` in its words. Guarantees: bounded: repetition counts to 1000, `MOST_NODES` nodes after
unfolding, nesting to `DEEPEST`. Unicode classes other than letters, digits and spaces (`\\pX`) match
by the first letter of the category.
"""

from __future__ import annotations

from dataclasses import dataclass

from kcm.base.errors import KcmError
from kcm.sandbox.schema.custom.classes import (
    PERL,
    POSIX,
    Test,
    category,
    folded,
    literal,
    negated,
    ranges,
)

DEEPEST = 100
MOST_NODES = 20_000
_MOST_REPEATS = 1000


class PatternError(KcmError):
    """The text is no regular expression."""

    def __init__(self, what: str, piece: str) -> None:
        super().__init__(f"error parsing regexp: {what}: `{piece}`")


@dataclass(frozen=True, slots=True)
class Char:
    """One character that passes a test."""

    test: Test


@dataclass(frozen=True, slots=True)
class Assertion:
    """A place: "^" or "$" of the text, "(" or ")" of a line, "b" a word boundary, "B" none."""

    kind: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """From `least` to `most` times; None: without end."""

    inner: Node
    least: int
    most: int | None


Node = Char | Assertion | Sequence | Choice | Repeat


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    lines: bool = False
    newline: bool = False


_CONTROL = {"a": "\x07", "f": "\x0c", "n": "\n", "r": "\r", "t": "\t", "v": "\x0b"}
_META = frozenset("\\.+*?()|[]{}^$")


def parse(pattern: str) -> Node:
    """Return the tree of a pattern; PatternError when it is none."""
    reader = _Reader(pattern)
    found = reader.choice(_Flags(), 0)
    if reader.at < len(pattern):
        raise PatternError("unexpected )", pattern)
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, piece: str) -> bool:
        if not self.text.startswith(piece, self.at):
            return False
        self.at += len(piece)
        return True

    def choice(self, flags: _Flags, depth: int) -> Node:
        if depth > DEEPEST:
            raise PatternError("expression nests too deeply", self.text)
        options: list[Node] = []
        parts: list[Node] = []
        while (char := self.peek()) and char != ")":
            if char == "|":
                self.at += 1
                options.append(_sequence(parts))
                parts = []
                continue
            if char == "(" and (changed := self._flags_alone(flags)) is not None:
                flags = changed
                continue
            parts.append(self._repeated(self._atom(flags, depth)))
        options.append(_sequence(parts))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _flags_alone(self, flags: _Flags) -> _Flags | None:
        """Read `(?i)`, which holds to the end of the group."""
        begin = self.at
        if not self.take("(?"):
            return None
        changed = self._read_flags(flags)
        if changed is not None and self.take(")"):
            return changed
        self.at = begin
        return None

    def _read_flags(self, flags: _Flags) -> _Flags | None:
        on, seen = True, False
        fold, lines, newline = flags.fold, flags.lines, flags.newline
        while char := self.peek():
            match char:
                case "i":
                    fold = on
                case "m":
                    lines = on
                case "s":
                    newline = on
                case "U":
                    pass
                case "-" if on:
                    on = False
                case _:
                    break
            seen = True
            self.at += 1
        return _Flags(fold, lines, newline) if seen else None

    def _atom(self, flags: _Flags, depth: int) -> Node:
        char = self.peek()
        self.at += 1
        match char:
            case "(":
                return self._group(flags, depth)
            case "[":
                return _char(self._class(), flags)
            case ".":
                return Char((lambda _: True) if flags.newline else (lambda char: char != "\n"))
            case "^":
                return Assertion("(" if flags.lines else "^")
            case "$":
                return Assertion(")" if flags.lines else "$")
            case "\\":
                return self._escape(flags)
            case "*" | "+" | "?":
                raise PatternError("missing argument to repetition operator", char)
        return _char(literal(char), flags)

    def _group(self, flags: _Flags, depth: int) -> Node:
        begin = self.at - 1
        if self.take("?"):
            if self.take("P<") or (self.peek() == "<" and self.text[self.at + 1 : self.at + 2] not in "=!"):
                self.take("<")
                end = self.text.find(">", self.at)
                name = self.text[self.at : end] if end >= 0 else ""
                if not name or not all(char.isalnum() or char == "_" for char in name):
                    raise PatternError("invalid named capture", self.text[begin : max(end, begin) + 1])
                self.at = end + 1
            else:
                changed = self._read_flags(flags)
                flags = changed if changed is not None else flags
                if not self.take(":"):
                    raise PatternError(
                        "invalid or unsupported Perl syntax", self.text[begin : max(self.at + 1, begin + 3)]
                    )
        inner = self.choice(flags, depth + 1)
        if not self.take(")"):
            raise PatternError("missing closing )", self.text)
        return inner

    def _repeated(self, atom: Node) -> Node:
        begin = self.at
        repeats = 0
        while (bounds := self._repetition()) is not None:
            repeats += 1
            if repeats > 1:
                raise PatternError("invalid nested repetition operator", self.text[begin : self.at])
            self.take("?")
            atom = Repeat(atom, *bounds)
        return atom

    def _repetition(self) -> tuple[int, int | None] | None:
        match self.peek():
            case "*":
                self.at += 1
                return 0, None
            case "+":
                self.at += 1
                return 1, None
            case "?":
                self.at += 1
                return 0, 1
            case "{":
                return self._counted()
        return None

    def _counted(self) -> tuple[int, int | None] | None:
        """Read `{n}`, `{n,}` or `{n,m}`; anything else is a literal brace."""
        end = self.text.find("}", self.at)
        if end < 0:
            return None
        body = self.text[self.at + 1 : end]
        low, comma, high = body.partition(",")
        if not low.isdecimal() or not low.isascii() or (high and not (high.isdecimal() and high.isascii())):
            return None
        least = int(low[:5])
        most = least if not comma else int(high[:5]) if high else None
        if least > _MOST_REPEATS or (most is not None and (most > _MOST_REPEATS or most < least)):
            raise PatternError("invalid repeat count", self.text[self.at : end + 1])
        self.at = end + 1
        return least, most

    def _escape(self, flags: _Flags) -> Node:
        char = self.peek()
        if not char:
            raise PatternError("trailing backslash at end of expression", "")
        match char:
            case "A":
                self.at += 1
                return Assertion("^")
            case "z":
                self.at += 1
                return Assertion("$")
            case "b" | "B":
                self.at += 1
                return Assertion(char)
            case "Q":
                return self._quoted(flags)
        if (test := self._class_escape()) is not None:
            return Char(test)
        return _char(literal(self._escaped_char()), flags)

    def _quoted(self, flags: _Flags) -> Node:
        end = self.text.find("\\E", self.at)
        quoted = self.text[self.at + 1 : end if end >= 0 else len(self.text)]
        self.at = end + 2 if end >= 0 else len(self.text)
        return _sequence([_char(literal(char), flags) for char in quoted])

    def _class_escape(self) -> Test | None:
        """Read `\\d` and the like, after the backslash."""
        char = self.peek()
        if char.lower() in PERL:
            self.at += 1
            inside = ranges(PERL[char.lower()])
            return inside if char.islower() else negated(inside)
        if char not in ("p", "P"):
            return None
        self.at += 1
        if self.take("{"):
            end = self.text.find("}", self.at)
            if end < 0:
                raise PatternError("invalid character class range", self.text[self.at - 3 :])
            name, self.at = self.text[self.at : end], end + 1
        else:
            name = self.peek()
            self.at += 1
        found = category(name)
        if found is None:
            raise PatternError("invalid character class range", f"\\p{{{name}}}")
        return found if char == "p" else negated(found)

    def _escaped_char(self) -> str:
        begin = self.at - 1
        char = self.peek()
        self.at += 1
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "x":
            digits = self._hexadecimal()
            if digits is not None:
                return chr(digits)
        elif char in "01234567":
            number = char
            while len(number) < 3 and self.peek() and self.peek() in "01234567":
                number += self.peek()
                self.at += 1
            if char == "0" or len(number) == 3:
                return chr(int(number, 8))
        elif char in _META or (char.isascii() and not char.isalnum()):
            return char
        raise PatternError("invalid escape sequence", self.text[begin : self.at])

    def _hexadecimal(self) -> int | None:
        if self.take("{"):
            end = self.text.find("}", self.at)
            digits, after = self.text[self.at : max(end, self.at)], end + 1
        else:
            digits, after = self.text[self.at : self.at + 2], self.at + 2
            if len(digits) < 2:
                return None
        if not 1 <= len(digits) <= 6 or not all(char in "0123456789abcdefABCDEF" for char in digits):
            return None
        self.at = after
        number = int(digits, 16)
        return number if number <= 0x10FFFF else None

    def _class(self) -> Test:
        """Read a class, after its bracket."""
        begin = self.at - 1
        opposite = self.take("^")
        tests: list[Test] = []
        first = True
        while first or self.peek() != "]":
            if not self.peek():
                raise PatternError("missing closing ]", self.text[begin:])
            first = False
            tests.append(self._member(begin))
        self.at += 1
        held = tuple(tests)

        def inside(char: str) -> bool:
            return any(test(char) for test in held)

        return negated(inside) if opposite else inside

    def _member(self, begin: int) -> Test:
        if self.take("[:"):
            end = self.text.find(":]", self.at)
            name = self.text[self.at : end] if end >= 0 else ""
            if name.removeprefix("^") not in POSIX:
                raise PatternError("invalid character class range", self.text[self.at - 2 : end + 2])
            self.at = end + 2
            test = ranges(POSIX[name.removeprefix("^")])
            return negated(test) if name.startswith("^") else test
        start = self.at
        if self.peek() == "\\" and self.text[self.at + 1 : self.at + 2] in (
            "d",
            "D",
            "s",
            "S",
            "w",
            "W",
            "p",
            "P",
        ):
            self.at += 1
            found = self._class_escape()
            assert found is not None
            return found
        low = self._class_char(begin)
        if self.peek() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return lambda char: char == low
        self.at += 1
        high = self._class_char(begin)
        if high < low:
            raise PatternError("invalid character class range", self.text[start : self.at])
        return lambda char: low <= char <= high

    def _class_char(self, begin: int) -> str:
        if self.take("\\"):
            if not self.peek():
                raise PatternError("trailing backslash at end of expression", "")
            return self._escaped_char()
        char = self.peek()
        if not char:
            raise PatternError("missing closing ]", self.text[begin:])
        self.at += 1
        return char


def _char(test: Test, flags: _Flags) -> Char:
    return Char(folded(test) if flags.fold else test)


def _sequence(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))
