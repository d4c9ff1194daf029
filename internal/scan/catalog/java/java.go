// Package java reads Java software: the archives that a virtual machine loads
// (jar, war, ear, Jenkins plugins, …), with the archives and the shaded
// libraries inside them, and what Maven and Gradle files declare.
//
// It never asks a repository and never guesses a group id: an archive whose
// Maven coordinates do not follow from its content is reported with what is
// known, and as a Gap. It reads the few entries that name things; class files
// are skipped.
//
// Start with Readers, then walker.archive (walk.go) and identify.go.
package java

import (
	"fmt"
	"path"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers are the readers of this package: one for archives, one for what
// build files declare.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

const (
	purlType      = "maven"
	installedName = "java"
	declaredName  = "java/build"
)

// installed reads Java archives.
type installed struct{}

const maxArchive = 256 << 20

// suffixes are those of archives that Java programs and servers load from.
var suffixes = [...]string{".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi", ".kar"}

func (installed) Spec() layer.Spec {
	spec := layer.Spec{
		Name:    installedName,
		Version: 1,
		Where:   layer.Installed,
		MaxSize: maxArchive,
	}
	for _, s := range suffixes {
		spec.Claims = append(spec.Claims, layer.Claim{Suffix: s})
	}
	return spec
}

func (installed) Read(f *layer.File) (layer.Result, error) {
	w := newWalker(int64(len(f.Data)))
	err := w.archive(f.Path, f.Data, 0)
	if err != nil {
		err = fmt.Errorf("read %s: %w", path.Base(f.Path), err)
	}
	return layer.Result{Packages: w.packages, Gaps: append(w.gaps, w.items.List()...)}, err
}

// declared reads the files of build tools.
type declared struct{}

const (
	pomName           = "pom.xml"
	gradleLock        = "gradle.lockfile"
	gradleBuildLock   = "buildscript-gradle.lockfile"
	gradleLockFolder  = "dependency-locks" // Gradle before 7
	gradleLockSuffix  = ".lockfile"
	maxDeclared       = 16 << 20
	errTooManyMessage = "more than %d packages: the rest was not read"
)

func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 2,
		Where:   layer.Declared,
		MaxSize: maxDeclared,
		Claims: []layer.Claim{
			{Base: pomName},
			{Base: gradleLock},
			{Base: gradleBuildLock},
			{Dir: gradleLockFolder, Suffix: gradleLockSuffix},
		},
	}
}

func (declared) Read(f *layer.File) (layer.Result, error) {
	base := path.Base(f.Path)
	read := readGradle
	if base == pomName {
		read = readPom
	}
	res, err := read(f)
	if err != nil {
		err = fmt.Errorf("read %s: %w", base, err)
	}
	return res, err
}

// coordinates name a Maven artifact; any of them may be unknown ("").
type coordinates struct{ group, artifact, version string }

func (c coordinates) String() string { return c.name() + " " + c.version }

// name is the artifact as advisories write it.
func (c coordinates) name() string {
	if c.group == "" {
		return c.artifact
	}
	return c.group + ":" + c.artifact
}

// pkg is the package of c, found by reader at path.
func (c coordinates) pkg(reader, path string) esclusa.Package {
	return esclusa.Package{
		Type:    purlType,
		Name:    c.name(),
		Version: c.version,
		Reader:  reader,
		Place:   esclusa.Place{Path: path},
	}
}

// word says whether s can be a part of coordinates. Maven allows letters,
// digits, "_", "-" and "." in ids, and more in versions.
func word(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`:/\"'<>|?*[](){},$`, r)
	})
}

// clip shortens outside text for a message.
func clip(s string) string { return s[:min(len(s), 120)] }

// tooMany says that a file names more packages than are kept.
func tooMany() error { return fmt.Errorf(errTooManyMessage, catalog.MaxPackages) }
