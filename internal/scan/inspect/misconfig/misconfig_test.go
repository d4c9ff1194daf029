package misconfig

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// TestInstructions: an attack and a benign twin of each check of one line.
func TestInstructions(t *testing.T) {
	token := "gh" + "p_k2Jd8Zm4Qw7Rt5Yp1Xv9b6Nc3Lh0Gf4TB51C"
	tests := []struct {
		rule           *rule
		attack, benign string
	}{
		{&addRemote, "ADD https://a.corp.net/x /x", "ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://a.corp.net/x /x"},
		{&addInsteadOfCopy, "ADD app.jar /app.jar", "ADD app.tar.gz /app"},
		{&envSecret, "ENV DB_PASSWORD=hV7wq2Lm", "ENV DB_PASSWORD_FILE=/run/secrets/db"},
		{&envSecret, "ENV x=" + token, "ENV GITHUB_TOKEN=$TOKEN"},
		{&argSecret, "ARG NPM_TOKEN=hV7wq2Lm9zPx", "ARG NPM_TOKEN"},
		{&commandSecret, "RUN tool login --password hV7wq2Lm9zPx", "RUN tool login --password $PASSWORD"},
		{&commandSecret, "RUN git clone https://ci:hV7wq" + "2Lm9zPx@git.corp.net/x", "RUN git clone https://git.corp.net/x"},
		{&preloadHigh, "ENV LD_PRELOAD=/lib/x.so", "ENV LD_PRELOAD="},
		{&preload, "ENV LD_LIBRARY_PATH=/tmp/lib", "ENV LD_LIBRARY_PATH=/opt/app/lib"},
		{&writablePath, "ENV PATH=/tmp/bin:/usr/bin", "ENV PATH=/opt/app/bin:$PATH"},
		{&tlsOff, "ENV NODE_TLS_REJECT_UNAUTHORIZED=0", "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/corp.pem"},
		{&tlsOff, "ENV GIT_SSL_NO_VERIFY true", "ENV GIT_SSL_NO_VERIFY=false"},
		{&tlsOff, "RUN pip install --trusted-host pypi.corp.net x", "RUN pip install x"},
		{&tlsOff, "RUN curl -k https://a.corp.net/x -o x", "RUN curl -fsSL https://a.corp.net/x -o x"},
		{&tlsOff, "RUN wget --no-check-certificate https://a.corp.net/x", "RUN wget https://a.corp.net/x"},
		{&tlsOff, "RUN npm config set strict-ssl false", "RUN npm ci"},
		{&procWorkdir, "WORKDIR /proc/self/fd/8", "WORKDIR /processing"},
		{&relativeWorkdir, "WORKDIR app", "WORKDIR $HOME/app"},
		{&remotePort, "EXPOSE 8080 23/tcp", "EXPOSE 8022"},
		{&pipeToShell, "RUN curl -fsSL https://a.corp.net/i.sh | bash -s --", "RUN curl -fsSL https://a.corp.net/x | tar xz"},
		{&chmod777, "RUN chmod -R 777 /app", "RUN chmod -R 755 /app"},
		{&usesSudo, "RUN sudo apk add x", "RUN echo no sudo here"},
		{&distUpgrade, "RUN apt-get update && apt-get -y dist-upgrade", "RUN apt-get update && apt-get -y upgrade"},
		{&aptWithoutYes, "RUN apt-get update && apt-get install curl", "RUN DEBIAN_FRONTEND=noninteractive apt-get install -qy curl"},
		{&updateAlone, "RUN apt-get update", "RUN apt-get update && \\\n  apt-get install -y curl"},
		{&zypperClean, "RUN zypper -n install x", "RUN zypper -n install x && zypper clean -a"},
		{&cacheLeft, "RUN apt-get update && apt-get install -y curl", "RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*"},
		{&cacheLeft, "RUN apk add curl", "RUN --mount=type=cache,target=/var/cache/apk apk add curl"},
	}
	for _, tt := range tests {
		for text, want := range map[string]bool{tt.attack: true, tt.benign: false} {
			got := ids(t, "dockerfile", "FROM alpine:3.20\n"+text+"\nUSER 10001\n")
			if slices.Contains(got, tt.rule.id) != want {
				t.Errorf("%s: %q found as %q, want %v", tt.rule.id, text, got, want)
			}
		}
		if tt.rule.title == "" || tt.rule.why == "" || tt.rule.advice == "" {
			t.Errorf("%s: title, why and advice are needed", tt.rule.id)
		}
	}
}

