package java

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

const transitive = "GAP dependencies of dependencies"

func TestDeclared(t *testing.T) {
	for _, c := range []struct {
		name, path, data, wantErr string
		want                      []string
	}{
		{"own and parent", "pom.xml", `<?xml version="1.0"?><project xmlns="http://maven.apache.org/POM/4.0.0"><parent><groupId>g</groupId><artifactId>p</artifactId><version>7</version></parent><artifactId>a</artifactId></project>`, "", []string{transitive, "g:a 7 main"}},
		{"properties called as the project's own", "pom.xml", `<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>4.0</version></parent><artifactId>a</artifactId><version>1.2</version>
			<properties><project.version>9</project.version><project.parent.version>9</project.parent.version><version>8</version></properties>
			<dependencies>
			<dependency><groupId>o</groupId><artifactId>x</artifactId><version>${project.version}</version></dependency>
			<dependency><groupId>o</groupId><artifactId>y</artifactId><version>${project.parent.version}</version></dependency>
			<dependency><groupId>o</groupId><artifactId>z</artifactId><version>${version}</version></dependency>
			</dependencies></project>`, "", []string{transitive, "g:a 1.2 main", "o:x 1.2", "o:y 4.0", "o:z 8"}},
		{"profiles", "pom.xml", `<project><profiles>
			<profile><activation><activeByDefault> true </activeByDefault></activation><properties><v>2</v></properties>
			<dependencies><dependency><groupId>o</groupId><artifactId>x</artifactId><version>${v}</version></dependency></dependencies></profile>
			<profile><activation><jdk>1.4</jdk></activation>
			<dependencies><dependency><groupId>o</groupId><artifactId>y</artifactId><version>1</version></dependency></dependencies></profile>
			</profiles></project>`, "", []string{transitive, "o:x 2"}},
		{"properties", "x/pom.xml", `<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version>
			<properties><v.x>${major}.2</v.x><major> 3 </major></properties>
			<dependencies>
			<dependency><groupId>${project.groupId}</groupId><artifactId>b</artifactId><version>${project.version}</version></dependency>
			<dependency><groupId>o</groupId><artifactId>x</artifactId><version>${v.x}</version><scope>test</scope></dependency>
			<dependency><groupId>o</groupId><artifactId>y</artifactId><version>[1.5]</version></dependency>
			</dependencies></project>`, "", []string{transitive, "g:a 1 main", "g:b 1", "o:x 3.2 dev", "o:y 1.5"}},
		{"managed here", "pom.xml", `<project><artifactId>a</artifactId>
			<dependencyManagement><dependencies><dependency><groupId>o</groupId><artifactId>x</artifactId><version>2</version><scope>test</scope></dependency></dependencies></dependencyManagement>
			<dependencies><dependency><groupId>o</groupId><artifactId>x</artifactId></dependency></dependencies></project>`, "", []string{transitive, "o:x 2 dev"}},
		{"managed elsewhere", "pom.xml", `<project><dependencies>
			<dependency><groupId>o</groupId><artifactId>x</artifactId></dependency>
			<dependency><groupId>o</groupId><artifactId>y</artifactId><version>${from.parent}</version></dependency>
			<dependency><groupId>o</groupId><artifactId>z</artifactId><version>[1.0,2.0)</version></dependency>
			<dependency><groupId>o</groupId><artifactId>k</artifactId><version>1</version></dependency>
			</dependencies></project>`, "", []string{"GAP versions of 3 Maven dependencies", "o:k 1"}},
		{"properties that grow", "pom.xml", `<project><properties><a>${b}${b}${b}${b}${b}</a><b>${c}${c}${c}${c}${c}</b><c>${a}${a}${a}${a}</c></properties>
			<dependencies><dependency><groupId>o</groupId><artifactId>x</artifactId><version>${a}</version></dependency></dependencies></project>`, "", []string{"GAP versions of 1 Maven dependencies"}},
		{"Latin-1", "pom.xml", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><project><name>Andr\xe9</name><groupId>g</groupId><artifactId>a</artifactId><version>1</version></project>", "", []string{"g:a 1 main"}},
		{"another encoding", "pom.xml", `<?xml version="1.0" encoding="EBCDIC"?><project/>`, "is not supported", nil},
		{"another document", "pom.xml", `<html/>`, "expected element", nil},
		{"cut", "pom.xml", `<project><dependencies>`, "unexpected EOF", nil},
		{"gradle", "gradle.lockfile", "# generated\r\na:b:1.0=compileClasspath,runtimeClasspath\na:t:1.0=testCompileClasspath,testRuntimeClasspath\nbad line=x\nempty=annotationProcessor\n", "", []string{"GAP entry of a Gradle lock file", "a:b 1.0", "a:t 1.0 dev"}},
		{"gradle's own build", "buildscript-gradle.lockfile", "a:b:1.0=classpath\n", "", []string{"a:b 1.0 dev"}},
		{"gradle before 7", "gradle/dependency-locks/runtimeClasspath.lockfile", "a:b:1.0\n", "", []string{"a:b 1.0"}},
	} {
		t.Run(path.Base(c.path)+"/"+c.name, func(t *testing.T) {
			res, err := layertest.Read(t, declared{}, c.path, 0o644, []byte(c.data))
			if c.wantErr == "" && err != nil || c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
			if diff := cmp.Diff(c.want, says(res, c.path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeclaredVectors: the golden results of these fixtures list findings
// only; the packages are those that a person reads in the files.
func TestDeclaredVectors(t *testing.T) {
	for file, want := range map[string][]string{
		"pom/pom.xml": {
			transitive, "com.example:log4shell 1.0-SNAPSHOT main", "com.fasterxml.jackson.core:jackson-databind 2.9.1",
			"javax.servlet:javax.servlet-api 4.0.1", "org.junit.jupiter:junit-jupiter-api 5.7.1 dev", "org.junit.jupiter:junit-jupiter-engine 5.7.1 dev",
		},
		"gradle/gradle.lockfile": {"com.fasterxml.jackson.core:jackson-databind 2.9.1"},
	} {
		data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "fixtures", "repo", file))
		if err != nil {
			t.Fatal(err)
		}
		res, err := layertest.Read(t, declared{}, file, 0o644, data)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, says(res, file)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// TestKnownGroupsVectors holds the table to the artifacts that advisories
// name: where they know one, the table's group is one of theirs.
func TestKnownGroupsVectors(t *testing.T) {
	z, err := zip.OpenReader(truth.Mirror(t, "osv", "Maven", "all.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	groups := map[string][]string{}
	for _, f := range z.File {
		var advisory struct {
			Affected []struct{ Package struct{ Name string } }
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || json.Unmarshal(data, &advisory) != nil {
			continue
		}
		for _, a := range advisory.Affected {
			if group, artifact, ok := strings.Cut(a.Package.Name, ":"); ok {
				groups[artifact] = append(groups[artifact], group)
			}
		}
	}
	checked := 0
	for artifact, named := range groups {
		for _, version := range []string{"1", "999"} {
			if g := knownGroup(artifact, version); g != "" {
				checked++
				if !slices.Contains(named, g) && version == "999" && !slices.Contains(named, knownGroup(artifact, "1")) {
					t.Errorf("%s: table says %s, advisories %v", artifact, g, slices.Compact(named))
				}
			}
		}
	}
	t.Logf("%d groups checked", checked/2)
	if checked == 0 {
		t.Error("no advisory names an artifact of the table")
	}
}

func FuzzDeclared(f *testing.F) {
	f.Add(true, []byte(`<project><groupId>g</groupId><artifactId>a</artifactId><version>${v}</version><properties><v>1</v></properties><dependencies><dependency><groupId>o</groupId><artifactId>x</artifactId><version>${v}</version></dependency></dependencies></project>`))
	f.Add(false, []byte("a:b:1=c\nempty=\n"))
	f.Fuzz(func(t *testing.T, pom bool, data []byte) {
		file := layer.File{Path: gradleLock, Data: data}
		if pom {
			file.Path = pomName
		}
		res, _ := declared{}.Read(&file)
		for _, p := range res.Packages {
			if !word(p.Version) || !strings.Contains(p.Name, ":") {
				t.Errorf("%+v", p)
			}
		}
	})
}
