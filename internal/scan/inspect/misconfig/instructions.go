package misconfig

import (
	"regexp"
	"strings"
	"sync"

	"github.com/esclusa/esclusa"
)

// judgeInstruction checks what one line says by itself. Dockerfiles and the
// history of images share it.
func judgeInstruction(in *instruction, add func(*rule, string)) {
	switch in.cmd {
	case "RUN":
		judgeRun(in, add)
	case "ENV":
		for _, p := range pairs(in.args) {
			judgeEnv(p[0], p[1], add)
		}
	case "ARG":
		name, value, _ := strings.Cut(strings.TrimSpace(in.args), "=")
		if secretName(name) && secretValue(value) {
			add(&argSecret, name+"=…")
		}
	case "ADD":
		judgeAdd(in, add)
	case "WORKDIR":
		judgeWorkdir(strings.Trim(in.args, `"' `), add)
	case "EXPOSE":
		for _, w := range in.words() {
			judgePort(w, add)
		}
	}
}

// pairs reads NAME=value NAME="value" …, and the old form NAME value.
func pairs(args string) [][2]string {
	first, rest, _ := strings.Cut(strings.TrimSpace(args), " ")
	if !strings.Contains(first, "=") {
		return [][2]string{{first, strings.Trim(strings.TrimSpace(rest), `"'`)}}
	}
	var out [][2]string
	for _, c := range commands(strings.NewReplacer(";", " ", "&", " ", "|", " ", "(", " ", ")", " ").Replace("x " + args)) {
		for _, w := range c.words {
			if name, value, ok := strings.Cut(w, "="); ok {
				out = append(out, [2]string{name, value})
			}
		}
	}
	return out
}

func judgeEnv(name, value string, add func(*rule, string)) {
	switch upper := strings.ToUpper(name); {
	case (secretName(name) && secretValue(value)) || tokenForm().MatchString(value):
		add(&envSecret, name+"=…")
	case upper == "LD_PRELOAD" || upper == "LD_AUDIT":
		if value != "" {
			add(&preloadHigh, name+"="+value)
		}
	case upper == "LD_LIBRARY_PATH" || upper == "PYTHONPATH" || upper == "PERL5LIB" || upper == "RUBYLIB":
		if folder := writable(value); folder != "" || strings.HasPrefix(value, ":") || strings.Contains(value, "::") {
			add(&preload, name+"="+value)
		}
	case upper == "PATH":
		if folder := writable(value); folder != "" {
			add(&writablePath, folder)
		}
	case upper == "NODE_TLS_REJECT_UNAUTHORIZED" && value == "0",
		upper == "PYTHONHTTPSVERIFY" && value == "0",
		(upper == "GIT_SSL_NO_VERIFY" || upper == "NPM_CONFIG_INSECURE") && value != "" && value != "0" && value != "false",
		upper == "NPM_CONFIG_STRICT_SSL" && value == "false",
		upper == "PIP_TRUSTED_HOST" && value != "",
		upper == "GOINSECURE" && value == "*":
		add(&tlsOff, name+"="+value)
	}
}

// writable is the first folder of a list that everybody can write to.
func writable(list string) string {
	for f := range strings.SplitSeq(list, ":") {
		switch f = strings.TrimRight(f, "/"); f {
		case "/tmp", "/var/tmp", "/dev/shm", ".":
			return f
		}
		for _, under := range []string{"/tmp/", "/var/tmp/", "/dev/shm/"} {
			if strings.HasPrefix(f, under) {
				return f
			}
		}
	}
	return ""
}

// Names of settings whose values are secrets; what they end with when they
// are not.
var (
	secretWords = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "access_key", "private_key", "credential", "auth_key", "_pwd"}
	notSecret   = []string{
		"_file", "_path", "_dir", "_url", "_uri", "_name", "_id", "_ttl", "_type", "_length", "_expiry", "_expiration", "_host", "_port",
		"_user", "_policy", "_endpoint", "_enabled", "_version", "_header", "_issuer", "_audience", "_hash", "_algorithm", "_public",
	}
)

