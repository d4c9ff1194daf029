package apk

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"

	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Sums yields what each file should hold: its path, the sum in hex, and the
// package. A sum stands behind the file that it is of, as "Z:Q1" and SHA-1 in
// base64; that of a link is of its target. Lines of another form are skipped:
// they vouch for nothing, and Read says what is wrong with them.
func (Reader) Sums(f *layer.File, yield func(path, sum, pkg string)) {
	var pkg, folder, file []byte
	left := catalog.MaxPaths(len(f.Data))
	for data := f.Data; len(data) > 0 && left > 0; {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) < 2 || line[1] != ':' {
			pkg, folder, file = nil, nil, nil // an empty line ends a package
			continue
		}
		switch value := line[2:]; line[0] {
		case 'P':
			pkg = value
		case 'F':
			folder, file = value, nil
		case 'R':
			file = value
		case 'Z':
			sum, ok := decodeSum(value)
			left -= len(folder) + len(file)
			if !ok || len(file) == 0 || len(pkg) == 0 || left < 0 {
				continue
			}
			path := string(file)
			if len(folder) > 0 {
				path = string(folder) + "/" + path
			}
			yield(path, sum, string(pkg))
		}
	}
}

// decodeSum reads "Q1" or "Q2" (SHA-256, apk 3) and base64.
func decodeSum(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != 'Q' || len(value) > 64 {
		return "", false
	}
	sum, err := base64.StdEncoding.DecodeString(string(value[2:]))
	if err != nil || len(sum) != 20 && len(sum) != 32 {
		return "", false
	}
	return hex.EncodeToString(sum), true
}
