package osrelease

import (
	"strings"
	"time"
)

// support is the last day with security fixes for everyone: Debian's includes
// LTS, Ubuntu's excludes ESM (a contract), Red Hat's excludes ELS, SUSE's
// excludes LTSS, openSUSE Leap's is the announced one.
//
// The sources stand before each group; they were compared on 2026-11-24 with
// the pages of endoflife.date, which follow the vendors', and with the tables
// of trivy 0.74. Where a vendor names a month, its last day counts. Rolling
// distributions (Wolfi, Chainguard, Arch, Tumbleweed) have no such day. A
// release that is not here has an unknown day, not a distant one.
var support = [...]struct{ id, version, day string }{
	// Debian: /usr/share/distro-info/debian.csv, eol-lts; a test compares.
	{"debian", "4", "2010-02-15"},
	{"debian", "5", "2012-02-06"},
	{"debian", "6", "2016-02-29"},
	{"debian", "7", "2018-05-31"},
	{"debian", "8", "2020-06-30"},
	{"debian", "9", "2022-06-30"},
	{"debian", "10", "2024-06-30"},
	{"debian", "11", "2026-08-31"},
	{"debian", "12", "2028-06-30"},
	{"debian", "13", "2030-06-30"},
	// Ubuntu: /usr/share/distro-info/ubuntu.csv, eol; a test compares.
	{"ubuntu", "12.04", "2017-04-28"},
	{"ubuntu", "14.04", "2019-04-25"},
	{"ubuntu", "16.04", "2021-04-30"},
	{"ubuntu", "18.04", "2023-05-31"},
	{"ubuntu", "18.10", "2019-07-18"},
	{"ubuntu", "19.04", "2020-01-23"},
	{"ubuntu", "19.10", "2020-07-17"},
	{"ubuntu", "20.04", "2025-05-29"},
	{"ubuntu", "20.10", "2021-07-22"},
	{"ubuntu", "21.04", "2022-01-20"},
	{"ubuntu", "21.10", "2022-07-14"},
	{"ubuntu", "22.04", "2027-06-01"},
	{"ubuntu", "22.10", "2023-07-20"},
	{"ubuntu", "23.04", "2024-01-25"},
	{"ubuntu", "23.10", "2024-07-11"},
	{"ubuntu", "24.04", "2029-05-31"},
	{"ubuntu", "24.10", "2025-07-10"},
	{"ubuntu", "25.04", "2026-01-15"},
	{"ubuntu", "25.10", "2026-07-09"},
	{"ubuntu", "26.04", "2031-05-29"},
	{"ubuntu", "26.10", "2027-07-15"},
	// Alpine: alpinelinux.org/releases, "End of support".
	{"alpine", "3.0", "2016-05-01"},
	{"alpine", "3.1", "2016-11-01"},
	{"alpine", "3.2", "2017-05-01"},
	{"alpine", "3.3", "2017-11-01"},
	{"alpine", "3.4", "2018-05-01"},
	{"alpine", "3.5", "2018-11-01"},
	{"alpine", "3.6", "2019-05-01"},
	{"alpine", "3.7", "2019-11-01"},
	{"alpine", "3.8", "2020-05-01"},
	{"alpine", "3.9", "2020-11-01"},
	{"alpine", "3.10", "2021-05-01"},
	{"alpine", "3.11", "2021-11-01"},
	{"alpine", "3.12", "2022-05-01"},
	{"alpine", "3.13", "2022-11-01"},
	{"alpine", "3.14", "2023-05-01"},
	{"alpine", "3.15", "2023-11-01"},
	{"alpine", "3.16", "2024-05-23"},
	{"alpine", "3.17", "2024-11-22"},
	{"alpine", "3.18", "2025-05-09"},
	{"alpine", "3.19", "2025-11-01"},
	{"alpine", "3.20", "2026-04-01"},
	{"alpine", "3.21", "2026-11-01"},
	{"alpine", "3.22", "2027-05-01"},
	{"alpine", "3.23", "2027-11-01"},
	// AlmaLinux: wiki.almalinux.org/release-notes, security support.
	{"almalinux", "8", "2029-03-01"},
	{"almalinux", "9", "2032-05-31"},
	{"almalinux", "10", "2035-05-31"},
	// Rocky: wiki.rockylinux.org/rocky/version, end of life.
	{"rocky", "8", "2029-05-31"},
	{"rocky", "9", "2032-05-31"},
	{"rocky", "10", "2035-05-31"},
	// Red Hat: access.redhat.com/support/policy/updates/errata, end of
	// maintenance support.
	{"rhel", "4", "2012-02-29"},
	{"rhel", "5", "2017-03-31"},
	{"rhel", "6", "2020-11-30"},
	{"rhel", "7", "2024-06-30"},
	{"rhel", "8", "2029-05-31"},
	{"rhel", "9", "2032-05-31"},
	{"rhel", "10", "2035-05-31"},
	// CentOS and CentOS Stream: centos.org, end of life. Stream 10 follows RHEL
	// 10's full support, of which only the year is announced.
	{"centos", "5", "2017-03-31"},
	{"centos", "6", "2020-11-30"},
	{"centos", "7", "2024-06-30"},
	{"centos", "8", "2021-12-31"},
	{"centos-stream", "8", "2024-05-31"},
	{"centos-stream", "9", "2027-05-31"},
	{"centos-stream", "10", "2030-01-01"},
	// Fedora: fedorapeople.org/groups/schedule.
	{"fedora", "30", "2020-05-26"},
	{"fedora", "31", "2020-11-24"},
	{"fedora", "32", "2021-05-25"},
	{"fedora", "33", "2021-11-30"},
	{"fedora", "34", "2022-06-07"},
	{"fedora", "35", "2022-12-13"},
	{"fedora", "36", "2023-05-16"},
	{"fedora", "37", "2023-12-05"},
	{"fedora", "38", "2024-05-21"},
	{"fedora", "39", "2024-11-26"},
	{"fedora", "40", "2025-05-13"},
	{"fedora", "41", "2025-12-15"},
	{"fedora", "42", "2026-05-13"},
	{"fedora", "43", "2026-12-09"},
	// Amazon: aws.amazon.com/linux/amazon-linux-2023/faqs and those of 2 and 1.
	{"amzn", "2018.03", "2023-12-31"},
	{"amzn", "2", "2026-06-30"},
	{"amzn", "2023", "2029-06-30"},
	// openSUSE: en.opensuse.org/Lifetime.
	{"opensuse-leap", "42.1", "2017-05-17"},
	{"opensuse-leap", "42.2", "2018-01-26"},
	{"opensuse-leap", "42.3", "2019-07-01"},
	{"opensuse-leap", "15.0", "2019-12-03"},
	{"opensuse-leap", "15.1", "2021-02-02"},
	{"opensuse-leap", "15.2", "2022-01-04"},
	{"opensuse-leap", "15.3", "2022-12-31"},
	{"opensuse-leap", "15.4", "2023-12-07"},
	{"opensuse-leap", "15.5", "2024-12-31"},
	{"opensuse-leap", "15.6", "2026-04-30"},
	{"opensuse-leap", "16.0", "2027-10-31"},
	// SUSE: suse.com/lifecycle, general support.
	{"sles", "11", "2010-12-31"},
	{"sles", "11.1", "2012-08-31"},
	{"sles", "11.2", "2014-01-31"},
	{"sles", "11.3", "2016-01-31"},
	{"sles", "11.4", "2019-03-31"},
	{"sles", "12", "2016-06-30"},
	{"sles", "12.1", "2017-05-31"},
	{"sles", "12.2", "2018-03-31"},
	{"sles", "12.3", "2019-06-30"},
	{"sles", "12.4", "2020-06-30"},
	{"sles", "12.5", "2024-10-31"},
	{"sles", "15", "2019-12-31"},
	{"sles", "15.1", "2021-01-31"},
	{"sles", "15.2", "2021-12-31"},
	{"sles", "15.3", "2022-12-31"},
	{"sles", "15.4", "2023-12-31"},
	{"sles", "15.5", "2024-12-31"},
	{"sles", "15.6", "2025-12-31"},
	{"sles", "15.7", "2031-07-31"},
	{"sles", "16.0", "2027-11-30"},
	{"sles", "16.1", "2028-11-30"},
	// Photon: the blog of VMware; 3.0 and 4.0 with vSphere 7 and 8, which are
	// made of them (first announced: March 2024 and March 2026).
	{"photon", "1.0", "2022-02-28"},
	{"photon", "2.0", "2022-12-01"},
	{"photon", "3.0", "2025-10-02"},
	{"photon", "4.0", "2027-10-11"},
	// Azure Linux: learn.microsoft.com/azure/azure-linux/release-cadence-lifecycle.
	{"mariner", "1.0", "2023-08-31"},
	{"mariner", "2.0", "2025-07-31"},
	{"azurelinux", "3.0", "2027-08-31"},
	// Oracle: elsp-lifetime-069338.pdf, premier support.
	{"ol", "6", "2021-03-31"},
	{"ol", "7", "2024-12-31"},
	{"ol", "8", "2029-07-31"},
	{"ol", "9", "2032-06-30"},
	{"ol", "10", "2035-06-30"},
}

// endOfLife looks for the release by its whole version, then by ever shorter
// beginnings of it: Alpine 3.19.1 is of 3.19, AlmaLinux 9.4 of 9.
func endOfLife(id, version string) time.Time {
	for version != "" {
		for _, s := range support {
			if s.id == id && s.version == version {
				day, err := time.Parse(time.DateOnly, s.day)
				if err != nil {
					return time.Time{} // the test reads every line
				}
				return day
			}
		}
		dot := strings.LastIndexByte(version, '.')
		if dot < 0 {
			break
		}
		// Each service pack of SUSE has its own days: 15.9 is not of 15.
		if id == "sles" {
			break
		}
		version = version[:dot]
	}
	return time.Time{}
}

// debianNumber is the number that a code name of Debian got or will get.
func debianNumber(codename string) string {
	switch codename {
	case "bullseye":
		return "11"
	case "bookworm":
		return "12"
	case "trixie":
		return "13"
	case "forky":
		return "14"
	case "duke":
		return "15"
	}
	return ""
}
