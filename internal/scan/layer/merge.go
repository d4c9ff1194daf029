package layer

import (
	"math/bits"
	"path"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// maxLayers is what a layer mask holds; images of more are refused earlier by
// every container runtime (127 of overlayfs).
const maxLayers = 1024

// Merged is the image as a container would see it, with what lies below kept
// apart: whoever can pull the image can still read that.
type Merged struct {
	Live    []Placed // of files that are there
	Deleted []Placed // of files that a higher layer removed or replaced
	Distro  esclusa.Distro
	Gaps    []esclusa.Gap
	records []*Record
	diffIDs []esclusa.Digest
	index   map[esclusa.Digest]int
	sets    map[*Item]map[listed]bool
}

// Placed is an Item in its layer, under the path that it has in the image.
type Placed struct {
	Item
	Layer int
	As    string // the path that the layer and the reader's result say
}

// Merge lays the records over each other, lowest first, as overlayfs does
// (OCI image specification, layer: applying changesets). A nil record is a
// layer that could not be read.
func Merge(records []*Record, diffIDs []esclusa.Digest) *Merged {
	m := &Merged{records: records, diffIDs: diffIDs, index: map[esclusa.Digest]int{}, sets: map[*Item]map[listed]bool{}}
	for i, d := range diffIDs {
		m.index[d] = i
	}
	tree := newTree(records)
	var all []Placed
	for i, r := range records {
		if r == nil {
			continue
		}
		tree.enter(i)
		items := withLinks(r, records[:i])
		all = slices.Grow(all, len(items))
		for _, g := range r.Gaps {
			g.Layer = diffIDs[i]
			m.Gaps = append(m.Gaps, g)
		}
		for _, it := range items {
			as := it.read
			if as == "" {
				as = it.Path
			}
			it.Path = tree.resolve(it.Path)
			all = append(all, Placed{it, i, as})
		}
	}
	live := make([]*Placed, 0, len(all)) // sorted by pointer: an item is large
	// Two layers may reach one file through different links.
	highest := make(map[string]int, len(all))
	for i := range all {
		highest[all[i].Path] = max(highest[all[i].Path], all[i].Layer)
	}
	for i := range all {
		if p := &all[i]; p.Layer == highest[p.Path] && tree.survives(p.Path, p.Layer) {
			live = append(live, p)
		} else {
			m.Deleted = append(m.Deleted, *p)
		}
	}
	live = dedupLinks(live)
	slices.SortStableFunc(live, func(a, b *Placed) int { return strings.Compare(a.Path, b.Path) })
	m.Live = make([]Placed, len(live))
	for i, p := range live {
		m.Live[i] = *p
	}
	m.pickDistro()
	return m
}

// withLinks adds, for each hard link, what was read under its target's name.
func withLinks(r *Record, below []*Record) []Item {
	if len(r.Hardlinks) == 0 {
		return r.Items
	}
	items := slices.Clone(r.Items)
	for _, l := range r.Hardlinks {
		for _, it := range itemsAt(r, l.Target) {
			it.Path, it.link, it.read = l.Path, l.Target, l.Target
			items = append(items, it)
		}
		if r.Paths.Has(pathHash(l.Target, false)) {
			continue
		}
		for i := len(below) - 1; i >= 0; i-- {
			if below[i] != nil && below[i].Paths.Has(pathHash(l.Target, false)) {
				for _, it := range itemsAt(below[i], l.Target) {
					it.Path, it.link, it.read = l.Path, l.Target, l.Target
					items = append(items, it)
				}
				break
			}
		}
	}
	return items
}

func itemsAt(r *Record, p string) []Item {
	i, _ := slices.BinarySearchFunc(r.Items, p, func(it Item, p string) int { return strings.Compare(it.Path, p) })
	j := i
	for j < len(r.Items) && r.Items[j].Path == p {
		j++
	}
	return r.Items[i:j]
}

// dedupLinks drops a hard link's items while its target is there itself.
func dedupLinks(live []*Placed) []*Placed {
	if !slices.ContainsFunc(live, func(p *Placed) bool { return p.link != "" }) {
		return live
	}
	type key struct {
		path, reader string
	}
	own := map[key]bool{}
	for _, p := range live {
		if p.link == "" {
			own[key{p.Path, p.Reader}] = true
		}
	}
	return slices.DeleteFunc(live, func(p *Placed) bool {
		return p.link != "" && own[key{p.link, p.Reader}]
	})
}

// pickDistro takes the os-release file where there is one (os-release(5):
// /etc first); the older files of single distributions have no name in them.
func (m *Merged) pickDistro() {
	best := 0
	for _, p := range m.Live {
		d := p.Result.Distro
		if d == nil {
			continue
		}
		rank := 1
		switch {
		case p.Path == "etc/os-release":
			rank = 4
		case p.Path == "usr/lib/os-release":
			rank = 3
		case d.Name != "":
			rank = 2
		}
		if rank > best {
			best, m.Distro = rank, *d
		}
	}
}

// Owned says whether a package database of the distribution lists the file.
// The list must be as new as the file: what a later layer puts in its place
// is no longer the distribution's.
func (m *Merged) Owned(at esclusa.Place) bool {
	file, _, _ := strings.Cut(at.Path, "!/")
	h := pathHash(file, false)
	for _, r := range m.records[m.layerOf(at):] {
		if r != nil && r.Owned.Has(h) {
			return true
		}
	}
	return false
}

func (m *Merged) layerOf(at esclusa.Place) int { return m.index[at.Layer] }

// Since is the lowest layer from which on p's file has listed the package in
// every version of the file: the layer that installed it, although the
// database was written again by each layer above.
func (m *Merged) Since(p *Placed, pkg *esclusa.Package) int {
	since := p.Layer
	for i := p.Layer - 1; i >= 0; i-- {
		r := m.records[i]
		if r == nil {
			break
		}
		items := itemsAt(r, p.Path)
		if len(items) == 0 {
			continue
		}
		k := slices.IndexFunc(items, func(it Item) bool { return it.Reader == p.Reader })
		if k < 0 || !m.lists(&items[k])[listed{pkg.Name, pkg.Version, pkg.Arch}] {
			break
		}
		since = i
	}
	return since
}

// listed names a package in a database.
type listed struct{ name, version, arch string }

// lists is the set of an item's packages; each is made once.
func (m *Merged) lists(it *Item) map[listed]bool {
	if set, ok := m.sets[it]; ok {
		return set
	}
	set := make(map[listed]bool, len(it.Result.Packages))
	for i := range it.Result.Packages {
		p := &it.Result.Packages[i]
		set[listed{p.Name, p.Version, p.Arch}] = true
	}
	m.sets[it] = set
	return set
}

// tree answers what became of a path in the layers above it.
type tree struct {
	records []*Record
	links   map[string]string    // symbolic links as of the layer entered last
	alias   map[string][]*alias  // folder → links that lead to it
	open    map[string]*alias    // by the link's path, those that hold now
	gone    map[string]layerMask // folder → layers that removed or replaced it
	hides   []hidden
	folders map[string]bool // on the way to an item: other links do not matter
}

// alias is a link to a folder, and the layers [from, to) in which it holds.
type alias struct {
	path     string
	from, to int
}

// hidden holds what a layer takes away from those below.
type hidden struct {
	whiteout map[string]bool
	opaque   map[string]bool
}

// layerMask has a bit per layer.
type layerMask [maxLayers / 64]uint64

func (m *layerMask) set(i int) { m[i/64] |= 1 << (i % 64) }

// above says whether a layer higher than i is in the mask.
func (m *layerMask) above(i int) bool {
	for w := len(m) - 1; w > i/64; w-- {
		if m[w] != 0 {
			return true
		}
	}
	return bits.Len64(m[i/64]) > i%64+1
}

func newTree(records []*Record) *tree {
	t := &tree{records: records, links: map[string]string{}, alias: map[string][]*alias{}, open: map[string]*alias{}, gone: map[string]layerMask{}}
	for _, r := range records {
		h := hidden{map[string]bool{}, map[string]bool{}}
		if r != nil {
			for _, w := range r.Whiteouts {
				h.whiteout[w] = true
			}
			for _, o := range r.Opaque {
				h.opaque[o] = true
			}
		}
		t.hides = append(t.hides, h)
	}
	t.folders = folders(records)
	return t
}

// maxDetours bounds the work of finding folders behind links. A folder that is
// not found keeps the name that its layer gave it, and is still reported.
const maxDetours = 5_000_000

// folders are those above the items, under every name that a link gives them.
// An image has some ten thousand links, of which a handful leads to a folder
// with an item in it.
func folders(records []*Record) map[string]bool {
	dirs := map[string]bool{}
	add := func(p string) {
		for ; p != "" && !dirs[p]; p = parent(p) {
			dirs[p] = true
		}
	}
	for _, r := range records {
		if r == nil {
			continue
		}
		for i := range r.Items {
			add(parent(r.Items[i].Path))
		}
		for _, l := range r.Hardlinks {
			add(parent(l.Path))
		}
	}
	// A link on the way leads to further folders, in which there may be links.
	left := maxDetours
	for grown := true; grown; {
		before := len(dirs)
		for _, r := range records {
			if r == nil {
				continue
			}
			for _, l := range r.Symlinks {
				if dirs[l.Path] && left > 0 {
					left -= len(dirs) + 1
					add(linkTarget(l))
					for d := range dirs {
						if rest, ok := strings.CutPrefix(d, l.Path+"/"); ok {
							add(path.Join(linkTarget(l), rest))
						}
					}
				}
			}
		}
		grown = len(dirs) > before && left > 0
	}
	return dirs
}

// enter makes the symbolic links of layer i hold, and ends those that it
// replaces or removes.
func (t *tree) enter(i int) {
	r := t.records[i]
	for p := range t.links {
		if t.has(p, i) {
			delete(t.links, p)
			if a := t.open[p]; a != nil {
				a.to = i
				delete(t.open, p)
			}
		}
	}
	for _, l := range r.Symlinks {
		to := linkTarget(l)
		if !t.folders[l.Path] && !t.folders[to] {
			continue // on nobody's way
		}
		t.links[l.Path] = l.Target
		if to != "" {
			a := &alias{l.Path, i, len(t.records)}
			t.alias[to], t.open[l.Path] = append(t.alias[to], a), a
		}
	}
}

// linkTarget is the path that a link leads to, inside the root.
func linkTarget(l Link) string {
	if strings.HasPrefix(l.Target, "/") {
		return path.Clean(l.Target)[1:]
	}
	return path.Join("/", path.Dir(l.Path), l.Target)[1:]
}

// maxLinks is how many links a path may lead through (Linux: MAXSYMLINKS).
const maxLinks = 40

// resolve follows links among the folders of a path, as extraction does. The
// last part is not followed: the entry itself takes its place.
func (t *tree) resolve(p string) string {
	if len(t.links) == 0 {
		return p
	}
	for range maxLinks {
		next, changed := t.step(p)
		if !changed {
			break
		}
		p = next
	}
	return p
}

func (t *tree) step(p string) (string, bool) {
	for at := 0; ; {
		j := strings.IndexByte(p[at:], '/')
		if j < 0 {
			return p, false
		}
		at += j
		if target, ok := t.links[p[:at]]; ok {
			dir := linkTarget(Link{p[:at], target})
			return path.Join(dir, p[at+1:]), true
		}
		at++
	}
}

// survives says whether no layer above i removed or replaced the file.
func (t *tree) survives(p string, i int) bool {
	for j := i + 1; j < len(t.records); j++ {
		if t.records[j] != nil && t.replaced(p, j) {
			return false
		}
	}
	mask := t.folderGone(parent(p))
	return !mask.above(i)
}

// replaced says whether layer j has something at p or takes p away. Layers
// may name it through a link to one of its folders.
func (t *tree) replaced(p string, j int) bool {
	if t.has(p, j) {
		return true
	}
	for dir := parent(p); dir != ""; dir = parent(dir) {
		for _, a := range t.alias[dir] {
			if a.from <= j && j < a.to && t.has(path.Join(a.path, p[len(dir)+1:]), j) {
				return true
			}
		}
	}
	return false
}

func (t *tree) has(p string, j int) bool {
	r := t.records[j]
	return t.hides[j].whiteout[p] || r.Paths.hasPath(p)
}

// folderGone says which layers removed the folder, made it opaque or put
// something else in its place. Each folder is asked about once.
func (t *tree) folderGone(dir string) layerMask {
	if m, ok := t.gone[dir]; ok {
		return m
	}
	var m layerMask
	if dir != "" {
		m = t.folderGone(parent(dir))
	}
	for j, r := range t.records {
		if r == nil {
			continue
		}
		if t.hides[j].opaque[dir] || dir != "" && (t.hides[j].whiteout[dir] || r.Paths.Has(pathHash(dir, false))) {
			m.set(j)
		}
	}
	t.gone[dir] = m
	return m
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return ""
	}
	return p[:i]
}
