package secrets

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/scan/literal"
	"github.com/esclusa/esclusa/internal/truth"
)

// githubToken has a right checksum; it is put together here so that scanners
// of repositories stay calm.
var githubToken = "gh" + "p_" + "k2Jd8Zm4Qw7Rt5Yp1Xv9b6Nc3Lh0Gf" + "4TB51C"

func TestFinding(t *testing.T) {
	key := "AK" + "IA" + "Q3EGRZ4XT7KLM2NB"
	res, err := layertest.Read(t, Reader{}, "app/deploy.sh", 0o755, []byte("#!/bin/sh\n\nexport AWS_ACCESS_KEY_ID="+key+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []esclusa.Finding{{
		Kind:     esclusa.KindSecret,
		ID:       "secret/aws-access-token",
		Severity: esclusa.SeverityHigh,
		Title:    "AWS access key id",
		Place:    esclusa.Place{Path: "app/deploy.sh", Line: 3},
		EPSS:     -1,
		Evidence: "AKIA… (20 characters), account 058264244015",
	}}
	if d := cmp.Diff(want, res.Findings, cmpopts.IgnoreFields(esclusa.Finding{}, "Advice")); d != "" {
		t.Errorf("finding (-want +got):\n%s", d)
	}
	for _, f := range res.Findings {
		if strings.Contains(fmt.Sprint(f), key) {
			t.Errorf("the finding holds the secret: %v", f)
		}
	}
}

// TestSeverity is what checks change.
func TestSeverity(t *testing.T) {
	wrong := githubToken[:len(githubToken)-1] + "0"
	ssh := func(cipher string) string { return sshKey(cipher) }
	tests := []struct {
		name, text string
		want       esclusa.Severity
	}{
		{"github, checksum right", "token=" + githubToken, esclusa.SeverityCritical},
		{"github, checksum wrong", "token=" + wrong, esclusa.SeverityMedium},
		{"stripe live", "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc", esclusa.SeverityCritical},
		{"stripe test", "sk_" + "test_4eC39HqLyjWDarjtT1zdp7dc", esclusa.SeverityLow},
		{"ssh key, open", ssh("none"), esclusa.SeverityHigh},
		{"ssh key, with passphrase", ssh("aes256-ctr"), esclusa.SeverityLow},
	}
	for _, tt := range tests {
		res, err := layertest.Read(t, Reader{}, "app/x.conf", 0o644, []byte(tt.text))
		if err != nil || len(res.Findings) != 1 {
			t.Errorf("%s: %d findings, %v", tt.name, len(res.Findings), err)
			continue
		}
		if got := res.Findings[0].Severity; got != tt.want {
			t.Errorf("%s: %v, want %v (%s)", tt.name, got, tt.want, res.Findings[0].Evidence)
		}
	}
}

// TestSilence is what people would call noise.
func TestSilence(t *testing.T) {
	secret := "token = " + githubToken
	jwt := "ey" + "JhbGciOiJSUzI1NiIsImtpZCI6ImUzYjg0Zj" + "E5In0.ey" + "Jpc3MiOiJodHRwczovL2lkcC5jb3JwLm5ldCIsInN1YiI6ImNpLWRlcGxveSJ9.k2Jd8Zm4Qw7Rt5Yp1Xv9b6Nc3Lh0GfDs2Aq7We"
	for _, path := range []string{"app/config/tokens.json", "app/node_modules/aws-sdk/lib/tokens.json"} {
		if got := ids(t, path, `"Token": "`+jwt+`"`); len(got) != 1 { // what the cases below are silent on
			t.Errorf("%s: found as %q", path, got)
		}
	}
	tests := []struct{ name, path, text string }{
		{"documentation of a package", "usr/share/doc/x/README", secret},
		{"manual", "usr/share/man/man1/x.1", secret},
		{"tests of a dependency", "app/node_modules/x/test/a.js", secret},
		{"read me of a dependency", "app/node_modules/x/README.md", secret},
		{"name in a dependency", "app/node_modules/x/index.js", `api_token = "wEFCbmhuxmpDTD35dcVmqobnk6GukPsd"`},
		{"examples of an SDK", "app/node_modules/aws-sdk/apis/cognito-identity-2014-06-30.examples.json", `"Token": "` + jwt + `"`},
		{"examples of another", "usr/lib/python3/dist-packages/botocore/data/sts/2011-06-15/examples-1.json", `"WebIdentityToken": "` + jwt + `"`},
		{"variable", "app/.env", "DB_PASSWORD=${DB_PASSWORD}\nTOKEN=$TOKEN\nSECRET={{ .secret }}\n"},
		{"filler", "app/.env", "DB_PASSWORD=changeme\nAPI_TOKEN=your-token-here\nSECRET=my_secret_key\nPASSWORD=xxxxxxxx\n"},
		{"setting", "app/.env", "TOKEN_TTL=3600\nTOKEN_URL=https://idp.corp.net/oauth2/token\n"},
		{"armour without a key", "app/x.go", `strings.HasPrefix(s, "-----BEGIN RSA PRIVATE KEY-----")`},
		{"public key", "app/x.pem", "-----BEGIN PUBLIC KEY-----\n" + strings.Repeat("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", 6) + "\n-----END PUBLIC KEY-----"},
		{"empty", "app/.npmrc", "//registry.example/:_authToken=\n"},
		{"name of a secret", "app/x.yaml", "secretName: db-credentials-8f2k\npasswordFile: /run/secrets/pw1\ntokenUrl: https://a.b/c1\n"},
		{"part of a word", "app/x.css", ".global-blob { content: 'glob_test_de981b657dc0b62219211b10ee18680b841' }"},
		{"integrity hash", "app/package-lock.json", `"integrity": "sha512-eypxjKumMf217gSsK2bey6HdUccASjcfUgyGgEFazqmAsc1eypxjKumMf217gSsK2bey6Hd=="`},
		{"locked account", "etc/shadow", "root:*:19000:0:99999:7:::\nbin:!:19000::::::\n"},
		{"URL of a manual", "app/x.py", "postgres://user:password@localhost/db https://user:pass1234@example.com/"},
	}
	for _, tt := range tests {
		if got := ids(t, tt.path, tt.text); len(got) > 0 {
			t.Errorf("%s: %s found as %q", tt.name, tt.path, got)
		}
	}
}

// TestConfigFiles are the files that exist to hold credentials.
func TestConfigFiles(t *testing.T) {
	pw := "hV7wq2" + "Lm9zPx"
	tests := []struct{ path, text, want string }{
		{"root/.npmrc", "//npm.corp.net/:_authToken=" + pw, "npmrc-password"},
		{"root/.pypirc", "[corp]\nusername = ci\npassword = " + pw, "pypirc-password"},
		{"etc/pip.conf", "[global]\nindex-url = https://ci:" + pw + "@pypi.corp.net/simple", "pip-index-password"},
		{"root/.git-credentials", "https://ci:" + pw + "@git.corp.net", "git-credentials"},
		{"root/.netrc", "machine git.corp.net\nlogin ci\npassword " + pw, "netrc-password"},
		{"infra/terraform.tfstate", `{"resources":[{"admin_password": "` + pw + `"}]}`, "terraform-state-secret"},
		{"app/.env", "DB_PASSWORD=" + pw, "env-file-secret"},
		{"app/.env.production", "export SMTP_PASSWD='" + pw + "'", "env-file-secret"},
		{"srv/app.conf", "dsn = mysql://app:" + pw + "@db.corp.net/app", "database-url-password"},
		{"etc/nginx/htpasswd", "admin:$apr1$" + "k2Jd8Zm4$" + "Qw7Rt5Yp1Xv9b6Nc3Lh0Gf", "htpasswd"},
		{"etc/shadow", "root:$6$" + "k2Jd8Zm4Qw7R$" + "t5Yp1Xv9b6Nc3Lh0Gf8Ds2Aq7Wek2Jd8Zm4:19000::::::", "shadow-password"},
		{"root/.kube/config", "users:\n- user:\n    token: " + strings.Repeat(pw, 4), "kubeconfig-secret"},
	}
	for _, tt := range tests {
		if got := ids(t, tt.path, tt.text); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: found %q, want %s", tt.path, got, tt.want)
		}
	}
}

func TestManySecretsAreCut(t *testing.T) {
	var b strings.Builder
	for i := range 150 {
		fmt.Fprintf(&b, "key = AKIA%c%c3EGRZ4XT7KLM2N\n", 'A'+i%26, 'A'+i/26)
	}
	res, err := layertest.Read(t, Reader{}, "app/keys.txt", 0o644, []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Findings) != maxFindings || len(res.Gaps) != 1 || res.Gaps[0].Scope != esclusa.GapFile {
		t.Errorf("%d findings and gaps %v", len(res.Findings), res.Gaps)
	}
}

func TestHostileFileEnds(t *testing.T) {
	text := bytes.Repeat([]byte("eyJ eyJ. token: secret= curl -u a:b password=\"://"), 1<<14)
	res, err := layertest.Read(t, Reader{}, "app/x.txt", 0o644, text)
	if err != nil || len(res.Gaps) != 1 {
		t.Errorf("gaps %v, %v; want one: the file has more keywords than text", res.Gaps, err)
	}
}

// TestStandardLibrary is a large tree of people's code, read as if it were
// the team's own: every finding in it is explained.
func TestStandardLibrary(t *testing.T) {
	src := filepath.Join(truth.GoRoot(t), "src")
	explained := map[string]string{
		"secret/private-key":  "test keys of crypto and net",
		"secret/url-password": "net/http and net/url test how URLs with passwords are treated",
	}
	set := literal.Compile(Reader{}.Literals())
	hits := make([]layer.Hit, 0, 1<<18)
	files, found := 0, 0
	err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(p, ".go") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil || strings.HasPrefix(rel, "vendor") {
			return err
		}
		files++
		res, err := Reader{}.Read(&layer.File{Path: rel, Data: data, Hits: set.Find(data, hits[:0])})
		for _, f := range res.Findings {
			found++
			if explained[f.ID] == "" || !strings.Contains(rel, "test") && !strings.Contains(rel, "internal") {
				t.Errorf("%s:%d %s %s", rel, f.Line, f.ID, f.Evidence)
			}
		}
		return err
	})
	if err != nil || files < 1000 {
		t.Skipf("no source of the standard library here: %d files, %v", files, err)
	}
	t.Logf("%d files, %d findings, all explained", files, found)
}

