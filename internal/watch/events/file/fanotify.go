package file

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// message is one of fanotify(7), as far as it is used here.
type message struct {
	mask uint64
	fd   int32
	pid  int32
	// The folder, as a file system and a handle in it, and the name there; of a
	// rename the new one, and the old.
	at, from entry
}

type entry struct {
	folder string // fsid and handle: the key of a folder
	name   string
}

var errMessage = errors.New("a message of fanotify is not as fanotify(7) says")

const (
	metadataSize = 24
	headerSize   = 4
	fsidSize     = 8
	handleSize   = 8 // struct file_handle without its bytes
)

// next reads the first message of b, and says what follows.
func next(b []byte) (m message, rest []byte, err error) {
	le := binary.LittleEndian
	if len(b) < metadataSize {
		return m, nil, errMessage
	}
	n, head := int(le.Uint32(b)), int(le.Uint16(b[6:]))
	if b[4] != unix.FANOTIFY_METADATA_VERSION || head < metadataSize || n < head || n > len(b) {
		return m, nil, errMessage
	}
	m.mask, m.fd, m.pid = le.Uint64(b[8:]), int32(le.Uint32(b[16:])), int32(le.Uint32(b[20:]))
	for info := b[head:n]; len(info) > 0; {
		if len(info) < headerSize {
			return m, nil, errMessage
		}
		size := int(le.Uint16(info[2:]))
		if size < headerSize || size > len(info) {
			return m, nil, errMessage
		}
		if err := m.info(info[0], info[headerSize:size]); err != nil {
			return m, nil, err
		}
		info = info[size:]
	}
	return m, b[n:], nil
}

func (m *message) info(kind byte, b []byte) error {
	var to *entry
	switch kind {
	case unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		to = &m.at
	case unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		to = &m.from
	default:
		return nil
	}
	if len(b) < fsidSize+handleSize {
		return errMessage
	}
	n := fsidSize + handleSize + int(binary.LittleEndian.Uint32(b[fsidSize:]))
	if n < 0 || n > len(b) {
		return errMessage
	}
	name, _, _ := bytes.Cut(b[n:], []byte{0})
	to.folder, to.name = string(b[:n]), string(name)
	return nil
}

// handle is the part of a folder's key that open_by_handle_at(2) takes.
func handle(folder string) unix.FileHandle {
	b := []byte(folder[fsidSize:])
	return unix.NewFileHandle(int32(binary.LittleEndian.Uint32(b[4:])), b[handleSize:])
}
