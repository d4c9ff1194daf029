package npm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

// pnpTable is a small table with every kind of reference that Yarn 4 wrote for
// a project with a workspace, a patch, peers, a fork and an unplugged package.
const pnpTable = `{
  "__info": ["it's generated"],
  "ignorePatternData": "(^(?:\\.yarn\\/sdks)$)",
  "packageRegistryData": [
    [null, [
      [null, {"packageLocation": "./", "packageDependencies": [["lodash", "npm:4.17.20"], ["alias", ["ms", "npm:2.1.2"]]], "linkType": "SOFT"}]
    ]],
    ["app", [
      ["workspace:.", {"packageLocation": "./", "packageDependencies": [], "linkType": "SOFT"}]
    ]],
    ["@babel/code-frame", [
      ["npm:7.12.11", {"packageLocation": "./.yarn/cache/@babel-code-frame-npm-7.12.11-1a9a1b277f-836ffd1555.zip/node_modules/@babel/code-frame/", "linkType": "HARD"}],
      ["npm:7.29.7", {"packageLocation": "../../root/.yarn/berry/cache/@babel-code-frame-npm-7.29.7-cc910f9962-10c0.zip/node_modules/@babel/code-frame/", "linkType": "HARD"}]
    ]],
    ["acorn-jsx", [
      ["npm:5.3.2", {"packageLocation": "./.yarn/cache/acorn-jsx-npm-5.3.2-d7594599ea.zip/node_modules/acorn-jsx/", "linkType": "SOFT"}],
      ["virtual:8d8ea5d1#npm:5.3.2", {"packageLocation": "./.yarn/__virtual__/acorn-jsx-virtual-1/0/cache/acorn-jsx-npm-5.3.2-d7594599ea.zip/node_modules/acorn-jsx/", "linkType": "HARD"}]
    ]],
    ["esbuild", [
      ["npm:0.17.0", {"packageLocation": "./.yarn/unplugged/esbuild-npm-0.17.0-df83274ced/node_modules/esbuild/", "linkType": "HARD"}]
    ]],
    ["lodash", [
      ["npm:4.17.20::__archiveUrl=https%3A%2F%2Fexample.com%2Flodash.tgz", {"packageLocation": "./.yarn/cache/lodash-npm-4.17.20-hash.zip/node_modules/lodash/", "linkType": "HARD"}]
    ]],
    ["left-pad", [
      ["https://github.com/left-pad/left-pad.git#commit=2fca6157fcca165438e0f9495cf0e5a4e6f71349", {"packageLocation": "./.yarn/cache/left-pad-https-hash.zip/node_modules/left-pad/", "linkType": "HARD"}]
    ]],
    ["typescript", [
      ["patch:typescript@npm%3A4.9.5#optional!builtin<compat/typescript>::version=4.9.5&hash=289587", {"packageLocation": "./.yarn/cache/typescript-patch-6fda4d02cf.zip/node_modules/typescript/", "linkType": "HARD"}]
    ]]
  ]
}`

// scripts are the loaders of the versions of Yarn around a table.
func scripts(table string) map[string]string {
	quoted := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", "\\\n").Replace(table) + "'"
	return map[string]string{
		"yarn 4": "#!/usr/bin/env node\n\"use strict\";\n\nconst RAW_RUNTIME_STATE =\n" + quoted + ";\n\nfunction $$SETUP_STATE(hydrateRuntimeState, basePath) {\n  return hydrateRuntimeState(JSON.parse(RAW_RUNTIME_STATE), {basePath: basePath || __dirname});\n}\nconst a = 'x';\n",
		"yarn 3": "function $$SETUP_STATE(hydrateRuntimeState, basePath) {\n  return hydrateRuntimeState(JSON.parse(" + quoted + "), {basePath: basePath || __dirname});\n}\n",
		"yarn 2": "function $$SETUP_STATE(hydrateRuntimeState, basePath) {\n  return hydrateRuntimeState(" + table + ", {basePath: basePath || __dirname});\n}\n",
	}
}

func TestPlugAndPlay(t *testing.T) {
	want := []string{"@babel/code-frame 7.12.11", "@babel/code-frame 7.29.7", "acorn-jsx 5.3.2", "lodash 4.17.20", "typescript 4.9.5"}
	files := map[string]struct{ path, data string }{"data": {"app/.pnp.data.json", pnpTable}}
	for name, script := range scripts(pnpTable) {
		files[name] = struct{ path, data string }{"app/.pnp.cjs", script}
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			res, err := layertest.Read(t, plugAndPlay{}, f.path, 0o644, []byte(f.data))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, layertest.Names(res.Packages)); d != "" {
				t.Errorf("packages (-want +got):\n%s", d)
			}
			// A commit is no version of the registry.
			if len(res.Gaps) != 1 || res.Gaps[0].What != "version of left-pad" {
				t.Errorf("gaps: %+v", res.Gaps)
			}
			if p := res.Packages[0]; p.Path != f.path || p.Reader != pnpName || p.Type != purlType {
				t.Errorf("package %+v", p)
			}
		})
	}
}

func TestPlugAndPlayElsewhere(t *testing.T) {
	for _, c := range []struct {
		name, path, data string
		wantErr          bool
	}{
		{"the table is a file of its own", "app/.pnp.cjs", `const pnpDataFilepath = path.resolve(__dirname, ".pnp.data.json");`, false},
		{"yarn 1 loads from folders", "app/.pnp.js", "let packageInformationStores = new Map([\n", false},
		{"a fixture of a package", "app/node_modules/pnp/test/.pnp.cjs", "", false},
		{"another loader", "app/.pnp.cjs", "module.exports = {};", true},
		{"cut", "app/.pnp.cjs", scripts(pnpTable)["yarn 4"][:900], true},
		{"empty", "app/.pnp.cjs", "", true},
		{"no packages", "app/.pnp.data.json", "{}", true},
		{"another shape", "app/.pnp.data.json", `{"packageRegistryData":[["a",{"b":1}]]}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := layertest.Read(t, plugAndPlay{}, c.path, 0o644, []byte(c.data))
			if (err != nil) != c.wantErr || len(res.Packages) > 0 {
				t.Errorf("packages %v, error %v", res.Packages, err)
			}
		})
	}
}

func FuzzPlugAndPlay(f *testing.F) {
	f.Add([]byte(pnpTable))
	for _, s := range scripts(pnpTable) {
		f.Add([]byte(s))
	}
	f.Add([]byte("'{\\\n\\"))
	f.Add([]byte("'{\\\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{pnpScript, pnpData} {
			res, _ := layertest.Read(t, plugAndPlay{}, path, 0o644, data)
			for _, p := range res.Packages {
				if !validName(p.Name) || !exactVersion(p.Version) {
					t.Errorf("package %q %q", p.Name, p.Version)
				}
			}
		}
	})
}
