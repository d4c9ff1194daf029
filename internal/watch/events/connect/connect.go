// Package connect sees addresses being asked for by connect(2).
package connect

import (
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventConnect, Record: kernel.Connect,
		Object: kernel.Object{Name: "connect", Spec: loadConnect, Optional: true},
		Decode: events.Address,
		Lost:   "where processes connect to",
	}
}