func FuzzRead(f *testing.F) {
	for _, get := range builtin().rules {
		r, err := get()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Path, []byte(strings.Join(r.Attack, "")))
	}
	set := literal.Compile(Reader{}.Literals())
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		hits := set.Find(data, make([]layer.Hit, 0, 1<<14))
		res, err := Reader{}.Read(&layer.File{Path: path, Data: data, Hits: hits})
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, g := range res.Findings {
			if g.Line < 0 || g.Line > lines || g.Severity == esclusa.SeverityUnknown {
				t.Errorf("%v in %d lines", g, lines)
			}
		}
	})
}

// BenchmarkRead reads one large file of the standard library: 400 KB of
// source without secrets, which is what most of an image is.
func BenchmarkRead(b *testing.B) {
	var data []byte
	names, _ := filepath.Glob(filepath.Join(truth.GoRoot(b), "src/net/http/*.go"))
	for _, n := range names {
		text, err := os.ReadFile(n)
		if err != nil {
			b.Fatal(err)
		}
		data = append(data, text...)
	}
	if len(data) == 0 {
		b.Skip("no source of the standard library here")
	}
	hits := literal.Compile(Reader{}.Literals()).Find(data, make([]layer.Hit, 0, 1<<18))
	b.SetBytes(int64(len(data)))
	b.ReportMetric(float64(len(hits)), "hits")
	for b.Loop() {
		if _, err := (Reader{}).Read(&layer.File{Path: "srv/x.go", Data: data, Hits: hits}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIndex is what the first scan of a process pays.
func BenchmarkIndex(b *testing.B) {
	for b.Loop() {
		Reader{}.Literals()
		index(contentFS)
	}
}

// TestAWSAccount uses the two pairs that the articles on the encoding give.
func TestAWSAccount(t *testing.T) {
	for key, account := range map[string]string{
		"ASIA" + "QNZGKIQY56JQ7WML": "029608264753",
		"ASIA" + "Y34FZKBOKMUTVV7A": "609629065308",
	} {
		var c candidate
		if !checkAWS(&c, key) || !strings.Contains(c.note, account) {
			t.Errorf("%s: %q, want account %s", key, c.note, account)
		}
	}
}
