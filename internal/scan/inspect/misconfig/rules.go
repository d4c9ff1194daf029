package misconfig

import "github.com/esclusa/esclusa"

const (
	low      = esclusa.SeverityLow
	medium   = esclusa.SeverityMedium
	high     = esclusa.SeverityHigh
	critical = esclusa.SeverityCritical
)

// Rules of Dockerfiles and images.
var (
	rootUser = rule{
		"root-user", "Runs as root", high,
		"Whoever breaks out of the process is root in the container, and a kernel flaw away from root on the node.",
		"Add USER 10001 (a number, so that runAsNonRoot can check it) behind the last RUN that needs root.",
	}
	addInsteadOfCopy = rule{
		"add-instead-of-copy", "ADD where COPY does", low,
		"ADD unpacks archives and fetches URLs by surprise.", "Write COPY source destination.",
	}
	addRemote = rule{
		"add-remote-url", "ADD of a URL without a checksum", medium,
		"Whoever controls the server or the way to it controls the image.", "Write ADD --checksum=sha256:… https://…",
	}
	aptWithoutYes = rule{
		"apt-get-missing-yes-flag-to-avoid-manual-input", "apt-get install without -y", high,
		"The build waits for an answer that never comes.", "Write apt-get install -y …",
	}
	copyFromItself = rule{
		"copy-from-references-current-from-alias", "COPY --from names its own stage", critical,
		"A stage cannot copy from itself; the build fails or takes another image of that name.", "Name another stage in --from.",
	}
	copyWithoutSlash = rule{
		"copy-with-more-than-two-arguments-not-ending-with-slash", "COPY of several files to what is no folder", critical,
		"With several sources the destination must be a folder.", "End the destination with a slash: COPY a b dest/",
	}
	maintainer = rule{
		"maintainer-is-deprecated", "MAINTAINER is deprecated", low,
		"Tools no longer read it.", "Write LABEL org.opencontainers.image.authors=…",
	}
	zypperClean = rule{
		"missing-zypper-clean", "zypper install without zypper clean", low,
		"The cache stays in the layer.", "Write zypper install … && zypper clean",
	}
	manyEntrypoints = rule{
		"multiple-entrypoint-instructions-listed", "Several ENTRYPOINTs in one stage", critical,
		"Only the last counts; what the others were for does not happen.", "Keep one ENTRYPOINT.",
	}
	manyHealthchecks = rule{
		"multiple-healthcheck-instructions", "Several HEALTHCHECKs in one stage", medium,
		"Only the last counts.", "Keep one HEALTHCHECK.",
	}
	noHealthcheck = rule{
		"missing-healthcheck", "No HEALTHCHECK", low,
		"A hung process stays up. (Kubernetes has probes of its own and ignores it.)", "Add HEALTHCHECK CMD …",
	}
	distUpgrade = rule{
		"run-apt-get-dist-upgrade", "apt-get dist-upgrade in a build", high,
		"It changes the release of packages in ways the base image was not tested with, differently on each build.",
		"Use a newer base image; for security fixes alone apt-get upgrade -y.",
	}
	usesSudo = rule{
		"run-using-sudo", "sudo in a build", critical,
		"It needs a set-uid program in the image that every process can use later.", "Write USER root before the line and USER 10001 behind it.",
	}
	wgetAndCurl = rule{
		"run-using-wget-and-curl", "Both wget and curl", low,
		"Two programs for one thing: twice the size and twice the flaws.", "Use one of them.",
	}
	updateAlone = rule{
		"update-instruction-alone", "Package lists updated in a line of their own", high,
		"The line is cached: later builds install from old lists and miss security fixes.", "Write apt-get update && apt-get install -y … in one RUN.",
	}
	relativeWorkdir = rule{
		"workdir-path-not-absolute", "WORKDIR is not absolute", high,
		"Where it leads depends on the base image.", "Write WORKDIR /…",
	}
	procWorkdir = rule{
		"workdir-in-proc", "WORKDIR leads into /proc or /sys", critical,
		"With runc before 1.1.12 a working folder such as /proc/self/fd/8 is on the host (CVE-2024-21626).", "Write WORKDIR /app.",
	}
	envSecret = rule{
		"secret-in-environment", "A secret in ENV", high,
		"Everybody who can pull the image or list the process can read it, in every version to come.", "Rotate it; hand it over at run time, and in builds with RUN --mount=type=secret.",
	}
	argSecret = rule{
		"secret-in-build-argument", "A secret in a build argument", high,
		"Build arguments stay in the history of the image.", "Rotate it; write RUN --mount=type=secret,id=…",
	}
	commandSecret = rule{
		"secret-in-command", "A password on a command line of the build", high,
		"The line stays in the history of the image.", "Rotate it; read it from a file of RUN --mount=type=secret.",
	}
	preload = rule{
		"library-path-in-environment", "The dynamic linker is told where to load from", medium,
		"LD_PRELOAD and its like load code into every process, set-uid ones left aside; malware uses them to hide.", "Remove the variable; use rpath or ldconfig.",
	}
	preloadHigh = rule{
		"preload-in-environment", "LD_PRELOAD or LD_AUDIT in ENV", high,
		preload.why, preload.advice,
	}
	writablePath = rule{
		"writable-folder-in-path", "PATH holds a folder that everybody can write to", high,
		"Whoever can write there decides what a command does.", "Remove it from PATH.",
	}
	pipeToShell = rule{
		"download-piped-to-shell", "A download is run without a look", medium,
		"What the server says today is run as root in the build; nothing says what it was.", "Download, compare with a sha256, then run.",
	}
	latestTag = rule{
		"latest-base-image", "The base image is not pinned", medium,
		"Every build may start from something else, and a broken tag cannot be undone.", "Write FROM name:version@sha256:…",
	}
	remotePort = rule{
		"remote-login-port", "A port for remote logins", medium,
		"Shells into a container go past the records of the orchestrator; telnet and its like send passwords in clear.", "Remove EXPOSE and the server; use kubectl exec.",
	}
	chmod777 = rule{
		"world-writable-by-chmod", "chmod makes files writable for everybody", medium,
		"A process without rights can change programs and settings that others run.", "Give the one user that needs it: COPY --chown=10001 …",
	}
	tlsOff = rule{
		"tls-verification-disabled", "TLS certificates are not checked", high,
		"Whoever is on the way can read and replace what is transferred.", "Add the authority's certificate to the image instead.",
	}
	cacheLeft = rule{
		"package-cache-left", "The package manager's cache stays in the layer", low,
		"It makes the image larger and lists packages that are not installed.", "Write … && rm -rf /var/lib/apt/lists/*, or apk add --no-cache.",
	}
)

