package scan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan/cache"
	"github.com/esclusa/esclusa/internal/scan/contents"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/scan/purl"
)

// distroTypes are the package types of distributions: one file lists them
// all, and advisories need to know which distribution.
var distroTypes = map[string]bool{"deb": true, "apk": true, "rpm": true}

// origins says which layers came with the base image.
func (s *Scanner) origins(img *oci.Image, image *esclusa.Image) {
	image.Layers = slices.Clone(image.Layers)
	base := oci.Base(img, s.known)
	image.BaseName, image.BaseDigest, image.BaseBy = base.Name, base.Digest, base.By
	for i := range image.Layers {
		switch {
		case base.Layers == 0: // not known
		case i < base.Layers:
			image.Layers[i].Origin = esclusa.OriginBase
		default:
			image.Layers[i].Origin = esclusa.OriginOwn
		}
	}
}

// remember makes the image known as the base of those that are built on it.
func (s *Scanner) remember(img *oci.Image) {
	if chain := oci.ChainIDs(img.Layers); s.Cache != nil && len(chain) > 0 {
		s.Cache.Remember(chain[len(chain)-1], cache.Seen{Name: img.Ref, Digest: img.Digest})
	}
}

// known says whether the layers, as they stand, are an image that was scanned
// before on this machine.
func (s *Scanner) known(chain esclusa.Digest) (string, esclusa.Digest, bool) {
	if s.Cache == nil {
		return "", "", false
	}
	seen, ok := s.Cache.Known(chain)
	return seen.Name, seen.Digest, ok
}

// contents are what a merged target holds. They depend on what key names, and
// on nothing else.
func (s *Scanner) contents(image *esclusa.Image, m *layer.Merged, readers []layer.Reader) *contents.Contents {
	a := assembly{image: judged(image), merged: m}
	a.image.Distro = m.Distro
	held := &contents.Contents{Distro: m.Distro, Packages: a.packages(), Findings: a.findings(), Gaps: m.Gaps}
	a.judge(readers, held)
	held.Gaps = append(held.Gaps, a.gaps...)
	for i := range m.Live {
		held.SetSymbols(m.Live[i].Path, m.Live[i].Result.Symbols)
	}
	return held
}

// judged is the part of an image that says what is in it and how it starts:
// all that judges see, whatever name and packing it came under.
func judged(image *esclusa.Image) esclusa.Image {
	j := esclusa.Image{
		Kind: image.Kind, Platform: image.Platform, Created: image.Created, Config: image.Config, History: image.History,
	}
	for _, l := range image.Layers {
		j.Layers = append(j.Layers, esclusa.Layer{DiffID: l.DiffID, CreatedBy: l.CreatedBy, Origin: l.Origin})
	}
	return j
}

// key names all that the contents of an image depend on: the layers, the
// configuration that judges look at, whose work each layer is, the readers,
// and how it is all put together. No release trusts what another one made.
func (s *Scanner) key(set *layer.Set, image *esclusa.Image) esclusa.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "contents %d\n%q\n%s\n", contents.Version, s.Tool, set.Key())
	if err := json.NewEncoder(h).Encode(judged(image)); err != nil {
		return "" // a year of five digits, say: no entry has this name
	}
	return esclusa.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// unchanged are the contents of an image of which everything is known, and
// what its report says of its layers; else nil.
func (s *Scanner) unchanged(key esclusa.Digest, set *layer.Set, image *esclusa.Image) (*contents.Contents, esclusa.End) {
	if s.Cache == nil {
		return nil, esclusa.End{}
	}
	held, ok := s.Cache.Contents(key)
	if !ok {
		return nil, esclusa.End{}
	}
	for _, l := range image.Layers {
		s.Cache.Keep(set.Key(), l.DiffID)
	}
	return held, esclusa.End{LayersCached: len(image.Layers)}
}

