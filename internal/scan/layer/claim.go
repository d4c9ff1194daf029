package layer

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
)

// MagicSize is how many first bytes of a file Magic and Text look at.
const MagicSize = 512

// defaultMaxSize is Spec.MaxSize when it says nothing.
const defaultMaxSize = 64 << 20

// Limit is the largest file that the reader takes, in bytes.
func (s *Spec) Limit() int64 {
	if s.MaxSize > 0 {
		return s.MaxSize
	}
	return defaultMaxSize
}

// MatchPath says whether path and mode satisfy the claim; what it asks of the
// content is left to MatchHead.
func (c *Claim) MatchPath(p string, mode fs.FileMode) bool {
	if c.Path != "" && c.Path != p {
		return false
	}
	if c.Under != "" && !strings.HasPrefix(p, c.Under) {
		return false
	}
	base := path.Base(p)
	if c.Base != "" && c.Base != base ||
		!strings.HasPrefix(base, c.Prefix) || !strings.HasSuffix(base, c.Suffix) {
		return false
	}
	if c.Exec && mode&0o111 == 0 || c.Mode != 0 && mode&c.Mode == 0 {
		return false
	}
	return c.Dir == "" || strings.HasPrefix(p, c.Dir+"/") || strings.Contains(p, "/"+c.Dir+"/")
}

// MatchHead says whether the first bytes of a file satisfy the claim.
func (c *Claim) MatchHead(head []byte) bool {
	head = head[:min(len(head), MagicSize)]
	if c.Text && bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	return len(head) >= len(c.Magic) && string(head[:len(c.Magic)]) == c.Magic
}

// NeedsHead says whether MatchHead can refuse anything.
func (c *Claim) NeedsHead() bool { return c.Text || c.Magic != "" }
