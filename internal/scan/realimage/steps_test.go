package realimage

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/esclusa/esclusa/internal/registrytest"
)

// step is one layer: what is done to the root, on top of the steps before it.
type step struct {
	name        string
	createdBy   string
	compression registrytest.Compression
	do          func(b *builder) error
}

// steps are the image, lowest layer first. Editing this file builds it anew.
var steps = []step{
	{"base", "mmdebstrap --variant=minbase bullseye", registrytest.Gzip, debootstrap},
	{"upgrade", "RUN apt-get install openssl && apt-get purge rsync", registrytest.Zstd, upgrade},
	{"npm", "RUN npm install", registrytest.Gzip, npmInstall},
	{"programs", "COPY programs /", registrytest.Zstd, programs},
	{"leak", "COPY . /srv/app", registrytest.Gzip, leak},
	{"clean", "RUN rm .env && npm install lodash@4.17.21", registrytest.Zstd, clean},
}

// debootstrap makes the last point release of Debian 11 without the security
// updates after it: these are old versions as users really have them. No
// mirror serves an older point release.
func debootstrap(b *builder) error {
	return b.run("", "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--format=directory",
		"--include=openssl,curl,perl,python3-minimal,python3-requests,python3-jinja2,libxml2-utils,vim-tiny,rsync,git",
		"bullseye", b.root, "deb "+debianMirror()+" bullseye main")
}

// upgrade takes the security updates of one source package, and purges
// another one.
func upgrade(b *builder) error {
	sources := filepath.Join(b.root, "etc/apt/sources.list")
	if err := os.WriteFile(sources, []byte("deb "+debianMirror()+" bullseye main\ndeb "+debianSecurity()+" bullseye-security main\n"), 0o644); err != nil {
		return err
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.root, "etc/resolv.conf"), resolv, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apt-get", "-q", "update"},
		{"apt-get", "-q", "-y", "--no-install-recommends", "install", "openssl", "libssl1.1"},
		{"apt-get", "-q", "-y", "purge", "rsync"},
		{"sh", "-c", "rm -rf /var/lib/apt/lists/* /var/cache/apt/* /etc/resolv.conf"},
	} {
		if err := b.run("", "chroot", append([]string{b.root, "env", "DEBIAN_FRONTEND=noninteractive"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// npm runs npm in a folder of the root, without scripts of packages. Its
// package.json keeps what earlier calls asked for.
func (b *builder) npm(dir string, packages ...string) error {
	dir = filepath.Join(b.root, dir)
	manifest := filepath.Join(dir, "package.json")
	if _, err := os.Stat(manifest); err != nil {
		if err := b.write(manifest, `{"name":"app","version":"1.0.0","private":true}`); err != nil {
			return err
		}
	}
	return b.run(dir, "npm", append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"}, packages...)...)
}

func npmInstall(b *builder) error {
	return b.npm("srv/app", "lodash@4.17.15", "minimist@1.2.0", "axios@0.21.0", "express@4.16.0", "handlebars@4.0.11",
		"@babel/traverse@7.20.0", "node-fetch@2.6.0", "ws@7.4.5", "tar@4.4.8", "jsonwebtoken@8.5.0", "semver@5.7.1", "mkdirp@0.5.1")
}

const goMain = `package main

import (
	"fmt"
	"strings"

	"github.com/dgrijalva/jwt-go"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/html"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v2"
)

func main() {
	n, err := html.Parse(strings.NewReader("<p>"))
	fmt.Println(n, err, language.Make("en"), yaml.Unmarshal(nil, nil), jwt.SigningMethodHS256)
	_, err = ssh.ParsePrivateKey(nil)
	fmt.Println(err)
}
`

const goMod = `module example.com/old

go 1.21

require (
	github.com/dgrijalva/jwt-go v3.2.0+incompatible
	golang.org/x/crypto v0.0.0-20200622213623-75b288015ac9
	golang.org/x/net v0.0.0-20210226172049-e18ecbb05110
	golang.org/x/text v0.3.5
	gopkg.in/yaml.v2 v2.2.2
)
`

// pythons are metadata of old releases, as pip writes them. They have no
// code: PyPI is not to be had everywhere, and nobody imports them.
var pythons = [][2]string{
	{"requests", "2.19.1"},
	{"Jinja2", "2.10"},
	{"PyYAML", "5.1"},
	{"Pillow", "8.1.0"},
	{"urllib3", "1.24.1"},
	{"Django", "2.2"},
	{"cryptography", "3.2"},
	{"Flask", "0.12.2"},
	{"zope.interface", "5.1.0"},
	{"Twisted", "20.3.0rc1"},
}

const pythonDir = "usr/local/lib/python3.9/dist-packages"

// jars hold the properties that Maven writes, and no classes.
var jars = [][3]string{
	{"org.apache.logging.log4j", "log4j-core", "2.14.1"},
	{"org.apache.struts", "struts2-core", "2.3.30"},
	{"org.springframework", "spring-web", "4.3.14.RELEASE"},
	{"commons-collections", "commons-collections", "3.2.1"},
}

func programs(b *builder) error {
	src := filepath.Join(b.work, "old")
	if err := b.write(filepath.Join(src, "main.go"), goMain); err != nil {
		return err
	}
	if err := b.write(filepath.Join(src, "go.mod"), goMod); err != nil {
		return err
	}
	bin := filepath.Join(b.root, "usr/local/bin/old")
	for _, args := range [][]string{{"mod", "tidy"}, {"build", "-trimpath", "-ldflags=-s -w", "-o", bin, "."}} {
		if err := b.run(src, "go", args...); err != nil {
			return err
		}
	}
	for _, p := range pythons {
		dir := filepath.Join(b.root, pythonDir, strings.ReplaceAll(p[0], ".", "_")+"-"+p[1]+".dist-info")
		for name, text := range map[string]string{
			"METADATA":  fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: old\n\nVersion: 999 of the text below\n", p[0], p[1]),
			"INSTALLER": "pip\n",
			"RECORD":    "",
		} {
			if err := b.write(filepath.Join(dir, name), text); err != nil {
				return err
			}
		}
	}
	for _, j := range jars {
		if err := b.write(filepath.Join(b.root, "srv/java", j[1]+".jar"), string(jar(j[0], j[1], j[2]))); err != nil {
			return err
		}
	}
	return nil
}

func jar(group, artifact, version string) []byte {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, f := range [][2]string{
		{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n"},
		{"META-INF/maven/" + group + "/" + artifact + "/pom.properties", "version=" + version + "\ngroupId=" + group + "\nartifactId=" + artifact + "\n"},
	} {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// secretPath is copied in by one layer and removed by the next.
const secretPath = "srv/app/.env"

// secretText is made here, so that nobody takes it for a leaked key.
func secretText() string {
	return "AWS_ACCESS_KEY_ID=AKIA" + "Q3EGUXH7WNJ2" + "ZKLM" + "\nAWS_SECRET_ACCESS_KEY=" + "wJq8rTzK2mVx9LpQ4nB" + "7cYd3FgH6sWe1RtUi0oPa" + "\n"
}

// leak brings a secret and a folder of old packages.
func leak(b *builder) error {
	if err := b.write(filepath.Join(b.root, secretPath), secretText()); err != nil {
		return err
	}
	return b.npm("srv/legacy", "minimatch@3.0.4", "ini@1.3.5")
}

// clean removes both, and upgrades one package.
func clean(b *builder) error {
	if err := os.Remove(filepath.Join(b.root, secretPath)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(b.root, "srv/legacy")); err != nil {
		return err
	}
	return b.npm("srv/app", "lodash@4.17.21")
}
