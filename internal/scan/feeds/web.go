package feeds

import "errors"

func newWeb(Options) (origin, error) { return nil, errors.New("web not yet") }
