package java

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
)

// The limits of one outer archive. The largest real ones seen hold some
// 80,000 entries and archives three deep (ear, war, jar).
const (
	maxDepth    = 4
	maxEntries  = 200_000 // of all archives inside, together
	maxArchives = 10_000  // of them
	maxText     = 256 << 10
	maxManifest = 64 << 10 // the main section; signed archives have 10 MiB
)

// walker walks an archive and the archives inside it.
type walker struct {
	packages []esclusa.Package
	gaps     []esclusa.Gap // of whole archives
	items    catalog.Gaps  // of single packages
	seen     map[string]int

	entries  int   // read so far
	archives int   // opened so far
	left     int64 // bytes of inner archives that may still be opened
	stopped  bool  // a limit was hit, and said
}

func newWalker(size int64) *walker {
	// Stored inner archives cost their size once for each level; deflated
	// ones have been compressed before, and grow little.
	return &walker{seen: map[string]int{}, left: 64<<20 + maxDepth*size}
}

// content is what one archive holds that names software.
type content struct {
	manifest    *entry
	poms        map[string]pomEntries // by folder: META-INF/maven/G/A
	nested      []entry
	classes     bool
	application bool // a Spring Boot or web archive: its own code is not a library
}

type pomEntries struct{ properties, xml *entry }

// archive reads the archive in data, which lies at where. The error says that
// it could not be read at all, or not to its end.
func (w *walker) archive(where string, data []byte, depth int) error {
	w.archives++
	z, err := openZip(data)
	if err != nil {
		return err
	}
	var c content
	err = z.each(func(e *entry) bool {
		if w.entries++; w.entries > maxEntries {
			w.stop(where, fmt.Sprintf("more than %d entries", maxEntries))
			return false
		}
		c.note(e)
		return true
	})
	w.identify(where, z, &c, depth)
	for i := range c.nested {
		if w.stopped {
			break
		}
		w.inner(where, z, &c.nested[i], depth+1)
	}
	return err
}

// inner reads an archive inside another one.
func (w *walker) inner(outer string, z *zipFile, e *entry, depth int) {
	where := outer + "!/" + inside(e.name)
	switch {
	case depth > maxDepth:
		w.gap(where, fmt.Sprintf("archives are nested more than %d deep", maxDepth))
		return
	case w.archives >= maxArchives:
		w.stop(outer, fmt.Sprintf("more than %d archives inside", maxArchives))
		return
	}
	data, err := z.read(e, min(w.left, maxArchive), false)
	if err == nil {
		w.left -= int64(len(data))
		err = w.archive(where, data, depth)
	}
	if err != nil {
		w.gap(where, err.Error())
	}
}

// gap notes an inner archive that could not be read.
func (w *walker) gap(where, why string) {
	if w.stopped {
		return
	}
	if len(w.gaps) == maxGaps {
		w.stop(where, "too many inner archives that cannot be read")
		return
	}
	w.gaps = append(w.gaps, esclusa.Gap{
		Scope: esclusa.GapFile,
		Place: esclusa.Place{Path: where},
		What:  "Java archive",
		Err:   why,
	})
}

// maxGaps bounds the gaps of one outer archive.
const maxGaps = 100

// stop ends the walk, and says so once.
func (w *walker) stop(where, why string) {
	if w.stopped {
		return
	}
	w.stopped = true
	w.gaps = append(w.gaps, esclusa.Gap{
		Scope: esclusa.GapFile,
		Place: esclusa.Place{Path: where},
		What:  "the rest of a Java archive",
		Err:   why,
	})
}

// add notes a package: the same coordinates once for each outer archive.
func (w *walker) add(c coordinates, where string, isMain bool, licenses []string) {
	key := c.name() + "@" + c.version
	if i, ok := w.seen[key]; ok {
		w.packages[i].Main = w.packages[i].Main || isMain
		return
	}
	if len(w.packages) == catalog.MaxPackages {
		w.stop(where, tooMany().Error())
		return
	}
	w.seen[key] = len(w.packages)
	p := c.pkg(installedName, where)
	p.Main, p.Licenses = isMain, licenses
	w.packages = append(w.packages, p)
}

const mavenFolder = "META-INF/maven/"

// note sorts one entry in. It is called for every class file: the last byte
// of the name dismisses most.
func (c *content) note(e *entry) {
	name := e.name
	if len(name) < 4 {
		return
	}
	switch name[len(name)-1] | 0x20 {
	case 's':
		if bytes.HasSuffix(name, []byte(".class")) {
			c.classes = true
			return
		}
		if bytes.HasSuffix(name, []byte("/pom.properties")) {
			c.pom(e, func(p *pomEntries, e *entry) { p.properties = e })
		}
	case 'l':
		if bytes.HasSuffix(name, []byte("/pom.xml")) {
			c.pom(e, func(p *pomEntries, e *entry) { p.xml = e })
		}
	case 'f':
		// Java finds the manifest in any case.
		if len(name) == len("META-INF/MANIFEST.MF") && bytes.EqualFold(name, []byte("META-INF/MANIFEST.MF")) {
			m := *e
			c.manifest = &m
		}
	case 'r', 'i':
		if isArchive(name) {
			c.nested = append(c.nested, *e)
			c.application = c.application || bytes.HasPrefix(name, []byte("BOOT-INF/")) || bytes.HasPrefix(name, []byte("WEB-INF/"))
		}
	}
}

// pom notes one of Maven's two descriptions of the same artifact.
func (c *content) pom(e *entry, set func(*pomEntries, *entry)) {
	i := bytes.Index(e.name, []byte(mavenFolder))
	if i < 0 || i > 0 && e.name[i-1] != '/' {
		return
	}
	if c.poms == nil {
		c.poms = map[string]pomEntries{}
	}
	folder := path.Dir(string(e.name))
	p, copied := c.poms[folder], *e
	set(&p, &copied)
	c.poms[folder] = p
}

func isArchive(name []byte) bool {
	tail := name[len(name)-4:]
	return slices.ContainsFunc(suffixes[:], func(s string) bool { return bytes.EqualFold(tail, []byte(s)) })
}

// inside is the name of an entry as part of a path for people: an archive can
// write anything there.
func inside(name []byte) string {
	name = name[:min(len(name), 1024)]
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\\' {
			return '\ufffd'
		}
		return r
	}, string(name))
	return strings.TrimPrefix(path.Clean("/"+s), "/")
}
