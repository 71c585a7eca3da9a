package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxSyntaxErrors bounds what is said of a file that is no TOML at all.
const maxSyntaxErrors = 20

// run parses the whole file. After a syntax error it goes on behind it, so that the rest is looked at too.
func (b *builder) run() {
	var p unstable.Parser
	base := 0 // of the part that p parses
	for found := 0; ; found++ {
		p.Reset(b.data[base:])
		end := base // of the last good expression
		for p.NextExpression() {
			b.add(&p, p.Expression(), base)
			end = base + expressionEnd(p.Expression())
		}
		if p.Error() == nil {
			return
		}
		b.errs.partial = true
		if found == maxSyntaxErrors {
			b.errs.add(Mistake{Line: b.line(end), Text: "more syntax errors follow: is this a TOML file?"})
			return
		}
		at := base + errorOffset(&p)
		start := b.expressionStart(end)
		b.syntaxError(p.Error(), start, at)
		base = b.resume(start, at)
	}
}

// expressionEnd returns the offset behind the last byte of an expression that has a range.
func expressionEnd(e *unstable.Node) (end int) {
	end = int(e.Raw.Offset + e.Raw.Length)
	for it := e.Key(); it.Next(); {
		end = max(end, int(it.Node().Raw.Offset+it.Node().Raw.Length))
	}
	return end
}

// expressionStart returns where the expression after an offset begins: the offset may be within the line of the one
// before, and blank lines and comments may follow.
func (b *builder) expressionStart(offset int) int {
	line := b.line(offset)
	if strings.TrimSpace(string(b.data[b.lines[line-1]:offset])) == "" {
		line-- // at the start of a line: it counts
	}
	for ; line < len(b.lines); line++ {
		if text := strings.TrimSpace(b.text(line + 1)); text != "" && text[0] != '#' {
			return b.lines[line]
		}
	}
	return offset
}

// text returns a line without its end.
func (b *builder) text(line int) string {
	end := len(b.data)
	if line < len(b.lines) {
		end = b.lines[line] - 1
	}
	return strings.TrimSuffix(string(b.data[b.lines[line-1]:end]), "\r")
}

// errorOffset returns where the parser stopped.
func errorOffset(p *unstable.Parser) int {
	var perr *unstable.ParserError
	if !errors.As(p.Error(), &perr) || perr.Highlight == nil {
		return 0
	}
	return int(p.Range(perr.Highlight).Offset)
}

// syntaxError explains a mistake that the parser found.
func (b *builder) syntaxError(err error, start, at int) {
	line := b.line(at)
	column := utf8.RuneCount(b.data[b.lines[line-1]:at]) + 1
	text := fmt.Sprintf("syntax error at column %d: %s", column, explain(err.Error()))
	first := b.line(start)
	if first < line {
		text += fmt.Sprintf(" (this began on line %d)", first)
	}
	if b.table == b.root {
		text += foreignLine(b.text(first))
	}
	b.errs.add(Mistake{Line: line, Text: text})
}

// explanations say what to do about what the parser says, which sometimes quotes a byte of a value: a value may be a
// secret, so its words are never passed on.
var explanations = []struct{ prefix, text string }{
	{"array is incomplete", "a list has no closing ]"},
	{"arrays and inline tables are nested", "too many lists and tables within each other"},
	{"basic strings cannot have new lines", `a string has no closing " on its line`},
	{"unterminated basic string", `a string has no closing "`},
	{"literal strings cannot have new lines", "a string has no closing ' on its line"},
	{"unterminated literal string", "a string has no closing '"},
	{"multiline basic string not terminated", `a string has no closing """`},
	{"multiline literal string not terminated", "a string has no closing '''"},
	{"too many quotes", "too many quotes at the end of a string"},
	{"basic strings cannot have control", "a string holds a control character"},
	{"literal strings cannot have control", "a string holds a control character"},
	{"multiline basic strings cannot have control", "a string holds a control character"},
	{"multiline literal strings cannot have control", "a string holds a control character"},
	{"control characters are not allowed in comments", "a comment holds a control character"},
	{"carriage returns", "a carriage return without a line feed"},
	{"invalid UTF-8", "not UTF-8"},
	{"expected ',' or ']'", "a list needs a comma between its values and ] at its end"},
	{"expected ',' or '}'", "a table in { } needs a comma between its keys and } at its end"},
	{"inline table is incomplete", "a table in { } has no closing }"},
	{"unexpected comma in inline table", "a comma without a key before it"},
	{"expected value but got", "a comma without a value before it"},
	{"expected '=' after key", "a key needs = and a value after it"},
	{"expected ']' to close", "the header of a section has no closing ]"},
	{"expected ']]' to close", "the header of a list of tables has no closing ]]"},
	{"expected value, not end", "a value is missing"},
	{"unexpected character", `expected a value; text needs quotes: "…"`},
	{"expected keyword", `expected a value; text needs quotes: "…", and true and false are written small`},
	{"strings must be quoted", `text needs quotes: "…"`},
	{"expected newline", "expected the end of the line here"},
	{"expected key but reached end", "a key is missing"},
	{"invalid character at start of key", "expected a key here; letters, digits, - and _ need no quotes"},
	{"invalid escape character", `\ begins an escape that does not exist: write \\, or the string in '…'`},
	{"need a character after", `\ begins an escape that does not exist: write \\, or the string in '…'`},
	{"invalid hexadecimal digit", `\u needs four hexadecimal digits: write \\ for a backslash`},
	{"unicode escape sequence", `\u needs four hexadecimal digits: write \\ for a backslash`},
	{"escape sequence is not", "an escape names a character that does not exist"},
	{"integers cannot have leading", "a number must not begin with 0"},
	{"number must have", "_ in a number must stand between digits"},
	{"sign is not allowed", "no sign before 0x, 0o and 0b"},
	{"radix prefix", "digits are missing after 0x, 0o or 0b"},
	{"decimal point", "a digit is missing after the decimal point"},
	{"exponent must", "a digit is missing in the exponent"},
	{"expected digit", "a number needs a digit here"},
	{"expected number", "a number needs a digit here"},
}

func explain(msg string) string {
	for _, e := range explanations {
		if strings.HasPrefix(msg, e.prefix) {
			return e.text
		}
	}
	return "not TOML"
}

// The starts of expressions, as far as one line shows them.
var (
	headerLine = regexp.MustCompile(`^\s*\[\[?\s*[\w."' -]+\]\]?\s*(#.*)?$`)
	keyLine    = regexp.MustCompile(`^\s*[\w."'-]+\s*=.*[^,\s]\s*$`)
)

// resume returns where to go on after an expression that began at start and broke at an offset. Behind a broken header
// that is the next header, as the keys between belong nowhere; behind one line, the next; within a list or a long
// string, the next line that looks like a key or a header.
func (b *builder) resume(start, at int) int {
	first, broke := b.line(start), b.line(at)
	text := b.text(first)
	isHeader := strings.HasPrefix(strings.TrimSpace(text), "[")
	if isHeader {
		b.table = newTable(first)
	}
	for i := first; i < len(b.lines); i++ {
		line := b.text(i + 1)
		switch {
		case isHeader, first < broke && !keyLine.MatchString(line):
			if !headerLine.MatchString(line) {
				continue
			}
		}
		return b.lines[i]
	}
	return len(b.data)
}
