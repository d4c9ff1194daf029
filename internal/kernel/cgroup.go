package kernel

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// unified finds where the unified cgroup hierarchy is mounted: at
// /sys/fs/cgroup, or at /sys/fs/cgroup/unified on a hybrid host.
func unified() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// … root mountpoint options … - type source superoptions
		before, after, ok := strings.Cut(sc.Text(), " - ")
		fields := strings.Fields(before)
		if ok && strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 && fields[3] == "/" {
			return fields[4], nil
		}
	}
	return "", hint(fmt.Errorf("no unified cgroup hierarchy is mounted: %w", fs.ErrNotExist),
		"mount -t cgroup2 none /sys/fs/cgroup/unified")
}
