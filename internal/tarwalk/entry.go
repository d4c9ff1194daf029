package tarwalk

import "io/fs"

// Types of entries, as in the header.
const (
	TypeFile      = '0'
	TypeHardlink  = '1'
	TypeSymlink   = '2'
	TypeChar      = '3'
	TypeBlock     = '4'
	TypeDir       = '5'
	TypeFifo      = '6'
	TypeCont      = '7' // a file, to all who know no better
	TypeGNUSparse = 'S'
	TypePAXGlobal = 'g'

	typePAX     = 'x'
	typeOldFile = 0
	typeGNUName = 'L'
	typeGNULink = 'K'
)

// Entry is what a tar says of one file. Nothing in it is cleaned: names may be
// absolute or lead out of the root.
type Entry struct {
	// Name and Link are valid until the walker's next Next.
	Name, Link []byte
	// Type is as in the header, except that an old tar's file is TypeFile or,
	// if its name ends in a slash, TypeDir. Any byte can stand here.
	Type byte
	// Sparse says that the file has holes: what is stored is not its content.
	Sparse bool
	// Mode is as in the header, see FileMode.
	Mode int64
	// UID owns it.
	UID int
	// Size is the file's, in bytes, with its holes: what the header says, but
	// never negative, and zero for folders, links and devices.
	Size int64
	// Stored is how many bytes can be read, and Offset where they begin in
	// the stream.
	Stored, Offset int64
}

// hasContent is false for the types that are a header only, whatever size
// that states.
func hasContent(typ byte) bool { return typ < TypeHardlink || typ > TypeFifo }

// FileMode is the type with permissions, set-uid, set-gid and sticky bits.
// Some writers state the type in Mode as well; both count, as in archive/tar.
func (e *Entry) FileMode() fs.FileMode {
	m := fs.FileMode(e.Mode).Perm() | typeBits(e.Type) | unixBits(uint32(e.Mode)&^0o7777)
	if e.Mode&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if e.Mode&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if e.Mode&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

func typeBits(typ byte) fs.FileMode {
	switch typ {
	case TypeSymlink:
		return fs.ModeSymlink
	case TypeChar:
		return fs.ModeDevice | fs.ModeCharDevice
	case TypeBlock:
		return fs.ModeDevice
	case TypeDir:
		return fs.ModeDir
	case TypeFifo:
		return fs.ModeNamedPipe
	}
	return 0
}

// unixBits knows the file types of stat(2).
func unixBits(mode uint32) fs.FileMode {
	switch mode {
	case 0o040000:
		return fs.ModeDir
	case 0o010000:
		return fs.ModeNamedPipe
	case 0o120000:
		return fs.ModeSymlink
	case 0o060000:
		return fs.ModeDevice
	case 0o020000:
		return fs.ModeDevice | fs.ModeCharDevice
	case 0o140000:
		return fs.ModeSocket
	}
	return 0
}
