package esclusa_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// maxFunc is the longest function in lines; aim for 40.
const maxFunc = 100

// badNames say nothing about what is inside.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "core", "base", "types", "manager"}

// TestHouse holds the habits that a parser can see: no environment, exit,
// init or global logger below the command, no long functions, a comment on
// each package and each public name.
func TestHouse(t *testing.T) {
	fset := token.NewFileSet()
	documented := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
				return fs.SkipDir
			}
			for _, bad := range badNames {
				if d.Name() == bad {
					t.Errorf("%s: the name says nothing about what is inside", path)
				}
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "zz_") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || f.Doc != nil
		if !strings.HasSuffix(path, "_test.go") { // a table of cases may be long
			checkFuncs(t, fset, f)
		}
		if !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "cmd/") {
			checkBelowCommand(t, fset, f)
			checkDocs(t, fset, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: package comment missing", dir)
		}
	}
}

// majors are the ends of module paths: /v2.
var majors = regexp.MustCompile(`/v\d+$`)

// TestArchitecture holds the map to the land: ARCHITECTURE.md names each
// dependency with its reason, and each folder below internal that is not a
// plug-in, which its group's list names.
func TestArchitecture(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Require {
		path := majors.ReplaceAllString(r.Mod.Path, "")
		path = strings.TrimPrefix(strings.TrimPrefix(path, "github.com/"), "golang.org/")
		if !r.Indirect && !strings.Contains(string(page), path) {
			t.Errorf("ARCHITECTURE.md gives no reason for %s", r.Mod.Path)
		}
	}
	for _, pattern := range []string{"internal/*", "internal/scan/*", "internal/gate/*"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil || len(dirs) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, dir := range dirs {
			info, err := os.Stat(dir)
			if err != nil {
				t.Fatal(err)
			}
			if name := filepath.Base(dir); info.IsDir() && name != "testdata" && !strings.Contains(string(page), name+"/") {
				t.Errorf("ARCHITECTURE.md does not show %s", dir)
			}
		}
	}
}

func checkFuncs(t *testing.T, fset *token.FileSet, f *ast.File) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunc {
			t.Errorf("%s: %s has %d lines, more than %d", fset.Position(fn.Pos()), fn.Name.Name, n, maxFunc)
		}
		if fn.Recv == nil && fn.Name.Name == "init" {
			t.Errorf("%s: no init: a start must cost nothing", fset.Position(fn.Pos()))
		}
	}
}

// testOnly are packages that tests import, and the programs of the Makefile;
// they may read the environment.
func testOnly(f *ast.File) bool {
	return strings.HasSuffix(f.Name.Name, "test") || f.Name.Name == "truth" || f.Name.Name == "main"
}

func checkBelowCommand(t *testing.T, fset *token.FileSet, f *ast.File) {
	if testOnly(f) {
		return
	}
	forbidden := map[string]bool{
		"os.Getenv": true, "os.LookupEnv": true, "os.Environ": true, "os.Exit": true,
		"slog.Default": true, "slog.SetDefault": true, "log.Fatal": true, "log.Fatalf": true, "log.Printf": true, "log.Println": true,
		"slog.Info": true, "slog.Warn": true, "slog.Error": true, "slog.Debug": true,
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && forbidden[x.Name+"."+sel.Sel.Name] {
			t.Errorf("%s: %s.%s belongs in cmd", fset.Position(n.Pos()), x.Name, sel.Sel.Name)
		}
		return true
	})
}

func checkDocs(t *testing.T, fset *token.FileSet, f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedRecv(d)) && !lawful(d) {
				t.Errorf("%s: %s has no comment", fset.Position(d.Pos()), d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
					t.Errorf("%s: %s has no comment", fset.Position(ts.Pos()), ts.Name.Name)
				}
			}
		}
	}
}

// lawful are methods whose law stands at the interface that they satisfy.
func lawful(d *ast.FuncDecl) bool {
	switch d.Name.Name {
	case "String", "Error", "Close", "Read", "Write", "Len", "Less", "Swap", "Unwrap", "Hint", "Spec", "Judge", "Literals", "Name":
		return d.Recv != nil
	}
	return false
}

func exportedRecv(d *ast.FuncDecl) bool {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if idx, ok := typ.(*ast.IndexExpr); ok {
		typ = idx.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}
