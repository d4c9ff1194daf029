package secrets

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"github.com/esclusa/esclusa/content"
)

var contentFS = content.Secrets

// sshKey is a key file in OpenSSH's form with a named cipher; what follows
// the cipher is noise.
func sshKey(cipher string) string {
	raw := []byte("openssh-key-v1\x00")
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(cipher)))
	raw = append(raw, cipher...)
	seed := [32]byte{1}
	chacha := rand.NewChaCha8(seed)
	noise := make([]byte, 200)
	_, _ = chacha.Read(noise)
	raw = append(raw, ed25519.NewKeyFromSeed(noise[:32])...)
	raw = append(raw, noise...)
	text := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	b.WriteString("-----BEGIN OPENSSH PRIVATE" + " KEY-----\n")
	for len(text) > 70 {
		b.WriteString(text[:70] + "\n")
		text = text[70:]
	}
	b.WriteString(text + "\n-----END OPENSSH PRIVATE" + " KEY-----\n")
	return b.String()
}
