package scan

import (
	"maps"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	inspect "github.com/esclusa/esclusa/internal/scan/inspect/all"
)

// masked is the image without the secrets that stand in its configuration and
// history, in the form in which findings show them: a report is kept and sent
// to more people than may pull the image.
func masked(image esclusa.Image) esclusa.Image {
	c := &image.Config
	c.Env = slices.Clone(c.Env)
	for i, e := range c.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			c.Env[i] = name + "=" + inspect.MaskValue(name, value)
		}
	}
	c.Labels = maps.Clone(c.Labels)
	for name, value := range c.Labels {
		c.Labels[name] = inspect.MaskValue(name, value)
	}
	for _, list := range []*[]string{&c.Entrypoint, &c.Cmd, &c.Healthcheck} {
		*list = maskedArgs(*list)
	}
	done := map[string]string{} // a layer says once more what its step says
	mask := func(line string) string {
		m, ok := done[line]
		if !ok {
			m = inspect.Mask(line)
			done[line] = m
		}
		return m
	}
	image.History = slices.Clone(image.History)
	for i := range image.History {
		h := &image.History[i]
		h.CreatedBy, h.Comment = mask(h.CreatedBy), mask(h.Comment)
	}
	image.Layers = slices.Clone(image.Layers)
	for i := range image.Layers {
		image.Layers[i].CreatedBy = mask(image.Layers[i].CreatedBy)
	}
	return image
}

// maskedArgs are looked at as one line: "--password", "…" is a pair.
func maskedArgs(args []string) []string {
	out := slices.Clone(args)
	for i, a := range args {
		out[i] = inspect.Mask(a)
		if name := strings.TrimLeft(args[max(0, i-1)], "-"); i > 0 && name != args[i-1] {
			out[i] = inspect.MaskValue(name, a)
		}
	}
	return out
}
