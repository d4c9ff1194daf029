package expr

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Objects declares a list of objects, for exists and all; the inner getters
// take pointers into the slice that get gives.
func Objects[T, U any](o *Object, get func(*T) []U) Field {
	f := scalar(cel.ListType(o.typ), func(t *T) ref.Val { return &objects[U]{get(t), o} })
	f.object = o
	return f
}

// objects is a slice of declared objects as a CEL list. Nothing is copied: an
// element is wrapped when a condition reaches it.
type objects[U any] struct {
	all []U
	of  *Object
}

func (l *objects[U]) at(i int) ref.Val { return &object{&l.all[i], l.of} }

func (l *objects[U]) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a list of %s has no value as %s", l.of.name, t)
}

func (l *objects[U]) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a list of %s is not a %s", l.of.name, t.TypeName())
}

func (l *objects[U]) Equal(other ref.Val) ref.Val {
	o, ok := other.(*objects[U])
	return types.Bool(ok && len(o.all) == len(l.all) && (len(l.all) == 0 || &o.all[0] == &l.all[0]))
}

func (l *objects[U]) Type() ref.Type { return types.ListType }
func (l *objects[U]) Value() any     { return l.all }
func (l *objects[U]) Size() ref.Val  { return types.Int(len(l.all)) }

func (l *objects[U]) Add(ref.Val) ref.Val {
	return types.NewErr("lists of %s cannot be joined", l.of.name)
}

func (l *objects[U]) Contains(v ref.Val) ref.Val {
	for i := range l.all {
		if l.at(i).Equal(v) == types.True {
			return types.True
		}
	}
	return types.False
}

func (l *objects[U]) Get(index ref.Val) ref.Val {
	i, ok := index.(types.Int)
	if !ok || i < 0 || int(i) >= len(l.all) {
		return types.NewErr("no element %v in a list of %d", index.Value(), len(l.all))
	}
	return l.at(int(i))
}

func (l *objects[U]) Iterator() traits.Iterator { return &iterator[U]{list: l} }

type iterator[U any] struct {
	object // only for what a value must have
	list   *objects[U]
	next   int
}

func (i *iterator[U]) Type() ref.Type { return types.IteratorType }

func (i *iterator[U]) Equal(ref.Val) ref.Val { return types.False }

func (i *iterator[U]) HasNext() ref.Val { return types.Bool(i.next < len(i.list.all)) }

func (i *iterator[U]) Next() ref.Val {
	if i.next >= len(i.list.all) {
		return nil
	}
	i.next++
	return i.list.at(i.next - 1)
}
