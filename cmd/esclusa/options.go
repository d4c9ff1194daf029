package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/cache"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	feedlist "github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/esclusa/esclusa/internal/scan/feeds/vex"
	"github.com/esclusa/esclusa/internal/scan/inspect/malware"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/scan/report"
	reports "github.com/esclusa/esclusa/internal/scan/report/all"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// scanOptions are the flags of every command that scans.
type scanOptions struct {
	platform     string
	kind         string
	mirror       string
	noCache      bool
	offline      bool
	packagesOnly bool
	insecure     []string
	vex          []string
	malware      string
	quiet        bool
}

func (o *scanOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.platform, "platform", "", "platform of an index, such as linux/arm64 (default: this machine's)")
	f.StringVar(&o.kind, "kind", "", "what the target is: image, root, source or sbom (default: found out)")
	f.StringVar(&o.mirror, "mirror", "", "address or folder of a mirror of the advisories (environment: ESCLUSA_MIRROR)")
	f.BoolVar(&o.noCache, "no-cache", false, "read every layer anew")
	f.BoolVar(&o.offline, "offline", false, "fetch no advisories, even if there are none yet")
	f.BoolVar(&o.packagesOnly, "packages-only", false, "look for vulnerable and malicious packages only")
	f.StringArrayVar(&o.insecure, "plain-http", nil, "registry `HOST` that speaks no TLS; repeatable")
	f.StringArrayVar(&o.vex, "vex", nil, "OpenVEX or CSAF `FILE` whose statements apply; repeatable")
	f.StringVar(&o.malware, "malware-rules", "", "`FOLDER` of rules for malware and lists of known files, beside the built-in ones")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress and no talk")
}

// cacheDir is where esclusa keeps what can be had again (XDG base directory
// specification).
func (a app) cacheDir() (string, error) {
	if dir := a.getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "esclusa"), nil
	}
	home := a.getenv("HOME")
	if home == "" {
		return "", usagef("set HOME or XDG_CACHE_HOME", "no folder for the cache")
	}
	return filepath.Join(home, ".cache", "esclusa"), nil
}

func (a app) state() (advisory.State, error) {
	dir, err := a.cacheDir()
	return advisory.State{Dir: filepath.Join(dir, "advisories")}, err
}

// mirror is where advisories come from; empty is their official hosts.
func (a app) mirrorOf(flag string) string {
	if flag != "" {
		return flag
	}
	return a.getenv("ESCLUSA_MIRROR")
}

// database opens the advisories, and fetches them at the first time.
func (a app) database(ctx context.Context, o *scanOptions) (*advisory.DB, error) {
	st, err := a.state()
	if err != nil && o.offline {
		return nil, nil // no folder, no database: the report says so
	} else if err != nil {
		return nil, err
	}
	db, err := st.Open()
	switch {
	case err == nil:
		return db, nil
	case o.offline && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case o.offline:
		return nil, hinted{err, "advisories update makes it anew, advisories import takes one from a file"}
	}
	if !errors.Is(err, fs.ErrNotExist) && !o.quiet {
		fmt.Fprintf(a.stderr, "the advisory database is unusable and is made anew: %v\n", err)
	}
	if _, err := a.update(ctx, st, o.mirror, o.quiet); err != nil {
		return nil, err
	}
	return st.Open()
}

func (a app) update(ctx context.Context, st advisory.State, mirror string, quiet bool) (feeds.Result, error) {
	// Before minutes of fetching, not behind them.
	if err := os.MkdirAll(st.Dir, 0o755); err != nil {
		return feeds.Result{}, hinted{fmt.Errorf("no place for the advisories: %w", err), cacheHint}
	}
	sources := feedlist.Feeds()
	names := make([]string, len(sources))
	for i, f := range sources {
		names[i] = f.Spec().Name
	}
	p := a.progress(quiet, "fetching advisories", names...)
	res, err := feeds.Update(ctx, feeds.Options{From: a.mirrorOf(mirror), Feeds: sources, Into: st, Progress: p.feed})
	p.finish()
	if errors.Is(err, fs.ErrPermission) {
		return res, hinted{err, cacheHint}
	} else if err != nil {
		return res, hinted{err, "a closed network needs --mirror or ESCLUSA_MIRROR; --offline scans without advisories"}
	}
	return res, nil
}

const cacheHint = "set XDG_CACHE_HOME to a folder that you may write to"

// hinted gives an error a hint.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string { return h.hint }

