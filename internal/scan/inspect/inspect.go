// Package inspect holds the readers that look for what should not be in an
// image at all: secrets, misconfiguration, malware. Each folder is one
// layer.Reader; none finds packages, none imports another.
//
// Start with all, which lists them.
package inspect