func secretName(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	for _, s := range notSecret {
		if strings.HasSuffix(name, s) {
			return false
		}
	}
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// secretValue leaves variables, paths, switches and fillers alone.
func secretValue(v string) bool {
	v = strings.Trim(v, `"'`)
	lower := strings.ToLower(v)
	if len(v) < 4 || strings.ContainsAny(v[:1], "$/<{[%*") || strings.Contains(v, "${") || strings.Contains(v, "{{") || strings.Contains(v, "$(") {
		return false
	}
	switch lower {
	case "true", "false", "none", "null", "changeme", "change_me", "xxxx", "unset", "disabled", "enabled", "default", "dummy", "redacted":
		return false
	}
	return !strings.Contains(lower, "placeholder") && !strings.Contains(lower, "example") && strings.Trim(lower, "x*.") != ""
}

// tokenForm knows the tokens that need no name beside them.
var tokenForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(?:AKIA[A-Z2-7]{16}|gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{82}|glpat-[0-9A-Za-z_-]{20}|[sr]k_live_[0-9A-Za-z]{16,}|xox[bp]-[0-9]{10,}-[0-9A-Za-z-]{20,}|npm_[0-9A-Za-z]{36})`)
})

// commandSecretForm knows passwords given as options and in URLs.
var commandSecretForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:--(?:password|passwd|pass|token|api-key|secret|auth-token)[= ]|sshpass -p ?|//[^\s/:@"'$]{1,64}:)["']?([^\s"'$<{@/;&|]{4,})`)
})

func judgeAdd(in *instruction, add func(*rule, string)) {
	words := in.words()
	if len(words) < 2 {
		return
	}
	for _, source := range []string{"file:", "dir:", "multi:"} {
		if strings.HasPrefix(words[0], source) {
			return // a history's way to write a local source: ADD file:8c3f… in /
		}
	}
	plain := 0
	for _, src := range words[:len(words)-1] {
		lower := strings.ToLower(src)
		switch {
		case strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://"):
			if _, ok := in.flag("checksum"); !ok && !strings.HasSuffix(lower, ".git") {
				add(&addRemote, in.text)
			}
		case strings.Contains(lower, "://"), strings.HasPrefix(lower, "git@"), strings.HasPrefix(src, "$"), strings.HasPrefix(src, "<<"):
		case archive(lower):
		default:
			plain++
		}
	}
	if plain > 0 {
		add(&addInsteadOfCopy, in.text)
	}
}

