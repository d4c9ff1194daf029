package expr

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Decl is one name that conditions may use.
type Decl struct {
	name     string
	typ      *cel.Type
	object   *Object
	constant ref.Val
}

// Var declares a variable that holds an object.
func Var(name string, o *Object) Decl { return Decl{name: name, typ: o.typ, object: o} }

// Time declares a variable that holds a time.Time.
func Time(name string) Decl { return Decl{name: name, typ: cel.TimestampType} }

// Const declares a number with a name, so that an ordered scale reads well:
// finding.severity >= high.
func Const(name string, value int64) Decl {
	return Decl{name: name, typ: cel.IntType, constant: types.Int(value)}
}

// Object is a type of object: a name and typed fields, each a Go getter.
type Object struct {
	name   string
	typ    *cel.Type
	fields map[string]Field
}

// Fields are the fields of an object by name.
type Fields map[string]Field

// Field is one field.
type Field struct {
	field  *types.FieldType
	object *Object
}

// NewObject declares a type of object. The name is what error messages show.
func NewObject(name string, fields Fields) *Object {
	return &Object{name: name, typ: cel.ObjectType(name), fields: fields}
}

// FieldNames are the names of the fields, sorted.
func (o *Object) FieldNames() []string { return slices.Sorted(maps.Keys(o.fields)) }

// Field finds a field's inner object, for descriptions; nil when it has none.
func (o *Object) Field(name string) (inner *Object, typ string, ok bool) {
	f, ok := o.fields[name]
	if !ok {
		return nil, "", false
	}
	return f.object, cel.FormatCELType(f.field.Type), true
}

// The makers of fields: T is what the variable holds, by pointer. A getter
// must be total: it gives a zero value where there is nothing. That keeps
// every condition answerable, so has() is not needed and always true.

// String declares a field of text.
func String[T any](get func(*T) string) Field { return scalar(cel.StringType, get) }

// Int declares a field that is a whole number.
func Int[T any](get func(*T) int64) Field { return scalar(cel.IntType, get) }

// Number declares a field that is a number with a fraction.
func Number[T any](get func(*T) float64) Field { return scalar(cel.DoubleType, get) }

// Bool declares a field that is true or false.
func Bool[T any](get func(*T) bool) Field { return scalar(cel.BoolType, get) }

// When declares a field that is a time.
func When[T any](get func(*T) time.Time) Field { return scalar(cel.TimestampType, get) }

// Age declares a field that is a duration.
func Age[T any](get func(*T) time.Duration) Field { return scalar(cel.DurationType, get) }

// Strings declares a list of texts.
func Strings[T any](get func(*T) []string) Field {
	return scalar(cel.ListType(cel.StringType), get)
}

// Map declares texts by text.
func Map[T any](get func(*T) map[string]string) Field {
	return scalar(cel.MapType(cel.StringType, cel.StringType), get)
}

// Inner declares a field that is an object again; get gives the pointer that
// the inner object's getters take and never nil.
func Inner[T, U any](o *Object, get func(*T) *U) Field {
	f := scalar(o.typ, get)
	f.object = o
	return f
}

func scalar[T, V any](typ *cel.Type, get func(*T) V) Field {
	return Field{field: &types.FieldType{
		Type:  typ,
		IsSet: func(any) bool { return true },
		GetFrom: func(target any) (any, error) {
			t, ok := target.(*T)
			if !ok || t == nil {
				return nil, fmt.Errorf("no object to read from: %T", target)
			}
			return get(t), nil
		},
	}}
}

// object carries a declared object through CEL as a value.
type object struct {
	value any
	of    *Object
}

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s has no value as %s", o.of.name, t)
}

func (o *object) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("%s is not a %s", o.of.name, t.TypeName())
}

func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && p.value == o.value)
}

func (o *object) Type() ref.Type { return o.of.typ }
func (o *object) Value() any     { return o.value }
