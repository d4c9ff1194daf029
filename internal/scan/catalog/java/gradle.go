package java

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// readGradle reads a lock file of Gradle: "group:artifact:version=conf,conf",
// and without configurations before Gradle 7, which named the file after its
// one. https://docs.gradle.org/current/userguide/dependency_locking.html
func readGradle(f *layer.File) (layer.Result, error) {
	var res layer.Result
	var gaps catalog.Gaps
	seen := map[string]int{}
	base := path.Base(f.Path)
	n := 0
	for raw := range bytes.Lines(f.Data) {
		n++
		l := strings.TrimSpace(string(raw))
		if l == "" || l[0] == '#' || strings.HasPrefix(l, "empty=") {
			continue
		}
		ids, configurations, ok := strings.Cut(l, "=")
		if !ok {
			configurations = strings.TrimSuffix(base, gradleLockSuffix)
		}
		parts := strings.Split(ids, ":")
		if len(parts) != 3 || !word(parts[0]) || !word(parts[1]) || !word(parts[2]) {
			gaps.Add(f.Path, n, "entry of a Gradle lock file", fmt.Sprintf("%q is not group:artifact:version", clip(l)))
			continue
		}
		p := coordinates{parts[0], parts[1], parts[2]}.pkg(declaredName, f.Path)
		p.Line = n
		// What builds the product is not part of it.
		p.Dev = base == gradleBuildLock || onlyTests(configurations)
		if i, ok := seen[ids]; ok {
			res.Packages[i].Dev = res.Packages[i].Dev && p.Dev
			continue
		}
		if len(res.Packages) == catalog.MaxPackages {
			res.Gaps = gaps.List()
			return res, tooMany()
		}
		seen[ids] = len(res.Packages)
		res.Packages = append(res.Packages, p)
	}
	res.Gaps = gaps.List()
	return res, nil
}

// onlyTests says whether all configurations of a dependency are of tests, or
// of tools that run at compile time.
func onlyTests(configurations string) bool {
	for c := range strings.SplitSeq(configurations, ",") {
		c = strings.ToLower(strings.TrimSpace(c))
		if !strings.Contains(c, "test") && !strings.HasSuffix(c, "annotationprocessor") {
			return false
		}
	}
	return true
}
