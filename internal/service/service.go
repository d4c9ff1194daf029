// Package service is how a process of esclusa answers others on its machine:
// HTTP over a socket of its own folder, or over an address that was asked for.
// It knows nothing of what is said.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxSocket is the longest path of a socket (unix(7)).
const maxSocket = 107

// Unix listens on a socket that only its owner may use. One that is left over
// from a process that died is replaced; one that answers is an error.
func Unix(path string) (net.Listener, error) {
	if len(path) > maxSocket {
		return nil, fmt.Errorf("%s: the path of a socket has at most %d bytes", path, maxSocket)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		c, derr := net.DialTimeout("unix", path, time.Second)
		if derr == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another process answers there", path)
		}
		// Nothing but a socket that nobody listens on refuses so.
		if info, serr := os.Lstat(path); serr != nil || info.Mode().Type() != fs.ModeSocket || !errors.Is(derr, unix.ECONNREFUSED) {
			return nil, err
		}
		if rerr := os.Remove(path); rerr != nil {
			return nil, rerr
		}
		if l, err = net.Listen("unix", path); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Limits of a request.
const (
	headerTime  = 5 * time.Second
	requestTime = 30 * time.Second
	maxHeader   = 16 << 10
)

// Serve answers until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: requestTime,
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// maxAnswer bounds what Get takes, in bytes.
const maxAnswer = 8 << 20

// ErrAbsent says that nobody listens on a socket.
var ErrAbsent = errors.New("nobody answers")

// Get asks a process by its socket, and reads its JSON answer.
func Get(ctx context.Context, socket, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
			if err != nil && !errors.Is(err, fs.ErrPermission) {
				return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
			}
			return c, err
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://esclusa"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(data) > maxAnswer:
		return fmt.Errorf("%s: an answer of more than %d bytes", path, maxAnswer)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.Unmarshal(data, answer)
}
