// Package expr compiles and runs the conditions that people write in policies
// and rules, in CEL (the Common Expression Language). The caller declares
// typed objects and their fields as Go getters; a condition that names a field
// that does not exist, or compares a word with a number, is an error when the
// policy is read, never at three in the morning.
//
// A condition is outside text: its length, its nesting, its regular
// expressions and the work of one evaluation are bounded. It cannot read a
// file, call out, or loop without end.
//
// Setting up CEL costs milliseconds, so an Env does it at the first Compile
// and then keeps it. Start with New.
package expr

import (
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Limits of one condition. The cost is CEL's own measure: about one per
// comparison or field, more for regular expressions and long strings. A
// condition of three lines costs less than 100.
const (
	MaxLength = 4096    // bytes of source
	MaxCost   = 20_000  // of one evaluation
	maxDepth  = 32      // nesting when parsing
	maxRegexp = 1000    // instructions of a compiled regular expression
	maxMemory = 1 << 20 // elements of the values seen in one evaluation
)

// Error is a condition that does not compile. Line counts from 1 and Column
// from 1 (in characters), inside the condition's own text.
type Error struct {
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// Env holds the declarations that conditions are checked against. It may be
// used by many goroutines at once.
type Env struct {
	env func() (*cel.Env, error)
}

// New declares what conditions may name. Nothing is built until the first
// Compile.
func New(decls ...Decl) *Env {
	return &Env{env: sync.OnceValues(func() (*cel.Env, error) { return build(decls) })}
}

func build(decls []Decl) (*cel.Env, error) {
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	p := &provider{Registry: reg, objects: map[string]*Object{}}
	opts := []cel.EnvOption{
		cel.CustomTypeProvider(p),
		cel.CustomTypeAdapter(p),
		cel.ParserExpressionSizeLimit(MaxLength),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(4),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(2)),
	}
	for _, d := range decls {
		if d.object != nil {
			p.add(d.object)
		}
		if d.constant != nil {
			opts = append(opts, cel.Constant(d.name, d.typ, d.constant))
			continue
		}
		opts = append(opts, cel.Variable(d.name, d.typ))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	return env, nil
}

// Program is a compiled condition. It may be run by many goroutines at once.
type Program struct {
	prog  cel.Program
	uses  map[string]bool
	needs []Clause
}

// Compile checks a condition and makes it ready to run. Its errors are *Error,
// except when CEL itself cannot be set up.
func (e *Env) Compile(src string) (*Program, error) {
	if len(src) > MaxLength {
		return nil, &Error{1, 1, fmt.Sprintf("the condition has %d bytes; at most %d are read", len(src), MaxLength)}
	}
	env, err := e.env()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(src)
	if issues.Err() != nil {
		return nil, firstError(issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) {
		return nil, &Error{1, 1, fmt.Sprintf("the condition gives %s; it must give true or false", cel.FormatCELType(t))}
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !straight(checked.NativeRep()) {
		opts = append(opts, cel.CostLimit(MaxCost), cel.MemoryLimit(maxMemory))
	}
	prog, err := env.Program(checked, opts...)
	if err != nil {
		return nil, &Error{1, 1, err.Error()}
	}
	p := &Program{prog: prog, uses: map[string]bool{}, needs: needs(checked.NativeRep().Expr())}
	for _, r := range checked.NativeRep().ReferenceMap() {
		if r.Name != "" && r.Value == nil {
			p.uses[r.Name] = true
		}
	}
	return p, nil
}

// straight says that a condition only reads and compares: no loop, no regular
// expression, nothing that grows a value. Its work is bounded by its length,
// so it runs without the cost meter, which would quadruple its time.
func straight(a *ast.AST) bool {
	ok := true
	ast.PostOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			ok = false
		case ast.CallKind:
			switch e.AsCall().FunctionName() {
			case operators.Add, overloads.Matches, "string", "bytes":
				ok = false
			}
		}
	}))
	return ok
}

// Uses says whether the condition names a declared variable.
func (p *Program) Uses(name string) bool { return p.uses[name] }

// Vars gives the value of a declared variable: for an object the pointer that
// its getters take.
type Vars interface {
	Value(name string) (any, bool)
}

// Eval runs the condition. An error means that it could not be answered: the
// cost limit, an overflow, a missing key. It never means false.
func (p *Program) Eval(vars Vars) (bool, error) {
	v, _, err := p.prog.Eval(activation{vars})
	if err != nil {
		return false, fmt.Errorf("evaluate condition: %w", err)
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("evaluate condition: got %s", v.Type().TypeName())
	}
	return bool(b), nil
}

type activation struct{ vars Vars }

func (a activation) ResolveName(name string) (any, bool) { return a.vars.Value(name) }
func (a activation) Parent() cel.Activation              { return nil }

// firstError takes the earliest error: later ones are mostly its echo.
func firstError(issues *cel.Issues) error {
	errs := issues.Errors()
	if len(errs) == 0 {
		return &Error{1, 1, issues.Err().Error()}
	}
	first := errs[0]
	for _, e := range errs[1:] {
		if before(e.Location, first.Location) {
			first = e
		}
	}
	line, column := 1, 1
	if l := first.Location; l != nil && l.Line() > 0 {
		line, column = l.Line(), max(1, l.Column()+1)
	}
	return &Error{line, column, plain(first.Message)}
}

func before(a, b common.Location) bool {
	if a == nil || b == nil {
		return false
	}
	if a.Line() != b.Line() {
		return a.Line() < b.Line()
	}
	return a.Column() < b.Column()
}

// plain takes CEL's inside words out of a message.
func plain(msg string) string {
	msg = strings.TrimPrefix(msg, "Syntax error: ")
	msg = strings.ReplaceAll(msg, " (in container '')", "")
	// The parser lists every token that could follow: twenty of them.
	msg, _, _ = strings.Cut(msg, " expecting {")
	if strings.Contains(msg, "'<EOF>'") {
		return "the condition ends too early"
	}
	return strings.TrimSpace(msg)
}

// provider answers CEL's questions about the declared objects, and leaves all
// others to the standard registry.
type provider struct {
	*types.Registry
	objects map[string]*Object
}

func (p *provider) add(o *Object) {
	if p.objects[o.name] != nil {
		return
	}
	p.objects[o.name] = o
	for _, f := range o.fields {
		if f.object != nil {
			p.add(f.object)
		}
	}
}

func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if o := p.objects[name]; o != nil {
		return types.NewTypeTypeWithParam(o.typ), true
	}
	return p.Registry.FindStructType(name)
}

func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if o := p.objects[name]; o != nil {
		return o.FieldNames(), true
	}
	return p.Registry.FindStructFieldNames(name)
}

func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	o := p.objects[name]
	if o == nil {
		return p.Registry.FindStructFieldType(name, field)
	}
	f, ok := o.fields[field]
	if !ok {
		return nil, false
	}
	return f.field, true
}

// NativeToValue keeps a declared object whole where a condition hands it on
// (a list of objects, a comparison with null).
func (p *provider) NativeToValue(v any) ref.Val {
	if o, ok := v.(interface{ ExprType() *Object }); ok {
		return &object{v, o.ExprType()}
	}
	return p.Registry.NativeToValue(v)
}
