package match_test

import (
	"archive/zip"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/truth"
)

// label is what a person said of one line of a real scan of an image.
type label struct {
	image, name, version, id, cve, verdict string
}

func (l *label) key() string {
	return strings.Join([]string{l.name, l.version, l.id, l.cve, l.verdict}, " ")
}

// ids are the names of the flaw.
func (l *label) ids() []string {
	if l.cve == "" || l.cve == l.id {
		return []string{l.id}
	}
	return []string{l.id, l.cve}
}

// image is what the labels of an image tell of it: they name no package type
// and no distribution, but images are made of packages of one distribution.
type image struct {
	distro string
	// streams are the module streams by the name of the build: a package's
	// own label does not tell its stream, the module's main package does.
	streams map[string]string
}

var (
	elVersion     = regexp.MustCompile(`[._+]el(\d+)`)
	debVersion    = regexp.MustCompile(`[+~]deb(\d+)u\d`)
	foreign       = regexp.MustCompile(`ubuntu|amzn|-r\d+$|\.ph\d|\.fc\d`)
	moduleVersion = regexp.MustCompile(`^(?:\d+:)?([\d.]+)-.*\.module(.*)$`)
)

func readLabels(t *testing.T) []label {
	var list []label
	for _, r := range rowsOf(t, "scan-labels", "labels.csv") {
		list = append(list, label{r[0], r[1], r[2], r[3], r[4], r[5]})
	}
	return list
}

// imagesOf infers the distribution of each image from its packages' versions.
func imagesOf(labels []label) map[string]*image {
	images, votes := map[string]*image{}, map[string]map[string]int{}
	for _, l := range labels {
		if images[l.image] == nil {
			images[l.image], votes[l.image] = &image{streams: map[string]string{}}, map[string]int{}
		}
		switch {
		case strings.Contains(l.image, "/oraclelinux@"), strings.Contains(l.image, "/suse/"), foreign.MatchString(l.version):
			votes[l.image]["without feed"]++
		case elVersion.MatchString(l.version):
			id := "rhel"
			if strings.Contains(l.image, "/almalinux@") {
				id = "almalinux"
			}
			votes[l.image][id+":"+elVersion.FindStringSubmatch(l.version)[1]]++
		case debVersion.MatchString(l.version):
			votes[l.image]["debian:"+debVersion.FindStringSubmatch(l.version)[1]]++
		}
		if m := moduleVersion.FindStringSubmatch(l.version); m != nil {
			if n := mainPackages[l.name]; n > 0 {
				v := strings.Split(m[1], ".")
				images[l.image].streams[m[2]] = l.name + ":" + strings.Join(v[:min(n, len(v))], ".")
			}
		}
	}
	for name, v := range votes {
		for _, distro := range slices.Sorted(maps.Keys(v)) {
			if v[distro] > v[images[name].distro] {
				images[name].distro = distro
			}
		}
	}
	return images
}

// mainPackages are those that name a module, with how many numbers of their
// version name its stream.
var mainPackages = map[string]int{
	"httpd": 2, "mariadb": 2, "maven": 2, "mysql": 2, "nginx": 2, "nodejs": 1, "perl": 2, "php": 2, "postgresql": 1, "redis": 1, "ruby": 2,
}

// redHat serves AlmaLinux's advisories as Red Hat's, which the mirror does
// not have: they are made of the same errata and name the same sources. Their
// builds of modules are neither Red Hat's nor CentOS's, and so are written
// like neither's.
type redHat struct{ *advisory.DB }

func (r redHat) Has(ecosystem string) bool { return ecosystem == "Red Hat" || r.DB.Has(ecosystem) }

func (r redHat) Lookup(ecosystem, name string) ([]esclusa.Advisory, error) {
	if ecosystem != "Red Hat" {
		return r.DB.Lookup(ecosystem, name)
	}
	list, err := r.DB.Lookup("AlmaLinux", name)
	for i := range list {
		affected := slices.Clone(list[i].Affected)
		for j := range affected {
			f := &affected[j]
			f.Ecosystem = strings.Replace(f.Ecosystem, "AlmaLinux:", "Red Hat:enterprise_linux:", 1) + "::appstream"
			f.Ranges = slices.Clone(f.Ranges)
			for k := range f.Ranges {
				f.Ranges[k].Events = slices.Clone(f.Ranges[k].Events)
				for n := range f.Ranges[k].Events {
					fixed := &f.Ranges[k].Events[n].Fixed
					*fixed = strings.TrimSuffix(strings.Replace(*fixed, ".module_el", ".module.el", 1), ".alma")
				}
			}
		}
		list[i].Affected = affected
	}
	return list, err
}

// sourceFix is one line of a Debian advisory.
type sourceFix struct{ release, source, fixed string }

// debianFixes are the lines by CVE: the labels name binary packages, the
// advisories their sources.
func debianFixes(t *testing.T) map[string][]sourceFix {
	z, err := zip.OpenReader(truth.Mirror(t, "osv", "Debian", "all.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	fixes := map[string][]sourceFix{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var a struct {
			Upstream []string
			Affected []struct {
				Package struct{ Ecosystem, Name string }
				Ranges  []struct{ Events []struct{ Fixed string } }
			}
		}
		err = json.NewDecoder(r).Decode(&a)
		r.Close()
		if err != nil {
			t.Fatal(f.Name, err)
		}
		for _, p := range a.Affected {
			for _, g := range p.Ranges {
				for _, e := range g.Events {
					for _, cve := range a.Upstream {
						if e.Fixed != "" {
							fixes[cve] = append(fixes[cve], sourceFix{strings.TrimPrefix(p.Package.Ecosystem, "Debian:"), p.Package.Name, e.Fixed})
						}
					}
				}
			}
		}
	}
	return fixes
}

