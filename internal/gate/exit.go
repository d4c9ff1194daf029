package gate

import "github.com/esclusa/esclusa"

// Exit is one exit code of the commands that give a verdict.
type Exit struct {
	Code    int
	Name    string
	Meaning string
}

// The exit codes. A warning lets the release pass, so it is 0 like allow.
const (
	ExitAllow     = 0
	ExitDeny      = 1
	ExitUndecided = 2
	ExitUsage     = 3
)

// ExitTable is the one table of exit codes; commands, documentation and tests
// read it.
var ExitTable = []Exit{
	{ExitAllow, "allow", "The image may pass. Warnings are printed and do not stop it."},
	{ExitDeny, "deny", "A rule of the policy refuses the image."},
	{ExitUndecided, "undecided", "There is no verdict: something could not be read, reached or evaluated."},
	{ExitUsage, "usage", "The command line, the policy or a configuration file is wrong."},
}

// ExitCode is the exit code of a decision.
func ExitCode(d esclusa.Decision) int {
	switch d {
	case esclusa.Allow, esclusa.Warn:
		return ExitAllow
	case esclusa.Deny:
		return ExitDeny
	}
	return ExitUndecided
}
