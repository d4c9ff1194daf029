package esclusa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// EventKind names a family of events: the folder that makes them.
type EventKind string

// The kinds.
const (
	EventExec       EventKind = "exec"
	EventFork       EventKind = "fork"
	EventExit       EventKind = "exit"
	EventNamespace  EventKind = "namespace"  // setns, unshare, clone into new ones
	EventCredential EventKind = "credential" // ids or capabilities changed without exec
	EventCapability EventKind = "capability" // a dangerous one was asked for
	EventConnect    EventKind = "connect"
	EventAccept     EventKind = "accept"
	EventBind       EventKind = "bind"
	EventDNS        EventKind = "dns"
	EventFile       EventKind = "file" // create, write, rename, chmod, link in watched paths
	EventMount      EventKind = "mount"
	EventPtrace     EventKind = "ptrace" // process_vm_* too
	EventBPF        EventKind = "bpf"
	EventIOUring    EventKind = "io_uring"
	EventModule     EventKind = "module"
	EventKeyctl     EventKind = "keyctl"
	EventUserfault  EventKind = "userfaultfd"
	EventSysctl     EventKind = "sysctl"
	EventSignal     EventKind = "signal"
	EventGuard      EventKind = "guard" // a guard refused or would have refused
	EventLoss       EventKind = "loss"  // events that were not delivered, counted
)

// Event is one thing that a process did.
type Event struct {
	Kind EventKind `json:"kind"`
	// Seq counts from 1 in each boot of a node, without holes: what is missing
	// is said by an EventLoss.
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	Host string    `json:"host,omitempty"`
	// Process did it. Ancestors are nearest first, to the first process of the
	// host or until 32.
	Process   Process    `json:"process"`
	Ancestors []Ancestor `json:"ancestors,omitempty"`
	// Container is nil for a process of the host. It is shared: do not change.
	Container *Container `json:"container,omitempty"`
	Fields    Fields     `json:"fields,omitempty"`
	// Gaps are what of this event is not known.
	Gaps []Gap `json:"gaps,omitempty"`
}

// Field is one named fact of an event. Exactly one of Text, Number and List
// is meant, as Type says.
type Field struct {
	Name   string
	Type   FieldType
	Text   string
	Number int64
	List   []string
}

// FieldType says which value of a Field is meant.
type FieldType uint8

// The types.
const (
	FieldText FieldType = iota
	FieldNumber
	FieldList
	FieldBool // Number is 0 or 1
)

// Text is a field of words.
func Text(name, v string) Field { return Field{Name: name, Type: FieldText, Text: v} }

// Number is a field of a whole number.
func Number(name string, v int64) Field { return Field{Name: name, Type: FieldNumber, Number: v} }

// Bool is a field that holds or does not.
func Bool(name string, v bool) Field {
	f := Field{Name: name, Type: FieldBool}
	if v {
		f.Number = 1
	}
	return f
}

// List is a field of several words.
func List(name string, v []string) Field { return Field{Name: name, Type: FieldList, List: v} }

// Value is the field's value as encoding/json knows it.
func (f *Field) Value() any {
	switch f.Type {
	case FieldNumber:
		return f.Number
	case FieldBool:
		return f.Number != 0
	case FieldList:
		return f.List
	}
	return f.Text
}

// Fields are an event's own facts. In JSON they are one object.
type Fields []Field

// Get finds a field by its name.
func (fs Fields) Get(name string) (*Field, bool) {
	for i := range fs {
		if fs[i].Name == name {
			return &fs[i], true
		}
	}
	return nil, false
}

// MarshalJSON writes an object whose members keep their order.
func (fs Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range fs {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(fs[i].Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(fs[i].Value())
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON wrote. The same name twice is an error.
func (fs *Fields) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	t, err := dec.Token()
	if err != nil {
		return err
	}
	*fs = nil
	if t == nil {
		return nil
	}
	if t != json.Delim('{') {
		return fmt.Errorf("fields of an event: %v where an object was expected", t)
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		if _, twice := fs.Get(name); twice {
			return fmt.Errorf("fields of an event: %q twice", name)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		f, err := readField(name, raw)
		if err != nil {
			return err
		}
		*fs = append(*fs, f)
	}
	return nil
}

func readField(name string, raw json.RawMessage) (Field, error) {
	f := Field{Name: name}
	var err error
	switch raw[0] {
	case '"':
		err = json.Unmarshal(raw, &f.Text)
	case '[':
		f.Type = FieldList
		err = json.Unmarshal(raw, &f.List)
		f.List = slices.Clip(f.List)
	case 't', 'f':
		f.Type = FieldBool
		if raw[0] == 't' {
			f.Number = 1
		}
	case 'n':
		err = errors.New("null is no value")
	default:
		f.Type = FieldNumber
		err = json.Unmarshal(raw, &f.Number)
	}
	if err != nil {
		return f, fmt.Errorf("field %q of an event: %w", name, err)
	}
	return f, nil
}
