package python

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
)

const (
	eggSuffix = ".egg"
	// maxEgg bounds what archive/zip allocates for the entries of a made-up
	// archive: some six times its size.
	maxEgg = 16 << 20
	// maxEggText is above the longest description of a package; the headers
	// stand before it.
	maxEggText = 1 << 20
)

// cutEgg is the metadata in a zipped egg, as easy_install put it beside
// folders and as Python imports it. Nil without an error is an archive of
// something else.
func cutEgg(data []byte) ([]byte, error) {
	if len(data) > maxEgg {
		return nil, fmt.Errorf("read python egg: it has %d bytes, more than %d", len(data), maxEgg)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("read python egg: %w", err)
	}
	for _, f := range z.File {
		if f.Name != "EGG-INFO/PKG-INFO" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("read python egg: %w", err)
		}
		defer r.Close()
		text, err := io.ReadAll(io.LimitReader(r, maxEggText))
		if err != nil {
			return nil, fmt.Errorf("read python egg: %w", err)
		}
		return text, nil
	}
	return nil, nil
}
