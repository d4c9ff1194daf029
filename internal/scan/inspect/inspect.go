// Package inspect holds the readers that look for what should not be in an
// image at all: secrets, misconfiguration, malware. Each folder is one
// layer.Reader; none finds packages, none imports another.
//
// Here stands only what they share: where texts about secrets and attacks lie.
// Start with all, which lists the readers.
package inspect
