package sbom

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

// says is a result in short: "type name version", the system, and the gaps.
func says(res layer.Result) []string {
	var out []string
	for _, p := range res.Packages {
		s := p.Type + " " + p.Name + " " + p.Version
		for _, more := range []string{p.Arch, p.Distro, p.Source.Name} {
			if more != "" {
				s += " " + more
			}
		}
		if p.Dev {
			s += " dev"
		}
		if p.Main {
			s += " main"
		}
		out = append(out, s)
	}
	for _, g := range res.Gaps {
		out = append(out, "GAP "+g.What)
	}
	if res.Distro != nil {
		out = append(out, "OS "+res.Distro.ID+" "+res.Distro.Version)
	}
	slices.Sort(out)
	return out
}

const cdx = `{"metadata":{"component":{"type":"application","name":"shop","version":"1","purl":"pkg:npm/shop@1"}},
	"components":[
	{"type":"library","name":"core","group":"@babel","version":"7.0.0","purl":"pkg:npm/%40babel/core@7.0.0","licenses":[{"license":{"id":"MIT"}}],
	 "components":[{"type":"library","name":"inner","version":"1.0","purl":"pkg:maven/g/inner@1.0"}]},
	{"type":"operating-system","name":"debian","version":"12"},
	{"type":"library","name":"libc6","version":"2.36","purl":"pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc"},
	{"type":"library","name":"tool","version":"1.0","purl":"pkg:npm/tool@1.0.0","scope":"excluded"},
	{"type":"library","name":"mystery","version":"0.1"},
	{"type":"application","name":"app/Gemfile.lock"},
	{"type":"file","name":"/bin/x"},
	{"type":"library","name":"broken","version":"1","purl":"npm/broken"}],
	"dependencies":[{"ref":"a","dependsOn":["a"]}],"bomFormat":"CycloneDX","specVersion":"1.5"}`

const spdx = `{"packages":[
	{"SPDXID":"SPDXRef-OperatingSystem-1","name":"centos","versionInfo":"7.6"},
	{"SPDXID":"SPDXRef-1","name":"openssl-libs","versionInfo":"1.0.2k","sourceInfo":"built package from: openssl 1.0.2k-16.el7","licenseDeclared":"OpenSSL",
	 "externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:rpm/centos/openssl-libs@1.0.2k-16.el7?arch=x86_64&epoch=1"}]},
	{"SPDXID":"SPDXRef-2","name":"nobody","versionInfo":"1"},
	{"SPDXID":"SPDXRef-3","name":"b","versionInfo":"1.2","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:bitnami/b@1.2-0?arch=amd64"}]}],
	"files":[{}],"spdxVersion":"SPDX-2.3"}`

func TestRead(t *testing.T) {
	statement := `{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://cyclonedx.org/bom","predicate":` + cdx + `}`
	wantCDX := []string{
		"GAP component broken", "GAP component mystery 0.1", "OS debian 12", "deb libc6 2.36-9 amd64 debian:12 glibc",
		"maven g:inner 1.0", "npm @babel/core 7.0.0", "npm shop 1 main", "npm tool 1.0.0 dev",
	}
	for _, c := range []struct {
		name, data, wantErr string
		want                []string
	}{
		{"CycloneDX", cdx, "", wantCDX},
		{"in-toto statement", statement, "", wantCDX},
		{"DSSE envelope", `{"payloadType":"application/vnd.in-toto+json","payload":"` + base64.StdEncoding.EncodeToString([]byte(statement)) + `","signatures":[]}`, "", wantCDX},
		{"byte order mark", "\xef\xbb\xbf" + cdx, "", wantCDX},
		{"SPDX", spdx, "", []string{"GAP component nobody 1", "OS centos 7.6", "bitnami b 1.2-0 amd64", "rpm openssl-libs 1:1.0.2k-16.el7 x86_64 centos openssl"}},
		{"another JSON", `{"name":"x"}`, "neither CycloneDX nor SPDX", nil},
		{"SPDX 1", `{"spdxVersion":"SPDX-1.2"}`, "not read", nil},
		{"tag-value", "SPDXVersion: SPDX-2.2\n", "convert it", nil},
		{"cut, and what came before is kept", cdx[:strings.Index(cdx, `{"type":"operating`)], "EOF", []string{"maven g:inner 1.0", "npm @babel/core 7.0.0", "npm shop 1 main"}},
		{"deep", `{"bomFormat":"CycloneDX","components":` + strings.Repeat(`[{"components":`, 40) + `[]` + strings.Repeat(`}]`, 40) + `}`, "nested more than", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := Read("bom.json", []byte(c.data))
			if c.wantErr == "" && err != nil || c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
			if diff := cmp.Diff(c.want, says(res)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.wantErr == "" && !Is([]byte(c.data)) {
				t.Error("Is does not know it")
			}
		})
	}
}