// Rules of Kubernetes manifests.
var (
	cpuRequest = rule{
		"cpu-requests-not-specified", "No CPU request", low,
		"The scheduler cannot keep room for it.", "Set resources.requests.cpu.",
	}
	hostPort = rule{
		"access-to-host-ports", "A port of the node", high,
		"It goes past network policies and lets one copy per node run.", "Remove hostPort; use a Service.",
	}
	dropAll = rule{
		"capabilities-no-drop-all", "Capabilities are not dropped", low,
		"The default set holds some that attacks use (NET_RAW, SETUID).", `Set securityContext.capabilities.drop: ["ALL"].`,
	}
	configMapSecret = rule{
		"configmap-with-secrets", "A password in a ConfigMap", high,
		"ConfigMaps are readable for many and encrypted for nobody.", "Move it to a Secret or an external store, and rotate it.",
	}
	ingressInjection = rule{
		"insecure-ingress-nginx", "An ingress-nginx annotation can inject configuration", high,
		"ingress-nginx before 1.12.1 runs what such an annotation holds (CVE-2025-1097, CVE-2025-1098, CVE-2025-24514).", "Write a plain URL or CN; update the controller.",
	}
	memoryLimit = rule{
		"memory-not-limited", "No memory limit", low,
		"One leak takes the node down with it.", "Set resources.limits.memory.",
	}
	nonCoreVolume = rule{
		"non-core-volume-types", "A volume type outside the restricted profile", medium,
		"It reaches storage past the cluster's claims and their rights.", "Use a persistentVolumeClaim.",
	}
	procMount = rule{
		"non-default-proc-masks-set", "/proc is not masked", medium,
		"Masked paths of /proc give away and change the kernel's state.", "Remove securityContext.procMount.",
	}
	runsAsRoot = rule{
		"runs-as-root", "May run as root", medium,
		"Whoever breaks out of the process is root in the container.", "Set securityContext.runAsNonRoot: true.",
	}
	lowGID = rule{
		"runs-with-gid-le-10000", "Group id at or below 10000", low,
		"Low ids are those of groups of the node.", "Set securityContext.runAsGroup: 10001.",
	}
	lowUID = rule{
		"runs-with-uid-le-10000", "User id at or below 10000", low,
		"Low ids are those of users of the node.", "Set securityContext.runAsUser: 10001.",
	}
	seccomp = rule{
		"runtime-default-seccomp-profile-not-set", "No seccomp profile", low,
		"All system calls are open, also those that kernel flaws need.", "Set securityContext.seccompProfile.type: RuntimeDefault.",
	}
	policySelector = rule{
		"selector-usage-in-network-policies", "A NetworkPolicy without podSelector", medium,
		"It does not say whom it is for.", "Set spec.podSelector ({} for all).",
	}
	selinux = rule{
		"selinux-custom-options-set", "SELinux options outside the baseline", medium,
		"A type, user or role of one's own can leave the container's confinement.", "Remove seLinuxOptions.type, user and role.",
	}
	addedCapabilities = rule{
		"specific-capabilities-added", "Capabilities are added", medium,
		"Each one is a piece of root.", "Remove capabilities.add.",
	}
	tiller = rule{
		"tiller-is-deployed", "Helm's Tiller", critical,
		"Tiller gives every pod that reaches it the rights of its account, often all of the cluster.", "Use Helm 3.",
	}
	imageLatest = rule{
		"uses-image-tag-latest", "Image tag latest", medium,
		"What runs changes without a release, and a roll-back does not bring the old one.", "Write name:version@sha256:…",
	}
	privileged = rule{
		"privileged-container", "A privileged container", critical,
		"It has every capability and device of the node: root there.", "Remove securityContext.privileged.",
	}
	hostNamespace = rule{
		"host-namespace", "Shares a namespace of the node", high,
		"It sees the node's processes, network or memory.", "Remove hostNetwork, hostPID and hostIPC.",
	}
	hostPath = rule{
		"sensitive-host-path", "Mounts a sensitive path of the node", high,
		"With the runtime's socket, / or /etc of the node a pod is root there.", "Remove the hostPath volume.",
	}
	escalation = rule{
		"privilege-escalation-allowed", "Processes may gain rights", low,
		"Set-uid programs work.", "Set securityContext.allowPrivilegeEscalation: false.",
	}
)
