package expr

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// Op is how an Atom compares.
type Op uint8

// The comparisons; all but Contains can be answered by looking up.
const (
	Equal    Op = iota // the field is the value
	Has                // the field, a list, has the value as an element
	Prefix             // the field, or an element of a list, begins with the value
	Suffix             // the field, or an element of a list, ends with the value
	Contains           // the field has the value somewhere
)

// Atom is one comparison of a field with a literal. Path is the field as the
// condition names it: "process.name".
type Atom struct {
	Path string
	Op   Op
	// Value is a string, an int64 or a bool.
	Value any
}

// Clause is some atoms of which at least one holds whenever the condition is
// true.
type Clause []Atom

// The most that is said of one condition.
const (
	maxClauses = 16
	maxAtoms   = 512
)

// Needs are clauses that all hold whenever the condition is true, and maybe
// when it is not: by them, an index finds the few conditions worth an Eval.
// There may be none.
func (p *Program) Needs() []Clause { return p.needs }

// needs weakens a checked condition to clauses. What it does not understand
// it leaves out, which is always right: fewer clauses demand less.
func needs(e ast.Expr) []Clause {
	if path, ok := pathOf(e); ok {
		return []Clause{{{path, Equal, true}}}
	}
	if e.Kind() == ast.ComprehensionKind {
		return one(exists(e.AsComprehension()), nil)
	}
	if e.Kind() != ast.CallKind {
		return nil
	}
	c := e.AsCall()
	switch c.FunctionName() {
	case operators.LogicalAnd:
		all := slices.Concat(needs(c.Args()[0]), needs(c.Args()[1]))
		return all[:min(len(all), maxClauses)]
	case operators.LogicalOr:
		return either(needs(c.Args()[0]), needs(c.Args()[1]))
	case operators.LogicalNot:
		if path, ok := pathOf(c.Args()[0]); ok {
			return []Clause{{{path, Equal, false}}}
		}
	case operators.Equals:
		a, b := c.Args()[0], c.Args()[1]
		return one(compare(a, b, Equal), compare(b, a, Equal))
	case operators.In, operators.OldIn:
		return in(c.Args()[0], c.Args()[1])
	case overloads.StartsWith:
		return one(compare(c.Target(), c.Args()[0], Prefix), nil)
	case overloads.EndsWith:
		return one(compare(c.Target(), c.Args()[0], Suffix), nil)
	case overloads.Contains:
		return one(compare(c.Target(), c.Args()[0], Contains), nil)
	}
	return nil
}

// either says what holds when one of two sides holds: each clause of one
// joined with each of the other.
func either(a, b []Clause) []Clause {
	var out []Clause
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxAtoms || len(out) == maxClauses {
				continue
			}
			out = append(out, slices.Concat(x, y))
		}
	}
	return out
}

// in is `field in ["a", "b"]`, or `"a" in field` for a list.
func in(elem, list ast.Expr) []Clause {
	if list.Kind() != ast.ListKind {
		return one(compare(list, elem, Has), nil)
	}
	path, ok := pathOf(elem)
	if !ok {
		return nil
	}
	return one(literals(path, list, Equal), nil)
}

// literals are the elements of a list of literals, any of which the path may
// be. Of an empty list none: a clause that never holds.
func literals(path string, list ast.Expr, op Op) Clause {
	if list.Kind() != ast.ListKind || list.AsList().Size() > maxAtoms {
		return nil
	}
	c := Clause{}
	for _, l := range list.AsList().Elements() {
		v, ok := literal(l)
		if !ok {
			return nil
		}
		c = append(c, Atom{path, op, v})
	}
	return c
}

// exists is `list.exists(x, …)`: the macro becomes a loop that starts at false
// and joins its steps by "or".
func exists(c ast.ComprehensionExpr) Clause {
	path, ok := pathOf(c.IterRange())
	start, isLiteral := literal(c.AccuInit())
	if !ok || !isLiteral || start != false || c.LoopStep().Kind() != ast.CallKind {
		return nil
	}
	step := c.LoopStep().AsCall()
	if step.FunctionName() != operators.LogicalOr || !isVar(step.Args()[0], c.AccuVar()) {
		return nil
	}
	return element(path, c.IterVar(), step.Args()[1])
}

// element is what a condition about the variable demands of some element of
// the list.
func element(path, variable string, e ast.Expr) Clause {
	if e.Kind() != ast.CallKind {
		return nil
	}
	c := e.AsCall()
	atom := func(x, value ast.Expr, op Op) Clause {
		if v, ok := literal(value); ok && isVar(x, variable) {
			return Clause{{path, op, v}}
		}
		return nil
	}
	switch c.FunctionName() {
	case operators.LogicalAnd:
		if left := element(path, variable, c.Args()[0]); left != nil {
			return left
		}
		return element(path, variable, c.Args()[1])
	case operators.LogicalOr:
		left, right := element(path, variable, c.Args()[0]), element(path, variable, c.Args()[1])
		if left == nil || right == nil || len(left)+len(right) > maxAtoms {
			return nil
		}
		return slices.Concat(left, right)
	case operators.Equals:
		if left := atom(c.Args()[0], c.Args()[1], Has); left != nil {
			return left
		}
		return atom(c.Args()[1], c.Args()[0], Has)
	case operators.In:
		if !isVar(c.Args()[0], variable) {
			return nil
		}
		return literals(path, c.Args()[1], Has)
	case overloads.StartsWith:
		return atom(c.Target(), c.Args()[0], Prefix)
	case overloads.EndsWith:
		return atom(c.Target(), c.Args()[0], Suffix)
	}
	return nil
}

func isVar(e ast.Expr, name string) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }

func one(a, b Clause) []Clause {
	switch {
	case a != nil:
		return []Clause{a}
	case b != nil:
		return []Clause{b}
	}
	return nil
}

func compare(field, value ast.Expr, op Op) Clause {
	path, ok := pathOf(field)
	if !ok {
		return nil
	}
	v, ok := literal(value)
	if !ok {
		return nil
	}
	return Clause{{path, op, v}}
}

// pathOf is a chain of fields that begins at a variable: a.b.c. The variable
// of a macro is none: it stands for each element in turn.
func pathOf(e ast.Expr) (string, bool) {
	var names []string
	for e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		if s.IsTestOnly() {
			return "", false
		}
		names = append(names, s.FieldName())
		e = s.Operand()
	}
	if e.Kind() != ast.IdentKind || len(names) == 0 {
		return "", false
	}
	names = append(names, e.AsIdent())
	slices.Reverse(names)
	return strings.Join(names, "."), true
}

func literal(e ast.Expr) (any, bool) {
	if e.Kind() != ast.LiteralKind {
		return nil, false
	}
	switch v := e.AsLiteral().(type) {
	case types.String:
		return string(v), true
	case types.Int:
		return int64(v), true
	case types.Bool:
		return bool(v), true
	}
	return nil, false
}
