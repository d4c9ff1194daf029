package layer

import "github.com/cespare/xxhash/v2"

// SymbolHash names a function by 64 bits, so that the 50,000 symbols of a
// large binary cost 400 KB in the cache. The name is as the Go advisories
// write it: import path, dot, function or Type.Method.
func SymbolHash(name string) uint64 { return xxhash.Sum64String(name) }
