// Package all lists the actions.
package all

import (
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/deny"
	"github.com/esclusa/esclusa/internal/respond/actions/evidence"
	"github.com/esclusa/esclusa/internal/respond/actions/freeze"
	"github.com/esclusa/esclusa/internal/respond/actions/isolate"
	"github.com/esclusa/esclusa/internal/respond/actions/kill"
	"github.com/esclusa/esclusa/internal/respond/actions/quarantine"
	"github.com/esclusa/esclusa/internal/respond/actions/stop"
)

// Actors returns every action.
func Actors() []actions.Actor {
	return []actions.Actor{
		evidence.Actor{}, freeze.Actor{}, isolate.Actor{}, quarantine.Actor{}, deny.Actor{}, kill.Actor{}, kill.Actor{Tree: true}, stop.Actor{},
	}
}
