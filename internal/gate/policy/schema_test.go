package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/yamlread"
	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write the files that the tests compare with")

const schemaFile = "../../../docs/reference/policy.schema.json"

// The published schema is the one that the types give.
func TestSchemaFile(t *testing.T) {
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(schemaFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is old: run go test ./internal/gate/policy -update", schemaFile)
	}
}

// Every field is described: the schema is the reference that editors show.
func TestEveryKeyIsDescribed(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Policy](), reflect.TypeFor[Rule](), reflect.TypeFor[Finding](), reflect.TypeFor[Gap](),
		reflect.TypeFor[Feed](), reflect.TypeFor[Image](), reflect.TypeFor[Exception](), reflect.TypeFor[Test](),
		reflect.TypeFor[FindingFact](), reflect.TypeFor[ImageFact](),
	} {
		for name, f := range yamlread.FieldsOf(typ) {
			if f.Doc == "" || !strings.HasSuffix(f.Doc, ".") && !strings.HasSuffix(f.Doc, "…") {
				t.Errorf("%s.%s is described as %q", typ.Name(), name, f.Doc)
			}
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What Parse reads, the schema accepts; a wrong key or word both refuse.
func TestSchemaAgreesWithParse(t *testing.T) {
	schema := compileSchema(t)
	builtIn, err := os.ReadFile("../../../content/policies/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"built-in", string(builtIn), true},
		{"all fields", allFields, true},
		{"unknown key", "name: x\nrules: [{name: a, decision: deny, finding: {severty: high}}]\n", false},
		{"unknown word", "name: x\nrules: [{name: a, decision: deny, finding: {kinds: [vuln]}}]\n", false},
		{"allow", "name: x\nrules: [{name: a, decision: allow, finding: {}}]\n", false},
		{"no rules", "name: x\n", false},
		{"bad span", "name: x\nrules: [{name: a, decision: deny, finding: {}, grace: 7 days}]\n", false},
		{"exception without owner", "name: x\nrules: [{name: a, decision: deny, finding: {}}]\n" +
			"exceptions: [{id: CVE-1, reason: r, created: 2026-01-01, expires: 2026-02-01}]\n", false},
	} {
		_, parseErr := Parse(c.name, []byte(c.text))
		var doc any
		if err := yaml.Unmarshal([]byte(c.text), &doc); err != nil {
			t.Fatal(err)
		}
		schemaErr := schema.Validate(doc)
		if (parseErr == nil) != c.ok || (schemaErr == nil) != c.ok {
			t.Errorf("%s: Parse says %v, the schema says %v", c.name, parseErr, schemaErr)
		}
	}
}