// judge lets the readers speak that needed the whole image for it.
func (a *assembly) judge(readers []layer.Reader, r *contents.Contents) {
	for _, rd := range readers {
		j, ok := rd.(layer.Judge)
		if !ok {
			continue
		}
		res := j.Judge(a.view(j, r.Packages))
		for i := range res.Packages {
			p := &res.Packages[i]
			p.Reader, p.PURL = cmp.Or(p.Reader, j.Spec().Name), cmp.Or(p.PURL, purl.Of(p))
		}
		a.origin(res.Findings)
		if len(res.Packages) > 0 {
			r.Packages = sortPackages(append(r.Packages, res.Packages...))
		}
		r.Findings = append(r.Findings, res.Findings...)
		r.Gaps = append(r.Gaps, res.Gaps...)
	}
}

func (s *Scanner) match(r *esclusa.Report, symbols func(path string) []uint64) {
	if s.Advisories == nil {
		if len(r.Packages) > 0 {
			r.Gaps = append(r.Gaps, esclusa.Gap{
				Scope: esclusa.GapSystem, What: "vulnerabilities", Err: "no advisory database",
				Hint: "run esclusa advisories update",
			})
		}
		return
	}
	out := match.Match(match.Input{
		Packages: r.Packages, Distro: r.Image.Distro, Image: r.Image, Advisories: s.Advisories,
		Symbols: symbols, VEX: s.VEX, Now: s.now(),
	})
	r.Findings = append(r.Findings, out.Findings...)
	r.Gaps = append(r.Gaps, out.Gaps...)
	r.Gaps = append(r.Gaps, s.staleFeeds(r.Packages)...)
}

// staleFeeds are the sources that have been silent for too long. Only those
// that this target needs count.
func (s *Scanner) staleFeeds(pkgs []esclusa.Package) []esclusa.Gap {
	if len(pkgs) == 0 {
		return nil
	}
	// Packages of one kind need the same feeds, and stand together.
	var kinds []esclusa.Package
	for i := range pkgs {
		if i == 0 || pkgs[i].Type != pkgs[i-1].Type || pkgs[i].Distro != pkgs[i-1].Distro {
			kinds = append(kinds, pkgs[i])
		}
	}
	needed := match.Feeds(kinds)
	var gaps []esclusa.Gap
	for _, f := range s.Feeds {
		if !needed[f.Name] {
			continue
		}
		age := s.now().Sub(f.Date)
		switch {
		case f.Date.IsZero():
			gaps = append(gaps, esclusa.Gap{Scope: esclusa.GapFeed, What: "feed " + f.Name, Err: "its date is not known"})
		case age > s.MaxFeedAge:
			gaps = append(gaps, esclusa.Gap{
				Scope: esclusa.GapFeed, What: "feed " + f.Name,
				Err:  fmt.Sprintf("last said something %s ago, on %s", days(age), f.Date.Format(time.DateOnly)),
				Hint: "run esclusa advisories update",
			})
		}
		if f.Skipped > 0 {
			gaps = append(gaps, esclusa.Gap{
				Scope: esclusa.GapFeed, What: "feed " + f.Name, Err: fmt.Sprintf("%d of its records could not be read", f.Skipped),
			})
		}
	}
	return gaps
}

