package content

import "embed"

// Rules holds the rules of watch, a file each with its examples: rules/*.yaml.
//
//go:embed rules/*.yaml
var Rules embed.FS