// asRoot says what to do where the right was lacking, if nobody has yet.
func asRoot(err error) error {
	if os.Geteuid() == 0 || hintOf(err) != "" || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return hinted{err, "run as root"}
}
func (h hinted) Unwrap() error { return h.error }

// scanner wires a scanner for these targets; close it when its scans are done.
// A path that is not there is said before anything is fetched for it.
func (a app) scanner(ctx context.Context, o *scanOptions, targets ...string) (s *scan.Scanner, done func(), err error) {
	for _, t := range targets {
		if err := present(t); err != nil {
			return nil, nil, err
		}
	}
	c := scan.Config{Tool: "esclusa " + version(), PackagesOnly: o.packagesOnly}
	if c.Malware, err = o.rules(); err != nil {
		return nil, nil, err
	}
	db, err := a.database(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	closeDB := func() error { return nil }
	if db != nil {
		closeDB = db.Close
		c.Advisories, c.Feeds = db, db.Feeds()
	}
	if !o.noCache {
		dir, err := a.cacheDir()
		if err != nil {
			return nil, nil, err
		}
		c.Cache = cache.Open(dir, cache.DefaultMax)
	}
	for _, name := range o.vex {
		st, gaps, err := readVEX(name)
		if err != nil {
			return nil, nil, err
		}
		c.VEX, c.Gaps = append(c.VEX, st...), append(c.Gaps, gaps...)
	}
	return scan.New(c), func() { closeDB() }, nil
}

// present refuses what is plainly a path and leads nowhere; what may be a name
// of an image is for the scanner to find out.
func present(target string) error {
	if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "./") && !strings.HasPrefix(target, "../") {
		return nil
	}
	paths := []string{target} // PATH, PATH:TAG or PATH@DIGEST
	for i := 1; i < len(target); i++ {
		if target[i] == ':' || target[i] == '@' {
			paths = append(paths, target[:i])
		}
	}
	for _, p := range paths {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return hinted{fmt.Errorf("%q: %w", target, fs.ErrNotExist), "check the path"}
}

// rules reads the user's own rules for malware.
func (o *scanOptions) rules() ([]*malware.Rules, error) {
	switch {
	case o.malware == "":
		return nil, nil
	case o.packagesOnly:
		return nil, usagef("leave one of the two out", "--packages-only looks for no malware, and --malware-rules for it alone")
	}
	rules, err := malware.Open(os.DirFS(o.malware))
	if err != nil {
		return nil, usageError{fmt.Errorf("--malware-rules %s: %w", o.malware, err), ""}
	}
	return []*malware.Rules{rules}, nil
}

// maxVEX is the largest VEX document, in bytes.
const maxVEX = 256 << 20

func readVEX(name string) ([]match.Statement, []esclusa.Gap, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, nil, usageError{err, ""}
	} else if info.Size() > maxVEX {
		return nil, nil, usagef("", "VEX document %s has %d bytes, more than %d", name, info.Size(), maxVEX)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, usageError{err, ""}
	}
	st, gaps, err := vex.Parse(name, data)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("read VEX %s: %w", name, err), "esclusa reads OpenVEX and CSAF 2.0 documents"}
	}
	return st, gaps, nil
}

// image is how to reach one.
func (a app) image(o *scanOptions) oci.Options {
	opt := oci.Options{
		Platform: o.platform, PlainHTTP: o.insecure, Stdin: a.stdin, UserAgent: "esclusa/" + version(),
		DockerHost: a.getenv("DOCKER_HOST"), Containerd: a.getenv("CONTAINERD_ADDRESS"),
	}
	if opt.DockerHost == "" {
		opt.DockerHost = "unix:///var/run/docker.sock"
	}
	if opt.Containerd == "" {
		opt.Containerd = "/run/containerd/containerd.sock"
	}
	if dir := a.getenv("DOCKER_CONFIG"); dir != "" {
		opt.DockerConfig = filepath.Join(dir, "config.json")
	} else if home := a.getenv("HOME"); home != "" {
		opt.DockerConfig = filepath.Join(home, ".docker", "config.json")
	}
	return opt
}

func (o *scanOptions) target() (esclusa.TargetKind, error) {
	switch k := esclusa.TargetKind(o.kind); k {
	case "", esclusa.TargetImage, esclusa.TargetRoot, esclusa.TargetSource, esclusa.TargetSBOM:
		return k, nil
	}
	return "", usagef("image, root, source or sbom", "unknown kind of target %q", o.kind)
}

