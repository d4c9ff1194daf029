// Package realimage holds the proof that the whole scanner is right about an
// image that was really built: a Debian root by mmdebstrap, upgraded and
// purged with apt, npm packages by npm, a binary by the go tool, jars, Python
// packages, and layers that delete what lower ones brought.
//
// The tests compute the answer a second time, with dpkg, npm, the go tool,
// Python and the advisories as they are published, and share no code with
// scan. Each difference stands by name in testdata/differences.txt. The image
// is built once per machine, under the user's cache folder.
//
// There is nothing here to import. Start with steps_test.go, then
// agree_test.go.
package realimage