// upstreamOf is a Debian version without epoch and revision.
func upstreamOf(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i > 0 {
		v = v[:i]
	}
	return v
}

// judge decides labels with the database.
type judge struct {
	t      *testing.T
	db     *advisory.DB
	images map[string]*image
	debian map[string][]sourceFix
}

// candidates are the packages that a label can mean, of those that the
// database has the flaw on; why says why there is none.
func (j *judge) candidates(l *label) (list []esclusa.Package, why string) {
	im := j.images[l.image]
	release := im.distro[strings.IndexByte(im.distro, ':')+1:]
	switch {
	case l.verdict == "??":
		return nil, "the label is open"
	case foreign.MatchString(l.version), im.distro == "without feed" && strings.Contains(l.version, "-"):
		return nil, "the mirror has no feed of the distribution"
	case elVersion.MatchString(l.version):
		p := esclusa.Package{Type: "rpm", Name: l.name, Version: l.version, Distro: im.distro}
		if m := moduleVersion.FindStringSubmatch(l.version); m != nil {
			p.Modular = im.streams[m[2]]
		}
		if j.recorded("AlmaLinux:"+release, l.name, l) {
			return []esclusa.Package{p}, ""
		}
		return nil, "no erratum for the flaw on that package"
	case strings.HasPrefix(im.distro, "debian:") && strings.HasPrefix(l.id, "CVE-") && strings.Contains(l.version, "-"):
		// Without a revision it may be a jar or a program of that name.
		if p, ok := j.debianPackage(l, im.distro, release); ok {
			return []esclusa.Package{p}, ""
		}
	}
	return j.languagePackages(l)
}

func (j *judge) recorded(ecosystem, name string, l *label) bool {
	known := recorded(j.t, j.db, ecosystem, name)
	return slices.ContainsFunc(l.ids(), func(id string) bool { return known[id] })
}

// debianPackage: the source is known where it has the binary's name, or
// where only one source was mended, at the same upstream version.
func (j *judge) debianPackage(l *label, distro, release string) (esclusa.Package, bool) {
	p := esclusa.Package{Type: "deb", Name: l.name, Version: l.version, Distro: distro}
	if j.recorded("Debian:"+release, l.name, l) {
		return p, true
	}
	sources := map[string]bool{}
	for _, f := range j.debian[l.id] {
		if f.release == release && upstreamOf(f.fixed) == upstreamOf(l.version) {
			sources[f.source] = true
		}
	}
	if len(sources) != 1 {
		return p, false
	}
	for name := range sources {
		p.Source.Name = name
	}
	return p, true
}

func (j *judge) languagePackages(l *label) (list []esclusa.Package, why string) {
	ecosystems := []string{"npm", "PyPI", "Go", "crates.io", "RubyGems", "Maven", "NuGet", "Packagist"}
	if strings.Contains(l.image, "/bitnami/") {
		ecosystems = append(ecosystems, "Bitnami")
	}
	for _, ecosystem := range ecosystems {
		if j.recorded(ecosystem, l.name, l) {
			p, _ := packageOf(ecosystem, l.name, l.version)
			list = append(list, p)
		}
	}
	return list, "no record of the flaw on a package of that name"
}

// TestScanLabelsVectors: what people said of real scans. A label can be
// decided where the database has the flaw on the package that it means.
func TestScanLabelsVectors(t *testing.T) {
	db := database(t)
	labels := readLabels(t)
	j := judge{t: t, db: db, images: imagesOf(labels), debian: debianFixes(t)}
	scores := map[string]*score{}
	all := score{name: "scan-labels"}
	undecided, seen := map[string]int{}, map[string]bool{}
	for i := range labels {
		l := &labels[i]
		distro := j.images[l.image].distro
		if key := l.key() + " " + distro; seen[key] {
			undecided["the same line of another image"]++
			continue
		} else {
			seen[key] = true
		}
		list, why := j.candidates(l)
		if len(list) == 0 {
			undecided[why]++
			continue
		}
		hit := false
		for _, p := range list {
			out := match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: redHat{db}})
			hit = hit || slices.ContainsFunc(l.ids(), func(id string) bool { return found(out, id) })
		}
		kind := kindOf(&list[0])
		if scores[kind] == nil {
			scores[kind] = &score{name: "  " + kind}
		}
		scores[kind].count(l.key(), l.verdict == "TP", hit)
		all.count(l.key(), l.verdict == "TP", hit)
	}
	for _, kind := range slices.Sorted(maps.Keys(scores)) {
		scores[kind].line(t)
	}
	all.report(t)
	all.left(t, undecided)
	if all.tp < 1200 || all.recall < 0.95 {
		t.Errorf("recall %.3f of %d", all.recall, all.cases)
	}
}

func kindOf(p *esclusa.Package) string {
	if p.Distro != "" {
		id, _, _ := strings.Cut(p.Distro, ":")
		return id
	}
	return p.Type
}