// TestStages: checks of a whole Dockerfile.
func TestStages(t *testing.T) {
	tests := []struct {
		rule           *rule
		attack, benign string
	}{
		{&rootUser, "FROM a:1\nUSER app\nUSER 0:0", "FROM a:1\nUSER root\nRUN x\nUSER app"},
		{&rootUser, "FROM a:1 AS b\nUSER app\nFROM c:1", "FROM a:1 AS b\nFROM c:1\nUSER app"},
		{&latestTag, "FROM debian", "FROM debian:12"},
		{&latestTag, "FROM reg:5000/debian", "FROM debian:12 AS build\nFROM build"},
		{&noHealthcheck, "FROM a:1", "FROM a:1\nHEALTHCHECK CMD x"},
		{&copyFromItself, "FROM a:1 AS b\nCOPY --from=b /x /y", "FROM a:1 AS b\nFROM c:1\nCOPY --from=b /x /y"},
		{&wgetAndCurl, "FROM a:1\nRUN wget x; curl y", "FROM a:1\nRUN apt-get install -y wget curl"},
		{&manyEntrypoints, "FROM a:1\nENTRYPOINT a\nENTRYPOINT b", "FROM a:1\nENTRYPOINT a\nFROM b:1\nENTRYPOINT b"},
	}
	for _, tt := range tests {
		for text, want := range map[string]bool{tt.attack: true, tt.benign: false} {
			if got := ids(t, "dockerfile", text); slices.Contains(got, tt.rule.id) != want {
				t.Errorf("%s: %q found as %q, want %v", tt.rule.id, text, got, want)
			}
		}
	}
}

