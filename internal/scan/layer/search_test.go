package layer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

// choosyReader looks for less in the folders few and none.
type choosyReader struct{ name string }

func (r choosyReader) Spec() layer.Spec {
	return layer.Spec{Name: r.name, Claims: []layer.Claim{{Text: true}, {Base: "always", Always: true}}}
}

func (choosyReader) Literals() []layer.Literal {
	return []layer.Literal{{Bytes: "narrow"}, {Bytes: "wide", Wide: true}}
}

func (choosyReader) Choose(path string, size int) layer.Choice {
	switch {
	case strings.HasPrefix(path, "few/") && size > 4:
		return layer.WideOnly
	case strings.HasPrefix(path, "none/"):
		return layer.None
	}
	return layer.Every
}

func (choosyReader) Read(f *layer.File) (layer.Result, error) {
	return layer.Result{Facts: []layer.Fact{{Key: f.Path, Value: fmt.Sprint(f.Hits)}}}, nil
}

// TestChoose: each reader hears of what it chose, whatever the others chose.
func TestChoose(t *testing.T) {
	const text = "narrow wide sesame"
	p := newPool(t, layer.DefaultLimits(), choosyReader{"choosy"}, wordReader{}, struct{ layer.Searcher }{choosyReader{"plain"}})
	var got []string
	for _, name := range []string{"a/x", "few/x", "none/x", "none/always"} {
		rec, err := p.ReadFile(t.Context(), name, 0o644, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range rec.Items {
			line := i.Path + " " + i.Reader + ":"
			for _, f := range i.Result.Facts {
				line += " " + f.Value
			}
			for _, f := range i.Result.Findings {
				line += " " + f.ID
			}
			got = append(got, line)
		}
	}
	slices.Sort(got)
	want := []string{
		"a/x choosy: [{0 6} {1 11}]",
		"a/x plain: [{0 6} {1 11}]",
		"a/x word: 0@18",
		"few/x choosy: [{1 11}]",
		"few/x plain: [{0 6} {1 11}]",
		"few/x word: 0@18",
		"none/always choosy: []",
		"none/always plain: [{0 6} {1 11}]",
		"none/always word: 0@18",
		"none/x plain: [{0 6} {1 11}]",
		"none/x word: 0@18",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