// run scans one target, with errors that say what to do.
func (a app) scan(ctx context.Context, s *scan.Scanner, target string, o *scanOptions) (*esclusa.Report, error) {
	kind, err := o.target()
	if err != nil {
		return nil, err
	}
	p := a.progress(o.quiet, "reading "+shorten(target))
	s.Progress = p.bytes
	r, err := s.Scan(ctx, target, kind, a.image(o))
	p.finish()
	if err == nil {
		err = nothing(r)
	}
	switch {
	case errors.Is(err, scan.ErrNothing) && isSaved(target):
		return nil, hinted{err, "it is a saved report: esclusa scan replay " + target}
	case errors.Is(err, scan.ErrNothing):
		return nil, hinted{err, "give a lock file, an SBOM (CycloneDX or SPDX JSON), a program, a Java archive, an image, or a folder"}
	case err != nil:
		return nil, err
	}
	return r, nil
}

// nothing is the error of a target in which there was nothing to judge: an
// empty report would look like a clean one, and the usual cause is a wrong
// path in a pipeline. Only an image may be empty.
func nothing(r *esclusa.Report) error {
	if r.Image.Kind == esclusa.TargetImage || len(r.Packages) > 0 || len(r.Findings) > 0 {
		return nil
	}
	for i := range r.Gaps {
		if g := &r.Gaps[i]; g.Scope != esclusa.GapFeed {
			return fmt.Errorf("%s: %w: %s", r.Image.Ref, scan.ErrNothing, g.Err)
		}
	}
	return fmt.Errorf("%s: %w", r.Image.Ref, scan.ErrNothing)
}

// shorten keeps what tells a target, for the line of a bar.
func shorten(s string) string {
	const most = 30
	if len(s) > most {
		s = path.Base(s)
	}
	if r := []rune(s); len(r) > most {
		return "…" + string(r[len(r)-most:])
	}
	return s
}

// output is one --output: a format, and the file that it goes to.
type output struct {
	format report.Format
	file   string
}

// outputs reads FORMAT and FORMAT=FILE; without any, a table.
func outputs(specs []string) ([]output, error) {
	if len(specs) == 0 {
		specs = []string{"table"}
	}
	var outs []output
	stdout := 0
	for _, s := range specs {
		name, file, toFile := strings.Cut(s, "=")
		f := find(name)
		if f == nil {
			return nil, usagef("one of "+strings.Join(formatNames(), ", ")+"; FORMAT=FILE writes a file", "unknown output format %q", name)
		}
		if toFile && file == "" {
			return nil, usagef("--output "+name+"=FILE", "no file in --output %q", s)
		}
		if !toFile {
			stdout++
		} else if err := place(file); err != nil {
			return nil, usageError{fmt.Errorf("--output %s: %w", s, err), ""}
		}
		outs = append(outs, output{f, file})
	}
	if stdout > 1 {
		return nil, usagef("--output sarif=report.sarif --output table", "only one output can go to standard output")
	}
	return outs, nil
}

func find(name string) report.Format {
	for _, f := range reports.Formats() {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

func formatNames() []string {
	var names []string
	for _, f := range reports.Formats() {
		names = append(names, f.Name())
	}
	return names
}

// write sends the report to all outputs.
func (a app) write(outs []output, r *esclusa.Report, all bool) error {
	for _, o := range outs {
		if err := a.writeOne(o, r, all); err != nil {
			return fmt.Errorf("write %s: %w", o.format.Name(), err)
		}
	}
	return nil
}

func (a app) writeOne(o output, r *esclusa.Report, all bool) error {
	if o.file == "" {
		width, color := a.terminal()
		return o.format.Write(a.stdout, r, report.Options{Width: width, Color: color, All: all})
	}
	return writeFile(o.file, func(w io.Writer) error { return o.format.Write(w, r, report.Options{All: true}) })
}

// place says, before a scan of minutes, that a file cannot be written.
func place(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder", name)
	}
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", filepath.Dir(name))
	}
	return nil
}

// writeFile writes aside and renames: a file that was cut must not look whole.
func writeFile(name string, write func(io.Writer) error) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // /dev/stderr, a pipe
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".esclusa-*")
	if err != nil {
		// The name aside is ours; people know the one that they gave.
		return fmt.Errorf("create %s: %w", name, errors.Unwrap(err))
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(write(tmp), tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// terminal is the width of standard output, and whether it shows colours
// (https://no-color.org).
func (a app) terminal() (width int, color bool) {
	f, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 80, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		width = 80
	}
	return min(width, 120), a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
