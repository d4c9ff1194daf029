// Package esclusa holds the words that every part of the product speaks:
// images, packages, advisories, findings, gaps and verdicts; events, processes,
// containers, detections, incidents and actions. They are plain data:
// comparable in tests, written as JSON, made of the standard library only.
// Nothing here reads a file, starts a goroutine or keeps a state.
//
// Start with Finding and Gap: everything that scan does ends in one of them,
// and everything that gate does begins there.
package esclusa