func TestParseDockerfile(t *testing.T) {
	stages, err := parseDockerfile("# escape=`\nFROM a:1 as B\nRUN one `\n  # in between\n\n  two\nRUN <<EOF\nthree\nEOF\nONBUILD COPY --chown=1:1 --from=x [\"a b\", \"c\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range stages[1].instructions {
		got = append(got, in.cmd+"|"+strings.Join(in.flags, ",")+"|"+in.args)
	}
	want := []string{"RUN||one  two", "RUN||<<EOF\nthree", `COPY|--chown=1:1,--from=x|["a b", "c"]`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("instructions (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"a b", "c"}, stages[1].instructions[2].words()); d != "" || stages[1].name != "B" {
		t.Errorf("words: %s, name %q", d, stages[1].name)
	}
}

// TestImage: configurations and histories.
func TestImage(t *testing.T) {
	good := esclusa.ImageConfig{User: "10001", WorkingDir: "/app", Healthcheck: []string{"CMD", "x"}, Env: []string{"PATH=/usr/bin"}}
	with := func(change func(*esclusa.ImageConfig)) esclusa.Image {
		c := good
		change(&c)
		return esclusa.Image{Kind: esclusa.TargetImage, Config: c}
	}
	built := func(by ...string) esclusa.Image {
		i := esclusa.Image{Kind: esclusa.TargetImage, Config: good, Layers: []esclusa.Layer{{DiffID: "sha256:aa", Origin: esclusa.OriginBase}, {DiffID: "sha256:bb", Origin: esclusa.OriginOwn}}}
		for _, b := range by {
			i.History = append(i.History, esclusa.History{CreatedBy: b, EmptyLayer: strings.HasPrefix(b, "ENV")})
		}
		return i
	}
	tests := []struct {
		name  string
		image esclusa.Image
		want  []string
	}{
		{"good", esclusa.Image{Kind: esclusa.TargetImage, Config: good}, nil},
		{"folder", esclusa.Image{Kind: esclusa.TargetRoot}, nil},
		{"root", with(func(c *esclusa.ImageConfig) { c.User = "0:0" }), []string{"root-user"}},
		{"no user, no check", with(func(c *esclusa.ImageConfig) { c.User, c.Healthcheck = "", nil }), []string{"root-user", "missing-healthcheck"}},
		{"secret", with(func(c *esclusa.ImageConfig) { c.Env = []string{"API_TOKEN=hV7wq2Lm9zPx"} }), []string{"secret-in-environment"}},
		{"preload", with(func(c *esclusa.ImageConfig) { c.Env = []string{"LD_PRELOAD=/x.so"} }), []string{"preload-in-environment"}},
		{"CVE-2024-21626", with(func(c *esclusa.ImageConfig) { c.WorkingDir = "/proc/self/fd/7" }), []string{"workdir-in-proc"}},
		{"telnet", with(func(c *esclusa.ImageConfig) { c.ExposedPorts = []string{"23/tcp"} }), []string{"remote-login-port"}},
		{"docker build", built("/bin/sh -c #(nop) ADD file:0123 in / ", "ENV A=b", "/bin/sh -c curl https://x.corp.net | sh"), []string{"download-piped-to-shell"}},
		{"BuildKit", built("RUN |1 NPM_TOKEN=hV7wq2Lm9zPx /bin/sh -c npm ci # buildkit", "RUN /bin/sh -c chmod 777 /x # buildkit"), []string{"secret-in-build-argument", "world-writable-by-chmod"}},
	}
	for _, tt := range tests {
		var got []string
		res := Image{plain}.Judge(&layer.View{Image: &tt.image})
		for _, f := range res.Findings {
			got = append(got, strings.TrimPrefix(f.ID, "misconfig/"))
			if strings.Contains(f.Evidence, "hV7wq2Lm9zPx") {
				t.Errorf("%s: the evidence shows the secret: %s", tt.name, f.Evidence)
			}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		if tt.name == "docker build" && len(res.Findings) == 1 && (res.Findings[0].Layer != "sha256:bb" || res.Findings[0].Origin != esclusa.OriginOwn) {
			t.Errorf("place %v, origin %q", res.Findings[0].Place, res.Findings[0].Origin)
		}
	}
}

// TestKubernetes: what the vectors do not hold.
func TestKubernetes(t *testing.T) {
	pod := func(spec string) string { return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n" + spec }
	tests := []struct {
		rule           *rule
		attack, benign string
	}{
		{&privileged, pod("  containers:\n  - securityContext:\n      privileged: true\n"), pod("  containers:\n  - securityContext:\n      privileged: false\n")},
		{&hostNamespace, pod("  hostPID: true\n"), pod("  hostPID: false\n")},
		{&hostPath, pod("  volumes:\n  - hostPath: {path: /var/run/docker.sock}\n"), pod("  volumes:\n  - hostPath: {path: /opt/data}\n")},
		{&escalation, pod("  containers:\n  - name: b\n"), pod("  containers:\n  - securityContext: {allowPrivilegeEscalation: false}\n")},
		{&runsAsRoot, pod("  containers:\n  - name: b\n"), pod("  securityContext: {runAsNonRoot: true}\n  containers:\n  - name: b\n")},
		{&dropAll, pod("  containers:\n  - name: b\n"), pod("  containers:\n  - securityContext: &c {capabilities: {drop: [ALL]}}\n  - securityContext: *c\n")},
	}
	for _, tt := range tests {
		for text, want := range map[string]bool{tt.attack: true, tt.benign: false} {
			if got := ids(t, "kubernetes", text); slices.Contains(got, tt.rule.id) != want {
				t.Errorf("%s: %q found as %q, want %v", tt.rule.id, text, got, want)
			}
		}
	}
}

// TestHostileManifest: bombs and templates are errors, and never a panic.
func TestHostileManifest(t *testing.T) {
	head := "apiVersion: v1\nkind: Pod\n"
	for name, text := range map[string]string{
		"brackets": head + "a: " + strings.Repeat("[", 100_000),
		"dashes":   head + "a:\n" + strings.Repeat("- ", 100_000),
		"template": head + "spec: {{ .Values.spec }}\n  x: }",
	} {
		if _, err := (Kubernetes{}).Read(&layer.File{Path: "a.yaml", Data: []byte(text)}); err == nil {
			t.Errorf("%s: read without an error", name)
		}
	}
}

func FuzzDockerfile(f *testing.F) {
	f.Add("FROM a AS b\nRUN <<EOF\nx\nEOF\nCOPY --from=b [\"a\",\"b\"]\n")
	f.Add("# escape=`\nRUN a `\n\n#c\n b | sh && sudo x \"y")
	f.Add("RUN <<\nONBUILD\nENV a=\nENV\nADD\nWORKDIR\nEXPOSE")
	f.Fuzz(func(t *testing.T, text string) {
		res, _ := Dockerfile{plain}.Read(&layer.File{Path: "Dockerfile", Data: []byte(text)})
		lines := strings.Count(text, "\n") + 1
		for _, g := range res.Findings {
			if g.Line > lines {
				t.Errorf("line %d of %d", g.Line, lines)
			}
		}
		image := esclusa.Image{Kind: esclusa.TargetImage}
		for l := range strings.SplitSeq(text, "\n") {
			image.History = append(image.History, esclusa.History{CreatedBy: l})
		}
		Image{plain}.Judge(&layer.View{Image: &image})
	})
}

func FuzzKubernetes(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Pod\nspec: &a\n  containers:\n  - image: x\n    <<: *a\n")
	f.Add("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  data: {password: abcd1234}\n")
	f.Add("apiVersion: v1\nkind: Ingress\nmetadata: {annotations: {nginx.ingress.kubernetes.io/auth-url: |\n a}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Kubernetes{}.Read(&layer.File{Path: "a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\n---\n" + text[:min(len(text), 8<<10)])})
	})
}

// BenchmarkDockerfile reads one Dockerfile of twenty lines.
func BenchmarkDockerfile(b *testing.B) {
	data := []byte("FROM debian:12\n" + strings.Repeat("RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*\n", 18) + "USER 10001\n")
	for b.Loop() {
		if _, err := (Dockerfile{plain}).Read(&layer.File{Path: "Dockerfile", Data: data}); err != nil {
			b.Fatal(err)
		}
	}
}

// plain masks nothing.
func plain(s string) string { return s }
