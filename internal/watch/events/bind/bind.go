// Package bind sees addresses being asked for by bind(2).
package bind

import (
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventBind, Record: kernel.Bind,
		Object: kernel.Object{Name: "bind", Spec: loadBind, Optional: true},
		Decode: events.Address,
		Lost:   "which ports processes open",
	}
}
