package osrelease

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, path, data string
		want             *esclusa.Distro
		err              string
	}{
		{
			name: "debian", path: "usr/lib/os-release",
			data: "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n",
			want: &esclusa.Distro{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", EndOfLife: day("2028-06-30")},
		},
		{
			name: "debian testing has no number", path: "etc/os-release",
			data: "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nVERSION_CODENAME=forky\nID=debian\n",
			want: &esclusa.Distro{ID: "debian", Version: "14", Name: "Debian GNU/Linux forky/sid"},
		},
		{
			name: "alpine", path: "etc/os-release",
			data: "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\nPRETTY_NAME=\"Alpine Linux v3.19\"\n",
			want: &esclusa.Distro{ID: "alpine", Version: "3.19.1", Name: "Alpine Linux v3.19", EndOfLife: day("2025-11-01")},
		},
		{
			name: "alma", path: "etc/os-release",
			data: "NAME=\"AlmaLinux\"\nID=\"almalinux\"\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"AlmaLinux 9.4 (Seafoam Ocelot)\"\n",
			want: &esclusa.Distro{ID: "almalinux", Version: "9.4", Name: "AlmaLinux 9.4 (Seafoam Ocelot)", EndOfLife: day("2032-05-31")},
		},
		{
			name: "centos and centos stream share an ID", path: "etc/os-release",
			data: "NAME=\"CentOS Stream\"\nID=\"centos\"\nVERSION_ID=\"8\"\nPRETTY_NAME=\"CentOS Stream 8\"\n",
			want: &esclusa.Distro{ID: "centos", Version: "8", Name: "CentOS Stream 8", EndOfLife: day("2024-05-31")},
		},
		{
			name: "centos linux 8", path: "etc/os-release",
			data: "NAME=\"CentOS Linux\"\nID=centos\nVERSION_ID='8'\n",
			want: &esclusa.Distro{ID: "centos", Version: "8", Name: "CentOS Linux 8", EndOfLife: day("2021-12-31")},
		},
		{
			name: "rolling", path: "etc/os-release",
			data: "ID=wolfi\nNAME=\"Wolfi\"\nPRETTY_NAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\n",
			want: &esclusa.Distro{ID: "wolfi", Version: "20230201", Name: "Wolfi"},
		},
		{
			name: "service packs do not inherit", path: "etc/os-release",
			data: "ID=sles\nVERSION_ID=15.9\nPRETTY_NAME=\"SUSE \\\"new\\\"\"\n",
			want: &esclusa.Distro{ID: "sles", Version: "15.9", Name: `SUSE "new"`},
		},
		{
			name: "comments, blanks, carriage returns", path: "etc/os-release",
			data: "# ID=evil\r\n\r\nID=alpine\r\n  VERSION_ID=3.20.0 \r\nnonsense\r\n",
			want: &esclusa.Distro{ID: "alpine", Version: "3.20.0", Name: "3.20.0", EndOfLife: day("2026-04-01")},
		},
		{name: "no ID", path: "etc/os-release", data: "NAME=x\n", err: "os-release has no usable ID"},
		{name: "an ID that would break names", path: "etc/os-release", data: "ID='a b:c'\n", err: "os-release has no usable ID"},
		{name: "a version that would break names", path: "etc/os-release", data: "ID=a\nVERSION_ID='1/2'\n", err: "os-release has no usable VERSION_ID"},
		{name: "empty", path: "etc/os-release", data: "", err: "os-release has no usable ID"},
		{
			name: "alpine-release", path: "etc/alpine-release", data: "3.18.4\n",
			want: &esclusa.Distro{ID: "alpine", Version: "3.18.4", EndOfLife: day("2025-05-09")},
		},
		{
			name: "debian_version", path: "etc/debian_version", data: "11.11\n",
			want: &esclusa.Distro{ID: "debian", Version: "11", EndOfLife: day("2026-08-31")},
		},
		{name: "debian_version of ubuntu", path: "etc/debian_version", data: "bookworm/sid\n"},
		{
			name: "centos-release", path: "etc/redhat-release", data: "CentOS Linux release 7.9.2009 (Core)\n",
			want: &esclusa.Distro{ID: "centos", Version: "7.9.2009", EndOfLife: day("2024-06-30")},
		},
		{
			name: "rhel 6 has no os-release", path: "etc/redhat-release", data: "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n",
			want: &esclusa.Distro{ID: "rhel", Version: "6.10", EndOfLife: day("2020-11-30")},
		},
		{
			name: "amazon 1", path: "etc/system-release", data: "Amazon Linux AMI release 2018.03\n",
			want: &esclusa.Distro{ID: "amzn", Version: "2018.03", EndOfLife: day("2023-12-31")},
		},
		{name: "unknown rpm distribution", path: "etc/redhat-release", data: "Somebody's Linux release 4\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := layertest.Read(t, Reader{}, tt.path, 0o644, []byte(tt.data))
			if msg := text(err); msg != tt.err {
				t.Errorf("error %q, want %q", msg, tt.err)
			}
			if diff := cmp.Diff(tt.want, got.Distro); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSupportTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range support {
		if _, err := time.Parse(time.DateOnly, s.day); err != nil {
			t.Error(err)
		}
		if key := s.id + " " + s.version; seen[key] {
			t.Errorf("%s is listed twice", key)
		} else {
			seen[key] = true
		}
	}
}

// TestSupportAgreesWithDebian holds the table to the data that Debian ships.
func TestSupportAgreesWithDebian(t *testing.T) {
	for id, days := range map[string]string{"debian": "eol-lts", "ubuntu": "eol"} {
		file, err := os.Open("/usr/share/distro-info/" + id + ".csv")
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("not installed: distro-info-data")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r := csv.NewReader(file)
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, row := range rows[1:] {
			for i, field := range row {
				version, _, _ := strings.Cut(row[0], " ")
				if rows[0][i] == days && field != "" {
					want[version] = field
				}
			}
		}
		checked := 0
		for _, s := range support {
			if w := want[s.version]; s.id == id && w != "" {
				checked++
				if s.day != w {
					t.Errorf("%s %s: %s, Debian says %s", id, s.version, s.day, w)
				}
			}
		}
		if checked < 5 {
			t.Errorf("%s: only %d releases compared", id, checked)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n")
	f.Add("ID='a\nVERSION_ID=\\\n")
	f.Add("AlmaLinux release 9.4 (Seafoam Ocelot)")
	f.Add("3.19_alpha20230901")
	f.Fuzz(func(t *testing.T, data string) {
		for _, c := range (Reader{}).Spec().Claims {
			got, err := layertest.Read(t, Reader{}, c.Path, 0o644, []byte(data))
			if d := got.Distro; d != nil && (d.ID == "" || !plain(d.ID) || !plain(d.Version) || err != nil) {
				t.Fatalf("%s: distro %+v, error %v", c.Path, *d, err)
			}
		}
	})
}
