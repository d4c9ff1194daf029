package policy

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/esclusa/esclusa/internal/yamlread"
)

// Schema is the JSON schema (2020-12) of policies, for editors: it is made
// from the types that Parse fills, so it knows exactly the same keys.
// Conditions, dates in order and the like are for Parse alone.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[Policy]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://esclusa.dev/schema/policy.schema.json"
	root["title"] = "esclusa policy"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(b, '\n'), nil
}

// described is a type that says itself which texts it takes.
type described interface{ schema() map[string]any }

func enum[T ~string](words []T) map[string]any {
	return map[string]any{"type": "string", "enum": words}
}

const (
	spanPattern     = `^[0-9]+[hdw]$`
	severityPattern = `^\s*(>=|<=|>|<)?\s*(unknown|none|low|medium|high|critical)$`
	comparePattern  = `^\s*(>=|<=|>|<)\s*[-+0-9.eE]+$`
)

func text(pattern string) map[string]any {
	return map[string]any{"type": "string", "pattern": pattern}
}

func (Decision) schema() map[string]any   { return enum([]string{"deny", "warn"}) }
func (Kind) schema() map[string]any       { return enum(kinds) }
func (Reach) schema() map[string]any      { return enum(reaches) }
func (Origin) schema() map[string]any     { return enum(origins) }
func (Scope) schema() map[string]any      { return enum(scopes) }
func (Severities) schema() map[string]any { return text(severityPattern) }
func (Compare) schema() map[string]any    { return text(comparePattern) }
func (Span) schema() map[string]any       { return text(spanPattern) }
func (Condition) schema() map[string]any {
	return map[string]any{"type": "string", "maxLength": yamlread.MaxText}
}

func (Pattern) schema() map[string]any {
	// Editors read an unquoted 1.10 as a number; Parse takes its text.
	return map[string]any{"type": []string{"string", "number"}, "minLength": 1, "maxLength": maxPattern}
}

func (Date) schema() map[string]any {
	return text(`^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?$`)
}

func (Grace) schema() map[string]any {
	props := map[string]any{}
	for _, w := range severityWords {
		props[w] = text(spanPattern)
	}
	return map[string]any{"oneOf": []any{
		text(spanPattern),
		map[string]any{"type": "object", "properties": props, "additionalProperties": false},
	}}
}

func schemaOf(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		return schemaOf(t.Elem())
	}
	if d, ok := reflect.Zero(t).Interface().(described); ok {
		return d.schema()
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Slice:
		return map[string]any{"type": "array", "maxItems": yamlread.MaxList, "items": schemaOf(t.Elem())}
	case reflect.Struct:
	default:
		return map[string]any{"type": []string{"string", "number", "boolean"}, "maxLength": yamlread.MaxText}
	}
	props, required := map[string]any{}, []string{}
	for _, name := range yamlread.Names(t) {
		f := yamlread.FieldsOf(t)[name]
		s := schemaOf(t.Field(f.Index).Type)
		s["description"] = f.Doc
		props[name] = s
		if f.Required {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}
