package all_test

import (
	"testing"

	inspect "github.com/esclusa/esclusa/internal/scan/inspect/all"
)

// BenchmarkMask: the unit is a step of a history, of which an image has some
// twenty: a report pays for it each time, also where nothing changed.
func BenchmarkMask(b *testing.B) {
	const step = `RUN /bin/sh -c set -eux; savedAptMark="$(apt-mark showmanual)"; apt-get update; apt-get install -y --no-install-recommends dpkg-dev gcc gnupg libbz2-dev ` +
		`wget; wget -O python.tar.xz "https://www.python.org/ftp/python/${PYTHON_VERSION%%[a-z]*}/Python-$PYTHON_VERSION.tar.xz"; export GNUPGHOME="$(mktemp -d)"; ` +
		`gpg --batch --keyserver hkps://keys.openpgp.org --recv-keys "$GPG_KEY"; gpg --batch --verify python.tar.xz.asc python.tar.xz; rm -rf "$GNUPGHOME"; make -j "$(nproc)"`
	for b.Loop() {
		if inspect.Mask(step) != step {
			b.Fatal("there is no secret in it")
		}
	}
}

// TestMask: what is cut out, and the twins that stay whole.
func TestMask(t *testing.T) {
	const value = "q7Xv2" + "Lm9zP4w"
	short := "q7X… (12 characters)"
	for in, want := range map[string]string{
		"ENV DB_PASSWORD=" + value:                                                        "ENV DB_PASSWORD=" + short,
		`ENV DB_PASSWORD="` + value + `" A=b`:                                             `ENV DB_PASSWORD="q7… (14 characters) A=b`,
		"/bin/sh -c #(nop)  ENV DB_PASSWORD " + value:                                     "/bin/sh -c #(nop)  ENV DB_PASSWORD " + short,
		"|1 TOKEN=" + value + " /bin/sh -c make":                                          "|1 TOKEN=" + short + " /bin/sh -c make",
		"RUN login --password " + value + " && rm x":                                      "RUN login --password " + short + " && rm x",
		"RUN TOKEN=" + value + ";curl x":                                                  "RUN TOKEN=" + short + ";curl x",
		"RUN TOKEN=" + value + " TOKEN=" + value + " make":                                "RUN TOKEN=" + short + " TOKEN=" + short + " make",
		"RUN git clone https://ci:" + value + "@git.corp.net/":                            "RUN git clone https://ci:" + short + "@git.corp.net/",
		"ENV DB_PASSWORD_FILE=/run/secrets/db":                                            "",
		"ENV DB_PASSWORD=$DB_PASSWORD":                                                    "",
		"RUN --mount=type=secret,id=token make":                                           "",
		"RUN login --password $PASSWORD":                                                  "",
		"CMD [\"/bin/bash\"]":                                                             "",
		"ENV GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568":                            "",
		"ADD file:8c3f5d1be34f6f1f7a9e0bd4aa11c1b5b8a7f0c7cbd6a2d2a2e8f6d2a1b3c4d5 in / ": "",
		"": "",
	} {
		if want == "" {
			want = in
		}
		if got := inspect.Mask(in); got != want {
			t.Errorf("Mask(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	for _, c := range []struct{ name, value, want string }{
		{"DB_PASSWORD", value + " and=more", "q7Xv… (21 characters)"},
		{"NOTE", "the token=" + value, "the token=" + short},
		{"NOTE", "PASSWORD", "PASSWORD"},
		{"PATH", "/usr/bin", "/usr/bin"},
		{"", "=", "="},
	} {
		if got := inspect.MaskValue(c.name, c.value); got != c.want {
			t.Errorf("MaskValue(%q, %q) = %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

// FuzzMask: any line is masked without a panic, and a value that is masked
// once is not in what remains.
func FuzzMask(f *testing.F) {
	f.Add("ENV DB_PASSWORD=", "q7Xv2Lm9zP4w")
	f.Add("|2 A=b TOKEN=x /bin/sh -c ", "\xff\"' \n")
	f.Fuzz(func(_ *testing.T, line, value string) {
		inspect.Mask(line + value)
		inspect.MaskValue(line, value)
	})
}