func archive(name string) bool {
	for _, s := range []string{".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".gz", ".xz", ".bz2"} {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

func judgeWorkdir(dir string, add func(*rule, string)) {
	switch {
	case dir == "" || dir[0] == '$':
	case strings.HasPrefix(dir, "/proc/"), dir == "/proc", strings.HasPrefix(dir, "/sys/"), dir == "/sys", strings.Contains(dir, "/../proc/"):
		add(&procWorkdir, "WORKDIR "+dir)
	case dir[0] != '/' && !(len(dir) > 2 && dir[1] == ':' && (dir[2] == '\\' || dir[2] == '/')):
		add(&relativeWorkdir, "WORKDIR "+dir)
	}
}

// remotePorts: ssh, telnet, rlogin, rsh, VNC.
func judgePort(port string, add func(*rule, string)) {
	switch number, _, _ := strings.Cut(port, "/"); number {
	case "22", "23", "512", "513", "514", "2323", "5900", "5901":
		add(&remotePort, "EXPOSE "+port)
	}
}

// judgeRun looks at the commands of one RUN.
func judgeRun(in *instruction, add func(*rule, string)) {
	line := strings.TrimPrefix(in.args, "/bin/sh -c ")
	if list := in.words(); strings.HasPrefix(strings.TrimSpace(in.args), "[") && len(list) > 0 {
		line = strings.Join(list, " ")
	}
	list := commands(line)
	installed, updated, cleaned := false, false, false
	cached := ""
	for i := range list {
		c := &list[i]
		if c.piped && i > 0 && isShell(c.name()) && downloads(&list[i-1]) {
			add(&pipeToShell, in.text)
		}
		switch c.name() {
		case "sudo":
			add(&usesSudo, in.text)
		case "apt-get", "apt", "aptitude":
			switch c.verb() {
			case "update":
				updated = true
			case "install":
				installed, cached = true, "apt"
				if !c.short("y") && !c.has("--yes", "--assume-yes", "-qq", "-q=2", "--force-yes") {
					add(&aptWithoutYes, in.text)
				}
			case "dist-upgrade", "full-upgrade":
				add(&distUpgrade, in.text)
				installed = true
			case "upgrade", "build-dep", "source", "download":
				installed = true
			case "clean", "autoclean":
				cleaned = true
			}
		case "apk":
			switch c.verb() {
			case "update":
				updated = true
			case "add":
				installed = true
				if !c.has("--no-cache") {
					cached = "apk"
				}
			case "upgrade":
				installed = true
			}
		case "yum", "dnf", "microdnf":
			switch c.verb() {
			case "install", "update", "upgrade":
				cached = "yum"
			case "clean":
				cleaned = true
			}
		case "zypper":
			switch c.verb() {
			case "in", "install", "remove", "rm", "source-install", "si", "patch":
				cached = "zypper"
			case "clean", "cc":
				cleaned = true
			}
		case "rm":
			cleaned = cleaned || strings.Contains(strings.Join(c.words, " "), "/var/lib/apt") || strings.Contains(strings.Join(c.words, " "), "/var/cache")
		}
		judgeCommand(in, c, add)
	}
	switch {
	case updated && !installed:
		add(&updateAlone, in.text)
	case cached == "zypper" && !cleaned:
		add(&zypperClean, in.text)
	case cached != "" && !cleaned && !cacheMount(in):
		add(&cacheLeft, in.text)
	}
	judgeLineSecrets(in, line, add)
}

func cacheMount(in *instruction) bool {
	v, ok := in.flag("mount")
	return ok && strings.Contains(v, "type=cache")
}

func judgeLineSecrets(in *instruction, line string, add func(*rule, string)) {
	if tokenForm().MatchString(line) {
		add(&commandSecret, in.cmd+" … (a token)")
		return
	}
	for _, m := range commandSecretForm().FindAllStringSubmatch(line[:min(len(line), 64<<10)], 20) {
		if secretValue(m[1]) {
			at := strings.Index(m[0], m[1])
			add(&commandSecret, in.cmd+" … "+m[0][:at]+"…")
			return
		}
	}
}

// judgeCommand checks settings of single commands.
func judgeCommand(in *instruction, c *command, add func(*rule, string)) {
	all := strings.Join(c.words, " ")
	switch c.name() {
	case "chmod":
		for _, w := range c.words[1:] {
			if w == "777" || w == "0777" || w == "666" || w == "0666" || w == "a+rwx" || w == "a+w" || w == "o+w" || w == "ugo+rwx" {
				add(&chmod777, all)
			}
		}
	case "curl":
		if c.has("--insecure") || c.short("k") && c.has("-k", "-ks", "-sk", "-kL", "-Lk", "-fsSLk", "-kfsSL", "-skL", "-kfsL") {
			add(&tlsOff, all)
		}
	case "wget":
		if c.has("--no-check-certificate") {
			add(&tlsOff, all)
		}
	case "pip", "pip3", "python", "python3":
		if strings.Contains(all, "--trusted-host") {
			add(&tlsOff, all)
		}
	case "npm", "yarn", "pnpm":
		if strings.Contains(all, "strict-ssl false") || strings.Contains(all, "strict-ssl=false") {
			add(&tlsOff, all)
		}
	case "git":
		if strings.Contains(strings.ToLower(all), "sslverify=false") || strings.Contains(strings.ToLower(all), "sslverify false") {
			add(&tlsOff, all)
		}
	case "apt-get", "apt":
		if c.has("--allow-unauthenticated", "--force-yes") || strings.Contains(all, "AllowUnauthenticated=true") {
			add(&tlsOff, all)
		}
	case "apk":
		if c.has("--allow-untrusted") {
			add(&tlsOff, all)
		}
	case "yum", "dnf":
		if c.has("--nogpgcheck") || strings.Contains(all, "sslverify=false") {
			add(&tlsOff, all)
		}
	}
}

func isShell(name string) bool {
	switch name {
	case "sh", "bash", "ash", "dash", "zsh", "python", "python3", "perl", "ruby", "node":
		return true
	}
	return false
}

func downloads(c *command) bool { return c.name() == "curl" || c.name() == "wget" }

// place is where an instruction of a file stands.
func (in *instruction) place(path string) esclusa.Place {
	return esclusa.Place{Path: path, Line: in.line}
}
