package tarwalk

import (
	"bytes"
	"strconv"
)

// Records that mean something to us, or whose form is held to.
const (
	paxPath = iota
	paxLink
	paxSize
	paxUID
	paxGID
	paxUname
	paxGname
	paxModified
	paxAccessed
	paxChanged
	sparseMajor
	sparseMinor
	sparseMap
	sparseName
	sparseSize
	sparseRealSize
	paxCount
)

// paxKey is the index of a key, or -1.
func paxKey(key []byte) int {
	switch string(key) {
	case "path":
		return paxPath
	case "linkpath":
		return paxLink
	case "size":
		return paxSize
	case "uid":
		return paxUID
	case "gid":
		return paxGID
	case "uname":
		return paxUname
	case "gname":
		return paxGname
	case "mtime":
		return paxModified
	case "atime":
		return paxAccessed
	case "ctime":
		return paxChanged
	case "GNU.sparse.major":
		return sparseMajor
	case "GNU.sparse.minor":
		return sparseMinor
	case "GNU.sparse.map":
		return sparseMap
	case "GNU.sparse.name":
		return sparseName
	case "GNU.sparse.size":
		return sparseSize
	case "GNU.sparse.realsize":
		return sparseRealSize
	}
	return -1
}

// records are those of a PAX header (POSIX.1-2001, pax). Of several with one
// key the last counts, and one without a value is none.
type records struct {
	set   bool // there are any for the next entry
	raw   []byte
	value [paxCount][]byte // in raw
	holes bool             // there is a sparse map
}

// parse reads raw; what is broken in it, or nothing.
func (r *records) parse() (what string) {
	r.set, r.value = true, [paxCount][]byte{}
	var old oldMap
	for rest := r.raw; len(rest) > 0; {
		var key, value []byte
		var ok bool
		if key, value, rest, ok = record(rest); !ok {
			return "PAX record"
		}
		switch i := paxKey(key); {
		case i >= 0:
			r.value[i] = value
		case !old.add(key, value):
			return "PAX sparse map"
		}
	}
	r.holes = old.n > 1 || len(old.first) > 0 || old.n == 0 && len(r.value[sparseMap]) > 0
	return ""
}

// oldMap is a sparse map 0.0: offset and length in turn, one record each.
type oldMap struct {
	n     int
	first []byte
}

func (m *oldMap) add(key, value []byte) bool {
	odd := m.n%2 == 1
	switch string(key) {
	case "GNU.sparse.offset":
	case "GNU.sparse.numbytes":
		odd = !odd
	default:
		return true
	}
	if m.n == 0 {
		m.first = value
	}
	m.n++
	return !odd && bytes.IndexByte(value, ',') < 0
}

// record cuts the first record, "length key=value\n", off.
func record(b []byte) (key, value, rest []byte, ok bool) {
	digits, _, ok := bytes.Cut(b, []byte(" "))
	if !ok {
		return nil, nil, nil, false
	}
	n, ok := decimal(digits)
	if !ok || n > int64(len(b)) || n < int64(len(digits)+2) || b[n-1] != '\n' {
		return nil, nil, nil, false
	}
	key, value, ok = bytes.Cut(b[len(digits)+1:n-1], []byte("="))
	return key, value, b[n:], ok && validRecord(key, value)
}

// validRecord refuses a NUL where others would end a name.
func validRecord(key, value []byte) bool {
	switch paxKey(key) {
	case paxPath, paxLink, paxUname, paxGname:
		return bytes.IndexByte(value, 0) < 0
	}
	return len(key) > 0 && bytes.IndexByte(key, 0) < 0
}

// merge puts what the records say over what the header says; what is broken
// in them, or nothing.
func (r *records) merge(e *Entry) (what string) {
	if v := r.value[paxPath]; len(v) > 0 {
		e.Name = v
	}
	if v := r.value[paxLink]; len(v) > 0 {
		e.Link = v
	}
	uid, gid := int64(e.UID), int64(0)
	if !r.number(paxUID, &uid) || !r.number(paxGID, &gid) || !r.number(paxSize, &e.Size) {
		return "PAX number"
	}
	e.UID = int(uid)
	for _, k := range [...]int{paxModified, paxAccessed, paxChanged} {
		if v := r.value[k]; len(v) > 0 && !validTime(v) {
			return "PAX time"
		}
	}
	return ""
}

// sparse says whether the records are those of a file with holes, in one of
// the three ways that GNU tar has written them. Of any other version nobody
// knows a thing: the file is what is stored.
func (r *records) sparse() bool {
	switch major, minor := string(r.value[sparseMajor]), string(r.value[sparseMinor]); major {
	case "0":
		return minor == "0" || minor == "1"
	case "1":
		return minor == "0"
	case "":
		return minor == "" && r.holes // before there were versions
	}
	return false
}

// mergeSparse is merge for what is said of the file with its holes.
func (r *records) mergeSparse(e *Entry) (what string) {
	if !hasContent(e.Type) {
		return "a sparse entry that is no file"
	}
	e.Sparse = true
	if v := r.value[sparseName]; len(v) > 0 {
		e.Name = v
	}
	k := sparseSize
	if len(r.value[k]) == 0 {
		k = sparseRealSize
	}
	if !r.number(k, &e.Size) || e.Size < 0 {
		return "size of a sparse file"
	}
	return ""
}

// number reads a record into n if it is there.
func (r *records) number(key int, n *int64) bool {
	v := r.value[key]
	if len(v) == 0 {
		return true
	}
	var ok bool
	*n, ok = decimal(v)
	return ok
}

func decimal(b []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// validTime knows seconds with any number of decimals.
func validTime(b []byte) bool {
	seconds, part, _ := bytes.Cut(b, []byte("."))
	if _, ok := decimal(seconds); !ok {
		return false
	}
	for _, c := range part {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
