package secrets

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/esclusa/esclusa"
)

// checkFunc looks closer at one secret: it may raise or lower the severity,
// add a note, or refuse (false). A wrong checksum lowers and never refuses: a
// typing error in one letter of a real key is still most of the key.
type checkFunc func(c *candidate, secret string) bool

var checks = map[string]checkFunc{
	"aws":         checkAWS,
	"github":      checkBase62CRC,
	"npm":         checkBase62CRC,
	"stripe":      checkStripe,
	"jwt":         checkJWT,
	"jwt-base64":  checkJWTBase64,
	"docker-auth": checkDockerAuth,
	"mixed":       func(_ *candidate, s string) bool { return mixed(s) },
	"digits":      func(_ *candidate, s string) bool { return digits(s) >= 3 },
	"plain":       func(_ *candidate, s string) bool { return !placeholder(s) },
	"env":         checkEnv,
	"maven":       checkMaven,
}

func digits(s string) (n int) {
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' {
			n++
		}
	}
	return n
}

// checkAWS decodes the account number that is part of a key id: base32 of
// what follows the four letters, 40 bits behind the first, shifted by seven.
func checkAWS(c *candidate, s string) bool {
	raw, err := base32.StdEncoding.DecodeString(s[4:])
	if err != nil || len(raw) < 6 {
		c.severity, c.note = esclusa.SeverityMedium, "not base32: AWS did not issue this id"
		return true
	}
	var n uint64
	for _, b := range raw[:6] {
		n = n<<8 | uint64(b)
	}
	c.note = fmt.Sprintf("account %012d", n&0x7fffffffff80>>7)
	if strings.HasPrefix(s, "ASIA") {
		c.severity, c.note = esclusa.SeverityMedium, c.note+", ends with its session"
	}
	return true
}

// checkBase62CRC holds the last six letters to the CRC-32 of the 30 before
// them, in base 62: how GitHub and npm mark their tokens since 2021.
func checkBase62CRC(c *candidate, s string) bool {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	_, body, ok := strings.Cut(s, "_")
	if !ok || len(body) != 36 {
		return true
	}
	sum := crc32.ChecksumIEEE([]byte(body[:30]))
	var want [6]byte
	for i := 5; i >= 0; i-- {
		want[i] = digits[sum%62]
		sum /= 62
	}
	if string(want[:]) == body[30:] {
		c.note = "checksum right"
		return true
	}
	c.severity, c.note = esclusa.SeverityMedium, "checksum wrong: not a token that was issued"
	return true
}

func checkStripe(c *candidate, s string) bool {
	if strings.Contains(s, "_test_") {
		c.severity, c.note = esclusa.SeverityLow, "test mode"
	}
	return true
}

// wellKnownJWT are the signatures of the tokens on jwt.io, which half of all
// manuals repeat.
var wellKnownJWT = []string{
	".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
	".TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ",
}

// checkJWT decodes the header where it can, for the note. A header that is no
// JSON lowers the severity.
func checkJWT(c *candidate, s string) bool {
	for _, known := range wellKnownJWT {
		if strings.Contains(s, known) {
			c.severity, c.note = esclusa.SeverityLow, "the token of the manuals"
			return true
		}
	}
	head, _, _ := strings.Cut(s, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err != nil || json.Unmarshal(raw, &header) != nil {
		c.severity, c.note = esclusa.SeverityLow, "header is no JSON"
		return true
	}
	switch {
	case strings.EqualFold(header.Algorithm, "none"):
		c.note = "not signed"
	case header.Algorithm != "" && len(header.Algorithm) <= 8:
		c.note = "alg " + printable(header.Algorithm)
	}
	return true
}

// checkJWTBase64 wants a token inside: "ZXlK" alone begins much of base64.
func checkJWTBase64(_ *candidate, s string) bool {
	s = strings.TrimRight(s, "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.RawURLEncoding
	}
	raw, err := enc.DecodeString(s[:len(s)/4*4])
	if err != nil {
		return false
	}
	head, rest, ok := strings.Cut(string(raw), ".")
	return ok && strings.HasPrefix(head, "eyJ") && strings.HasPrefix(rest, "ey")
}

// checkDockerAuth wants user:password inside, or an identity token.
func checkDockerAuth(_ *candidate, s string) bool {
	if strings.HasPrefix(s, "eyJ") {
		return true
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return false
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(raw), "\x00"), ":")
	return ok && user != "" && !placeholder(password)
}

// checkEnv leaves paths, numbers and settings alone: TOKEN_TTL=3600.
func checkEnv(_ *candidate, s string) bool {
	return !placeholder(s) && !strings.Contains(s, "://") && entropy(s) > 2.2
}

// mixed wants both cases and a digit.
func mixed(s string) bool {
	return strings.ContainsAny(s, "0123456789") && strings.ToLower(s) != s && strings.ToUpper(s) != s
}

// checkMaven leaves encrypted values and what is commented out alone: the
// settings that Maven comes with hold passwords in comments.
func checkMaven(c *candidate, s string) bool {
	before := c.data[:c.start]
	return !placeholder(s) && bytes.LastIndex(before, []byte("<!--")) <= bytes.LastIndex(before, []byte("-->"))
}
