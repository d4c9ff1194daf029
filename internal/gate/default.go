package gate

import (
	"fmt"
	"sync"

	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// Default is the built-in policy, used where none is given. It is read once,
// at the first call; callers do not change it.
func Default() (*policy.Policy, error) { return builtIn() }

var builtIn = sync.OnceValues(func() (*policy.Policy, error) {
	const name = "policies/default.yaml"
	data, err := content.Policies.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the built-in policy: %w", err)
	}
	p, err := policy.Parse(name, data)
	if err != nil {
		return nil, fmt.Errorf("read the built-in policy: %w", err)
	}
	return p, nil
})
