package content

import "embed"

// Rules holds the rules of watch, a file each with its examples: rules/*.yaml.
//
//go:embed rules/*.yaml
var Rules embed.FS

// Sequences holds the sequences of watch, a file each with its examples:
// sequences/*.yaml.
//
//go:embed sequences/*.yaml
var Sequences embed.FS

// Responses holds the policy of respond: responses/default.yaml.
//
//go:embed responses/*.yaml
var Responses embed.FS
