package oci

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// HintError is an error that knows what the user can do about it.
type HintError struct {
	Err  error
	Text string
}

func (e *HintError) Error() string { return e.Err.Error() }
func (e *HintError) Unwrap() error { return e.Err }

// Hint is one sentence without a full stop.
func (e *HintError) Hint() string { return e.Text }

func hint(err error, format string, args ...any) error {
	return &HintError{err, fmt.Sprintf(format, args...)}
}

// LimitError says that an image asks for more than it may have.
type LimitError struct {
	What  string // "uncompressed size of a layer"
	Limit int64
	Unit  string // "bytes", "times"
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s is over the limit of %d %s", e.What, e.Limit, e.Unit)
}

// noDaemon adds the hint that a socket on which nobody answers calls for.
func noDaemon(err error, name, variable string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return hint(err, "is %s running? %s names its socket", name, variable)
	case errors.Is(err, fs.ErrPermission):
		return hint(err, "you may not speak to %s: try as root, or save the image to a file", name)
	}
	return err
}

// advise adds the sentinel and the hint that an error of the network calls
// for, unless something nearer to the cause gave one.
func advise(err error) error {
	var hinted *HintError
	if err == nil || errors.As(err, &hinted) {
		return err
	}
	var (
		response *errcode.ErrorResponse
		cert     *tls.CertificateVerificationError
		dns      *net.DNSError
	)
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound),
		errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden):
		return hint(fmt.Errorf("%w: %w", ErrDenied, err),
			"check the name, and log in with `docker login` or give a user and password")
	case errors.As(err, &response) && response.StatusCode == http.StatusTooManyRequests:
		return hint(err, "the registry limits its clients: log in, or try again later")
	case errors.Is(err, errdef.ErrNotFound):
		return hint(fmt.Errorf("%w: %w", ErrNotFound, err), "check the name and the tag")
	case errors.As(err, &cert):
		return hint(err, "the registry's certificate is not trusted here: install its CA certificate on this machine")
	case errors.Is(err, http.ErrSchemeMismatch):
		return hint(err, "the registry speaks plain HTTP: name its host with --plain-http")
	case errors.Is(err, syscall.ECONNREFUSED):
		return hint(err, "nothing listens at that address: check host and port")
	case errors.As(err, &dns):
		return hint(err, "the host name does not resolve: check the name and the network")
	}
	return err
}