func days(d time.Duration) string {
	n := int(d / (24 * time.Hour))
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// assembly is the making of contents.
type assembly struct {
	image  esclusa.Image
	merged *layer.Merged
	gaps   []esclusa.Gap
}

func (a *assembly) layerID(i int) esclusa.Digest {
	if i < len(a.image.Layers) {
		return a.image.Layers[i].DiffID
	}
	return ""
}

func (a *assembly) layerOrigin(i int) esclusa.Origin {
	if i < len(a.image.Layers) {
		return a.image.Layers[i].Origin
	}
	return esclusa.OriginUnknown
}

// packages are those that are there, each once, with its layer and name.
func (a *assembly) packages() []esclusa.Package {
	n := 0
	for i := range a.merged.Live {
		n += len(a.merged.Live[i].Result.Packages)
	}
	all := make([]esclusa.Package, 0, n)
	distro := distroName(a.image.Distro)
	for i := range a.merged.Live {
		pl := &a.merged.Live[i]
		for _, p := range pl.Result.Packages {
			at := pl.Layer
			if distroTypes[p.Type] {
				at = a.merged.Since(pl, &p)
				if p.Distro == "" {
					p.Distro = distro
				}
			}
			p.Layer, p.Origin = a.layerID(at), a.layerOrigin(at)
			p.Path = rebase(p.Path, pl)
			// What the distribution installed is the distribution's package.
			// Its advisories know of backported fixes; a language's do not.
			if !distroTypes[p.Type] && a.image.Kind != esclusa.TargetSBOM &&
				a.merged.Owned(esclusa.Place{Layer: a.layerID(pl.Layer), Path: pl.Path}) {
				continue
			}
			if p.PURL == "" {
				p.PURL = purl.Of(&p)
			}
			all = append(all, p)
		}
	}
	return sortPackages(all)
}

// sortPackages sorts by pointer, for a package is large, and leaves each once.
func sortPackages(all []esclusa.Package) []esclusa.Package {
	ps := make([]*esclusa.Package, len(all))
	for i := range all {
		ps[i] = &all[i]
	}
	slices.SortStableFunc(ps, comparePackages)
	ps = slices.CompactFunc(ps, func(x, y *esclusa.Package) bool { return comparePackages(x, y) == 0 })
	out := make([]esclusa.Package, len(ps))
	for i, p := range ps {
		out[i] = *p
	}
	return out
}

func comparePackages(x, y *esclusa.Package) int {
	return cmp.Or(strings.Compare(x.Type, y.Type), strings.Compare(x.Name, y.Name), strings.Compare(x.Version, y.Version),
		strings.Compare(x.Arch, y.Arch), strings.Compare(x.Path, y.Path), strings.Compare(string(x.Layer), string(y.Layer)))
}

// rebase moves a path that a reader took from the tar to the place where
// links and hard links put the file.
func rebase(p string, pl *layer.Placed) string {
	if rest, ok := strings.CutPrefix(p, pl.As); ok {
		return pl.Path + rest
	}
	return p
}

func distroName(d esclusa.Distro) string {
	if d.ID == "" || d.Version == "" {
		return d.ID
	}
	return d.ID + ":" + d.Version
}

// findings are what readers found in files: of those that are there, and of
// those that were deleted and can still be pulled.
func (a *assembly) findings() []esclusa.Finding {
	var all []esclusa.Finding
	type key struct{ id, path, evidence string }
	seen := map[key]bool{}
	add := func(pls []layer.Placed, deleted bool) {
		for i := range pls {
			pl := &pls[i]
			for _, f := range pl.Result.Findings {
				f.Layer, f.Origin, f.Deleted = a.layerID(pl.Layer), a.layerOrigin(pl.Layer), deleted
				f.Path = rebase(f.Path, pl)
				k := key{f.ID, f.Path, f.Evidence}
				if deleted && seen[k] {
					continue // the file above it still has it
				}
				seen[k] = true
				all = append(all, f)
			}
		}
	}
	add(a.merged.Live, false)
	add(a.merged.Deleted, true)
	for i := range a.merged.Live {
		pl := &a.merged.Live[i]
		for _, g := range pl.Result.Gaps {
			g.Layer = a.layerID(pl.Layer)
			g.Path = rebase(g.Path, pl)
			a.gaps = append(a.gaps, g)
		}
	}
	return all
}

// origin fills in whose layer a judge's findings are in.
func (a *assembly) origin(fs []esclusa.Finding) {
	for i := range fs {
		for j, l := range a.image.Layers {
			if fs[i].Layer != "" && l.DiffID == fs[i].Layer {
				fs[i].Origin = a.layerOrigin(j)
			}
		}
	}
}

func (a *assembly) view(j layer.Judge, pkgs []esclusa.Package) *layer.View {
	name := j.Spec().Name
	v := &layer.View{Image: &a.image, Packages: pkgs, Owned: a.merged.Owned}
	for i := range a.merged.Live {
		pl := &a.merged.Live[i]
		if pl.Reader != name {
			continue
		}
		for _, f := range pl.Result.Facts {
			v.Facts = append(v.Facts, layer.PlacedFact{
				Fact: f, Place: esclusa.Place{Layer: a.layerID(pl.Layer), Path: pl.Path}, Origin: a.layerOrigin(pl.Layer),
			})
		}
	}
	return v
}
