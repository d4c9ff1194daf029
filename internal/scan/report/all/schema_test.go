package all_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/esclusa/esclusa/internal/truth"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are those that each format is held to: the address under which the
// schema refers to itself and others, and the file.
var schemas = map[string][]struct{ url, file string }{
	"sarif": {{"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", "sarif-2.1.0.schema.json.gz"}},
	"cyclonedx": {
		{"http://cyclonedx.org/schema/bom-1.6.schema.json", "cyclonedx-bom-1.6.schema.json.gz"},
		{"http://cyclonedx.org/schema/spdx.schema.json", "cyclonedx-spdx.schema.json.gz"},
		{"http://cyclonedx.org/schema/jsf-0.82.schema.json", "cyclonedx-jsf-0.82.schema.json.gz"},
	},
	"spdx":   {{"http://spdx.org/rdf/terms/2.3", "spdx-2.3.schema.json.gz"}},
	"gitlab": {{"gitlab-15.2.4.schema.json", "gitlab-15.2.4.schema.json"}},
}

func readSchema(file string) (any, error) {
	data, err := os.ReadFile(filepath.Join("testdata", "schemas", file))
	if err != nil {
		return nil, err
	}
	in := io.Reader(bytes.NewReader(data))
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	}
	return jsonschema.UnmarshalJSON(in)
}

// compiled is each format's schema; formats (dates, addresses) are checked.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	out := map[string]*jsonschema.Schema{}
	for name, files := range schemas {
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		for _, f := range files {
			doc, err := readSchema(f.file)
			if err != nil {
				return nil, err
			}
			if err := c.AddResource(f.url, doc); err != nil {
				return nil, err
			}
		}
		s, err := c.Compile(files[0].url)
		if err != nil {
			return nil, err
		}
		out[name] = s
	}
	return out, nil
})

// valid holds a document to the schema of its format.
func valid(t testing.TB, format string, doc []byte) error {
	t.Helper()
	all, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := all[format]
	if !ok {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// TestSchemaCycloneDX proves the schema on the specification's own examples:
// it takes the valid ones and refuses the others.
func TestSchemaCycloneDX(t *testing.T) {
	dir := truth.Vectors(t, "cyclonedx", "1.6")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		err = valid(t, "cyclonedx", data)
		if want := strings.HasPrefix(name, "valid-"); want != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("%d examples", len(files))
}

// TestSchemasRefuse: a schema that takes everything proves nothing.
func TestSchemasRefuse(t *testing.T) {
	for name, doc := range map[string]string{
		"sarif":     `{"version":"2.1.0","runs":[{"tool":{"driver":{}}}]}`,
		"cyclonedx": `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library"}]}`,
		"spdx":      `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT"}`,
		"gitlab":    `{"version":"15.2.4","vulnerabilities":[{}],"scan":{}}`,
	} {
		if err := valid(t, name, []byte(doc)); err == nil {
			t.Errorf("%s takes %s", name, doc)
		}
	}
}
