// Package content holds what security people edit without Go: rules and
// policies as YAML, embedded. It only hands out files; the packages that use
// them parse them, lazily.
package content

import "embed"

// Secrets holds the rules for secrets: secrets/*.yaml.
//
//go:embed secrets/*.yaml
var Secrets embed.FS

// Malware holds the rules for malware and the list of known files:
// malware/*.yaml and malware/hashes.txt.
//
//go:embed malware/*.yaml malware/hashes.txt
var Malware embed.FS

// Policies holds the policies of the gate, each beside its test:
// policies/*.yaml.
//
//go:embed policies/*.yaml
var Policies embed.FS

// Patches holds the virtual patches of shield: patches/CVE-….yaml.
//
//go:embed patches/*.yaml
var Patches embed.FS