// TestInImage: a vendor's document adds what the package database has not.
func TestInImage(t *testing.T) {
	doc := `{"spdxVersion":"SPDX-2.3","packages":[` +
		`{"name":"curl","versionInfo":"8","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:apk/wolfi/curl@8-r0"}]},` +
		`{"name":"src","versionInfo":"8","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:github/curl/curl@8"}]},` +
		`{"name":"redis","versionInfo":"7","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:bitnami/redis@7.0.0-1"}]}]}`
	for path, want := range map[string][]string{
		"opt/bitnami/redis/.spdx-redis.spdx":  {"bitnami redis 7.0.0-1"},
		"var/lib/db/sbom/curl-8-r0.spdx.json": {"bitnami redis 7.0.0-1"},
		"usr/local/share/sbom/x.cdx.json":     {"bitnami redis 7.0.0-1"},
	} {
		res, err := layertest.Read(t, installed{}, path, 0o644, []byte(doc))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, says(res)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range []string{"app/bom.json", "opt/other/.spdx-x.spdx", "home/x.cdx.json"} {
		if layertest.Claimed(installed{}, path, 0o644, []byte(doc)) {
			t.Errorf("%s in an image is read", path)
		}
	}
}

func TestCycloneDXVectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(truth.Vectors(t, "cyclonedx"), "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	valid, refused := 0, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Read(filepath.Base(file), data)
		switch name := filepath.Base(file); {
		case !strings.HasPrefix(name, "valid-"):
			if err != nil {
				refused++
			}
		case err != nil, !Is(data):
			t.Errorf("%s: %v, Is %v", name, err, Is(data))
		default:
			valid++
		}
	}
	t.Logf("%d valid documents read; %d invalid ones refused: most break rules that say nothing of packages", valid, refused)
	if valid != 57 {
		t.Errorf("%d valid documents, want 57", valid)
	}
}

func TestTrivyVectors(t *testing.T) {
	for file, want := range map[string][]string{
		"centos-7-cyclonedx.json":         {"OS centos 7.6.1810", "rpm bash 4.2.46-31.el7", "rpm openssl-libs 1:1.0.2k-16.el7"},
		"centos-7-cyclonedx.intoto.jsonl": {"OS centos 7.6.1810", "rpm bash 4.2.46-31.el7", "rpm openssl-libs 1:1.0.2k-16.el7"},
		"centos-7-spdx.json":              {"OS centos 7.6.1810", "rpm bash 4.2.46-31.el7", "rpm openssl-libs 1:1.0.2k-16.el7"},
	} {
		data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "fixtures", "sbom", file))
		if err != nil {
			t.Fatal(err)
		}
		res, err := Read(file, data)
		if err != nil || !Is(data) {
			t.Errorf("%s: %v", file, err)
		}
		got := says(res)
		if len(got) != len(want) {
			t.Errorf("%s: %q", file, got)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: %q, want %q…", file, got[i], want[i])
			}
		}
	}
	for _, file := range []string{"fluentd-multiple-lockfiles-cyclonedx.json", "minikube-kbom.json", "license-cyclonedx.json"} {
		data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "fixtures", "sbom", file))
		if err != nil {
			t.Fatal(err)
		}
		res, err := Read(file, data)
		if err != nil || len(res.Packages) != strings.Count(string(data), `"purl"`) {
			t.Errorf("%s: %v, %d packages of %d purls: %q", file, err, len(res.Packages), strings.Count(string(data), `"purl"`), says(res))
		}
	}
}

func TestManyComponents(t *testing.T) {
	data := `{"bomFormat":"CycloneDX","components":[` + strings.Repeat("{},", 1_000_000) + `{}]}`
	_, err := Read("bom.json", []byte(data))
	if err == nil || !strings.Contains(err.Error(), "the rest was not read") {
		t.Errorf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(cdx))
	f.Add([]byte(spdx))
	f.Add([]byte(`{"payload":"e30="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		res, _ := Read("bom.json", data)
		for _, p := range res.Packages {
			if p.Type == "" || p.Name == "" {
				t.Errorf("%+v", p)
			}
		}
		Is(data)
	})
}

// BenchmarkRead reads a document of 1,000 components.
func BenchmarkRead(b *testing.B) {
	var sb strings.Builder
	sb.WriteString(`{"bomFormat":"CycloneDX","components":[{}`)
	for i := range 1000 {
		fmt.Fprintf(&sb, `,{"type":"library","name":"p%d","version":"1.%d","purl":"pkg:npm/p%d@1.%d","licenses":[{"license":{"id":"MIT"}}]}`, i, i, i, i)
	}
	data := []byte(sb.String() + "]}")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if res, err := Read("bom.json", data); err != nil || len(res.Packages) != 1000 {
			b.Fatal(len(res.Packages), err)
		}
	}
}
