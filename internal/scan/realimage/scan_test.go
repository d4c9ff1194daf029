package realimage

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/google/go-cmp/cmp"
)

// answer is a report without what may differ: how the target was named, and
// where the answer came from.
func answer(r *esclusa.Report) *esclusa.Report {
	c := *r
	c.Image.Ref, c.Image.Tags, c.Image.Digest = "", nil, ""
	c.Image.Layers = slices.Clone(r.Image.Layers)
	for i := range c.Image.Layers {
		// An archive of unpacked layers knows nothing of the blobs.
		l := &c.Image.Layers[i]
		l.Digest, l.MediaType, l.Size = "", "", 0
	}
	c.End.LayersRead, c.End.LayersCached, c.End.BytesRead = 0, 0, 0
	return &c
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// same compares byte by byte.
func same(t testing.TB, want, got *esclusa.Report) {
	t.Helper()
	if diff := cmp.Diff(encode(t, answer(want)), encode(t, answer(got))); diff != "" {
		t.Errorf("the reports differ (-want +got):\n%s", diff[:min(len(diff), 4000)])
	}
}

// TestEverySourceGivesTheSameReport: from a layout, archives and a registry.
func TestEverySourceGivesTheSameReport(t *testing.T) {
	want, _ := firstReport(t)
	built := realImage(t).spec(nil).Build(t)
	reg := registrytest.Serve(t)
	for _, c := range []struct {
		name string
		ref  func(t *testing.T) string
	}{
		{"layout tar", func(t *testing.T) string { return built.LayoutTar(t) }},
		{"docker archive", func(t *testing.T) string { return built.DockerArchive(t, "app:1") }},
		{"docker save 25", func(t *testing.T) string { return built.DockerSave(t, "app:1") }},
		{"registry", func(*testing.T) string { return reg.Push("team/app", built, "1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := scanRef(t, scanner(t, ""), c.ref(t), oci.Options{PlainHTTP: []string{reg.Host}})
			if got.End.LayersRead != len(steps) || got.End.LayersCached != 0 {
				t.Errorf("read %d layers, %d from a cache that there is not", got.End.LayersRead, got.End.LayersCached)
			}
			same(t, want, got)
		})
	}
}

// TestCachedScanGivesTheSameReport: nothing of the layers is read again.
func TestCachedScanGivesTheSameReport(t *testing.T) {
	want, dir := firstReport(t)
	reg := registrytest.Serve(t)
	built := realImage(t).spec(nil).Build(t)
	ref := reg.Push("team/app", built, "1")
	got := scanRef(t, scanner(t, dir), ref, oci.Options{PlainHTTP: []string{reg.Host}})
	if got.End.LayersRead != 0 || got.End.LayersCached != len(steps) {
		t.Errorf("read %d layers, %d were cached", got.End.LayersRead, got.End.LayersCached)
	}
	for _, line := range reg.Requests() {
		for _, l := range built.Manifest.Layers {
			if strings.Contains(line, string(l.Digest)) {
				t.Errorf("a cached layer was fetched: %s", line)
			}
		}
	}
	same(t, want, got)
}

// TestOneChangedLayerIsReadAlone: a new build with one other layer reads that
// layer, and the rest of the report is as it was.
func TestOneChangedLayerIsReadAlone(t *testing.T) {
	want, dir := firstReport(t)
	const added = "srv/new/node_modules/left-pad/package.json"
	extra := registrytest.Files(registrytest.File{Path: added, Content: `{"name":"left-pad","version":"1.3.0"}`})
	changed := realImage(t).spec(func(l []registrytest.Layer) []registrytest.Layer {
		l[layerOf(t, "leak")] = extra
		return l
	})
	got := scanRef(t, scanner(t, dir), changed.Build(t).Layout(t), oci.Options{})
	if got.End.LayersRead != 1 || got.End.LayersCached != len(steps)-1 {
		t.Errorf("read %d layers, %d were cached", got.End.LayersRead, got.End.LayersCached)
	}
	var names []string
	for i := range got.Packages {
		if p := &got.Packages[i]; p.Path == added {
			names = append(names, p.Name)
		}
	}
	if diff := cmp.Diff([]string{"left-pad"}, names); diff != "" {
		t.Errorf("packages of the new layer (-want +got):\n%s", diff)
	}
	rest := slices.DeleteFunc(slices.Clone(got.Packages), func(p esclusa.Package) bool { return p.Path == added })
	if diff := cmp.Diff(want.Packages, rest); diff != "" {
		t.Errorf("the other packages (-want +got):\n%s", diff)
	}
}

// TestDeletedSecretIsFound: it does not run, and whoever can pull the image
// has it.
func TestDeletedSecretIsFound(t *testing.T) {
	r, _ := firstReport(t)
	leak := r.Image.Layers[layerOf(t, "leak")].DiffID
	var found int
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Kind != esclusa.KindSecret || f.Path != secretPath {
			continue
		}
		found++
		if !f.Deleted || f.Layer != leak || f.Origin != esclusa.OriginOwn || f.Severity < esclusa.SeverityHigh {
			t.Errorf("%s: deleted %v, layer %s (want %s), origin %q, severity %s", f.ID, f.Deleted, f.Layer.Short(), leak.Short(), f.Origin, f.Severity)
		}
	}
	if found == 0 {
		t.Errorf("no secret found at %s", secretPath)
	}
	text := encode(t, r)
	for line := range strings.Lines(secretText()) {
		_, secret, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.Contains(text, secret) {
			t.Errorf("the report prints the secret of %q", line[:strings.IndexByte(line, '=')])
		}
	}
}

// TestDeletedAndUpgradedPackages: what a higher layer removed is not there,
// and what it upgraded is there once.
func TestDeletedAndUpgradedPackages(t *testing.T) {
	r, _ := firstReport(t)
	versions := map[string][]string{}
	for i := range r.Packages {
		p := &r.Packages[i]
		versions[p.Type+" "+p.Name] = append(versions[p.Type+" "+p.Name], p.Version)
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Package != nil && versions[f.Package.Type+" "+f.Package.Name] == nil {
			t.Errorf("%s on %s, which is not there", f.ID, f.Package.Name)
		}
	}
	for _, gone := range []string{"deb rsync", "npm ini"} { // purged; of a removed folder
		if v := versions[gone]; v != nil {
			t.Errorf("%s %s was deleted and is reported", gone, v)
		}
	}
	if diff := cmp.Diff([]string{"4.17.21"}, versions["npm lodash"]); diff != "" {
		t.Errorf("lodash (-want +got):\n%s", diff)
	}
	for _, name := range []string{"deb openssl", "deb libssl1.1"} {
		if len(versions[name]) != 1 {
			t.Errorf("%s: versions %v, want one", name, versions[name])
		}
	}
}

// TestOriginAndLayer: packages belong to the layer that installed them, not
// to the last one that wrote the database again.
func TestOriginAndLayer(t *testing.T) {
	r, _ := firstReport(t)
	if r.Image.Distro.ID != "debian" || r.Image.Distro.Version != "11" {
		t.Errorf("distribution %+v", r.Image.Distro)
	}
	layerName := map[esclusa.Digest]string{}
	for i, l := range r.Image.Layers {
		layerName[l.DiffID] = steps[i].name
		want := esclusa.OriginOwn
		if i == 0 {
			want = esclusa.OriginBase
		}
		if l.Origin != want {
			t.Errorf("layer %s has origin %q, want %q", steps[i].name, l.Origin, want)
		}
	}
	want := map[string]string{
		"deb perl": "base", "deb git": "base", "deb curl": "base", "deb openssl": "upgrade", "deb libssl1.1": "upgrade",
		"npm express": "npm", "npm lodash": "clean", "golang golang.org/x/net": "programs",
		"pypi jinja2": "programs", "maven org.apache.logging.log4j:log4j-core": "programs",
	}
	got := map[string]string{}
	for i := range r.Packages {
		p := &r.Packages[i]
		key := p.Type + " " + p.Name
		if _, ok := want[key]; ok {
			got[key] = layerName[p.Layer]
		}
		if (layerName[p.Layer] == "base") != (p.Origin == esclusa.OriginBase) {
			t.Errorf("%s of layer %s has origin %q", key, layerName[p.Layer], p.Origin)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layers of packages (-want +got):\n%s", diff)
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Package != nil && (f.Origin != f.Package.Origin || f.Layer != f.Package.Layer) {
			t.Errorf("%s: its place is not that of its package", f.ID)
		}
	}
}

// TestNothingIsUnseen: the only gaps of a good image are about time.
func TestNothingIsUnseen(t *testing.T) {
	r, _ := firstReport(t)
	for _, g := range r.Gaps {
		if g.Scope == esclusa.GapLayer || g.Scope == esclusa.GapSystem {
			t.Errorf("%s", g)
		}
		t.Logf("gap %s: %s", g.Scope, g)
	}
	for _, j := range jars {
		if !slices.ContainsFunc(r.Packages, func(p esclusa.Package) bool {
			return p.Type == "maven" && path.Base(p.Path) == j[1]+".jar" && p.Name == j[0]+":"+j[1] && p.Version == j[2]
		}) {
			t.Errorf("no package of %s.jar", j[1])
		}
	}
}
